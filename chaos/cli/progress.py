"""Live on standard error: on a terminal a few lines that are rewritten as rows arrive, elsewhere a plain line every few seconds.

    faults  34 of 75 s, 41 s left  4 of 9 faults done, 1 in force
    n1 up  n2 DOWN  n3 up (leader)
    write  ▁▁▁▁▁▁▁▁▁██▁▁▁▁▁▁▁▁█  down 0.4 s
    in force: kill-leader.5 on n2

It is a sink like any other: fed with the rows of the history as they are written. Only the plain lines go by a clock.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, TextIO

from chaos.cli.going_on import GoingOn
from chaos.core.escaping import terminal
from chaos.history.events import Row, RunEnded
from chaos.plan.plan import Plan

USUAL_WIDTH: Final = 80
EVERY_S: Final = 9.0
"""A plain line at least so often, with a second to spare to ten."""
_WIPE: Final = "\r\x1b[J"
_UP: Final = "\x1b[{}A"


class Live:
    """Tells people how a run goes. A stream that cannot be written to any more is left alone: no run fails for it."""

    def __init__(self, plan: Plan, stream: TextIO, *, terminal: bool | None = None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._on_terminal = stream.isatty() if terminal is None else terminal
        self._open = True
        self._lock = threading.Lock()
        self._now_s = now_s
        self._said_s = now_s()
        self._drawn = 0
        self.state = GoingOn(plan)

    def row(self, row: Row) -> None:
        """Take one row; thread-safe."""
        with self._lock:
            note = self.state.take(row)
            if self._on_terminal:
                self._redraw(note, last=isinstance(row, RunEnded))
            elif note:
                self._say(note)
            else:
                self._plain()

    def tick(self) -> None:
        """Say something if nothing was said for long; thread-safe."""
        with self._lock:
            if not self._on_terminal and not self.state.ended:
                self._plain()

    @contextlib.contextmanager
    def ticking(self, every_s: float = 1.0) -> Iterator[None]:
        """Ticks meanwhile, since no row may come for long (images are built, nodes are slow to start)."""
        done = threading.Event()

        def work() -> None:
            while not done.wait(every_s):
                self.tick()

        thread = threading.Thread(target=work, name="live", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def line(self) -> str:
        """All of it in one line."""
        return self.state.line()

    def _plain(self) -> None:
        if self._now_s() - self._said_s >= EVERY_S:
            self._say(self.line())

    def _say(self, text: str) -> None:
        self._said_s = self._now_s()
        self._write(f"{terminal(text)}\n")

    def _redraw(self, note: str, *, last: bool) -> None:
        width = self._width()
        lines = [] if last else [terminal(line)[:width] for line in self.state.block(width)]
        up = _UP.format(self._drawn) if self._drawn else ""
        said = f"{terminal(note)[:width]}\n" if note else ""
        # The cursor waits below the block, so that whatever else is written begins on a line of its own.
        self._write(f"{up}{_WIPE}{said}{''.join(f'{line}{chr(10)}' for line in lines)}")
        self._drawn = len(lines)

    def _write(self, text: str) -> None:
        if not self._open:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._open = False  # the terminal is gone: no run fails for want of somebody who looks at it

    def _width(self) -> int:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        # A terminal that does not know its width says 0. The last column stays free, so that no line wraps.
        return max((columns or USUAL_WIDTH) - 1, 20)
