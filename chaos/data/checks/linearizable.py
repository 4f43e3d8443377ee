"""``linearizable``: each key behaves as one copy of the data on which operations take effect one after the other.

Keys are checked one by one, since a system is linearizable if and only if each of its objects is (M. Herlihy and J. M. Wing,
"Linearizability", ACM TOPLAS 12 (1990), theorem 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from chaos.data.chain import of_lists, of_sets
from chaos.data.check import Breach, Budget, Check, Finding
from chaos.data.conflict import Conflicts, smallest
from chaos.data.counter import of_counters
from chaos.data.operations import COUNTER, LIST, REGISTER, SET, DataHistory, KeyHistory
from chaos.data.register import of_registers

BY_WORKLOAD: Final[Mapping[str, Conflicts]] = {REGISTER: of_registers, SET: of_sets, LIST: of_lists, COUNTER: of_counters}


class Linearizable(Check):
    """Registers, sets and lists in n log n, since values are unique; counters by a search."""

    about: ClassVar[str] = "keys whose history no order of operations explains"

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """By key; of each the violation that could be known first, shown by as few operations as it takes."""
        conflicts = BY_WORKLOAD[history.workload]
        found = [breach for key in history.keys.values() if (breach := _first(key, conflicts, budget)) is not None]
        examined = sum(len(key.reads) + len(key.writes) for key in history.keys.values())
        return Finding(len(found), examined, "operations", sorted(found, key=lambda breach: breach.known_ns or 0))


def _first(key: KeyHistory, conflicts: Conflicts, budget: Budget) -> Breach | None:
    found = min(conflicts(key, budget), key=lambda conflict: conflict.known_ns, default=None)
    if found is None:
        return None
    shown = smallest(key.key, found, conflicts, budget) if conflicts is not of_counters else found
    return Breach(key.key, shown.said, shown.operations, shown.contradicts, found.known_ns)
