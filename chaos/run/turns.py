"""Whose turn it is among faults of one entry: who follows whom, and what becomes of those whose predecessor came to nothing."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.core.clock import to_ns
from chaos.plan.plan import Window


class Turns:
    """Knows the windows that wait for others, and releases each once."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._waiting = {window.id: window for window in windows if window.after or window.beside}
        self._over_ns: dict[str, int] = {}

    def begun(self, window_id: str) -> list[Window]:
        """It took effect: those that begin together with it."""
        return self._release([window for window in self._waiting.values() if window.beside == window_id])

    def over(self, window_id: str, at_ns: int) -> list[tuple[Window, int]]:
        """It was over then: those whose turn that makes it, each with the time at which it begins."""
        self._over_ns.setdefault(window_id, at_ns)
        due = [window for window in self._waiting.values() if window_id in window.after and self._over_ns.keys() >= set(window.after)]
        return [(window, max(self._over_ns[name] for name in window.after) + to_ns(window.gap_s)) for window in self._release(due)]

    def lost(self, window_id: str) -> list[Window]:
        """It came to nothing: those that can therefore never begin."""
        return self._release([window for window in self._waiting.values() if window_id in (*window.after, window.beside)])

    def _release(self, windows: list[Window]) -> list[Window]:
        for window in windows:
            del self._waiting[window.id]
        return windows
