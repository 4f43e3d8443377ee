"""What no order of operations explains, and the fewest operations that show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from chaos.data.check import Budget
from chaos.data.operations import NEVER, Content, KeyHistory, Operation


class Conflict(msgspec.Struct, frozen=True):
    """Operations that no order explains; those at ``contradicts`` cannot all be true."""

    operations: Sequence[Operation]
    contradicts: frozenset[int]
    said: str

    @property
    def known_ns(self) -> int:
        """When all of them had returned."""
        return max((each.return_ns for each in self.operations if each.return_ns != NEVER), default=0)


Conflicts = Callable[[KeyHistory, Budget], Iterator[Conflict]]
"""All that a checker finds; none: the history is linearizable."""


def smallest(key: str, conflict: Conflict, conflicts: Conflicts, budget: Budget) -> Conflict:
    """The same with every operation left out that is not needed for a conflict.

    Left out is a read, or a write of a value that no read that is kept has found. Where the whole history had an order, what is left has
    the same one: a conflict that remains is one of the whole.
    """
    kept = list(conflict.operations)
    found = conflict
    for each in sorted(kept, key=lambda operation: (not operation.reads, -operation.call_ns)):
        rest = [other for other in kept if other is not each]
        if not each.reads and any(_finds(other.found, each.value) for other in rest):
            continue
        remains = next(conflicts(KeyHistory(key, rest), budget), None)
        if remains is not None:
            kept, found = rest, remains
    ordered = sorted(kept, key=lambda operation: operation.call_ns)
    return Conflict(ordered, found.contradicts & {each.n for each in kept}, found.said)


def _finds(found: Content, value: str | None) -> bool:
    return value in found if isinstance(found, tuple) else found == value
