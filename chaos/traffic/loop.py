"""The event loop of the prober: timers exact to some 0.05 ms, and one wheel for all time-outs.

asyncio's own selector waits in whole milliseconds, rounded up, because ``epoll_wait(2)`` takes milliseconds: a slot would be
sent up to 1 ms late every time. An epoll descriptor can itself be waited for by ``select(2)``, which takes microseconds.
"""

from __future__ import annotations

import asyncio
import heapq
import select
import selectors
from collections.abc import Callable
from pathlib import Path

from chaos.traffic.probe import Slot

_SLACK_NS = 1_000
Ready = list[tuple[selectors.SelectorKey, int]]


class FineSelector(selectors.EpollSelector):
    """Epoll, with time-outs in microseconds."""

    def select(self, timeout: float | None = None) -> Ready:
        if timeout is not None and timeout > 0:
            ready, _, _ = select.select([self.fileno()], [], [], timeout)
            if not ready:
                return []
            timeout = 0
        return super().select(timeout)


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop on a ``FineSelector``; ``loop.time()`` is CLOCK_MONOTONIC in seconds."""
    return asyncio.SelectorEventLoop(FineSelector())


def fine_timers() -> None:
    """Let the kernel wake this process within 1 µs of a timer instead of its default slack of 50 µs (``timer_slack(5)``, proc(5))."""
    slack = Path("/proc/self/timerslack_ns")
    if slack.exists():
        slack.write_text(str(_SLACK_NS), encoding="ascii")


class Wheel:
    """Time-outs by the thousand: entries of one tick share one list, ended slots are passed over when their tick comes.

    An entry fires at the end of the tick that holds its time: never early, at most one tick late.
    """

    def __init__(self, tick_ns: int) -> None:
        self.tick_ns = tick_ns
        self._ticks: dict[int, list[tuple[Slot, int]]] = {}
        self._order: list[int] = []

    def add(self, slot: Slot) -> None:
        """Watch the slot's present attempt until ``slot.expiry_ns``."""
        tick = -(-slot.expiry_ns // self.tick_ns)
        entries = self._ticks.get(tick)
        if entries is None:
            self._ticks[tick] = [(slot, slot.attempts)]
            heapq.heappush(self._order, tick)
        else:
            entries.append((slot, slot.attempts))

    def next_ns(self) -> int | None:
        """When the next tick ends that holds an attempt still under way; those before it are let go, so that nobody wakes for them."""
        order, ticks = self._order, self._ticks
        while order:
            # Mostly all of them have ended. The newest is the likeliest not to have.
            for slot, attempt in reversed(ticks[order[0]]):
                if slot.attempts == attempt:
                    return order[0] * self.tick_ns
            del ticks[heapq.heappop(order)]
        return None

    def expire(self, now_ns: int, cut: Callable[[Slot], None]) -> None:
        """Call ``cut`` for each attempt whose time is over and that is still under way."""
        order = self._order
        while order and order[0] * self.tick_ns <= now_ns:
            for slot, attempt in self._ticks.pop(heapq.heappop(order)):
                if slot.attempts == attempt:
                    cut(slot)
