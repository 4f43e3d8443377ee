"""The journal of operations: what is in it after a crash at any byte."""

from __future__ import annotations

from pathlib import Path

from chaos.data.operations import NEVER, DataHistory
from chaos.history import journal
from chaos.history.journal import Begun, Called, Ended, JournalWriter, Returned

ROWS = [
    Begun(0, 1, "run", "register", 1, 2),
    Called(1, 10, 1, "write", "write", "d0", "1.1"),
    Called(2, 11, 2, "read", "read", "d0"),
    Returned(1, 20, "ok", address="127.0.0.1", status=200),
    Returned(2, 25, "ok", "1.1", "127.0.0.2", status=200),
    Called(3, 30, 1, "write", "write", "d0", "1.2"),
    Returned(3, 90, "unknown", why="timeout"),
    Ended(100, 3, True),
]


def written(path: Path) -> bytes:
    """All rows, as the clients write them."""
    writer = JournalWriter(path)
    for row in ROWS:
        writer.append(row)
    writer.close()
    return path.read_bytes()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Row by row, and nothing is missing."""
    path = tmp_path / journal.FILE
    written(path)
    found = journal.read(path)
    assert (found.rows, found.damage) == (ROWS, "")


def test_a_journal_cut_at_any_byte_is_a_history_by_itself(tmp_path: Path) -> None:
    """Whole rows are read, the torn one is told, and an operation without its return is unknown."""
    path = tmp_path / journal.FILE
    data = written(path)
    for size in range(len(data)):
        path.write_bytes(data[:size])
        found = journal.read(path)
        assert found.rows == ROWS[: data[:size].count(b"\n")]
        assert not found.damaged
        assert found.damage
        assert ("in the middle of a row" in found.damage) is (size > data.find(b"\n") and not data[:size].endswith(b"\n"))
        for each in DataHistory("register", found).operations:
            assert (each.return_ns == NEVER) is (each.outcome == "unknown")


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    """It may be the call of what others read."""
    path = tmp_path / journal.FILE
    lines = written(path).splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b'{"row":"ca\n', *lines[2:]]))
    assert journal.read(path).damage == "line 2 of operations.jsonl cannot be read"


def test_no_journal_is_no_journal(tmp_path: Path) -> None:
    """A run that did not come so far."""
    assert journal.read(tmp_path / journal.FILE).damage == "there is no operations.jsonl, or nothing in it"
