"""``duplicate_writes``: one write took effect more than once: a member stands twice in a set or list, a counter shows too much."""

from __future__ import annotations

from typing import ClassVar

from chaos.data.check import Breach, Budget, Check, Finding
from chaos.data.members import Counted, contents, number
from chaos.data.operations import COUNTER, LIST, SET, DataHistory, KeyHistory


class DuplicateWrites(Check):
    """Of a register nothing of the kind can be told for certain: that an old value comes back is what ``linearizable`` finds."""

    about: ClassVar[str] = "writes that took effect more than once"
    workloads: ClassVar[frozenset[str]] = frozenset({COUNTER, SET, LIST})

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """By key: the members that some read found twice, or by how much a counter was ahead at most."""
        count, examined, breaches = 0, 0, []
        for key in budget.each(history.keys.values()):
            examined += len(key.reads)
            found, breach = _counter(key, budget) if history.workload == COUNTER else _members(key, budget)
            count += found
            breaches += [breach] if breach is not None else []
        return Finding(count, examined, "reads", sorted(breaches, key=lambda breach: breach.operations[-1].return_ns))


def _members(key: KeyHistory, budget: Budget) -> tuple[int, Breach | None]:
    twice: set[str] = set()
    first: Breach | None = None
    for read in budget.each(key.reads):
        found = contents(read)
        if len(found) == len(set(found)):
            continue
        again = {member for member in found if found.count(member) > 1}
        twice |= again
        if first is None:
            member = next(each for each in found if each in again)
            writes = [write for write in key.writes if write.value == member]
            first = Breach(key.key, f"'{member}' was written once and is there twice", [*writes, read], frozenset({read.n}))
    return len(twice), first


def _counter(key: KeyHistory, budget: Budget) -> tuple[int, Breach | None]:
    counted, most, first = Counted(key), 0, None
    for read in budget.each(key.reads):
        ahead = number(read) - counted.most(read)
        if ahead > 0 and first is None:
            said = f"the counter shows {number(read)}, and no more than {counted.most(read)} had been asked for"
            first = Breach(key.key, said, [read], frozenset({read.n}))
        most = max(most, ahead)
    return most, first
