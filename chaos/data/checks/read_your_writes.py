"""``read_your_writes``: a session did not find what it had itself written before, and had been told was written."""

from __future__ import annotations

from typing import ClassVar

from chaos.data.check import Breach, Budget, Check, Finding
from chaos.data.effects import Effects
from chaos.data.members import contents, number
from chaos.data.operations import COUNTER, REGISTER, DataHistory, Operation


class ReadYourWrites(Check):
    """Session by session and key by key, against the session's own acknowledged writes alone."""

    about: ClassVar[str] = "reads that missed what the same session had written"

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Each read of a session that had a write acknowledged before."""
        effects = {name: Effects(key) for name, key in history.keys.items()} if history.workload == REGISTER else {}
        breaches, examined = [], 0
        for session in history.sessions():
            own: list[Operation] = []
            for each in budget.each(session):
                if not each.reads:
                    own += [each] if each.ok else []
                elif each.ok and not each.garbled and own:
                    examined += 1
                    missed = _missed(history.workload, own, each, effects.get(each.key))
                    if missed is not None:
                        said = f"session {each.session} wrote '{missed.value}', and then did not find it"
                        breaches.append(Breach(each.key, said, [missed, each], frozenset({missed.n, each.n})))
        return Finding(len(breaches), examined, "reads after a write of the same session", sorted(breaches, key=_when))


def _missed(workload: str, own: list[Operation], read: Operation, effects: Effects | None) -> Operation | None:
    """The newest own write that the read certainly did not see; None: it may have seen all."""
    if workload == COUNTER:
        return own[-1] if number(read) < sum(int(write.value or "1") for write in own) else None
    if effects is None:
        there = set(contents(read))
        return next((write for write in reversed(own) if write.value not in there), None)
    value = read.found if isinstance(read.found, str) else None
    if value is not None and value not in effects.write_of:
        return None  # a phantom
    return own[-1] if effects.older(value, own[-1].value) else None


def _when(breach: Breach) -> int:
    return breach.operations[-1].return_ns
