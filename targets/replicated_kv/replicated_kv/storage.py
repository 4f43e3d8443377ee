"""The log on disk: segments of frames, a snapshot beside them, and recovery from both after a crash at any byte.

    log-00000001  log-00000002 ...   append-only; the highest is being written
    snapshot                         the state at an index; it replaces the segments that end before it

A frame is the list of the saves of one group commit, each with any of: ``base`` [index, term] (the log starts anew behind a snapshot),
``entries`` [[index, term, key, value], ...] (one whose index exists already replaces it and all that followed), ``ballot`` [term,
voted for].
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import NamedTuple, cast

from .frames import Damaged, pack, unpack
from .log import Log
from .messages import Entry
from .replication import Snapshot
from .state import Ballot

SNAPSHOT = "snapshot"
ITEMS_A_FRAME = 500


class Save(NamedTuple):
    """What belongs on disk together."""

    ballot: Ballot | None
    entries: list[Entry]
    installed: Snapshot | None


class Recovered(NamedTuple):
    """What a restart starts from."""

    ballot: Ballot
    log: Log
    snapshot: Snapshot | None


class Storage:
    """The folder of one node. ``save`` and ``rotate`` belong to one thread, ``write_snapshot`` may run in another."""

    def __init__(self, folder: Path, fsync: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._fsync = fsync
        self._snapshot_lock = threading.Lock()
        self._snapshot_index = 0
        self._closed: list[tuple[Path, int]] = []
        self._number = 0
        self._file = -1
        self._size = 0
        self._last_index = 0
        self._ballot = Ballot()

    def recover(self) -> Recovered:
        """Read all that is there, drop a torn tail, and open the last segment for writing."""
        snapshot = self._read_snapshot()
        index, term = (snapshot.at, snapshot.term) if snapshot else (0, 0)
        self._snapshot_index = index
        replay = _Replay()
        segments = sorted(self._folder.glob("log-*"))
        size = 0
        for segment in segments:
            values, size = unpack(segment.read_bytes(), str(segment), torn_tail=segment == segments[-1])
            for saves in values:
                for save in cast(list[dict[str, list[object]]], saves):
                    replay.take(save)
            self._closed.append((segment, replay.highest))
        self._ballot = replay.ballot
        log = replay.log(index, term)
        if segments:
            self._closed.pop()
            self._number = int(segments[-1].name.removeprefix("log-"))
            self._last_index = replay.highest
            self._open(segments[-1], size)
        else:
            self.rotate()
        return Recovered(replay.ballot, log, snapshot)

    def save(self, saves: list[Save]) -> None:
        """Put them on disk for good, all or nothing: one frame, one write, one fsync."""
        self._append(pack([self._part(save) for save in saves]))

    def _part(self, save: Save) -> dict[str, object]:
        part: dict[str, object] = {}
        if save.installed is not None:
            self.write_snapshot(save.installed, anew=True)
            part["base"] = [save.installed.at, save.installed.term]
            self._last_index = max(self._last_index, save.installed.at)
        if save.entries:
            part["entries"] = save.entries
            self._last_index = max(self._last_index, save.entries[-1].at)
        if save.ballot is not None:
            part["ballot"] = save.ballot
            self._ballot = save.ballot
        return part

    def rotate(self) -> None:
        """Close this segment and open the next one, which starts with the ballot, so that older ones can be dropped."""
        if self._file >= 0:
            os.close(self._file)
            with self._snapshot_lock:
                self._closed.append((self._path(), self._last_index))
        self._number += 1
        self._open(self._path(), 0)
        self._append(pack([{"ballot": self._ballot}]))
        self._sync_folder()

    def write_snapshot(self, snapshot: Snapshot, anew: bool = False) -> None:
        """Replace the snapshot on disk by this newer one (``anew``: also by an older one), and drop the segments that it covers."""
        with self._snapshot_lock:
            if snapshot.at <= self._snapshot_index and not anew:
                return
            new = self._folder / (SNAPSHOT + ".new")
            with new.open("wb") as file:
                file.write(pack([snapshot.at, snapshot.term, len(snapshot.items)]))
                for start in range(0, len(snapshot.items), ITEMS_A_FRAME):
                    file.write(pack(snapshot.items[start : start + ITEMS_A_FRAME]))
                file.flush()
                self._sync(file.fileno())
            new.replace(self._folder / SNAPSHOT)
            self._sync_folder()
            self._snapshot_index = snapshot.at
            covered = [path for path, last in self._closed if last <= snapshot.at]
            self._closed = [(path, last) for path, last in self._closed if last > snapshot.at]
            for path in covered:
                path.unlink()

    def _path(self) -> Path:
        return self._folder / f"log-{self._number:08d}"

    def _open(self, path: Path, size: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._sync(self._file)

    def _sync(self, file: int) -> None:
        if self._fsync:
            os.fdatasync(file)

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            if self._fsync:
                os.fsync(folder)
        finally:
            os.close(folder)

    def _read_snapshot(self) -> Snapshot | None:
        path = self._folder / SNAPSHOT
        (self._folder / (SNAPSHOT + ".new")).unlink(missing_ok=True)
        if not path.exists():
            return None
        values, _ = unpack(path.read_bytes(), str(path), torn_tail=False)
        index, term, count = cast(list[int], values[0])
        items = [(key, value, written) for frame in values[1:] for key, value, written in cast(list[tuple[str, str, int]], frame)]
        if len(items) != count:
            raise Damaged(f"{path}: {len(items)} items instead of {count}")
        return Snapshot(index, term, items)


class _Replay:
    """The frames of all segments, in the order written."""

    def __init__(self) -> None:
        self.ballot = Ballot()
        self.highest = 0
        self._base: tuple[int, int] = (0, 0)
        self._entries: list[Entry] = []

    def take(self, value: dict[str, list[object]]) -> None:
        """One save."""
        if "base" in value:
            self._base = cast(tuple[int, int], tuple(value["base"]))
            self._entries = []
            self.highest = max(self.highest, self._base[0])
        for fields in value.get("entries", ()):
            self._entry(Entry(*cast(tuple[int, int, str | None, str | None], fields)))
        if "ballot" in value:
            self.ballot = Ballot(*cast(tuple[int, str | None], value["ballot"]))

    def _entry(self, entry: Entry) -> None:
        self.highest = max(self.highest, entry.at)
        if not self._entries:
            self._entries.append(entry)
            return
        at = entry.at - self._entries[0].at
        if at > len(self._entries):
            raise Damaged(f"the log has no entry before {entry.at}, although it goes on behind it")
        # An entry from before the first one kept replaces all of them.
        del self._entries[max(at, 0) :]
        self._entries.append(entry)

    def log(self, index: int, term: int) -> Log:
        """The entries behind the snapshot at ``index``, if they belong to its history."""
        before = [entry for entry in self._entries if entry.at <= index]
        behind = [entry for entry in self._entries if entry.at > index]
        if not behind or behind[0].at != index + 1:
            return Log(index, term)
        known = before[-1].term if before else (self._base[1] if self._base[0] == index else None)
        if known is not None and known != term:
            return Log(index, term)
        return Log(index, term, behind)
