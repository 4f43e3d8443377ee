"""A harness that is killed, at any instant, leaves what ``leftovers`` lists and ``heal`` removes; others' runs stay."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.core.clock import MonotonicClock
from chaos.core.errors import EnvironmentUnusable
from chaos.core.system import user_name
from chaos.engine import leftovers as leftovers_docker
from chaos.engine.connection import Engine
from chaos.engine.question import ask
from chaos.history import undo
from chaos.history.events import RunEnded
from chaos.history.folder import RunFolder
from chaos.plugin import Deployment
from chaos.registry import processes as proc
from chaos.registry import runs as registry
from chaos.run import leftovers
from chaos.runtimes.docker.runtime import DockerRuntime
from tests.support.paths import SUPPORT
from tests.support.samples import sample_plan, sample_target

HARNESS = SUPPORT / "holding_run.py"
WITHIN_S = 60.0


@pytest.fixture
def state(engine: Engine, harness_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A registry of the test's own; what a failed test leaves on the engine goes with it."""
    folder = tmp_path / "state"
    monkeypatch.setenv("NINES_STATE", str(folder))
    yield folder
    for run in {thing.run for thing in leftovers_docker.things(engine.client.api) if thing.state == str(folder)}:
        leftovers_docker.remove(engine.client.api, run)


@contextmanager
def harness(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, which is dead afterwards."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    log = folder.with_suffix(".log")
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, HARNESS, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def await_line(process: subprocess.Popen[str], wanted: str) -> None:
    """Until the harness says so."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == wanted:
            return
    pytest.fail(f"the harness ended before it said '{wanted}'")


def folder_of(tmp_path: Path, number: int = 0) -> Path:
    """A run folder whose name no other run on the engine has."""
    return tmp_path / f"killed-{os.getpid()}-{tmp_path.name}-{number}"


def test_everything_of_a_killed_run_is_listed_and_removed(state: Path, engine: Engine, tmp_path: Path) -> None:
    """With a link cut, a node frozen and one dead: containers, network, volumes, undo and record; the history gets its end."""
    folder = folder_of(tmp_path)
    with harness(folder) as process:
        await_line(process, "holding")
        assert leftovers.leftovers() == [], "an active run is no leftover"
    found = leftovers.leftovers()
    kinds = [item.kind for item in found]
    assert {"container", "network", "volume", "undo", "record"} <= set(kinds)
    assert kinds.count("container") == 3 * 2 + 2
    another = Deployment("another", tmp_path / "another", sample_plan(), sample_target())
    with pytest.raises(EnvironmentUnusable, match="did not clean up"), DockerRuntime().up(another, print, MonotonicClock()):
        pytest.fail("a run began on top of leftovers")
    result = leftovers.heal()
    assert result.could_not == []
    # The role watch beside the harness ends by itself when that is gone, perhaps in the moment between.
    assert [item for item in result.removed if item.process is None] == [item for item in found if item.process is None]
    assert leftovers.leftovers() == []
    assert leftovers_docker.things(engine.client.api, folder.name) == []
    assert registry.records() == []
    assert proc.labelled(folder.name) == []
    assert undo.pending(RunFolder(folder).undo) == []
    assert isinstance(RunFolder(folder).rows()[-1], RunEnded)
    assert all((folder / "logs" / f"{node}.log").read_text(encoding="utf-8") for node in ("n1", "n2", "n3"))


@pytest.mark.parametrize("number", range(4))
def test_killed_while_it_starts(state: Path, engine: Engine, tmp_path: Path, number: int) -> None:
    """At any instant of its start: what there is by then is found by label and removed."""
    folder = folder_of(tmp_path, number)
    with harness(folder) as process:
        await_line(process, "begun")
        # A random instant on purpose: the start takes about two seconds, and every one of its steps must be findable.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(random.Random(f"{number} {os.getpid()}").uniform(0.3, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait(WITHIN_S)
    result = leftovers.heal()
    assert result.could_not == []
    assert leftovers.leftovers() == []
    assert leftovers_docker.things(engine.client.api, folder.name) == []


def test_things_are_found_when_their_node_was_removed_or_restarted_meanwhile(state: Path, engine: Engine, tmp_path: Path) -> None:
    """Neither a container that somebody removed nor one that was started again keeps heal from finding the rest."""
    folder = folder_of(tmp_path)
    with harness(folder) as process:
        await_line(process, "holding")
    api = engine.client.api
    api.remove_container(f"nines-{folder.name}-n1", force=True)
    api.restart(f"nines-{folder.name}-n2", timeout=0)
    assert leftovers.heal().could_not == []
    assert leftovers_docker.things(api, folder.name) == []


def test_a_record_that_was_lost_does_not_hide_containers(state: Path, engine: Engine, tmp_path: Path) -> None:
    """Without its record a run is still found by its label, on any engine that this state folder knows."""
    folder = folder_of(tmp_path)
    with harness(folder) as process:
        await_line(process, "holding")
    registry.record_file(state, folder.name).unlink()
    assert {item.run for item in leftovers.leftovers()} == {folder.name}
    assert leftovers.heal().could_not == []
    assert leftovers_docker.things(engine.client.api, folder.name) == []


def test_two_runs_at_once_do_not_meet(state: Path, engine: Engine, tmp_path: Path) -> None:
    """One is killed and healed while the other lives on; the other then ends by itself and leaves nothing."""
    killed, living = folder_of(tmp_path, 1), folder_of(tmp_path, 2)
    with harness(living) as other:
        await_line(other, "holding")
        before = leftovers_docker.things(engine.client.api, living.name)
        with harness(killed) as process:
            await_line(process, "holding")
        assert {item.run for item in leftovers.leftovers()} == {killed.name}
        assert leftovers.heal().could_not == []
        assert leftovers_docker.things(engine.client.api, living.name) == before
        assert other.stdin is not None
        other.stdin.close()
        assert other.wait(WITHIN_S) == 0
        other.stdin = None
    assert leftovers_docker.things(engine.client.api, living.name) == []
    assert leftovers.leftovers() == []


def test_runs_of_another_state_folder_are_left_alone(state: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run of somebody else left is his to heal."""
    folder = folder_of(tmp_path)
    with harness(folder) as process:
        await_line(process, "holding")
    there = leftovers_docker.things(engine.client.api, folder.name)
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "another"))
    registry_of_another = Path(os.environ["NINES_STATE"])
    registry_of_another.mkdir()
    (registry_of_another / "engines").write_text(f"{engine.facts.host}\n", encoding="utf-8")
    assert leftovers.leftovers() == []
    assert leftovers.heal().removed == []
    assert leftovers_docker.things(engine.client.api, folder.name) == there
    monkeypatch.setenv("NINES_STATE", str(state))
    assert leftovers.heal().could_not == []


