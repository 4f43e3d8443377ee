"""``one_leader``: two nodes of one part led at once, for longer than can be excused (``history.reigns``)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from chaos.core.clock import to_ns, to_s
from chaos.core.units import show_s
from chaos.core.values import LEADER
from chaos.data.check import Breach, Budget, Check, Finding, Undecided
from chaos.data.operations import DataHistory
from chaos.history.events import FaultAsked, FaultEffective, FaultGone, NodeChanged, NodeUp, RoleChanged, Row, RunEnded, TrafficEnded
from chaos.history.reigns import GAINS, LOSES, Turn, at_once, grace_s, reigns_of

_LINKS: Final = str.maketrans(",|", "  ")


class OneLeader(Check):
    """From the changes of roles in the history, without any operation."""

    about: ClassVar[str] = "times at which two nodes led at once"
    needs_roles: ClassVar[bool] = True

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Every pair of reigns. Times are counted from the first row: as s since the machine's start they would lose digits."""
        start_ns = min((row.at_ns for row in history.rows), default=0)
        turns = list(_turns(history.rows, start_ns))
        ends = [row.at_ns for row in history.rows if isinstance(row, TrafficEnded | RunEnded)]
        found = reigns_of(turns, to_s(ends[0] - start_ns) if ends else max((turn.at_s for turn in turns), default=0.0))
        if not found:
            raise Undecided("no node ever said that it leads")
        parts = {row.node: row.part for row in history.rows if isinstance(row, NodeUp)}
        harms = list(_harms(history.rows, start_ns))

        def harmed(node: str, from_s: float, until_s: float) -> bool:
            return any(node in nodes and begun_s < until_s and over_s > from_s for nodes, begun_s, over_s in harms)

        breaches = [
            Breach("", f"{both.one} and {both.other} both led for {show_s(both.lasted_s)}", known_ns=start_ns + to_ns(both.to_s))
            for both in budget.each(at_once(found, parts, grace_s(history.plan), harmed))
            if both is not None and both.inexcusable
        ]
        return Finding(len(breaches), len(found), "reigns", sorted(breaches, key=lambda breach: breach.known_ns or 0))


def _turns(rows: Sequence[Row], start_ns: int) -> Iterator[Turn]:
    for row in rows:
        if isinstance(row, RoleChanged) and row.role == LEADER:
            yield Turn(to_s(row.at_ns - start_ns), row.node, GAINS if row.holds else LOSES, row.resolution_s)
        elif isinstance(row, NodeChanged):
            yield Turn(to_s(row.at_ns - start_ns), row.node, row.status)


def _harms(rows: Sequence[Row], start_ns: int) -> Iterator[tuple[frozenset[str], float, float]]:
    """Whom each fault that took effect was done to (``n1``, ``n1 -> n2``, ``n1,n2``), and from when to when."""
    asked = {row.id: row for row in rows if isinstance(row, FaultAsked)}
    gone = {row.id: to_s(row.at_ns - start_ns) for row in rows if isinstance(row, FaultGone)}
    for row in rows:
        if isinstance(row, FaultEffective) and row.id in asked:
            words = frozenset(word for target in asked[row.id].target for word in target.translate(_LINKS).split())
            yield words, to_s(asked[row.id].at_ns - start_ns), gone.get(row.id, math.inf)
