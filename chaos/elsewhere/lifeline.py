"""The harness's side of the frames, beside the engine: its standard input and output, and what their silence means.

Nothing that the run does ever waits for the other side: what is said goes through a queue, and when the connection ends or falls silent,
the process gets a SIGINT of its own, so that the run rolls its faults back and ends as after a Ctrl-C.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from chaos.elsewhere import archive
from chaos.elsewhere.frames import (
    ANSWER,
    BEAT,
    BEAT_EVERY_S,
    DATA,
    ERRAND,
    KEPT,
    LOST_AFTER_S,
    OBEYED,
    QUESTION,
    SIGNAL,
    WHOLE,
    Answer,
    BadFrames,
    Frames,
    frame,
)
from chaos.plugin import COMMAND_GONE
from chaos.runtimes.base.machines.orders import Obeyed, Order

FLUSH_WITHIN_S = 30.0
LAST_WORDS_S = 2.0
ANSWER_WITHIN_S = 60.0
ERRAND_WITHIN_S = 420.0
"""A command has 120 s, a Docker host 180 s to boot; then there is a door to open."""
_CHUNK = 65536


class Lost(Exception):
    """The other side is gone."""


class Lifeline:
    """Speaks on ``out`` and hears on ``into``, each in a thread of its own."""

    def __init__(self, into: int = 0, out: int = 1) -> None:
        self._into = into
        self._out = out
        self._heard: queue.Queue[tuple[bytes, bytes]] = queue.Queue()
        self._said: queue.Queue[bytes] = queue.Queue()
        self._unsaid = threading.Semaphore(0)
        self._numbers = itertools.count(1)
        self._errands: dict[int, queue.Queue[Obeyed]] = {}
        self.lost = threading.Event()
        self._over = threading.Event()
        for each in (self._listen, self._speak):
            threading.Thread(target=each, name=each.__name__, daemon=True).start()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """One frame, as soon as it can be; never waits."""
        self._said.put(frame(kind, payload))

    def next(self, within_s: float) -> tuple[bytes, bytes]:
        """The next frame from there. ``Lost`` if there is none in time, or never will be."""
        until_s = time.monotonic() + within_s
        while not self.lost.is_set() and time.monotonic() < until_s:
            with contextlib.suppress(queue.Empty):
                return self._heard.get(timeout=0.05)
        raise Lost

    def pieces(self, within_s: float) -> Iterator[bytes]:
        """Of an archive that comes now."""
        while (found := self.next(within_s))[0] != WHOLE:
            if found[0] == DATA:
                yield found[1]

    def archive(self, folders: Mapping[str, Path]) -> None:
        """Send folders, each below its name; what they hold now is what goes."""
        archive.pack(folders, lambda piece: self.send(DATA, piece))
        self.send(WHOLE)

    def decide(self, folder: Path) -> tuple[bool, str]:
        """Have the other side look at the folder as it is: whether what the run is to decide is decided, and what it says."""
        self.archive({"": folder})
        self.send(QUESTION)
        try:
            while (found := self.next(ANSWER_WITHIN_S))[0] != ANSWER:
                continue
        except Lost:
            return False, "nobody answered"
        answer = msgspec.json.decode(found[1], type=Answer)
        return answer.decided, answer.says

    def errand(self, do: str, host: str) -> Obeyed:
        """Have the other side do it to a machine; what came of it. From any thread."""
        number = next(self._numbers)
        answer: queue.Queue[Obeyed] = queue.Queue()
        self._errands[number] = answer
        self.send(ERRAND, msgspec.json.encode(Order(number, do, host)))
        until_s = time.monotonic() + ERRAND_WITHIN_S
        try:
            while not self.lost.is_set() and time.monotonic() < until_s:
                with contextlib.suppress(queue.Empty):
                    return answer.get(timeout=0.05)
        finally:
            del self._errands[number]
        return Obeyed(number, COMMAND_GONE if self.lost.is_set() else f"nothing was heard of it within {ERRAND_WITHIN_S:g} s")

    def kept(self, within_s: float) -> bool:
        """Whether the other side says that what it was sent is on its disk."""
        try:
            while self.next(within_s)[0] != KEPT:
                continue
        except Lost:
            return False
        return True

    def end(self) -> None:
        """Say what is still to be said; no signal of ours comes after this. Who is only asleep finds it when he wakes."""
        self._over.set()
        self._said.put(b"")
        self._unsaid.acquire(timeout=LAST_WORDS_S if self.lost.is_set() else FLUSH_WITHIN_S)

    # --- the threads ---------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        frames = Frames()
        try:
            while select.select([self._into], [], [], LOST_AFTER_S)[0]:
                data = os.read(self._into, _CHUNK)
                if not data:
                    break
                for kind, payload in frames.feed(data):
                    if kind == SIGNAL:
                        self._signal(int(payload))
                    elif kind == OBEYED:
                        self._told(msgspec.json.decode(payload, type=Obeyed))
                    elif kind != BEAT:
                        self._heard.put((kind, payload))
        except (OSError, BadFrames, ValueError):
            pass  # as good as silence
        self.lost.set()
        self._signal(signal.SIGINT)

    def _told(self, obeyed: Obeyed) -> None:
        waiting = self._errands.get(obeyed.number)
        if waiting is not None:
            waiting.put(obeyed)

    def _signal(self, number: int) -> None:
        if not self._over.is_set():
            os.kill(os.getpid(), number)

    def _speak(self) -> None:
        """A reader that has fallen asleep blocks this thread alone."""
        try:
            while True:
                try:
                    data = self._said.get(timeout=BEAT_EVERY_S)
                except queue.Empty:
                    data = frame(BEAT)
                if not data:
                    break
                while data:
                    data = data[os.write(self._out, data) :]
        except OSError:
            self.lost.set()
        self._unsaid.release()
