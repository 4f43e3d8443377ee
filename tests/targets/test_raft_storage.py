"""The log on disk: what is saved is recovered, whatever byte a crash cut it at."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from replicated_kv.checkpoint import Snapshot
from replicated_kv.frames import MARK, Damaged
from replicated_kv.messages import Entry
from replicated_kv.recovery import Recovered
from replicated_kv.state import Ballot
from replicated_kv.storage import Save, Storage

SAVES: list[tuple[Ballot | None, list[Entry]]] = [
    (Ballot(1, "n1"), []),
    (None, [Entry(1, 1, None, None), Entry(2, 1, "a", "1")]),
    (None, [Entry(3, 1, "b", "2")]),
    (Ballot(2, None), [Entry(3, 2, "b", "other")]),
    (None, [Entry(4, 2, "ключ", "\udcff")]),
]


def recover(folder: Path) -> Recovered:
    """Read the folder as a restart does."""
    with closing(Storage(folder, fsync=False)) as storage:
        return storage.recover()


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
        last.close()
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


def filled(folder: Path) -> Storage:
    """A folder with all the saves in it."""
    storage = Storage(folder, fsync=False)
    storage.recover()
    for ballot, saved in SAVES:
        storage.save([Save(ballot, saved, None)])
    return storage


def test_a_flipped_bit_anywhere_in_the_log(tmp_path: Path) -> None:
    """What is recovered is a beginning of what was saved, in doubt if anything but the end is missing; the vote is always there."""
    filled(tmp_path / "whole")
    name = "log-00000001"
    data = (tmp_path / "whole" / name).read_bytes()
    saved = entries(recover(tmp_path / "whole"))
    last = data.rindex(MARK)
    doubts = 0
    for at in range(len(data)):
        folder = tmp_path / "rotten"
        shutil.copytree(tmp_path / "whole", folder)
        rotten = bytearray(data)
        rotten[at] ^= 1 << (at % 8)
        (folder / name).write_bytes(rotten)
        found = recover(folder)
        kept = entries(found)
        assert found.ballot == Ballot(2, None)
        assert kept == saved[: len(kept)] or at < last
        assert found.doubtful == (at < last)
        doubts += found.doubtful
        again = recover(folder)
        assert (entries(again), again.ballot, again.doubtful) == (kept, found.ballot, found.doubtful)
        shutil.rmtree(folder)
    assert doubts > 100


def test_doubt_ends_when_it_is_told_so(tmp_path: Path) -> None:
    """The mark of doubt survives restarts until ``trust``; what is damaged is kept aside."""
    filled(tmp_path)
    log = tmp_path / "log-00000001"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    assert recover(tmp_path).doubtful
    assert (tmp_path / "damaged-log-00000001").exists()
    storage = Storage(tmp_path, fsync=False)
    assert storage.recover().doubtful
    storage.trust()
    assert not recover(tmp_path).doubtful


def test_a_vote_that_is_lost_in_both_places_is_not_guessed(tmp_path: Path) -> None:
    """With the log and the ballot's own file damaged, the node refuses to start."""
    filled(tmp_path)
    (tmp_path / "ballot").write_bytes(b"x" * 40)
    log = tmp_path / "log-00000001"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    with pytest.raises(Damaged, match="what this node voted is lost"):
        recover(tmp_path)


OLDER, NEWER = Snapshot(2, 1, [("a", "1", 2)]), Snapshot(4, 2, [("a", "1", 2), ("b", "other", 3)], "members")


def checkpointed(folder: Path) -> None:
    """Two checkpoints, and one entry behind the newer one."""
    storage = filled(folder)
    storage.rotate()
    storage.write_checkpoint(OLDER)
    storage.save([Save(None, [Entry(5, 2, "c", "3")], None)])
    storage.rotate()
    storage.write_checkpoint(NEWER)


def test_checkpoints_replace_the_segments_that_the_older_one_covers(tmp_path: Path) -> None:
    """State, members, ballot and later entries are recovered; with three checkpoints the first one and its segment are gone."""
    checkpointed(tmp_path)
    recovered = recover(tmp_path)
    assert recovered.snapshot == NEWER
    assert recovered.ballot == Ballot(2, None)
    assert (recovered.log.base_index, entries(recovered)) == (4, [Entry(5, 2, "c", "3")])
    storage = Storage(tmp_path, fsync=False)
    storage.recover()
    storage.write_checkpoint(Snapshot(5, 2, []))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["ballot", "checkpoint-000000000004", "checkpoint-000000000005", "log-00000002", "log-00000003"]


def test_a_flipped_bit_anywhere_in_a_checkpoint(tmp_path: Path) -> None:
    """The older checkpoint and the log give the same state, and nothing is in doubt."""
    checkpointed(tmp_path / "whole")
    path = "checkpoint-000000000004"
    data = (tmp_path / "whole" / path).read_bytes()
    for at in range(len(data)):
        folder = tmp_path / "rotten"
        shutil.copytree(tmp_path / "whole", folder)
        rotten = bytearray(data)
        rotten[at] ^= 1 << (at % 8)
        (folder / path).write_bytes(rotten)
        found = recover(folder)
        assert (found.snapshot, found.doubtful) == (OLDER, False)
        assert [entry.at for entry in entries(found)] == [3, 4, 5]
        shutil.rmtree(folder)


def test_all_checkpoints_gone_is_doubt(tmp_path: Path) -> None:
    """Nothing is left but the vote: the leader has to give everything back."""
    checkpointed(tmp_path)
    for path in tmp_path.glob("checkpoint-*"):
        path.write_bytes(b"rot")
    Storage(tmp_path, fsync=False)
    for path in tmp_path.glob("log-*"):
        if path.name != "log-00000003":
            path.unlink()
    found = recover(tmp_path)
    assert (found.snapshot, entries(found), found.doubtful, found.ballot) == (None, [], True, Ballot(2, None))


def test_a_checkpoint_that_was_being_written_is_dropped(tmp_path: Path) -> None:
    """A crash at any byte of it leaves the last one."""
    checkpointed(tmp_path)
    whole = (tmp_path / "checkpoint-000000000004").read_bytes()
    for cut in range(0, len(whole) + 1, 7):
        (tmp_path / "checkpoint-000000000009.new").write_bytes(whole[:cut])
        assert recover(tmp_path).snapshot == NEWER


def test_an_older_snapshot_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    """A compaction that ends after an installed snapshot must not bring the past back."""
    storage = Storage(tmp_path, fsync=False)
    storage.recover()
    storage.save([Save(None, [], Snapshot(9, 3, [("a", "new", 9)]))])
    storage.write_checkpoint(Snapshot(4, 2, [("a", "old", 2)]))
    recovered = recover(tmp_path)
    assert recovered.snapshot is not None
    assert recovered.snapshot.at == 9


def test_an_installed_snapshot_starts_the_log_anew(tmp_path: Path) -> None:
    """Entries of another history are gone, also if the crash came between the snapshot and the log."""
    storage = Storage(tmp_path, fsync=False)
    storage.recover()
    storage.save([Save(Ballot(1, None), [Entry(at, 1, "k", "old") for at in range(1, 13)], None)])
    storage.write_checkpoint(Snapshot(9, 3, [("a", "new", 9)]))
    halfway = recover(tmp_path)
    assert (halfway.log.base_index, halfway.log.base_term, entries(halfway)) == (9, 3, [])
    storage.save([Save(None, [Entry(10, 3, "k", "new")], Snapshot(9, 3, []))])
    done = recover(tmp_path)
    assert entries(done) == [Entry(10, 3, "k", "new")]