def test_a_run_whose_record_is_gone_is_told_and_removed_only_on_demand(
    state: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its state folder was deleted (a CI job's home): told by its labels; while its harness lives it is never touched."""
    folder = folder_of(tmp_path)
    with harness(folder) as process:
        await_line(process, "holding")
        shutil.rmtree(state)
        monkeypatch.setenv("NINES_STATE", str(tmp_path / "another"))
        mine = [run for run in leftovers.unrecorded() if run.run == folder.name]
        assert [run.alive for run in mine] == [True]
        assert cli.main(["heal", "--orphans"]) == 0
        assert len(leftovers_docker.things(engine.client.api, folder.name)) == len(mine[0].things)
    capsys.readouterr()
    assert cli.main(["leftovers"]) == 5
    said = capsys.readouterr()
    assert f"{folder.name}: this run has no record (started " in said.out
    assert f"by {user_name()}, harness dead" in said.out
    assert {"container", "network", "volume"} <= {thing.kind for thing in mine[0].things}
    assert all(f"{thing.kind} {thing.name}" in said.out for thing in mine[0].things)
    assert cli.main(["heal"]) == 0, "without being told so, it removes nothing of a run that it does not know"
    told = capsys.readouterr().err
    assert folder.name in told and "nines heal --orphans" in told and "No leftovers" not in told
    assert leftovers_docker.things(engine.client.api, folder.name) != []
    assert cli.main(["heal", "--orphans"]) == 0
    assert leftovers_docker.things(engine.client.api, folder.name) == []


def test_a_run_that_its_own_state_folder_knows_is_not_told(
    state: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is healed from there."""
    folder = folder_of(tmp_path)
    with harness(folder) as process:
        await_line(process, "holding")
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "another"))
    assert folder.name not in {run.run for run in leftovers.unrecorded()}
    monkeypatch.setenv("NINES_STATE", str(state))
    assert leftovers.heal().could_not == []


def test_a_question_s_container_goes_even_if_it_cannot_start(state: Path, engine: Engine, harness_image: str) -> None:
    """What the engine made and could not start is taken away, and the reason is told."""
    with pytest.raises(EnvironmentUnusable, match="no-such-program"):
        ask(engine, harness_image, ["/no-such-program"])
    said = ask(engine, harness_image, ["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (said.status, said.out, said.err) == (3, b"out\n", "err\n")
    assert [thing for thing in leftovers_docker.things(engine.client.api) if thing.state == str(state)] == []
