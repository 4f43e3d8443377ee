"""The live line: phase, time left, state of each service, faults in force. On standard error, and only where that is a terminal.

It is a sink like any other: fed with the rows of the history as they are written, it keeps no clock of its own.

    faults  34 of 75 s  write down 0.4 s  read ok  kill-leader-3 on n2
"""

from __future__ import annotations

import os
import threading
from typing import Final, TextIO

from chaos.core.clock import to_s
from chaos.core.escaping import terminal
from chaos.history.events import (
    Aborting,
    Awaited,
    FaultAsked,
    FaultFailed,
    FaultGone,
    FaultHealed,
    FaultSkipped,
    PhaseBegun,
    Row,
    RunEnded,
    TrafficSecond,
    TrafficStarted,
)
from chaos.plan.plan import Plan

USUAL_WIDTH: Final = 100
_TO_START_AND_CLEAR: Final = "\r\x1b[K"


class Live:
    """Rewrites one line of ``stream`` as rows arrive; says nothing at all if it is no terminal (unless told that it is)."""

    def __init__(self, plan: Plan, stream: TextIO, *, terminal: bool | None = None) -> None:
        self._plan = plan
        self._stream = stream
        self._on = stream.isatty() if terminal is None else terminal
        self._lock = threading.Lock()
        self._phase = "starting"
        self._start_ns: int | None = None
        self._now_ns = 0
        self._services: dict[str, str] = {}
        self._faults: dict[str, str] = {}

    def row(self, row: Row) -> None:
        """Take one row; thread-safe."""
        if not self._on:
            return
        with self._lock:
            self._now_ns = max(self._now_ns, row.at_ns)
            note = self._take(row)
            said = f"{_TO_START_AND_CLEAR}{self._cut(terminal(note))}\n" if note else ""
            said += _TO_START_AND_CLEAR if isinstance(row, RunEnded) else f"{_TO_START_AND_CLEAR}{self._cut(terminal(self.line()))}"
            try:
                self._stream.write(said)
                self._stream.flush()
            except OSError:
                self._on = False  # the terminal is gone: no run fails for want of somebody who looks at it

    def line(self) -> str:
        """The line as it stands."""
        words = [self._phase]
        if self._start_ns is not None:
            gone_s = max(to_s(self._now_ns - self._start_ns), 0.0)
            words.append(f"{min(gone_s, self._plan.duration_s):.0f} of {self._plan.duration_s:.0f} s")
        words += [f"{name} {state}" for name, state in self._services.items()]
        words += self._faults.values()
        return "  ".join(words)

    def _take(self, row: Row) -> str:
        """Update; returns what is worth a line of its own."""
        match row:
            case PhaseBegun():
                self._phase = row.phase
            case TrafficStarted():
                self._start_ns = row.start_ns
            case TrafficSecond():
                self._services[row.operation] = (
                    f"down {row.bad_run_s:.1f} s" if row.bad_run_s else "ok" if not row.bad else f"{row.bad} bad"
                )
            case FaultAsked():
                self._faults[row.id] = f"{row.id} on {', '.join(row.target)}"
            case FaultHealed():
                self._faults[row.id] = f"{row.id} rolled back"
            case FaultGone():
                self._faults.pop(row.id, None)
            case FaultSkipped():
                return f"{row.id} skipped: {row.reason}"
            case FaultFailed():
                self._faults.pop(row.id, None)
                return f"{row.id} {'LEFT OVER' if row.left_over else 'did not take effect'}: {row.reason}"
            case Awaited(came=False):
                return f"{row.id}: condition '{row.condition}' not met within {row.waited_s:g} s"
            case Aborting():
                return f"ending early: {row.condition}"
        return ""

    def _cut(self, text: str) -> str:
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            width = 0
        # A terminal that does not know its width says 0.
        return text[: max(width - 1, 20) if width else USUAL_WIDTH]
