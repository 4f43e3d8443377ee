"""Backups: the state in another place, on a schedule, and the way back when every disk is lost.

The leader writes what a checkpoint holds into the folder ``backup``, at most every ``backup_every``. With ``restore: on`` a node that
starts with an empty folder begins from the newest good backup. All nodes must do so together: it is a new beginning, without what came
after the backup.
"""

from __future__ import annotations

from pathlib import Path

from . import checkpoint
from .checkpoint import Snapshot
from .frames import pack
from .recovery import BALLOT
from .state import Ballot

KEPT = 3


class Backup:
    """The place of the backups, as the leader uses it."""

    def __init__(self, folder: Path, every_ns: int) -> None:
        self._folder = folder
        self._every_ns = every_ns
        self._begun_ns = 0
        self.at = 0
        """Index of the last one that this node wrote; 0: none."""
        self.made_ns = 0

    def due(self, applied: int, now_ns: int) -> bool:
        """Is it time, and is there anything new? If so, it counts as begun."""
        if now_ns - self._begun_ns < self._every_ns or applied <= self.at:
            return False
        self._begun_ns = now_ns
        return True

    def write(self, snapshot: Snapshot, now_ns: int, fsync: bool = True) -> None:
        """Put it there, whole or not at all, and drop the oldest ones."""
        self._folder.mkdir(parents=True, exist_ok=True)
        checkpoint.write(self._folder / f"backup-{snapshot.term:010d}-{snapshot.at:012d}", snapshot, fsync)
        self.at, self.made_ns = snapshot.at, now_ns
        for path in sorted(self._folder.glob("backup-*[0-9]"))[:-KEPT]:
            path.unlink(missing_ok=True)


def restore(backups: Path, data: Path) -> Snapshot | None:
    """Make an empty folder start from the newest good backup; None if the folder is not empty, or there is no backup."""
    if data.exists() and any(data.iterdir()):
        return None
    found, _ = checkpoint.newest(backups, "backup-*")
    if found is None:
        return None
    data.mkdir(parents=True, exist_ok=True)
    (data / BALLOT).write_bytes(pack(Ballot(found.term)))
    checkpoint.write(data / f"checkpoint-{found.at:012d}", found)
    return found
