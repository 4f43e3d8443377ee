"""Runs on plain processes that end otherwise than by their plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos import leftovers
from tests import ending

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
        assert ending.guards(folder.name)
        found = {(item.kind, item.subject) for item in leftovers.leftovers()}
        assert {("process", "abort_if"), ("frozen process", "n2"), ("undo", "resume n2")} <= found
        assert leftovers.heal().could_not == []
        assert ending.guards(folder.name) == []
        assert leftovers.leftovers() == []
