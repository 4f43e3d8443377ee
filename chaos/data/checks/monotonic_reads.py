"""``monotonic_reads``: a session found something older than it had found before."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from chaos.data.check import Breach, Budget, Check, Finding
from chaos.data.effects import Effects
from chaos.data.members import contents, number
from chaos.data.operations import COUNTER, LIST, REGISTER, DataHistory, Operation


class MonotonicReads(Check):
    """Session by session and key by key. That a value comes back after another one is going back, too."""

    about: ClassVar[str] = "reads that went back in time within a session"

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Each read of a session against its reads of that key before."""
        effects = {name: Effects(key) for name, key in history.keys.items()} if history.workload == REGISTER else {}
        breaches, examined = [], 0
        for session in history.sessions():
            reads = [each for each in budget.each(session) if each.reads and each.ok and not each.garbled]
            examined += max(0, len(reads) - 1)
            pairs = _registers(reads, effects[reads[0].key]) if effects and reads else _others(history.workload, reads)
            for before, after in pairs:
                said = f"session {after.session} found {_told(before)}, and then {_told(after)}, which is older"
                breaches.append(Breach(after.key, said, [before, after], frozenset({before.n, after.n})))
        return Finding(len(breaches), examined, "reads after a read of the same session", sorted(breaches, key=_when))


def _registers(reads: list[Operation], effects: Effects) -> list[tuple[Operation, Operation]]:
    found: list[tuple[Operation, Operation]] = []
    newest: Operation | None = None
    left: dict[object, Operation] = {}
    """Values that were found and then no more, each with the read that found another one."""
    previous: Operation | None = None
    for read in reads:
        value = read.found if isinstance(read.found, str) else None
        if value is not None and value not in effects.write_of:
            continue  # a phantom
        if previous is not None and previous.found != read.found:
            left.setdefault(previous.found, read)
        if read.found in left:
            found.append((left[read.found], read))
        elif newest is not None and isinstance(newest.found, str) and effects.older(value, newest.found):
            found.append((newest, read))
        if value is not None and (newest is None or effects.older(str(newest.found), value)):
            newest = read
        previous = read
    return found


def _others(workload: str, reads: list[Operation]) -> list[tuple[Operation, Operation]]:
    return [(before, after) for before, after in pairwise(reads) if not _holds(workload, before, after)]


def _holds(workload: str, before: Operation, after: Operation) -> bool:
    """Whether all that was there before is there still; of a list, in the same places."""
    if workload == COUNTER:
        return number(after) >= number(before)
    if workload == LIST:
        return contents(after)[: len(contents(before))] == contents(before)
    return set(contents(after)) >= set(contents(before))


def _told(read: Operation) -> str:
    if isinstance(read.found, tuple):
        return f"{len(read.found)} members"
    return "nothing" if read.found is None else f"'{read.found}'"


def _when(breach: Breach) -> int:
    return breach.operations[-1].return_ns
