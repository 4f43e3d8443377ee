"""``stale_reads``: a read did not find what had certainly taken effect before it was called; and for how long it had."""

from __future__ import annotations

from typing import ClassVar

from chaos.core.clock import to_s
from chaos.core.units import show_s
from chaos.data.check import Breach, Budget, Check, Finding
from chaos.data.effects import Effects
from chaos.data.members import Counted, Members, number
from chaos.data.operations import COUNTER, REGISTER, DataHistory, KeyHistory, Operation

Old = tuple[int, Breach]
"""For how long the read was out of date, at least, in ns; 0 where that cannot be told."""


class StaleReads(Check):
    """A write that was lost makes all reads after it stale as well."""

    about: ClassVar[str] = "reads of what had been overwritten before"

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Every read against all that was certain at its call."""
        look = {REGISTER: _register, COUNTER: _counter}.get(history.workload, _members)
        found = [old for key in history.keys.values() for old in look(key, budget)]
        examined = sum(len(key.reads) for key in history.keys.values())
        oldest_ns = max((age_ns for age_ns, _ in found), default=0)
        said = f"out of date by up to {show_s(to_s(oldest_ns))}" if oldest_ns else ""
        breaches = sorted((breach for _, breach in found), key=lambda breach: breach.operations[-1].call_ns)
        return Finding(len(found), examined, "reads", breaches, said)


def _register(key: KeyHistory, budget: Budget) -> list[Old]:
    effects, found = Effects(key), []
    for read in budget.each(key.reads):
        value = read.found if isinstance(read.found, str) else None
        if value is not None and value not in effects.write_of:
            continue  # a phantom
        newer = effects.overwritten(value)
        if newer is not None and newer[0] < read.call_ns:
            age_ns = read.call_ns - newer[0]
            evidence = [*effects.evidence(value, key), *effects.evidence(newer[1].value, key), read]
            said = f"a read found {_told(value)} {show_s(to_s(age_ns))} after '{newer[1].value}' had replaced it"
            marked = frozenset({newer[1].n, read.n})
            found.append((age_ns, Breach(key.key, said, _once(evidence), marked, read.return_ns)))
    return found


def _told(value: str | None) -> str:
    return "nothing" if value is None else f"'{value}'"


def _members(key: KeyHistory, budget: Budget) -> list[Old]:
    members, found = Members(key), []
    for read in budget.each(key.reads):
        missing = members.missing(read)
        if missing:
            age_ns = read.call_ns - members.known[missing[0]]
            said = f"a read did not find '{missing[0]}', {show_s(to_s(age_ns))} after it was there"
            write = members.write_of[missing[0]]
            found.append((age_ns, Breach(key.key, said, [write, read], frozenset({write.n, read.n}), read.return_ns)))
    return found


def _counter(key: KeyHistory, budget: Budget) -> list[Old]:
    counted, found = Counted(key), []
    for read in budget.each(key.reads):
        if number(read) < counted.least(read):
            said = f"a counter shows {number(read)}, and {counted.least(read)} had been acknowledged before"
            found.append((0, Breach(key.key, said, [read], frozenset({read.n}), read.return_ns)))
    return found


def _once(operations: list[Operation]) -> list[Operation]:
    return sorted({each.n: each for each in operations}.values(), key=lambda each: each.call_ns)
