"""Writes ``observations.bin`` as slots end, and sums up each second of due slots for the live line."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from chaos.core import storage
from chaos.core.clock import NS_PER_S
from chaos.core.errors import EnvironmentUnusable
from chaos.core.system import PLAIN_BYTES
from chaos.history.events import TrafficSecond
from chaos.history.observations import HEADER_BYTES, RECORD, Outcome, Why
from chaos.traffic.probe import Slot

FLUSH_NS = 50_000_000
"""Records reach the kernel at most so long after they are made."""
KEPT_BYTES = 256 * 1024
"""Space that the file has ahead: the records of some seconds."""
_LOOK_AGAIN_NS = 20_000_000
_ADDRESS = struct.Struct("!I")


class Second:
    """The slots that were due in one second of one operation, by what became of them so far."""

    __slots__ = ("bad", "good", "missing")

    def __init__(self) -> None:
        self.good = 0
        self.bad = 0
        self.missing = 0


class Tally:
    """One operation's seconds, and how long it has been without a good slot."""

    def __init__(self, name: str, start_ns: int, due_between: Callable[[int, int], int]) -> None:
        self.name = name
        self.due_between = due_between
        self.seconds: dict[int, Second] = {}
        self.emitted = 0
        self._last_good_ns = start_ns
        self._last_bad_ns = start_ns - 1

    def add(self, due_ns: int, second: int, outcome: int) -> None:
        """Count one ended slot; ``outcome`` as judged: OK good, FAIL bad, UNSENT missing."""
        found = self.seconds.get(second)
        if found is None:
            found = self.seconds[second] = Second()
        if outcome == Outcome.OK:
            found.good += 1
            self._last_good_ns = max(self._last_good_ns, due_ns)
        elif outcome == Outcome.FAIL:
            found.bad += 1
            self._last_bad_ns = max(self._last_bad_ns, due_ns)
        else:
            found.missing += 1

    def bad_run_s(self, now_ns: int) -> float:
        """Since when no slot was good, if the newest one that ended was bad."""
        if self._last_bad_ns <= self._last_good_ns:
            return 0.0
        return (now_ns - self._last_good_ns) / NS_PER_S


class Recorder:
    """One writer a prober. ``late_ns`` of each operation is half its slot, or the floor: what was sent later is missing, not bad."""

    def __init__(self, path: str, start_ns: int, deadline_ns: int, tallies: list[Tally], late_ns: list[int]) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | PLAIN_BYTES, 0o644)
        self._file = storage.Ahead(self._fd, Path(path), KEPT_BYTES)
        self._write(HEADER_BYTES)
        self._start_ns = start_ns
        self._deadline_ns = deadline_ns
        self._tallies = tallies
        self._late_ns = late_ns
        self._buffer: list[bytes] = []
        self._addresses: dict[str, int] = {"": 0}
        self.flush_at_ns = 0
        """When ``flush`` is next due; 0 while there is nothing to write."""

    def add(self, operation: int, slot: Slot, done_ns: int, outcome: Outcome, why: Why) -> None:
        """One ended slot."""
        if not self._buffer:
            self.flush_at_ns = done_ns + FLUSH_NS
        due_ns, sent_ns = slot.due_ns, slot.sent_ns
        number = self._addresses.get(slot.address)
        if number is None:
            number = self._number(slot.address)
        self._buffer.append(RECORD.pack(due_ns, sent_ns, done_ns, number, operation, outcome, why, min(slot.attempts, 255), 0, slot.status))
        if outcome == Outcome.UNSENT or sent_ns - due_ns > self._late_ns[operation]:
            judged = Outcome.UNSENT
        elif outcome == Outcome.OK and done_ns - due_ns <= self._deadline_ns:
            judged = Outcome.OK
        else:
            judged = Outcome.FAIL
        self._tallies[operation].add(due_ns, (due_ns - self._start_ns) // NS_PER_S, judged)

    def _number(self, address: str) -> int:
        number: int = _ADDRESS.unpack(socket.inet_aton(address))[0]
        self._addresses[address] = number
        return number

    def flush(self) -> None:
        """Hand all records to the kernel. ``EnvironmentUnusable`` for a disk that takes no more: what was flushed before stays whole."""
        data = b"".join(self._buffer)
        self._buffer.clear()
        self.flush_at_ns = 0
        self._write(data)

    def close(self) -> None:
        """The last byte is on the disk when this returns."""
        self.flush()
        self._file.close()

    def _write(self, data: bytes) -> None:
        if data and not self._file.append(data):
            raise EnvironmentUnusable(self._file.trouble, how="free some space, or name a folder on another disk with --folder")

    def rows(self, now_ns: int) -> list[TrafficSecond]:
        """The rows of all seconds that are over and whose slots have all ended."""
        found = []
        for tally in self._tallies:
            while (begin_ns := self._next_ns(tally)) + NS_PER_S <= now_ns:
                row = self._row(tally, begin_ns, now_ns)
                if row is None:
                    break
                found.append(row)
        return found

    def rows_at_ns(self, now_ns: int) -> int:
        """When it is worth asking for rows again: slots may end up to their deadline after their second."""
        return max(min(self._next_ns(tally) for tally in self._tallies) + NS_PER_S, now_ns + _LOOK_AGAIN_NS)

    def last_rows(self, now_ns: int) -> list[TrafficSecond]:
        """The rows that are left when every slot has ended, down to the last second that has one."""
        found = []
        for tally in self._tallies:
            while tally.seconds:
                row = self._row(tally, self._next_ns(tally), now_ns)
                assert row is not None, "rows are asked for the last time when every slot has ended"
                found.append(row)
        return found

    def _next_ns(self, tally: Tally) -> int:
        return self._start_ns + tally.emitted * NS_PER_S

    def _row(self, tally: Tally, begin_ns: int, now_ns: int) -> TrafficSecond | None:
        due = tally.due_between(begin_ns, begin_ns + NS_PER_S)
        second = tally.seconds.get(tally.emitted) or Second()
        if second.good + second.bad + second.missing < due:
            return None
        tally.seconds.pop(tally.emitted, None)
        tally.emitted += 1
        bad_run_s = round(tally.bad_run_s(now_ns), 6)
        return TrafficSecond(
            at_ns=begin_ns + NS_PER_S,
            operation=tally.name,
            due=due,
            good=second.good,
            bad=second.bad,
            missing=second.missing,
            bad_run_s=bad_run_s,
        )
