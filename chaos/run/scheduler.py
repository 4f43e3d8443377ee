"""What a run does next: one list of things to do, each at its time, done one after the other in one thread."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from chaos.core.clock import Clock, to_ns

STEP_S = 0.1
"""How soon a signal or the death of a helper process is noticed while waiting."""


class Agenda:
    """Follows its list until ``end_ns``, or until ``must_stop`` says so. What is done may put more on it."""

    def __init__(self, clock: Clock, wake: threading.Event, must_stop: Callable[[], bool], end_ns: int) -> None:
        self.end_ns = end_ns
        """When it is over, whatever is still on it; may be moved."""
        self._clock = clock
        self._wake = wake
        self._must_stop = must_stop
        self._order = itertools.count()
        self._due: list[tuple[int, int, Callable[[], None]]] = []

    def at(self, at_ns: int, do: Callable[[], None]) -> None:
        """Put something on it; of two things of one time the one put first is done first."""
        heapq.heappush(self._due, (at_ns, next(self._order), do))

    def soon(self, delay_s: float, do: Callable[[], None]) -> None:
        """The same, so much later than now."""
        self.at(self._clock.now_ns() + to_ns(delay_s), do)

    def follow(self) -> None:
        """Do all of it, each at its time."""
        while not self._must_stop():
            due_ns = min(self._due[0][0], self.end_ns) if self._due else self.end_ns
            if self._wait(due_ns):
                continue
            if not self._due or self._due[0][0] > self.end_ns:
                return
            heapq.heappop(self._due)[2]()

    def _wait(self, until_ns: int) -> bool:
        """True if the run must stop before then. In short steps, since a signal does not end a wait."""
        while not self._must_stop():
            now_ns = self._clock.now_ns()
            if now_ns >= until_ns:
                return False
            if self._clock.wait_until_ns(min(until_ns, now_ns + to_ns(STEP_S)), self._wake):
                self._wake.clear()
        return True
