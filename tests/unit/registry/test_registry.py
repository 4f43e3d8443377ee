"""The registry of active runs, and what of a crashed one is found and removed again. Real processes, no cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from chaos.cli import main as cli
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.history import undo
from chaos.history.events import SCHEMA, RunEnded, RunStarted
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.registry import processes as proc
from chaos.registry import runs as registry
from chaos.registry.runs import RunRecord
from chaos.run import leftovers
from tests.support.paths import ROOT

Sleeper = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of this test alone."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """Starts processes that do nothing, in sessions of their own, with an environment given; ends them afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(env: dict[str, str], code: str = "import time; time.sleep(600)") -> subprocess.Popen[bytes]:
        command = [sys.executable, "-S", "-c", f"print(flush=True); {code}"]
        child = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **env}, start_new_session=True, stdout=subprocess.PIPE)
        started.append(child)
        assert child.stdout is not None
        child.stdout.readline()
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def gone() -> proc.Identity:
    """A process that lived and does not any more."""
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    who = proc.identity(child.pid)
    assert who is not None
    child.communicate()
    return who


def crashed(state: Path, folder: Path, run: str = "r1", runtime: str = "local", block: int | None = None) -> RunRecord:
    """The record of a run whose harness is gone."""
    harness = gone()
    record = RunRecord(run, harness.pid, harness.start, harness.boot, str(folder), runtime, block)
    (state / "runs").mkdir(parents=True, exist_ok=True)
    (state / "blocks").mkdir(parents=True, exist_ok=True)
    registry.write_record(state, record)
    if block is not None:
        (state / "blocks" / str(block)).write_text(run, encoding="utf-8")
    return record


def test_state_folder_by_environment() -> None:
    """NINES_STATE, else XDG_STATE_HOME, else the home's."""
    assert registry.state_dir({"NINES_STATE": "/a", "XDG_STATE_HOME": "/b", "HOME": "/c"}) == Path("/a")
    assert registry.state_dir({"XDG_STATE_HOME": "/b", "HOME": "/c"}) == Path("/b/nines")
    assert registry.state_dir({"HOME": "/c"}) == Path("/c/.local/state/nines")


def test_claim_is_there_while_it_lasts(state: Path, tmp_path: Path) -> None:
    """The record names this process and its block, is live, and is gone afterwards."""
    with registry.claim("r1", tmp_path, "local", [70]) as claim:
        assert claim.block == 70
        (record,) = registry.records()
        assert (record.pid, record.block, record.folder) == (os.getpid(), 70, str(tmp_path))
        assert not record.stale
        assert registry.block_owners() == {70: "r1"}
        assert leftovers.leftovers() == []
        leftovers.refuse_leftovers()
    assert registry.records() == []
    assert registry.block_owners() == {}


def test_claim_ends_with_an_exception(state: Path, tmp_path: Path) -> None:
    """An error inside leaves no record."""
    with pytest.raises(ZeroDivisionError), registry.claim("r1", tmp_path, "local", [70]):
        raise ZeroDivisionError
    assert registry.records() == []
    assert registry.block_owners() == {}


def test_block_is_held_by_one_run(state: Path, tmp_path: Path) -> None:
    """The second run gets the next block; one that is not usable is passed over; without any there is a reason."""
    with registry.claim("r1", tmp_path, "local", [70, 71]) as first:
        with registry.claim("r2", tmp_path, "local", [70, 71, 72], lambda block: "71 is taken" if block == 71 else "") as second:
            assert (first.block, second.block) == (70, 72)
        with (
            pytest.raises(EnvironmentUnusable, match="71 is taken"),
            registry.claim("r3", tmp_path, "local", [70, 71], lambda _b: "71 is taken"),
        ):
            pytest.fail("it was claimed")
    assert registry.block_owners() == {}


def test_record_of_a_reused_pid_is_stale(state: Path, tmp_path: Path) -> None:
    """A live process of that number but another start time, or of another boot, is not the harness."""
    me = proc.own_identity()
    for run, start, boot in (("later", me.start + 1, me.boot), ("other-boot", me.start, "another")):
        record = RunRecord(run, me.pid, start, boot, str(tmp_path), "local")
        (state / "runs").mkdir(parents=True, exist_ok=True)
        registry.write_record(state, record)
    assert {record.run for record in registry.stale()} == {"later", "other-boot"}


