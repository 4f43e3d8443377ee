"""When a checkpoint is made and a backup taken, and how both are written without stopping the node."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .backup import Backup
from .checkpoint import Snapshot
from .disk import Disk
from .raft import LEADER, Raft
from .settings import Settings
from .storage import Storage
from .store import Store

KEEP_SHARE = 4
"""A checkpoint leaves one entry in so many in memory, so that a node that was away briefly catches up without the whole state."""


class Keeper:
    """Looks after each round of work of its node; what is written is written by threads."""

    def __init__(
        self, settings: Settings, raft: Raft, store: Store, disk: Disk, storage: Storage, snapshot: Callable[[], Snapshot]
    ) -> None:
        self._settings, self._raft, self._store, self._disk, self._storage = settings, raft, store, disk, storage
        self._snapshot = snapshot
        self._loop = asyncio.get_running_loop()
        self.at = 0
        """Index of the newest checkpoint."""
        self.backup = Backup(Path(settings.backup), settings.backup_every) if settings.backup else None
        self._made_ns = time.monotonic_ns()
        self._making = False
        self._due = 0

    def work(self) -> None:
        """Begin what is due."""
        self._checkpoint_if_due()
        self._backup_if_due()

    def _checkpoint_if_due(self) -> None:
        """Start a new segment, and once the state has all of the old one, write it beside the log and forget what it covers."""
        told, log = self._settings, self._raft.log
        long = len(log) > told.compact_after or log.size > told.compact_bytes
        late = 0 < told.checkpoint_every <= time.monotonic_ns() - self._made_ns and self._store.applied > self.at
        if not self._making and (long or late):
            self._making = True
            self._disk.rotate(self._rotated)
        elif 0 < self._due <= self._store.applied:
            self._due = 0
            threading.Thread(target=self._write, args=(self._snapshot(),), name="checkpoint", daemon=True).start()

    def _rotated(self) -> None:
        self._due = self._raft.log.last_index

    def _write(self, snapshot: Snapshot) -> None:
        try:
            self._storage.write_checkpoint(snapshot)
        except OSError as error:
            # A disk that refuses this will refuse the log as well: the same end as in ``Disk``.
            print(f"cannot write a checkpoint: {error}", file=sys.stderr, flush=True)
            self._loop.call_soon_threadsafe(self._loop.stop)
            return
        self._loop.call_soon_threadsafe(self._written, snapshot.at)

    def _written(self, at: int) -> None:
        told, log = self._settings, self._raft.log
        log.compact(min(at, log.kept(told.compact_after // KEEP_SHARE, told.compact_bytes // KEEP_SHARE)))
        self._making, self._made_ns, self.at = False, time.monotonic_ns(), at

    def _backup_if_due(self) -> None:
        now_ns = time.monotonic_ns()
        if self.backup is not None and self._raft.state == LEADER and self.backup.due(self._store.applied, now_ns):
            threading.Thread(target=self._back_up, args=(self.backup, self._snapshot(), now_ns), name="backup", daemon=True).start()

    def _back_up(self, backup: Backup, snapshot: Snapshot, now_ns: int) -> None:
        try:
            backup.write(snapshot, now_ns, self._settings.fsync)
        except OSError as error:
            # The store goes on without; what is missing is seen in ``/status``.
            print(f"cannot write a backup: {error}", file=sys.stderr, flush=True)
