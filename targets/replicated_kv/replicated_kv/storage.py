"""The log on disk, and the checkpoints that let its beginning go.

    log-00000001  log-00000002 ...   append-only segments; the highest is being written
    checkpoint-<index>               the state at an index; the two newest are kept, and the log from the older one on
    ballot                           the ballot once more (recovery.py says why)
    doubt                            there as long as this node may miss what it once acknowledged

A frame of the log is the list of the saves of one group commit, each with any of: ``base`` [index, term] (the log starts anew behind a
checkpoint), ``entries`` [[index, term, key, value, op], ...] (one whose index exists already replaces it and all that followed), ``ballot``
[term, voted for].
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from . import checkpoint
from .checkpoint import Snapshot, sync_folder
from .frames import pack
from .messages import Entry
from .recovery import BALLOT, CHECKPOINTS, DOUBT, Recovered, recover
from .state import Ballot
from .wrong import CHECKPOINT_TORN

KEPT = 2


class Save(NamedTuple):
    """What belongs on disk together."""

    ballot: Ballot | None
    entries: list[Entry]
    installed: Snapshot | None


class Storage:
    """The folder of one node. ``save`` and ``rotate`` belong to one thread, ``write_checkpoint`` may run in another."""

    def __init__(self, folder: Path, fsync: bool = True, wrong: str = "", delay_s: float = 0.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._fsync = fsync
        self._delay_s = delay_s
        self._torn = wrong == CHECKPOINT_TORN
        self._lock = threading.Lock()
        self._checkpoints: list[int] = []
        self._closed: list[tuple[Path, int]] = []
        self._number = 0
        self._file = -1
        self._last_index = 0
        self._ballot = Ballot()

    def recover(self) -> Recovered:
        """Read all that is there, and open the last segment for writing. What is damaged is set aside as ``damaged-...``."""
        found = recover(self._folder, counted=not self._torn)
        self._ballot = found.ballot
        self._checkpoints = sorted(int(path.name.partition("-")[2]) for path in self._folder.glob(CHECKPOINTS))
        self._last_index = max([found.log.last_index, *(last for _, last in found.segments)])
        if found.segments:
            self._number = int(found.segments[-1][0].name.removeprefix("log-"))
        for line in found.found:
            print(f"recovered from damage: {line}", file=sys.stderr, flush=True)
        if found.doubtful and found.found:
            self._start_anew(found)
        elif found.segments:
            self._closed = found.segments[:-1]
            self._open(found.segments[-1][0], found.size)
        else:
            self.rotate()
        return found

    def _start_anew(self, found: Recovered) -> None:
        """Keep what is whole in a new segment; the old ones are of no use to the log any more."""
        (self._folder / DOUBT).touch()
        sync_folder(self._folder, self._fsync)
        log = found.log
        self._last_index = log.last_index
        self.rotate()
        entries = log.between(log.base_index + 1, log.last_index)
        self._append(pack([{"base": [log.base_index, log.base_term], "entries": entries, "ballot": self._ballot}]))
        for path, _ in found.segments:
            path.rename(path.with_name("damaged-" + path.name))
        self._closed = []

    def trust(self) -> None:
        """This node has again all that it ever acknowledged."""
        (self._folder / DOUBT).unlink(missing_ok=True)
        sync_folder(self._folder, self._fsync)

    def save(self, saves: list[Save]) -> None:
        """Put them on disk for good, all or nothing: one frame, one write, one fsync; and one before that if a ballot changes."""
        self._append(pack([self._part(save) for save in saves]))

    def _part(self, save: Save) -> dict[str, object]:
        part: dict[str, object] = {}
        if save.installed is not None:
            self.write_checkpoint(save.installed, anew=True)
            part["base"] = [save.installed.at, save.installed.term]
            self._last_index = max(self._last_index, save.installed.at)
        if save.entries:
            part["entries"] = save.entries
            self._last_index = max(self._last_index, save.entries[-1].at)
        if save.ballot is not None:
            part["ballot"] = save.ballot
            self._ballot = save.ballot
            self._write_ballot()
        return part

    def _write_ballot(self) -> None:
        with (self._folder / BALLOT).open("wb") as file:
            file.write(pack(self._ballot))
            file.flush()
            self._sync(file.fileno())

    def rotate(self) -> None:
        """Close this segment and open the next one, which starts with the ballot, so that older ones can be dropped."""
        if self._file >= 0:
            self.close()
            with self._lock:
                self._closed.append((self._path(), self._last_index))
        self._number += 1
        self._open(self._path(), 0)
        self._append(pack([{"ballot": self._ballot}]))
        sync_folder(self._folder, self._fsync)

    def close(self) -> None:
        """Let go of the segment that is open; all that was saved is on disk already."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def write_checkpoint(self, snapshot: Snapshot, anew: bool = False) -> None:
        """Put a newer checkpoint beside the last one, and drop what the older of both covers.

        ``anew``: the state comes from a leader, and is right whatever stands here; older and newer checkpoints go.
        """
        with self._lock:
            if not anew and self._checkpoints and snapshot.at <= self._checkpoints[-1]:
                return
            if self._torn:
                self._drop([snapshot.at], snapshot.at)
            checkpoint.write(self._folder / f"checkpoint-{snapshot.at:012d}", snapshot, self._fsync, not self._torn, self._delay_s)
            kept = [snapshot.at] if anew else [*self._checkpoints, snapshot.at][-KEPT:]
            # With a single one the whole log stays, in case its bits rot.
            self._drop(kept, snapshot.at if anew else kept[0] if len(kept) == KEPT else -1)

    def _drop(self, kept: list[int], covered: int) -> None:
        """Only these checkpoints stay, and the segments that reach beyond what is covered."""
        for at in set(self._checkpoints) - set(kept):
            (self._folder / f"checkpoint-{at:012d}").unlink(missing_ok=True)
        self._checkpoints = kept
        for path, _ in [each for each in self._closed if each[1] <= covered]:
            path.unlink()
        self._closed = [each for each in self._closed if each[1] > covered]

    def _path(self) -> Path:
        return self._folder / f"log-{self._number:08d}"

    def _open(self, path: Path, size: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)

    def _append(self, data: bytes) -> None:
        if self._delay_s:
            time.sleep(self._delay_s)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._sync(self._file)

    def _sync(self, file: int) -> None:
        if self._fsync:
            os.fdatasync(file)
