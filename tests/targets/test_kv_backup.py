"""Backups: which one is restored, which ones are kept, and when none is."""

from __future__ import annotations

from pathlib import Path

from replicated_kv.backup import Backup, restore
from replicated_kv.checkpoint import Snapshot
from replicated_kv.state import Ballot
from replicated_kv.storage import Storage

SECOND = 1_000_000_000


def test_the_newest_good_one_is_restored(tmp_path: Path) -> None:
    """The newest is rotten, an even newer one was being written: the one before them it is, with its term."""
    backup = Backup(tmp_path / "there", SECOND)
    for at in (10, 20, 30, 40):
        backup.write(Snapshot(at, 7, [("a", str(at), at)]), 0)
    names = sorted(path.name for path in (tmp_path / "there").iterdir())
    assert [int(name[-12:]) for name in names] == [20, 30, 40]
    (tmp_path / "there" / names[-1]).write_bytes(b"rot")
    (tmp_path / "there" / "backup-0000000009-000000000050.new").write_bytes(b"half")
    data = tmp_path / "data"
    assert restore(tmp_path / "there", data) == Snapshot(30, 7, [("a", "30", 30)])
    found = Storage(data).recover()
    assert (found.snapshot, found.ballot, found.doubtful) == (Snapshot(30, 7, [("a", "30", 30)]), Ballot(7, None), False)
    assert restore(tmp_path / "there", data) is None


def test_without_a_backup_a_node_begins_empty(tmp_path: Path) -> None:
    """No folder, or nothing in it."""
    assert restore(tmp_path / "nowhere", tmp_path / "data") is None
    assert Storage(tmp_path / "data").recover().snapshot is None


def test_a_backup_is_due_when_there_is_something_new(tmp_path: Path) -> None:
    """Not twice in its interval, and not for what it holds already."""
    backup = Backup(tmp_path, SECOND)
    assert backup.due(5, 2 * SECOND)
    assert not backup.due(6, 2 * SECOND + SECOND // 2)
    backup.write(Snapshot(5, 1, []), 2 * SECOND)
    assert not backup.due(5, 9 * SECOND)
    assert backup.due(6, 9 * SECOND)
