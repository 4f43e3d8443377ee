"""``phantom_writes``: a read found what nobody had begun to write by then, or what was surely refused."""

from __future__ import annotations

from typing import ClassVar

from chaos.data.check import Breach, Budget, Check, Finding
from chaos.data.members import contents
from chaos.data.operations import LIST, REGISTER, SET, DataHistory, KeyHistory, Operation
from chaos.history import journal


class PhantomWrites(Check):
    """Of a counter nothing of the kind can be told: see ``duplicate_writes``."""

    about: ClassVar[str] = "reads of what nobody wrote"
    workloads: ClassVar[frozenset[str]] = frozenset({REGISTER, SET, LIST})

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Every read of every key, by the values that were written under it."""
        breaches: list[Breach] = []
        examined = 0
        for key in history.keys.values():
            writes = {write.value: write for write in key.operations if not write.reads}
            for read in budget.each(key.operations):
                if not (read.reads and read.ok):
                    continue
                examined += 1
                breach = self._of_read(key, read, writes)
                if breach is not None:
                    breaches.append(breach)
        return Finding(len(breaches), examined, "reads", sorted(breaches, key=lambda breach: breach.operations[-1].return_ns))

    def _of_read(self, key: KeyHistory, read: Operation, writes: dict[str | None, Operation]) -> Breach | None:
        if read.garbled:
            return Breach(key.key, f"a read was answered with '{read.garbled[:60]}', which is no such value", [read], frozenset({read.n}))
        found = contents(read) if isinstance(read.found, tuple) else () if read.found is None else (str(read.found),)
        for value in found:
            write = writes.get(value)
            if write is None:
                return Breach(key.key, f"a read found '{value}', which nobody wrote", [read], frozenset({read.n}))
            if write.outcome == journal.FAIL:
                said = f"a read found '{value}', whose write was answered as surely not done"
                return Breach(key.key, said, [write, read], frozenset({write.n, read.n}))
            if read.return_ns < write.call_ns:
                return Breach(key.key, f"a read found '{value}' before it was written", [read, write], frozenset({write.n, read.n}))
        return None