def test_unreadable_record_is_not_passed_over(state: Path) -> None:
    """A broken record could stand for anything, so it is named."""
    (state / "runs").mkdir(parents=True)
    (state / "runs" / "r1.json").write_text("{", encoding="utf-8")
    with pytest.raises(EnvironmentUnusable, match=r"r1\.json"):
        registry.records()


def test_abandoned_run_is_a_leftover_though_its_harness_lives(state: Path, tmp_path: Path) -> None:
    """A run that could not remove something keeps its record."""
    with registry.claim("r1", tmp_path, "local", [70]) as claim:
        claim.abandon("n1 would not die")
    assert [record.abandoned for record in registry.stale()] == ["n1 would not die"]
    with pytest.raises(EnvironmentUnusable, match="nines heal"):
        leftovers.refuse_leftovers()
    assert leftovers.heal().could_not == []
    assert registry.records() == []


def test_run_that_did_not_prove_its_end_stays(state: Path, tmp_path: Path, sleeper: Sleeper) -> None:
    """Once something was started, only proof that it is gone takes the record away."""
    child = sleeper({})
    with pytest.raises(KeyboardInterrupt), registry.claim("r1", tmp_path, "local", [70]) as claim:
        claim.note_process("n1", child.pid)
        raise KeyboardInterrupt
    assert [(item.kind, item.subject) for item in leftovers.leftovers()] == [
        ("process", "n1"),
        ("address block", "70"),
        ("record", str(tmp_path)),
    ]
    assert leftovers.heal().could_not == []
    assert child.wait(10) is not None
    with registry.claim("r2", tmp_path, "local", [70]) as claim:
        claim.note_process("n1", os.getpid())
        claim.proven_gone()
    assert registry.records() == []


def test_leftovers_lists_and_heal_removes_everything(state: Path, tmp_path: Path, sleeper: Sleeper) -> None:
    """Processes, frozen ones, pending undos, the block and the record; the history gets its end; then nothing is left."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    record = crashed(state, folder.path, block=77)
    log = undo.UndoLog(folder.undo)
    with pytest.raises(ZeroDivisionError), log.intent("resume", "n2"):
        raise ZeroDivisionError
    writer = HistoryWriter(folder.history)
    writer.append(RunStarted(at_ns=1, schema=SCHEMA, run="r1", started_at="", runtime="local", versions={}))
    writer.close()
    with folder.history.open("ab") as torn:
        torn.write(b'{"row": "node", "at')
    running = sleeper(proc.labels("r1", "n1", record.harness, state))
    frozen = sleeper(proc.labels("r1", "n2", record.harness, state))
    os.kill(frozen.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, frozen.pid, os.WSTOPPED)

    found = [(item.kind, item.subject) for item in leftovers.leftovers()]
    assert found == [
        ("process", "n1"), ("frozen process", "n2"), ("undo", "resume n2"), ("address block", "77"), ("record", str(folder.path)),
    ]  # fmt: skip
    with pytest.raises(EnvironmentUnusable, match="nines leftovers"):
        leftovers.refuse_leftovers()

    result = leftovers.heal()
    assert [(item.kind, item.subject) for item in result.removed] == found
    assert result.could_not == []
    assert [proc.identity(child.pid) for child in (running, frozen)] == [None, None]
    assert leftovers.leftovers() == []
    assert undo.pending(folder.undo) == []
    (ended,) = [row for row in folder.rows() if isinstance(row, RunEnded)]
    assert ended.left == []
    assert "healed" in ended.aborted
    assert leftovers.heal() == leftovers.HealResult([], [])


def test_live_run_is_never_touched(state: Path, tmp_path: Path, sleeper: Sleeper) -> None:
    """Beside a crashed run, heal leaves the processes and the record of an active one alone."""
    record = crashed(state, tmp_path)
    dead = sleeper(proc.labels("r1", "n1", record.harness, state))
    with registry.claim("r2", tmp_path, "local", [80]) as claim:
        alive = sleeper(claim.labels("n1"))
        leftovers.heal()
        assert alive.poll() is None
        assert [each.run for each in registry.records()] == ["r2"]
        assert dead.wait(10) is not None


def test_orphan_is_found_without_its_record(state: Path, sleeper: Sleeper) -> None:
    """The label alone is enough, and a lost record leaves its block behind as well."""
    (state / "blocks").mkdir(parents=True)
    (state / "blocks" / "90").write_text("lost", encoding="utf-8")
    child = sleeper(proc.labels("lost", "n1", gone(), state))
    assert [(item.kind, item.subject) for item in leftovers.leftovers()] == [("process", "n1"), ("address block", "90")]
    assert leftovers.heal().could_not == []
    assert child.wait(10) is not None
    assert leftovers.leftovers() == []


def test_a_run_that_begins_or_ends_while_we_look_is_no_leftover(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its block shows up after the records were read, or is gone when it is looked at again."""
    for before, after, ownerless in (({}, {70: "begins"}, {}), ({70: "ends"}, {}, {}), ({70: "lost"}, {70: "lost"}, {70: "lost"})):
        seen = iter([before, after])
        monkeypatch.setattr(registry, "block_owners", lambda _where, seen=seen: next(seen))
        assert leftovers._ownerless_blocks(state) == ownerless


