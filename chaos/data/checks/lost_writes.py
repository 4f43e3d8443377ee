"""``lost_writes``: a write was acknowledged, and when the run was over no client found it, or a newer one.

That a node has it still by itself, and does not show it to clients, is ``diverged_replicas``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from chaos.data.check import Breach, Budget, Check, Finding, Undecided
from chaos.data.effects import Effects
from chaos.data.members import contents, number
from chaos.data.operations import COUNTER, REGISTER, Content, DataHistory, KeyHistory, Operation


class LostWrites(Check):
    """Read at the end of the run, when what is missing is not merely late."""

    about: ClassVar[str] = "acknowledged writes that were lost"

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """By key: what was acknowledged, against what is there in the end."""
        lost, breaches, acknowledged, unread = 0, [], 0, 0
        for key in budget.each(history.keys.values()):
            writes = [write for write in key.writes if write.ok]
            if not writes:
                continue
            if not key.last:
                unread += 1
                continue
            acknowledged += len(writes)
            count, found = self._of_key(history, key, writes)
            lost += count
            breaches += found
        if unread and not lost:
            raise Undecided(f"{unread} key{'s' * (unread > 1)} with acknowledged writes could not be read at the end")
        return Finding(lost, acknowledged, "acknowledged writes", sorted(breaches, key=lambda breach: breach.operations[0].call_ns))

    def _of_key(self, history: DataHistory, key: KeyHistory, writes: list[Operation]) -> tuple[int, list[Breach]]:
        last = key.last[0]
        found = [read.found for read in key.last]
        if history.workload == COUNTER:
            there = max(number(read) for read in key.last)
            missing = sum(int(write.value or "1") for write in writes) - there
            if missing <= 0:
                return 0, []
            said = f"{len(writes)} increments were acknowledged, and the counter is {there}"
            return missing, [Breach(key.key, said, [*writes[-3:], last], frozenset({writes[-1].n, last.n}))]
        if history.workload == REGISTER:
            gone = self._of_register(key, writes, found)
        else:
            everywhere = {member for read in key.last for member in contents(read)}
            gone = [write for write in writes if write.value not in everywhere]
        return len(gone), [
            Breach(key.key, f"{write.value} was acknowledged, and is not there in the end", [write, last], frozenset({write.n, last.n}))
            for write in gone[:1]
        ]

    def _of_register(self, key: KeyHistory, writes: list[Operation], found: Sequence[Content]) -> list[Operation]:
        """The writes that are certainly newer than everything that is there. Of a value that nobody wrote nothing is certain."""
        effects = Effects(key)
        values = [each for each in found if each is None or isinstance(each, str)]
        if any(value is not None and value not in effects.write_of for value in values):
            return []
        return [write for write in writes if all(effects.older(value, write.value) for value in values)]
