"""A check of data: no read of a register may find an empty value, since nobody writes one."""

from __future__ import annotations

from typing import ClassVar

from chaos.plugin import Breach, Budget, Check, DataHistory, Finding


class NoBlanks(Check):
    """Half-written files show up like this."""

    about: ClassVar[str] = "reads that found an empty value"
    workloads: ClassVar[frozenset[str]] = frozenset({"register"})

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Every read of every key."""
        reads = [read for key in history.keys.values() for read in budget.each(key.reads)]
        found = [Breach(read.key, "a read found an empty value", [read], frozenset({read.n})) for read in reads if read.found == ""]
        return Finding(len(found), len(reads), "reads", found)