def test_a_block_never_lacks_its_owner(state: Path, tmp_path: Path) -> None:
    """It is created with the name in it, and what it was made of is gone."""
    with registry.claim("r1", tmp_path, "local", [70, 71]), registry.claim("r2", tmp_path, "local", [70, 71]):
        assert registry.block_owners() == {70: "r1", 71: "r2"}
        assert sorted(path.name for path in (state / "blocks").iterdir()) == ["70", "71"]


def test_other_state_folders_are_other_worlds(state: Path, tmp_path: Path, sleeper: Sleeper) -> None:
    """A process that belongs to another registry, or has no label, is not ours to list."""
    sleeper(proc.labels("r1", "n1", gone(), tmp_path / "elsewhere"))
    sleeper({"SOMETHING": "else"})
    assert leftovers.leftovers() == []


def test_process_that_hides_its_environment_is_found_by_its_session(state: Path, tmp_path: Path, sleeper: Sleeper) -> None:
    """Some servers overwrite their environment; they were noted when they were started."""
    record = crashed(state, tmp_path)
    child = sleeper({})
    who = proc.identity(child.pid)
    assert who is not None
    registry.pids_file(state, "r1").write_bytes(msgspec.json.encode(registry.StartedProcess("n1", who.pid, who.start, who.boot)) + b"\n")
    assert [item.process for item in leftovers.leftovers() if item.kind == "process"] == [who]
    leftovers.heal()
    assert child.wait(10) is not None
    assert record.run not in {each.run for each in registry.records()}


def test_reused_pid_is_never_killed(state: Path, tmp_path: Path, sleeper: Sleeper) -> None:
    """A noted pid that another process has taken over since is left alone, even when signalled directly."""
    crashed(state, tmp_path)
    child = sleeper({})
    who = proc.identity(child.pid)
    assert who is not None
    former = proc.Identity(who.pid, who.start - 1, who.boot)
    line = msgspec.json.encode(registry.StartedProcess("n1", former.pid, former.start, former.boot)) + b"\n"
    registry.pids_file(state, "r1").write_bytes(line)
    leftovers.heal()
    assert proc.send(former, signal.SIGKILL) is False
    assert proc.end([former], 1.0) == []
    assert child.poll() is None


def test_what_cannot_be_removed_is_said_and_kept(state: Path, tmp_path: Path, sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not die keeps its run's record, undo log and block as leftovers."""
    folder = RunFolder(tmp_path)
    record = crashed(state, folder.path, block=77)
    log = undo.UndoLog(folder.undo)
    with pytest.raises(ZeroDivisionError), log.intent("start", "n1"):
        raise ZeroDivisionError
    sleeper(proc.labels("r1", "n1", record.harness, state))
    monkeypatch.setattr(proc, "end", lambda processes, _within_s: list(processes))
    result = leftovers.heal()
    assert result.removed == []
    assert {each.leftover.kind for each in result.could_not} == {"process", "undo", "address block", "record"}
    assert len(undo.pending(folder.undo)) == 1
    assert [each.run for each in registry.stale()] == ["r1"]


def test_foreign_runtime_is_not_guessed_at(state: Path, tmp_path: Path) -> None:
    """A record of a runtime that this version does not know is reported, not deleted."""
    crashed(state, tmp_path, runtime="swarm")
    (failure,) = leftovers.heal().could_not
    assert "swarm" in failure.why
    assert len(registry.records()) == 1


def test_own_process_and_its_ancestors_are_spared(state: Path, monkeypatch: pytest.MonkeyPatch, sleeper: Sleeper) -> None:
    """A harness that runs inside a labelled process does not list itself."""
    env = proc.labels("r1", "n1", gone(), state)
    root = ROOT
    code = "from chaos.run import leftovers; print(len(leftovers.leftovers()))"
    inside = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=True
    )
    assert inside.stdout.strip() == "0"


