"""The write-ahead undo log: what must be taken back is on disk *before* the harm is done.

    {"id": 3, "state": "intent", "action": "resume", "subject": "n1", "at_ns": ...}      synced, then the harm
    {"id": 3, "state": "done", "at_ns": ...}                                             once it is taken back

Subjects are labels (node names, link names), never pids or addresses: they are resolved again at undo time. An intent without
its ``done`` is pending: ``nines leftovers`` lists it, ``nines heal`` sees to it. A torn last line is an intent that was never
promised (its harm had not begun), or a ``done`` that is asked for once more; both are safe.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import msgspec

from chaos.core import storage
from chaos.core.clock import Clock, MonotonicClock
from chaos.core.errors import FaultNotEffective
from chaos.core.system import PLAIN_BYTES, sync

KEPT_BYTES = 32 * 1024
"""Space that the log has ahead: some hundred entries."""
_INTENT = "intent"
_DONE = "done"


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the log."""

    id: int
    state: str
    at_ns: int
    action: str = ""
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"


class UndoLog:
    """Appends intents, from any thread; opening an existing log goes on where it ended."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock: Clock = clock or MonotonicClock()
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._next = 1 + max((entry.id for entry in entries(path)), default=0)
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | PLAIN_BYTES, 0o644)
        _end_torn_line(fd)
        self._file = storage.Ahead(fd, path, KEPT_BYTES)
        self._done_unwritten: set[int] = set()

    @contextmanager
    def intent(self, action: str, subject: str) -> Iterator[None]:
        """Write durably what will have to be undone; done on a clean exit, pending after an exception.

        ``FaultNotEffective`` is no such exception: a fault raises it only after it has taken everything back.
        """
        with self._lock:
            number = self._next
            self._next += 1
        if not self._append(Entry(id=number, state=_INTENT, at_ns=self._clock.now_ns(), action=action, subject=subject)):
            raise FaultNotEffective(f"nothing was harmed, since what must be undone could not be noted: {self.trouble}")
        try:
            yield
        except FaultNotEffective:
            self.done(number)
            raise
        self.done(number)

    def done(self, number: int) -> None:
        """This intent has been taken back. On a disk that takes no more it stays pending there, where undoing it again does no harm."""
        if not self._append(Entry(id=number, state=_DONE, at_ns=self._clock.now_ns())):
            self._done_unwritten.add(number)

    @property
    def trouble(self) -> str:
        """What is wrong with the disk, in one line; empty while nothing is."""
        return self._file.trouble

    def pending(self) -> list[Entry]:
        """Every intent of this log that was not done."""
        return [entry for entry in pending(self._path) if entry.id not in self._done_unwritten]

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()

    def _append(self, entry: Entry) -> bool:
        data = msgspec.json.encode(entry) + b"\n"
        with self._lock:
            if not self._file.append(data):
                return False
            sync(self._file.fd)
            return True


def entries(path: Path) -> list[Entry]:
    """All whole entries of the log, in the order written; empty if there is none."""
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(msgspec.json.decode(line, type=Entry))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # torn by a crash
    return found


def pending(path: Path) -> list[Entry]:
    """Every intent that was not marked done."""
    open_entries: dict[int, Entry] = {}
    for entry in entries(path):
        if entry.state == _INTENT:
            open_entries[entry.id] = entry
        else:
            open_entries.pop(entry.id, None)
    return list(open_entries.values())


def settle(path: Path) -> list[Entry]:
    """Mark all pending intents done (what they harmed is gone); returns them."""
    left = pending(path)
    if left:
        log = UndoLog(path)
        try:
            for entry in left:
                log.done(entry.id)
        finally:
            log.close()
    return left


@contextmanager
def shielded() -> Iterator[None]:
    """Undo is not interrupted: SIGINT and SIGTERM that arrive meanwhile are handled once, after it.

    Python runs handlers in the main thread only; in any other thread there is nothing to hold off.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    held = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: set by C code, unknown to Python
        if arrived:
            signal.raise_signal(arrived[0])


def _end_torn_line(fd: int) -> None:
    size = os.fstat(fd).st_size
    if not size:
        return
    os.lseek(fd, size - 1, os.SEEK_SET)
    if os.read(fd, 1) != b"\n":
        os.write(fd, b"\n")
