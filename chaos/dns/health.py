"""Who is in the set: the rule of a health check, as a pure state machine.

    out --rise successes in a row--> in        in --fall failures in a row--> out        the very first result decides at once

Results are numbered by the time they were due. A check that hangs until its time-out may end after a later one that was
answered; what it says is then older than what is known, and it is passed over. So a slow failure never undoes a recovery.

With checks every h seconds, a time-out of t and a node that dies at a random moment without a word, it leaves the set after
(fall - 1) h + t + U(0, h); one that refuses at once leaves after (fall - 1) h + U(0, h).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Change(msgspec.Struct, frozen=True):
    """A replica entered the set or left it."""

    node: str
    healthy: bool
    why: str


class _Replica:
    __slots__ = ("healthy", "known", "last", "streak")

    def __init__(self) -> None:
        self.healthy = False
        self.known = False
        self.streak = 0
        """Results in a row that speak against the present state."""
        self.last = -1


class Health:
    """The states of all replicas of one name."""

    def __init__(self, nodes: Iterable[str], *, fall: int, rise: int) -> None:
        self._fall = fall
        self._rise = rise
        self._replicas = {node: _Replica() for node in nodes}

    @property
    def healthy(self) -> frozenset[str]:
        """The set now."""
        return frozenset(node for node, replica in self._replicas.items() if replica.healthy)

    def answered(self, *, fail_open: bool) -> frozenset[str]:
        """Whom the name stands for now: the set, or all of them where it is empty, each has been checked, and the name fails open."""
        if fail_open and self.all_known and not self.healthy:
            return frozenset(self._replicas)
        return self.healthy

    @property
    def all_known(self) -> bool:
        """Has every replica been checked at least once?"""
        return all(replica.known for replica in self._replicas.values())

    def result(self, node: str, number: int, *, ok: bool, why: str = "") -> Change | None:
        """Take the result of check ``number`` of a node (``why``: what was wrong); says so if the set changes by it."""
        replica = self._replicas[node]
        if number <= replica.last:
            return None
        replica.last = number
        if not replica.known:
            replica.known = True
            replica.healthy = ok
            return Change(node, True, "first check answered") if ok else None
        if ok == replica.healthy:
            replica.streak = 0
            return None
        replica.streak += 1
        if replica.streak < (self._rise if ok else self._fall):
            return None
        count, replica.streak, replica.healthy = replica.streak, 0, ok
        times = "check" if count == 1 else "checks in a row"
        return Change(node, ok, f"{count} {times} answered" if ok else f"{count} {times} failed: {why}")
