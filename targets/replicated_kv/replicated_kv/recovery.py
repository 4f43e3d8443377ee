"""What a restart starts from: the newest good checkpoint and the log behind it, whatever a crash or a bad disk left of them.

A torn end of the log is dropped: nobody was promised what stood there. A flipped bit before the end is another matter: entries that were
promised are gone. The node keeps what is whole before the damage and is *in doubt*: it takes no part in elections until a leader has given
it back all that was committed (``Raft.doubtful``). What it voted is never in doubt, since ballots stand in two files.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

from . import checkpoint
from .checkpoint import Snapshot
from .frames import Damaged, Scan, scan
from .log import Log
from .messages import Entry
from .state import Ballot

CHECKPOINTS, SEGMENTS, BALLOT, DOUBT = "checkpoint-*", "log-*", "ballot", "doubt"


class Recovered(NamedTuple):
    """What a restart starts from. ``segments``: each with the highest index so far; ``size``: of the last one, without a torn end."""

    ballot: Ballot
    log: Log
    snapshot: Snapshot | None
    doubtful: bool
    found: list[str]
    """What was damaged, in words."""
    segments: list[tuple[Path, int]]
    size: int


def recover(folder: Path, counted: bool = True) -> Recovered:
    """Read all that is there. ``Damaged`` if it cannot be told any more what this node has voted."""
    for left in folder.glob("*" + checkpoint.NEW):
        left.unlink()
    snapshot, found = checkpoint.newest(folder, CHECKPOINTS, counted)
    replay, size, segments = _Replay(), 0, []
    paths = sorted(folder.glob(SEGMENTS))
    for path in paths:
        read = scan(path.read_bytes())
        # A torn end is one only where the log ends.
        torn = path == paths[-1]
        holes = read.holes if torn or read.end == path.stat().st_size else [*read.holes, len(read.values)]
        if holes:
            found.append(f"{path}: damaged behind frame {holes[0]}")
        replay.segment(read, holes)
        size = read.end
        segments.append((path, replay.highest))
    ballot = _ballot(folder, replay, bool(found))
    at, term = (snapshot.at, snapshot.term) if snapshot else (0, 0)
    log = replay.log(at, term)
    incomplete = bool(found) and (log.last_index == 0 or log.last_index < replay.highest)
    doubtful = (folder / DOUBT).exists() or replay.lost or incomplete
    return Recovered(ballot, log, snapshot, doubtful, found, segments, size)


def _ballot(folder: Path, replay: _Replay, damaged: bool) -> Ballot:
    """The later one of both places."""
    path = folder / BALLOT
    values = scan(path.read_bytes()).values if path.exists() else []
    if not values and path.exists() and damaged:
        raise Damaged(f"{path} and the log are damaged: what this node voted is lost; replace the node by a new one")
    other = Ballot(*cast(tuple[int, str | None], values[0])) if values else Ballot()
    return max(replay.ballot, other, key=lambda ballot: (ballot.term, ballot.voted_for is not None))


class _Replay:
    """The frames of all segments, in the order written."""

    def __init__(self) -> None:
        self.ballot = Ballot()
        self.highest = 0
        self.lost = False
        self._base: tuple[int, int] = (0, 0)
        self._entries: list[Entry] = []

    def segment(self, read: Scan, holes: list[int]) -> None:
        """Take its frames; behind a hole only ballots and what starts the log anew."""
        for number, saves in enumerate(read.values):
            self.lost = self.lost or number in holes
            for save in cast(list[dict[str, list[object]]], saves):
                self._take(save)
        self.lost = self.lost or len(read.values) in holes

    def _take(self, save: dict[str, list[object]]) -> None:
        if "base" in save:
            self._base = cast(tuple[int, int], tuple(save["base"]))
            self._entries, self.lost = [], False
            self.highest = max(self.highest, self._base[0])
        if not self.lost:
            for fields in save.get("entries", ()):
                self._entry(Entry(*cast(tuple[int, int, str | None, str | None], fields)))
        if "ballot" in save:
            self.ballot = Ballot(*cast(tuple[int, str | None], save["ballot"]))

    def _entry(self, entry: Entry) -> None:
        self.highest = max(self.highest, entry.at)
        if not self._entries:
            self._entries.append(entry)
            return
        at = entry.at - self._entries[0].at
        if at > len(self._entries):
            self.lost = True
            return
        # An entry from before the first one kept replaces all of them.
        del self._entries[max(at, 0) :]
        self._entries.append(entry)

    def log(self, index: int, term: int) -> Log:
        """The entries behind the checkpoint at ``index``, if they belong to its history."""
        before = [entry for entry in self._entries if entry.at <= index]
        behind = [entry for entry in self._entries if entry.at > index]
        if not behind or behind[0].at != index + 1:
            return Log(index, term)
        known = before[-1].term if before else (self._base[1] if self._base[0] == index else None)
        if known is not None and known != term:
            return Log(index, term)
        return Log(index, term, behind)
