"""SIGINT and SIGTERM during a run: noted at once, obeyed where it is safe."""

from __future__ import annotations

import signal as signals
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from chaos.core.errors import Interrupted


class Interruption:
    """While starting, signals interrupt at once; later they end the run at its next step; undo is never cut short."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.at_once = True

    def _handle(self, signal_number: int, _frame: FrameType | None) -> None:
        # Only plain stores here: the main thread may hold any lock at this instant, an event's own among them.
        first = self.signal_number is None
        if first:
            self.signal_number = signal_number
        if first and self.at_once:
            self.at_once = False
            raise Interrupted(signal_number)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Handlers in place; only the main thread may have them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signals.signal(number, self._handle) for number in (signals.SIGINT, signals.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signals.signal(number, handler)
