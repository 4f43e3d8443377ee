"""Who led when, and which two nodes led at once for longer than can be excused: from what a history says, for whoever judges it.

Roles are as each node says of itself. A node that is dead or frozen leads nobody meanwhile. A look sees the end of a role late by up
to its ``resolution_s``: so much of the time in common is not held against anybody. Where writes need a quorum (``replication: quorum``) a
leader that a fault has cut off or frozen cannot complete a write any more, and learns of it late: it may go on claiming for two election
time-outs and the heartbeats that it misses. Nothing else has such grace. All times are in s, counted from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import msgspec

from chaos.core.values import LEADER
from chaos.plan.plan import Plan

GAINS, LOSES = f"+{LEADER}", f"-{LEADER}"


class Turn(msgspec.Struct, frozen=True):
    """Something that happened to a node: ``what`` is ``up``, ``down``, ``paused``, ``+leader`` or ``-leader``; all else is passed over."""

    at_s: float
    node: str
    what: str
    late_s: float = 0.0
    """How much earlier it may have happened."""


class Reign(msgspec.Struct, frozen=True):
    """One node leads from then to then; the end may have come ``late_s`` before."""

    node: str
    start_s: float
    end_s: float
    late_s: float


class Both(msgspec.Struct, frozen=True):
    """Two nodes of one part said that they led, from then to then."""

    one: str
    other: str
    from_s: float
    to_s: float
    inexcusable: bool

    @property
    def lasted_s(self) -> float:
        """The time in common."""
        return self.to_s - self.from_s


def reigns_of(turns: Iterable[Turn], end_s: float) -> list[Reign]:
    """In the order of time; what is not over by ``end_s`` ends there."""
    leads: dict[str, bool] = {}
    runs: dict[str, bool] = {}
    since: dict[str, float] = {}
    found: list[Reign] = []
    for turn in sorted(turns, key=lambda each: (each.at_s, each.node, each.what)):
        node = turn.node
        if turn.what in (GAINS, LOSES):
            leads[node] = turn.what == GAINS
        elif turn.what in ("up", "down", "paused"):
            runs[node] = turn.what == "up"
            # A process that has died leads no more when it comes back; one that was frozen may.
            leads[node] = leads.get(node, False) and turn.what != "down"
        else:
            continue
        in_office = leads.get(node, False) and runs.get(node, True)
        if in_office and node not in since:
            since[node] = turn.at_s
        elif not in_office and node in since:
            found.append(Reign(node, since.pop(node), turn.at_s, turn.late_s))
    found += [Reign(node, start_s, max(end_s, start_s), 0.0) for node, start_s in since.items()]
    return sorted(found, key=lambda reign: reign.start_s)


def at_once(
    reigns: Sequence[Reign], parts: Mapping[str, str], grace_s: float, harmed: Callable[[str, float, float], bool]
) -> Iterator[Both | None]:
    """Every pair of reigns of one part that have time in common; None for every other pair, so that who counts steps can.

    ``harmed``: whether a fault on this node can explain what it says between then and then.
    """
    for one, other in combinations(reigns, 2):
        from_s, to_s = max(one.start_s, other.start_s), min(one.end_s, other.end_s)
        if one.node == other.node or parts.get(one.node) != parts.get(other.node) or to_s <= from_s:
            yield None
            continue
        first = one if one.end_s <= other.end_s else other
        excuse_s = first.late_s + (grace_s if harmed(first.node, from_s, to_s) else 0.0)
        yield Both(one.node, other.node, from_s, to_s, inexcusable=to_s - from_s > excuse_s)


def grace_s(plan: Plan | None) -> float:
    """How long a leader that has lost its quorum may not know of it; 0 where writes need none."""
    if plan is None or plan.replication != "quorum":
        return 0.0
    known = {each.name: each.value if each.high is None else each.high for each in plan.parameters}
    beats_s = known.get("heartbeat_s", 0.0) * (known.get("misses", 0.0) + 1) + known.get("timeout_s", 0.0)
    return 2 * known.get("election_timeout_s", 0.0) + beats_s
