"""Time as a parameter. Everything that waits or stamps takes a ``Clock``; only this file touches ``time``.

All stamps are CLOCK_MONOTONIC nanoseconds of the machine that runs the nodes (containers share it).
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

NS_PER_S = 1_000_000_000


def to_ns(seconds: float) -> int:
    """Seconds to whole nanoseconds, rounded to the nearest."""
    return round(seconds * NS_PER_S)


def to_s(nanoseconds: int) -> float:
    """Nanoseconds to seconds."""
    return nanoseconds / NS_PER_S


def wall_s() -> float:
    """The wall clock of this machine, in seconds since 1970: for people, and to hold other wall clocks against."""
    return time.time()


class Clock(Protocol):
    """Reads a monotonic clock, and waits on it."""

    def now_ns(self) -> int:
        """Now, in nanoseconds."""
        ...

    def wait_until_ns(self, at_ns: int, wake: threading.Event | None = None) -> bool:
        """Wait until ``at_ns``, or until ``wake`` is set; true if it was woken."""
        ...


class MonotonicClock:
    """The real one."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wait_until_ns(self, at_ns: int, wake: threading.Event | None = None) -> bool:
        while True:
            left_ns = at_ns - time.monotonic_ns()
            if wake is not None and wake.is_set():
                return True
            if left_ns <= 0:
                return False
            if wake is None:
                time.sleep(left_ns / NS_PER_S)
            else:
                wake.wait(left_ns / NS_PER_S)


class ManualClock:
    """Virtual time: waiting moves it at once. The fake runtime and all fast tests run on this one."""

    def __init__(self, start_ns: int = 1_000 * NS_PER_S) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def wait_until_ns(self, at_ns: int, wake: threading.Event | None = None) -> bool:
        if wake is not None and wake.is_set():
            return True
        self._now_ns = max(self._now_ns, at_ns)
        return False
