"""The history on disk: what goes in comes out, two writers, a kill at any instant, merging, and files that are none."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from chaos.core.errors import BadInput, EnvironmentUnusable, HistoryUnreadable
from chaos.evidence.keep import keep
from chaos.evidence.rows import rows_of
from chaos.evidence.store import Store
from chaos.history.folder import RunFolder
from chaos.report.build import read_or_judge
from tests.support.kept import kept


def test_a_run_and_its_faults_come_back(tmp_path: Path, quick_run: Path) -> None:
    """As they were; once, however often they are entered."""
    report = read_or_judge(RunFolder(quick_run))
    run, trials = rows_of(report, str(quick_run))
    with Store(tmp_path / "history.db", create=True) as store:
        store.record(run, trials)
        store.record(run, trials)
        assert store.runs() == [run]
        found = store.trials("run = ?", (run.run,))
    assert run.faults == len(trials) == 2
    assert list(found.fault_class) == ["kill/leader"] * 2
    assert list(found.outage_s) == [trial.outage_s for trial in trials]
    assert run.mttr_s == pytest.approx(sum(found.outage_s) / 2)
    assert run.simulated


def test_what_keeps_a_run_out_is_told(tmp_path: Path, quick_run: Path) -> None:
    """A run is not lost for a broken history, nor silently left out of it."""
    broken = tmp_path / "history.db"
    broken.write_text("these are no runs" * 100, encoding="utf-8")
    told: list[str] = []
    assert not keep(read_or_judge(RunFolder(quick_run)), quick_run, told.append, broken)
    assert "is not in the history" in told[0]
    assert f"nines runs --add {quick_run}" in told[0]


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be read as one" * 40, None])
def test_other_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    """Text, and a database of somebody else."""
    path = tmp_path / "other.db"
    if content is None:
        base = sqlite3.connect(path)
        base.execute("CREATE TABLE mine (x)")
        base.commit()
        base.close()
    else:
        path.write_bytes(content)
    with pytest.raises(HistoryUnreadable, match=r"other\.db"):
        Store(path, create=True)


def test_a_newer_history_is_refused(tmp_path: Path) -> None:
    """Not misread."""
    path = tmp_path / "history.db"
    Store(path, create=True).close()
    base = sqlite3.connect(path)
    base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(HistoryUnreadable, match="schema 99"):
        Store(path)


def test_no_place_to_write(tmp_path: Path) -> None:
    """A file where a folder should be."""
    (tmp_path / "runs").write_text("", encoding="utf-8")
    with pytest.raises(EnvironmentUnusable, match="NINES_HISTORY"):
        Store(tmp_path / "runs" / "history.db", create=True)


def test_merging_takes_what_is_missing_and_what_is_newer(tmp_path: Path) -> None:
    """A run judged again elsewhere replaces the older row; nothing is doubled; merging again takes nothing."""
    mine, yours = Store(tmp_path / "mine.db", create=True), Store(tmp_path / "yours.db", create=True)
    mine.record_all([kept(1), kept(2)])
    judged_again, faults = kept(2)
    yours.record_all([(msgspec.structs.replace(judged_again, state="fail", recorded_s=judged_again.recorded_s + 60), faults), kept(3)])
    yours.close()
    assert mine.merge(tmp_path / "yours.db") == 2
    assert {run.run: run.state for run in mine.runs()} == {"run-3": "pass", "run-2": "fail", "run-1": "pass"}
    assert len(mine.trials().run) == 15
    assert mine.merge(tmp_path / "yours.db") == 0
    with pytest.raises(BadInput, match="this history itself"):
        mine.merge(tmp_path / "mine.db")
    with pytest.raises(HistoryUnreadable):
        (tmp_path / "text.db").write_text("x" * 5000, encoding="utf-8")
        mine.merge(tmp_path / "text.db")
    mine.close()


def _write(path: Path, first: int, count: int) -> None:
    with Store(path, create=True) as store:
        for number in range(first, first + count):
            store.record(*kept(number))


def _has(path: Path, run: str) -> bool:
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as reader:
        return bool(reader.execute("SELECT 1 FROM runs WHERE run = ?", (run,)).fetchone())


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    """Each waits for the other; both begin with a file that is not there."""
    path = tmp_path / "history.db"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, first, 20)) for first in (0, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    with Store(path) as store:
        assert store.count() == 40
        assert len(store.trials().run) == 200


def test_a_kill_at_any_instant_leaves_whole_runs(tmp_path: Path) -> None:
    """Six writers are killed at different times: each run is there with all of its faults or not at all, and the next one can write."""
    path = tmp_path / "history.db"
    Store(path, create=True).close()
    context = multiprocessing.get_context("spawn")
    for attempt in range(6):
        writer = context.Process(target=_write, args=(path, 1000 * attempt, 1000))
        writer.start()
        deadline = time.monotonic() + 60
        while not _has(path, f"run-{1000 * attempt}") and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.003 * attempt)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(60)
    with Store(path, create=True) as store:
        runs, trials = store.runs(), store.trials()
        assert len(runs) >= 6
        assert len(trials.run) == 5 * len(runs)
        store.record(*kept(999_999))
    base = sqlite3.connect(path)
    assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    base.close()
