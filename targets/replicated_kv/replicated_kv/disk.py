"""The thread that saves, so that a slow disk delays acknowledgements and never the leader's beats."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from .storage import Save, Storage


class _Job(NamedTuple):
    save: Save | None
    """None starts a new segment of the log, if ``rotate``, or else only waits for its turn."""
    rotate: bool
    done: Callable[[], None]


class Disk(threading.Thread):
    """Saves in the order given. What queued up during one fsync shares the next one: group commit."""

    def __init__(self, storage: Storage, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="disk", daemon=True)
        self._storage = storage
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self.busy = 0
        self.last_ms = 0.0
        self._begun_s = 0.0

    def save(self, save: Save | None, done: Callable[[], None]) -> None:
        """Save after all that was given earlier, then call ``done`` in the loop."""
        self.busy += 1
        self._jobs.put(_Job(save, False, done))

    def rotate(self, done: Callable[[], None]) -> None:
        """Start a new segment of the log after all that was given earlier, then call ``done`` in the loop."""
        self.busy += 1
        self._jobs.put(_Job(None, True, done))

    def run(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            while not jobs[-1].rotate and not self._jobs.empty():
                jobs.append(self._jobs.get())
            self._begun_s = time.monotonic()
            try:
                saves = [job.save for job in jobs if job.save is not None]
                if saves:
                    self._storage.save(saves)
                if jobs[-1].rotate:
                    self._storage.rotate()
            except Exception as error:
                # A node that cannot save must not go on, whatever the cause.
                print(f"cannot save: {error!r}", file=sys.stderr, flush=True)
                self._loop.call_soon_threadsafe(self._loop.stop)
                return
            self.last_ms, self._begun_s = (time.monotonic() - self._begun_s) * 1e3, 0.0
            self._loop.call_soon_threadsafe(self._done, jobs)

    def delay_ms(self) -> float:
        """How long a save takes now: the last one, or the one under way if that is slower already."""
        begun_s = self._begun_s
        return round(max(self.last_ms, (time.monotonic() - begun_s) * 1e3 if begun_s else 0.0), 1)

    def _done(self, jobs: list[_Job]) -> None:
        self.busy -= len(jobs)
        for job in jobs:
            job.done()