def test_a_run_that_cannot_be_healed_can_be_forgotten(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What may be left of it is named first; then the next run may begin."""
    record = crashed(state, tmp_path / "gone", runtime="swarm", block=7)
    with pytest.raises(EnvironmentUnusable, match="an earlier run did not clean up"):
        leftovers.refuse_leftovers()
    assert cli.main(["heal"]) == 6
    assert "nines heal --forget r1" in capsys.readouterr().err
    assert cli.main(["heal", "--forget", "r2"]) == 2
    assert "one of: r1" in capsys.readouterr().err
    assert cli.main(["heal", "--forget", "r1"]) == 0
    told = capsys.readouterr()
    assert f"may be left  r1: record {record.folder}" in told.out
    assert "Nothing was removed" in told.err
    assert leftovers.leftovers() == []
    assert registry.block_owners() == {}
    leftovers.refuse_leftovers()


def test_a_record_that_cannot_be_read_can_be_forgotten(state: Path, tmp_path: Path) -> None:
    """It would be in the way of every later run."""
    crashed(state, tmp_path)
    registry.record_file(state, "r1").write_text("{torn", encoding="utf-8")
    with pytest.raises(EnvironmentUnusable, match="nines heal --forget r1"):
        leftovers.refuse_leftovers()
    assert [item.run for item in leftovers.forget("r1")] == ["r1"]
    leftovers.refuse_leftovers()


def test_a_run_that_goes_on_is_not_forgotten(state: Path, tmp_path: Path) -> None:
    """Its harness lives: this very process."""
    with registry.claim("r1", tmp_path, "local"), pytest.raises(BadInput, match="the harness of 'r1' lives"):
        leftovers.forget("r1")


def test_two_runs_of_one_name_are_never_known(state: Path, tmp_path: Path) -> None:
    """The second one is refused before anything starts, and the record stays the first one's."""
    with registry.claim("r1", tmp_path / "one", "local"):
        with pytest.raises(EnvironmentUnusable, match="a run of the name 'r1' is known already"), registry.claim("r1", tmp_path, "local"):
            pytest.fail("it began")
        assert [record.folder for record in registry.records()] == [str(tmp_path / "one")]
    assert registry.records() == []


def test_what_another_living_harness_started_is_not_a_run_s_own(state: Path, sleeper: Sleeper) -> None:
    """Though it carries the same name: it is neither a leftover nor ended with the run."""
    other = sleeper({})
    harness = proc.identity(other.pid)
    assert harness is not None
    node = sleeper(proc.labels("r1", "n1", harness, state))
    dead = sleeper(proc.labels("r1", "n2", gone(), state))
    assert [item.subject for item in leftovers.processes_of("r1", state)] == ["n2"]
    assert leftovers.heal(state).could_not == []
    assert node.poll() is None
    dead.wait(5)
    assert [process.node for process in proc.labelled("r1") if process.state_dir == str(state)] == ["n1"]


def test_drafts_that_nobody_will_finish_go_with_a_heal(state: Path, sleeper: Sleeper) -> None:
    """A harness that is killed while it writes its record leaves a draft; that of a living one is not touched."""
    runs = state / "runs"
    runs.mkdir(parents=True)
    alive, dead = sleeper({}), gone()
    left = [
        runs / f".r1.json.{dead.pid}.{'ab' * 8}.draft",
        runs / f".r1.{dead.pid}.first",
        runs / f"..r1.{dead.pid}.first.{dead.pid}.{'cd' * 8}.draft",
    ]
    written = runs / f".r2.json.{alive.pid}.{'ab' * 8}.draft"
    for path in (*left, written):
        path.write_bytes(b"{")
    assert leftovers.heal(state).could_not == []
    assert list(runs.iterdir()) == [written]
