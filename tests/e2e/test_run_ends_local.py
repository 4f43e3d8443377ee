"""Runs on plain processes that end otherwise than by their plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.registry import processes as proc
from chaos.run import leftovers
from chaos.run import stop as halting
from tests.support import ending

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of this test alone."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))


def test_stopped_from_outside(tmp_path: Path) -> None:
    """Healed, saved, judged, removed."""
    ending.stopped_from_outside(tmp_path / "stopped-local", "local")


def test_interrupted_in_the_background_of_a_script(tmp_path: Path) -> None:
    """Healed and removed all the same."""
    ending.interrupted_in_the_background(tmp_path / "deaf-local", "local")


def test_without_faults(tmp_path: Path) -> None:
    """Nothing is broken."""
    ending.without_faults(tmp_path / "calm-local", "local")


def test_the_safety_command_of_a_killed_harness_is_a_leftover(tmp_path: Path) -> None:
    """Listed under its name, and removed by ``heal``."""
    folder = tmp_path / "killed-local"
    with ending.held(folder, "local") as child:
        child.kill()
        child.wait()
        assert ending.guards(ending.run_in(folder))
        found = {(item.kind, item.subject) for item in leftovers.leftovers()}
        assert {("process", "abort_if"), ("frozen process", "n2"), ("undo", "resume n2")} <= found
        assert leftovers.heal().could_not == []
        assert ending.guards(ending.run_in(folder)) == []
        assert leftovers.leftovers() == []


def test_two_runs_whose_folders_have_the_same_name_do_not_meet(tmp_path: Path) -> None:
    """Both are known by names of their own; the end of one, and the removal of what it left, leave the other one alone."""
    one, two = tmp_path / "j1" / "out", tmp_path / "j2" / "out"
    for folder in (one, two):
        folder.parent.mkdir()
    with ending.held(one, "local") as first:
        with ending.held(two, "local") as second:
            assert ending.run_in(one) != ending.run_in(two)
            assert {record.folder for record in halting.active()} == {str(one), str(two)}
            second.kill()
            second.wait()
            assert {item.run for item in leftovers.leftovers()} == {ending.run_in(two)}
            assert leftovers.heal().could_not == []
        assert first.poll() is None
        assert len(ending.guards(ending.run_in(one))) > 0
        assert {process.node for process in proc.labelled(ending.run_in(one))} >= {"n1", "n2", "n3", "dns", "prober"}
        assert proc.labelled(ending.run_in(two)) == []
