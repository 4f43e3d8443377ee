"""A harness that was sent away, seen from here: what it says in frames, and what its silence means.

Nothing here knows what carries the bytes: a container of an engine (``container.py``) or a process in a pod (``in_cluster.py``).
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from chaos.core.errors import EnvironmentUnusable
from chaos.elsewhere import archive
from chaos.elsewhere.frames import BEAT, BEAT_EVERY_S, DATA, END, LOST_AFTER_S, WHOLE, BadFrames, Frames, frame

LOOK_S: Final = 0.1
_LAST_WORDS: Final = 2000
_GONE: Final = object()


class HarnessGone(EnvironmentUnusable):
    """Nothing is heard of a harness any more, and it has not said how it ended."""


class Talk(Protocol):
    """The standard streams of a harness, however it is reached. One thread reads while others write, one at a time."""

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """(stream: 1 output, 2 error; data) as it comes, until there will be no more."""
        ...

    def sendall(self, data: bytes) -> None:
        """To its standard input; ``OSError`` when it is gone."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Channel:
    """One harness there, from its first frame to its end. ``send`` is safe from any thread. ``where``: for people, beside what it is."""

    def __init__(self, talk: Talk, where: str = "beside the engine") -> None:
        self._talk = talk
        self._where = where
        self._sending = threading.Lock()
        self._frames: queue.Queue[Any] = queue.Queue()
        self._said = b""
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=each, name=each.__name__, daemon=True) for each in (self._read, self._beat)]

    def begin(self) -> None:
        """The container runs: listen, and show that we are there."""
        for thread in self._threads:
            thread.start()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """One frame. What cannot be sent any more is missed by nobody: the end is seen by reading."""
        with self._sending, contextlib.suppress(OSError):
            self._talk.sendall(frame(kind, payload))

    def receive(self, idle: Callable[[], None] = lambda: None, silent_s: float = 2 * LOST_AFTER_S) -> Iterator[tuple[bytes, bytes]]:
        """Every frame until ``END``; ``idle`` is called some times a second. ``EnvironmentUnusable`` if the other side is gone.

        ``silent_s``: so long it may say nothing; longer where its interpreter has yet to start.
        """
        waited_s = 0.0
        while True:
            idle()
            try:
                found = self._frames.get(timeout=LOOK_S)
            except queue.Empty:
                # Not by the clock: a machine that slept was deaf meanwhile, and what was said to it is still to be read.
                waited_s += LOOK_S
                if waited_s > silent_s:
                    raise self._lost("nothing was heard of it any more") from None
                continue
            waited_s = 0.0
            if found is _GONE:
                raise self._lost("its connection ended")
            kind, payload = found
            if kind != BEAT:
                yield kind, payload
            if kind == END:
                return

    def archive(self, folders: Mapping[str, Path]) -> None:
        """Send folders, each below its name."""
        archive.pack(folders, lambda piece: self.send(DATA, piece))
        self.send(WHOLE)

    def close(self) -> None:
        """Let go of it; the engine removes it when it has ended."""
        self._closed.set()
        self._talk.close()

    def _lost(self, why: str) -> HarnessGone:
        said = self._said.decode(errors="replace").strip()
        return HarnessGone(
            f"the harness {self._where} is gone: {why}" + (f"; it said: {said}" if said else ""),
            how="if it still runs it rolls its faults back by itself; 'nines fetch' brings what was measured, 'nines leftovers' says"
            " what it left",
        )

    def _read(self) -> None:
        frames = Frames()
        try:
            for stream, piece in self._talk.pieces():
                if stream == 1:
                    for each in frames.feed(piece):
                        self._frames.put(each)
                else:
                    self._said = (self._said + piece)[-_LAST_WORDS:]
        except (OSError, ValueError) as error:
            self._said += f" ({error})".encode()
        except BadFrames as error:
            self._said += f" (it is not ours: {error})".encode()
        self._frames.put(_GONE)

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_EVERY_S):
            self.send(BEAT)
