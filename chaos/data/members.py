"""What is certain of the members of one set or list, and of the number of one counter, whatever reads were stale."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from itertools import accumulate

from chaos.data.operations import NEVER, KeyHistory, Operation


def contents(read: Operation) -> tuple[str, ...]:
    """The members that a read found."""
    return read.found if isinstance(read.found, tuple) else ()


class Members:
    """The members of one key. A member was certainly there by the moment at which it was acknowledged, or at which somebody had read it."""

    def __init__(self, history: KeyHistory) -> None:
        self.write_of: dict[str, Operation] = {write.value: write for write in history.writes if write.value is not None}
        self.known: dict[str, int] = {member: write.return_ns for member, write in self.write_of.items()}
        for read in history.reads:
            for member in contents(read):
                if read.return_ns < self.known.get(member, -1):
                    self.known[member] = read.return_ns
        self._order = sorted((known_ns, member) for member, known_ns in self.known.items() if known_ns != NEVER)

    def missing(self, read: Operation) -> list[str]:
        """The members that were certainly there when the read was called, and that it did not find; the oldest first."""
        there = set(contents(read))
        return [member for _, member in self._order[: bisect.bisect_left(self._order, (read.call_ns, ""))] if member not in there]


class Counted:
    """What one counter can have shown: ``least`` of all that was acknowledged before, ``most`` of all that was called by then."""

    def __init__(self, history: KeyHistory) -> None:
        adds = [(write, _amount(write)) for write in history.writes]
        self._returns, self._least = _sums((write.return_ns, amount) for write, amount in adds if write.return_ns != NEVER)
        self._calls, self._most = _sums((write.call_ns, amount) for write, amount in adds)

    def least(self, read: Operation) -> int:
        """Certainly there when the read was called."""
        return self._least[bisect.bisect_left(self._returns, read.call_ns)]

    def most(self, read: Operation) -> int:
        """Possibly there when the read returned."""
        return self._most[bisect.bisect_right(self._calls, read.return_ns)]


def number(read: Operation) -> int:
    """What a read of a counter found."""
    return read.found if isinstance(read.found, int) else 0


def _amount(write: Operation) -> int:
    return int(write.value or "1")


def _sums(moments: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    ordered = sorted(moments)
    return [at_ns for at_ns, _ in ordered], [0, *accumulate(amount for _, amount in ordered)]
