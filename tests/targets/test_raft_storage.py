"""The log on disk: what is saved is recovered, whatever byte a crash cut it at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from replicated_kv.frames import Damaged
from replicated_kv.messages import Entry
from replicated_kv.raft import Ballot
from replicated_kv.replication import Snapshot
from replicated_kv.storage import Recovered, Save, Storage

SAVES: list[tuple[Ballot | None, list[Entry]]] = [
    (Ballot(1, "n1"), []),
    (None, [Entry(1, 1, None, None), Entry(2, 1, "a", "1")]),
    (None, [Entry(3, 1, "b", "2")]),
    (Ballot(2, None), [Entry(3, 2, "b", "other")]),
    (None, [Entry(4, 2, "ключ", "\udcff")]),
]


def recover(folder: Path) -> Recovered:
    """Read the folder as a restart does."""
    return Storage(folder, fsync=False).recover()


def entries(recovered: Recovered) -> list[Entry]:
    """All entries of the log."""
    return recovered.log.between(recovered.log.base_index + 1, recovered.log.last_index)


def test_what_is_saved_is_recovered(tmp_path: Path) -> None:
    """Ballot and entries come back, a replaced entry as its replacement."""
    storage = Storage(tmp_path)
    storage.recover()
    for ballot, saved in SAVES:
        storage.save([Save(ballot, saved, None)])
    recovered = recover(tmp_path)
    assert recovered.ballot == Ballot(2, None)
    assert entries(recovered) == [*SAVES[1][1], *SAVES[3][1], *SAVES[4][1]]


def test_a_torn_tail_at_every_byte(tmp_path: Path) -> None:
    """Cut anywhere, the log is what the last save before the cut left, and appending goes on from there."""
    whole = tmp_path / "whole"
    storage = Storage(whole, fsync=False)
    storage.recover()
    log = whole / "log-00000001"
    states = [(log.stat().st_size, recover(whole))]
    for ballot, saved in SAVES:
        storage.save([Save(ballot, saved, None)])
        states.append((log.stat().st_size, recover(whole)))
    data = log.read_bytes()
    for cut in range(len(data) + 1):
        torn = tmp_path / "torn"
        torn.mkdir()
        (torn / log.name).write_bytes(data[:cut])
        last = Storage(torn, fsync=False)
        found = last.recover()
        kept = [state for size, state in states if size <= cut]
        wanted = (kept[-1].ballot, entries(kept[-1])) if kept else (Ballot(), [])
        assert (found.ballot, entries(found)) == wanted
        following = Entry(found.log.last_index + 1, 9, "next", "n")
        last.save([Save(None, [following], None)])
        assert entries(recover(torn)) == [*entries(found), following]
        shutil.rmtree(torn)


@pytest.mark.parametrize("tail", [b"\0" * 40, b"\x10\0\0\0\0\0\0\0" + b"\0" * 16, b"\xff" * 30])
def test_a_tail_that_was_never_written_is_dropped(tmp_path: Path, tail: bytes) -> None:
    """A file that grew before its bytes came ends in zeros or nonsense."""
    storage = Storage(tmp_path, fsync=False)
    storage.recover()
    storage.save([Save(*SAVES[1], None)])
    log = tmp_path / "log-00000001"
    log.write_bytes(log.read_bytes() + tail)
    assert entries(recover(tmp_path)) == SAVES[1][1]


def test_damage_in_the_middle_is_refused(tmp_path: Path) -> None:
    """A flipped bit before the end is no torn tail: acknowledged entries must not vanish silently."""
    storage = Storage(tmp_path, fsync=False)
    storage.recover()
    for ballot, saved in SAVES:
        storage.save([Save(ballot, saved, None)])
    log = tmp_path / "log-00000001"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    with pytest.raises(Damaged, match="not the end"):
        recover(tmp_path)


def test_a_snapshot_replaces_the_segments_it_covers(tmp_path: Path) -> None:
    """After a compaction the covered segment is gone, and state, ballot and later entries are recovered."""
    storage = Storage(tmp_path, fsync=False)
    storage.recover()
    for ballot, saved in SAVES:
        storage.save([Save(ballot, saved, None)])
    storage.rotate()
    storage.save([Save(None, [Entry(5, 2, "c", "3")], None)])
    storage.write_snapshot(Snapshot(4, 2, [("a", "1", 2), ("b", "other", 3)]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log-00000002", "snapshot"]
    recovered = recover(tmp_path)
    assert recovered.snapshot == Snapshot(4, 2, [("a", "1", 2), ("b", "other", 3)])
    assert recovered.ballot == Ballot(2, None)
    assert (recovered.log.base_index, entries(recovered)) == (4, [Entry(5, 2, "c", "3")])


def test_an_older_snapshot_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    """A compaction that ends after an installed snapshot must not bring the past back."""
    storage = Storage(tmp_path, fsync=False)
    storage.recover()
    storage.save([Save(None, [], Snapshot(9, 3, [("a", "new", 9)]))])
    storage.write_snapshot(Snapshot(4, 2, [("a", "old", 2)]))
    recovered = recover(tmp_path)
    assert recovered.snapshot is not None
    assert recovered.snapshot.at == 9


def test_an_installed_snapshot_starts_the_log_anew(tmp_path: Path) -> None:
    """Entries of another history are gone, also if the crash came between the snapshot and the log."""
    storage = Storage(tmp_path, fsync=False)
    storage.recover()
    storage.save([Save(Ballot(1, None), [Entry(at, 1, "k", "old") for at in range(1, 13)], None)])
    storage.write_snapshot(Snapshot(9, 3, [("a", "new", 9)]))
    halfway = recover(tmp_path)
    assert (halfway.log.base_index, halfway.log.base_term, entries(halfway)) == (9, 3, [])
    storage.save([Save(None, [Entry(10, 3, "k", "new")], Snapshot(9, 3, []))])
    done = recover(tmp_path)
    assert entries(done) == [Entry(10, 3, "k", "new")]
