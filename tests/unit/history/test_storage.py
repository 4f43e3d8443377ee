"""A disk that takes no more: nothing is torn, the run ends with the reason, and what was written is judged."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.api import _full, order_text, perform
from chaos.core import storage
from chaos.core.clock import ManualClock
from chaos.core.errors import Aborted, EnvironmentUnusable, FaultNotEffective
from chaos.history.events import FaultEffective, FaultHealed, PhaseBegun, Row, RunEnded
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.history.undo import UndoLog, pending
from tests.support.quick import QUICK


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """As 'ulimit -f' does it, for this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_row_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """The disk takes half of the second row: the file ends with the first one, and the third one fits again."""
    path = tmp_path / "rows"
    ahead = storage.Ahead(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND), path, 4096)
    with no_file_above(15):
        assert ahead.append(b"first row\n")
        assert not ahead.append(b"second row\n")
        assert ahead.trouble == f"the file {path} takes no larger file (see 'ulimit -f'): rows could not be written"
    assert ahead.append(b"third\n")
    ahead.close()
    assert path.read_bytes() == b"first row\nthird\n"


def test_space_is_kept_ahead_and_given_back(tmp_path: Path) -> None:
    """Blocks beyond the end of the file, which readers do not see."""
    path = tmp_path / "rows"
    ahead = storage.Ahead(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND), path, 64 * 1024)
    ahead.append(b"row\n")
    kept = path.stat()
    assert kept.st_size == 4
    ahead.close()
    if storage.keep_ahead(os.open(path, os.O_WRONLY), 4096):
        assert kept.st_blocks * 512 >= 64 * 1024
    assert path.read_bytes() == b"row\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "the disk / is full"),
        (errno.EDQUOT, "the quota is used up"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EROFS, "is read-only"),
        (errno.ENOENT, "is gone"),
    ],
)
def test_what_an_error_says(code: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which disk or folder, what is wrong with it, and which file is not whole."""
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == "/")
    told = storage.why(OSError(code, os.strerror(code)), Path("/some/run/history.jsonl"))
    assert said in told
    assert told.endswith(": history.jsonl could not be written")
    assert "\n" not in told


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    """And one that is there and has room is not."""
    assert storage.trouble_of(tmp_path) == ""
    assert storage.trouble_of(tmp_path / "gone") == f"the folder {tmp_path / 'gone'} is gone"


def test_rows_that_the_disk_did_not_take_are_kept_for_the_judge(tmp_path: Path) -> None:
    """In the order in which they came."""
    writer = HistoryWriter(tmp_path / "history.jsonl")
    rows: list[Row] = [PhaseBegun(at_ns=number, phase=f"phase {number}") for number in range(1, 4)]
    writer.append(rows[0])
    with no_file_above(1):
        writer.append(rows[1])
        writer.append(rows[2])
    writer.close()
    assert writer.unwritten == rows[1:]
    assert "history.jsonl could not be written" in writer.trouble


def test_no_harm_is_done_that_could_not_be_noted(tmp_path: Path) -> None:
    """The fault did not take effect, which is no leftover."""
    log = UndoLog(tmp_path / "undo.jsonl", ManualClock())
    said = r"nothing was harmed.*undo\.jsonl could not be written"
    with no_file_above(1), pytest.raises(FaultNotEffective, match=said), log.intent("resume", "n1"):
        pytest.fail("it was harmed")
    assert log.pending() == []


def test_what_was_undone_on_a_full_disk_is_not_pending_for_us(tmp_path: Path) -> None:
    """For whoever reads the log later it is: to undo it again does no harm."""
    path = tmp_path / "undo.jsonl"
    log = UndoLog(path, ManualClock())
    with log.intent("resume", "n1"):
        limit = no_file_above(1)
        limit.__enter__()
    limit.__exit__(None, None, None)
    assert log.pending() == []
    assert [entry.subject for entry in pending(path)] == ["n1"]
    assert "undo.jsonl could not be written" in log.trouble


# --- whole runs ----------------------------------------------------------------------------------------------------------


def full_from(number: int, monkeypatch: pytest.MonkeyPatch, name: str = "history.jsonl") -> None:
    """From the row of that number on the disk takes nothing more into files of that name."""
    true, seen = storage.Ahead.append, []

    def append(self: storage.Ahead, data: bytes) -> bool:
        if self._path.name != name:
            return true(self, data)
        seen.append(data)
        if len(seen) < number:
            return true(self, data)
        self.trouble = self.trouble or storage.why(OSError(errno.ENOSPC, ""), self._path)
        return False

    monkeypatch.setattr(storage.Ahead, "append", append)


@pytest.mark.parametrize("number", [1, 40])
def test_a_run_on_a_disk_that_fills_is_stopped_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Every fault is healed, the reason names the disk, and it is an abort: exit status 4."""
    full_from(number, monkeypatch)
    rows: list[Row] = []
    report = perform(order_text(QUICK, Path("quick.yaml")), RunFolder(tmp_path / "run"), rows.append)
    assert report.exit_code == 4
    assert any("is full" in reason and "the run was stopped" in reason for reason in report.reasons)
    assert {row.id for row in rows if isinstance(row, FaultEffective)} == {row.id for row in rows if isinstance(row, FaultHealed)}
    (ended,) = [row for row in rows if isinstance(row, RunEnded)]
    assert (ended.left, ended.bug) == ([], "")
    assert not (tmp_path / "run" / ".reserve").exists()


def test_a_run_whose_folder_vanishes_is_stopped(tmp_path: Path) -> None:
    """Nothing is left to judge, which is said with the folder's name; a bug it is not."""
    folder = RunFolder(tmp_path / "run")

    def vanish(row: Row) -> None:
        if isinstance(row, FaultEffective):
            shutil.rmtree(folder.path, ignore_errors=True)

    with pytest.raises(Aborted, match=r"rolled back.*the folder .*run is gone"):
        perform(order_text(QUICK, Path("quick.yaml")), folder, vanish)
    assert not folder.path.exists()


def test_a_report_that_cannot_be_written_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured is kept, and the way to judge it again is told."""
    from chaos.report import build as report

    def refuse(path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(report, "write_atomically", refuse)
    with pytest.raises(EnvironmentUnusable, match=r"is full: report\.json could not be written\n.*'nines judge"):
        perform(order_text(QUICK, Path("quick.yaml")), RunFolder(tmp_path / "run"))
    assert (tmp_path / "run" / "history.jsonl").stat().st_size > 0


@pytest.mark.parametrize("words", [["version"], ["formulas"], ["init", "/dev/full"]])
def test_output_that_goes_nowhere_is_an_error_of_one_line(words: list[str]) -> None:
    """Exit status 5; no traceback, and no second complaint when the interpreter ends."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "chaos", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode in (2, 5)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stderr.startswith("nines: ")


def test_a_full_disk_here_leaves_what_was_measured_elsewhere(tmp_path: Path) -> None:
    """It is fetched; a run of this machine was stopped by it, and is judged as far as it came."""
    folder = RunFolder(tmp_path / "run")
    full = OSError(errno.ENOSPC, "No space left on device", str(folder.history))
    there, here = _full(full, folder, True, object()), _full(full, folder, True, None)
    assert (there.exit_code, here.exit_code) == (5, 4)
    assert f"nines fetch {folder.run} --folder" in str(there)
    assert "nines judge" in str(here)
