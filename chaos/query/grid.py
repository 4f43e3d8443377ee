"""Due times at equal distances on an event loop: one timer, no task. What was missed (a stalled machine) is left out, not made up for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chaos.core.clock import Clock, to_ns, to_s


class Grid:
    """Calls ``due(number, now_ns)`` at each of its times, from ``begin`` to ``close``; the numbers count what was left out, too."""

    def __init__(self, every_s: float, due: Callable[[int, int], None], clock: Clock) -> None:
        self._every_ns = to_ns(every_s)
        self._due = due
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._next_ns = 0
        self._number = 0

    def begin(self, phase_s: float) -> None:
        """The first time is that much later."""
        self._next_ns = self._clock.now_ns() + to_ns(phase_s)
        self._set_timer()

    def close(self) -> None:
        """No further call."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns >= self._next_ns:
            passed = (now_ns - self._next_ns) // self._every_ns + 1
            self._next_ns += passed * self._every_ns
            self._number += passed
            self._set_timer()
            self._due(self._number, now_ns)
        else:
            self._set_timer()

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, to_s(self._next_ns - self._clock.now_ns())), self._tick)
