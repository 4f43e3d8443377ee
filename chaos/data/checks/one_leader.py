"""``one_leader``: two nodes of one part led at once, for longer than it takes to see the end of a role.

Roles are as each node says of itself; a node that is down or frozen leads nobody. Where writes need a quorum, a leader that a fault has
cut off or frozen cannot complete a write any more and learns of it late: it may go on claiming for two election time-outs and the
heartbeats that it misses. Nothing else has such grace.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import ClassVar, Final

import msgspec

from chaos.core.clock import to_s
from chaos.core.units import show_s
from chaos.core.values import LEADER
from chaos.data.check import Breach, Budget, Check, Finding, Undecided
from chaos.data.operations import DataHistory
from chaos.history.events import FaultAsked, FaultEffective, FaultGone, NodeChanged, NodeUp, RoleChanged, Row, RunEnded, TrafficEnded
from chaos.plan.plan import Plan

_RUNS: Final = "up"


class Reign(msgspec.Struct, frozen=True):
    """One node leads from then to then, in ns; the end may have come ``late_s`` before."""

    node: str
    start_ns: int
    end_ns: int
    late_s: float


class OneLeader(Check):
    """From the changes of roles in the history, without any operation."""

    about: ClassVar[str] = "times at which two nodes led at once"
    needs_roles: ClassVar[bool] = True

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Every pair of reigns."""
        found = reigns(history.rows)
        if not found:
            raise Undecided("no node ever said that it leads")
        parts = {row.node: row.part for row in history.rows if isinstance(row, NodeUp)}
        harms = list(_harms(history.rows))
        grace_s = _grace_s(history.plan)
        breaches = []
        for one, other in budget.each(combinations(found, 2)):
            from_ns, to_ns = max(one.start_ns, other.start_ns), min(one.end_ns, other.end_ns)
            if one.node == other.node or parts.get(one.node) != parts.get(other.node) or to_ns <= from_ns:
                continue
            first = one if one.end_ns <= other.end_ns else other
            excused = any(first.node in nodes and begun < to_ns and until > from_ns for nodes, begun, until in harms)
            shared_s = to_s(to_ns - from_ns)
            if shared_s > first.late_s + (grace_s if excused else 0.0):
                breaches.append(Breach("", f"{one.node} and {other.node} both led for {show_s(shared_s)}", known_ns=to_ns))
        return Finding(len(breaches), len(found), "reigns", sorted(breaches, key=lambda breach: breach.known_ns or 0))


def reigns(rows: Sequence[Row]) -> list[Reign]:
    """Who led when, by the beginning; what is not over ends with the run."""
    leads: dict[str, bool] = {}
    runs: dict[str, bool] = {}
    since: dict[str, int] = {}
    found: list[Reign] = []
    moments = sorted((row for row in rows if isinstance(row, RoleChanged | NodeChanged)), key=lambda row: row.at_ns)
    for row in moments:
        late_s = 0.0
        if isinstance(row, RoleChanged):
            if row.role != LEADER:
                continue
            leads[row.node], late_s = row.holds, row.resolution_s
        else:
            runs[row.node] = row.status == _RUNS
            leads[row.node] = leads.get(row.node, False) and row.status != "down"
        in_office = leads.get(row.node, False) and runs.get(row.node, True)
        if in_office and row.node not in since:
            since[row.node] = row.at_ns
        elif not in_office and row.node in since:
            found.append(Reign(row.node, since.pop(row.node), row.at_ns, late_s))
    ends = [row.at_ns for row in rows if isinstance(row, TrafficEnded | RunEnded)] or [row.at_ns for row in moments[-1:]]
    found += [Reign(node, start_ns, max(start_ns, ends[0]), 0.0) for node, start_ns in since.items()]
    return sorted(found, key=lambda reign: reign.start_ns)


def _harms(rows: Sequence[Row]) -> Iterator[tuple[frozenset[str], int, float]]:
    """Whom each fault that took effect was done to, and from when to when."""
    asked = {row.id: row for row in rows if isinstance(row, FaultAsked)}
    gone = {row.id: row.at_ns for row in rows if isinstance(row, FaultGone)}
    for row in rows:
        if isinstance(row, FaultEffective) and row.id in asked:
            words = frozenset(word for target in asked[row.id].target for word in _words(target))
            yield words, asked[row.id].at_ns, gone.get(row.id, math.inf)


def _words(target: str) -> list[str]:
    """The nodes that a target names: ``n1``, ``n1 -> n2``, ``n1,n2``."""
    return target.replace(",", " ").replace("|", " ").split()


def _grace_s(plan: Plan | None) -> float:
    if plan is None or plan.replication != "quorum":
        return 0.0
    known = {each.name: each.value if each.high is None else each.high for each in plan.parameters}
    beats_s = known.get("heartbeat_s", 0.0) * (known.get("misses", 0.0) + 1) + known.get("timeout_s", 0.0)
    return 2 * known.get("election_timeout_s", 0.0) + beats_s
