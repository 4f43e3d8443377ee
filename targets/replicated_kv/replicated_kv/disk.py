"""The thread that saves, so that a slow disk delays acknowledgements and never the leader's beats."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Callable

from .storage import Storage


class Disk(threading.Thread):
    """Saves in the order given; what has queued up meanwhile waits for the same fsync: group commit by itself."""

    def __init__(self, storage: Storage, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="disk", daemon=True)
        self._storage = storage
        self._loop = loop
        self._jobs: queue.SimpleQueue[Callable[[], Callable[[], None]]] = queue.SimpleQueue()
        self.busy = 0

    def submit(self, job: Callable[[], None], done: Callable[[], None]) -> None:
        """Run ``job`` in this thread after all earlier ones, then ``done`` in the loop."""
        self.busy += 1

        def work() -> Callable[[], None]:
            job()
            return done

        self._jobs.put(work)

    def run(self) -> None:
        while True:
            try:
                done = self._jobs.get()()
            except Exception as error:
                # A node that cannot save must not go on, whatever the cause.
                print(f"cannot save: {error!r}", file=sys.stderr, flush=True)
                self._loop.call_soon_threadsafe(self._loop.stop)
                return
            self._loop.call_soon_threadsafe(self._done, done)

    def _done(self, done: Callable[[], None]) -> None:
        self.busy -= 1
        done()
