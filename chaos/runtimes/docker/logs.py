"""The log of one node: everything that its container said, over all its lives, followed into a file while it runs.

The engine ends a log stream with the life of the container. The next one begins where the last line was, by its time stamp, which
the engine writes in front of each line in a fixed width and which therefore sorts as text.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.core.clock import Clock, to_s

if TYPE_CHECKING:
    from docker.api import APIClient

SETTLE_S = 1.0
"""The engine may notice a start a little later than we do: a stream that ends sooner than this is opened again."""
AGAIN_S = 0.1
LAST_LINES_S = 3.0
_SECOND = len("2026-01-01T00:00:00")


class NodeLog:
    """Follows in a thread of its own. ``started`` says that a life has begun, ``finish`` that there will be no more."""

    def __init__(self, api: APIClient, container: str, path: Path, clock: Clock, last: str = "") -> None:
        self._api = api
        self._container = container
        self._path = path
        self._clock = clock
        self._last = last
        """The stamp of the last line that is in the file."""
        self._begun = threading.Event()
        self._began_ns = 0
        self._over = False
        self.failure = ""
        """Why it could not go on; empty while it could."""
        self._thread = threading.Thread(target=self._run, name=f"log {path.stem}", daemon=True)
        self._thread.start()

    def again(self) -> NodeLog:
        """Another that goes on where this one was cut off, with its engine."""
        return NodeLog(self._api, self._container, self._path, self._clock, self._last)

    def started(self) -> None:
        """The container begins a life."""
        self._began_ns = self._clock.now_ns()
        self._begun.set()

    def finish(self) -> None:
        """The container is dead and will stay so: take its last lines."""
        self._over = True
        self._begun.set()
        self._thread.join(LAST_LINES_S)

    def _run(self) -> None:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            with self._path.open("ab", buffering=0) as file:
                while not self._over:
                    self._begun.wait()
                    self._begun.clear()
                    self._follow(file.write)
        except (DockerException, RequestException, OSError) as error:
            self.failure = f"{type(error).__name__}: {error}"

    def _follow(self, write: object) -> None:
        assert callable(write)
        while True:
            for line in self._lines():
                write(line)
            young = to_s(self._clock.now_ns() - self._began_ns) < SETTLE_S
            if self._over or not young or self._begun.wait(AGAIN_S):
                return

    def _lines(self) -> Iterator[bytes]:
        since = _unix_s(self._last) if self._last else None
        for data in self._api.logs(self._container, stream=True, follow=True, timestamps=True, since=since):
            stamp, _, text = data.partition(b" ")
            at = stamp.decode()
            if at > self._last:
                self._last = at
                yield text


def _unix_s(stamp: str) -> float:
    """Not later than the stamp: the engine takes no more digits than a float has."""
    return datetime.fromisoformat(stamp[:_SECOND] + "+00:00").timestamp()
