"""``linearizable``: each key behaves as one copy of the data on which operations take effect one after the other.

Keys are checked one by one, since a system is linearizable if and only if each of its objects is (Herlihy and Wing 1990, theorem 1).
"""

from __future__ import annotations

from typing import ClassVar

from chaos.data.check import Budget, Case, Check, Finding
from chaos.data.operations import REGISTER, DataHistory, KeyHistory
from chaos.data.register import conflicts


class Linearizable(Check):
    """Registers by zones in n log n."""

    about: ClassVar[str] = "keys whose history no order of operations explains"
    workloads: ClassVar[frozenset[str]] = frozenset({REGISTER})

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """By key; the first violation of each."""
        found = [case for key in history.keys.values() if (case := _register(key, budget)) is not None]
        examined = sum(len(key.reads) + len(key.writes) for key in history.keys.values())
        return Finding(len(found), examined, "operations", sorted(found, key=lambda case: case.known_ns or 0))


def _register(key: KeyHistory, budget: Budget) -> Case | None:
    found = min(conflicts(key, budget), key=lambda conflict: conflict.known_ns, default=None)
    if found is None:
        return None
    return Case(key.key, found.said, found.operations, found.contradicts, found.known_ns)
