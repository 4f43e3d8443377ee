"""What is certain of the order in which writes of unique values took effect on one register, whatever reads were stale.

``known``: a value had taken effect by the moment at which its write was acknowledged, or at which somebody had read it. So a value was
certainly older than another one if it was known before the other's write was called. What nobody wrote has no place in this order.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from chaos.data.operations import NEVER, KeyHistory, Operation

BEFORE_ALL = -1
"""What a register holds before the first write is known from the beginning."""


class Effects:
    """The values of one key. ``write_of`` has each that may have taken effect."""

    def __init__(self, history: KeyHistory) -> None:
        self.write_of: dict[str, Operation] = {write.value: write for write in history.writes if write.value is not None}
        self._known: dict[str | None, int] = {None: BEFORE_ALL}
        for value, write in self.write_of.items():
            self._known[value] = write.return_ns
        for read in history.reads:
            found = read.found
            if isinstance(found, str) and found in self.write_of and read.return_ns < self._known[found]:
                self._known[found] = read.return_ns
        ordered = sorted(self.write_of.values(), key=lambda write: write.call_ns)
        self._calls = [write.call_ns for write in ordered]
        self._earliest: list[tuple[int, int]] = []
        """From each write on, in the order of calls: when the first of them was known, and which that is."""
        best = (NEVER, -1)
        for index in range(len(ordered) - 1, -1, -1):
            best = min(best, (self._known[ordered[index].value], index))
            self._earliest.append(best)
        self._earliest.reverse()
        self._ordered: Sequence[Operation] = ordered

    def known_ns(self, value: str | None) -> int:
        """From when on it had certainly taken effect; ``NEVER`` if that is not known at all."""
        return self._known[value]

    def older(self, value: str | None, other: str | None) -> bool:
        """Whether the first certainly took effect before the second."""
        return other is not None and value != other and self._known[value] < self.write_of[other].call_ns

    def overwritten(self, value: str | None) -> tuple[int, Operation] | None:
        """When it was first known that a newer value had taken effect, and the write of that one; None: it may be the newest."""
        index = bisect.bisect_right(self._calls, self._known[value])
        if index == len(self._ordered):
            return None
        known_ns, which = self._earliest[index]
        return None if known_ns == NEVER else (known_ns, self._ordered[which])

    def newer(self, value: str | None) -> Sequence[Operation]:
        """All writes that were called when this value had certainly taken effect."""
        return self._ordered[bisect.bisect_right(self._calls, self._known[value]) :]

    def evidence(self, value: str | None, history: KeyHistory) -> list[Operation]:
        """The operations by which it is known that a value had taken effect by ``known_ns``: its write, and the first read of it."""
        if value is None:
            return []
        write = self.write_of[value]
        if write.return_ns == self._known[value]:
            return [write]
        return [write, min((read for read in history.reads if read.found == value), key=lambda read: read.return_ns)]
