"""Our own helper processes (name server, role watch, prober), as the harness sees them, wherever they run.

A helper reads its spec, then prints one JSON object a line: first ``{"ready": true}``, then rows of the history, which a thread hands
on as they come. Its spec comes through a pipe, so that it can be started early and have its interpreter and modules loaded when it is
needed; like its standard input, the pipe ends when the harness does, so it is never left waiting.

The death of one that nobody asked to end breaks the *run*: what it says from then on is unknown. It is never a node's fault.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, NinesError
from chaos.history.events import HARNESS_DIED, Aborting, Row
from chaos.plugin import Sink

_ROWS = msgspec.json.Decoder(Row)
LAST_WORDS = 400
"""So many characters of a helper's own log go into the message about its death."""


class Breakage:
    """Why this run can no longer be trusted; the first reason stands, and is written into the history at once."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._lock = threading.Lock()
        self._why: str | None = None

    @property
    def why(self) -> str | None:
        """None while nothing is broken."""
        return self._why

    def note(self, why: str) -> None:
        """A part of the harness died."""
        with self._lock:
            if self._why is not None:
                return
            self._why = why
        self._sink(Aborting(at_ns=self._clock.now_ns(), condition=f"part of the {HARNESS_DIED}: {why}"))


class Talker(Protocol):
    """A helper's process: a child on this machine, or a container."""

    name: str
    commanded: bool
    """Set before we end it: its death is then no surprise."""
    died_ns: int | None

    def lines(self) -> Iterator[bytes]:
        """Its standard output until it ends."""
        ...

    def tell(self, line: bytes) -> bool:
        """One line to its standard input; false if nobody reads it any more."""
        ...

    def end_input(self) -> None:
        """It sees the end of its standard input."""
        ...

    def how_it_ended(self) -> str:
        """``exit status 1`` or ``SIGKILL``."""
        ...

    def unheard(self) -> str:
        """Why it says nothing, if that is the doing of whoever stands between (the engine); else empty."""
        ...


class Helper:
    """One talking helper process, and the thread that reads its rows."""

    def __init__(
        self,
        child: Talker,
        log: Path,
        sink: Sink,
        breakage: Breakage,
        on_row: Callable[[Row], None] | None = None,
        last_row: type[Row] | None = None,
        spec_fd: int | None = None,
    ) -> None:
        self.child = child
        self._log = log
        self._sink = sink
        self._breakage = breakage
        self._last_row = last_row
        self._spec_fd = spec_fd
        self.finished = False
        """It has written the row that ends its work; after that it may go."""
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._on_row = on_row
        self._thread = threading.Thread(target=self._read, name=f"rows of {child.name}", daemon=True)

    def start(self) -> None:
        """Begin to read; ``on_row`` sees each row before the sink does."""
        self._thread.start()

    def feed(self, spec: bytes) -> None:
        """Tell it what to do: it has waited for its spec at the other end of a pipe, with everything loaded."""
        assert self._spec_fd is not None, f"{self.child.name} is fed once"
        fd, self._spec_fd = self._spec_fd, None
        with os.fdopen(fd, "wb", buffering=0) as pipe:
            try:
                pipe.write(spec)
            except BrokenPipeError:
                return  # it is dead, and ``wait_ready`` says why

    @property
    def asked_to_end(self) -> bool:
        """We asked; its death is no surprise."""
        return self.child.commanded

    def died(self, child: Talker) -> None:
        """The word of whoever saw it die; saying it twice changes nothing."""
        if not child.commanded and not self.finished and self._ready.is_set():
            # What it wrote just before it died may still be in the pipe: its last row makes the death an orderly end.
            if threading.current_thread() is not self._thread:
                self._thread.join(timeout=1.0)
            if not self.finished:
                self._breakage.note(f"{child.name}: {child.how_it_ended()}{self.last_words()}")
        self._ended.set()
        self._ready.set()

    def wait_ready(self, within_s: float) -> None:
        """Until it does its work; ``EnvironmentUnusable`` with its own words if it cannot."""
        if not self._ready.wait(within_s):
            raise EnvironmentUnusable(f"{self.child.name} was not ready within {within_s:g} s{self.last_words()}", how=f"see {self._log}")
        if self._ended.is_set() or self.child.died_ns is not None:
            raise EnvironmentUnusable(
                f"{self.child.name} ended at its start: {self.child.how_it_ended()}{self.last_words()}", how=f"see {self._log}"
            )

    def wait_ended(self, within_s: float) -> None:
        """Until it is dead and all its rows are handed on, at most so long."""
        self._ended.wait(within_s)
        self._thread.join(timeout=1.0)

    def must_finish(self, within_s: float) -> None:
        """Until it has ended by its last row; if it does not, the run is broken."""
        self.wait_ended(within_s)
        if not self.finished:
            self._breakage.note(f"{self.child.name} did not come to its end: {self.child.how_it_ended()}{self.last_words()}")

    def end_input(self) -> None:
        """Ask it to end: its standard input closes."""
        self.child.commanded = True
        if self._spec_fd is not None:
            os.close(self._spec_fd)
            self._spec_fd = None
        self.child.end_input()

    def last_words(self) -> str:
        """The end of what it wrote on its standard error."""
        if not self._log.exists():
            return ""
        text = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return f"; it said: {text[-LAST_WORDS:]}" if text else ""

    def _read(self) -> None:
        self._read_lines()
        if self.child.died_ns is not None:
            self.died(self.child)  # a container's end is seen by the end of its output

    def _read_lines(self) -> None:
        for line in self.child.lines():
            if not line.endswith(b"\n"):
                return  # torn by its death
            if not self._ready.is_set() and line.startswith(b'{"ready"'):
                self._ready.set()
                continue
            try:
                self._take(_ROWS.decode(line))
            except (msgspec.DecodeError, OSError, NinesError) as error:
                self._breakage.note(f"{self.child.name}: a row could not be taken over: {error}")
                return

    def _take(self, row: Row) -> None:
        if self._on_row is not None:
            self._on_row(row)
        self._sink(row)
        if self._last_row is not None and isinstance(row, self._last_row):
            self.finished = True
