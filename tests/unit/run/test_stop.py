"""``nines stop``: the very harness is asked, nobody else, and its end is waited for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from chaos.cli import main as cli
from chaos.core.clock import ManualClock
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.registry import processes as proc
from chaos.registry import runs as registry
from chaos.registry.runs import RunRecord
from chaos.run.stop import active, stop_run

HARNESS = """\
import pathlib, signal, sys
pathlib.Path(sys.argv[1]).touch()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
if sys.argv[2] == "ends":
    pathlib.Path(sys.argv[1]).unlink()
    print("ended", flush=True)
signal.pause()
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A registry of this test alone."""
    (tmp_path / "state" / "runs").mkdir(parents=True)
    return tmp_path / "state"


@pytest.fixture
def harness(state: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that, asked to end, forgets its record (or not) and stays, so that its exit is not what is waited for."""
    manner = getattr(request, "param", "ends")
    record = registry.record_file(state, "that-run")
    child = subprocess.Popen([sys.executable, "-c", HARNESS, str(record), manner], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    enter(state, child.pid)
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def enter(state: Path, pid: int) -> RunRecord:
    """A record of a run of that process."""
    who = proc.identity(pid)
    assert who is not None
    record = RunRecord("that-run", who.pid, who.start, who.boot, str(state / "folder"), "local")
    registry.write_record(state, record)
    return record


@pytest.mark.parametrize("by", ["name", "folder"])
def test_the_harness_is_asked_and_its_end_awaited(by: str, harness: subprocess.Popen[str], state: Path) -> None:
    """By the name of the run or by its folder; when it returns the record is gone."""
    stopped = stop_run("that-run" if by == "name" else str(state / "folder"), 20.0, state)
    assert stopped.pid == harness.pid
    assert active(state) == []
    assert harness.stdout is not None
    assert harness.stdout.readline() == "ended\n"


@pytest.mark.parametrize("harness", ["stays"], indirect=True)
def test_one_that_does_not_end_is_told(harness: subprocess.Popen[str], state: Path) -> None:
    """After the time that was given; it is not killed."""
    with pytest.raises(EnvironmentUnusable, match="asked to end 5 s ago"):
        stop_run("that-run", 5.0, state, ManualClock())
    assert harness.poll() is None


def test_another_process_with_its_number_is_left_alone(harness: subprocess.Popen[str], state: Path) -> None:
    """The start time is another one: the run's harness is gone, and what it left is to be healed."""
    record = enter(state, harness.pid)
    registry.write_record(state, msgspec.structs.replace(record, pid_start=record.pid_start - 1))
    with pytest.raises(BadInput, match="no run 'that-run' goes on") as refusal:
        stop_run("that-run", 1.0, state)
    assert "nines heal" in str(refusal.value)
    assert harness.poll() is None


def test_no_such_run(
    harness: subprocess.Popen[str], state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and the names of those that go on."""
    monkeypatch.setenv("NINES_STATE", str(state))
    assert cli.main(["stop", "another"]) == 2
    assert "one of: that-run" in capsys.readouterr().err
    assert harness.poll() is None
