"""Two leaders at once: for longer than a look at the roles can be wrong, both would take writes, and one would lose them.

Roles are as each node says of itself. A node that is dead or frozen leads nobody meanwhile. A look sees the end of a role late by up
to its ``resolution_s``: so much of the time in common is not held against anybody.

Where writes need a quorum (``replication: quorum``) a leader that a fault has cut off or frozen cannot complete a write any more, and
learns of it late: it may go on claiming for two election time-outs and the heartbeats that it misses. Nothing else has such grace.
"""

from __future__ import annotations

import math
import re
from itertools import combinations
from typing import Final

import msgspec

from chaos.core.units import show_s
from chaos.core.values import LEADER
from chaos.measure.timeline import Timeline
from chaos.plan.plan import Plan
from chaos.results import check_names
from chaos.results.verdict import Check

NAME: Final = check_names.ONE_LEADER
SHOWN: Final = 4
_WORDS: Final = re.compile(r"[\w.-]+")


class Reign(msgspec.Struct, frozen=True):
    """One node leads from then to then, in s; the end may have come ``late_s`` before."""

    node: str
    start_s: float
    end_s: float
    late_s: float


def grace_s(plan: Plan) -> float:
    """How long a leader that has lost its quorum may not know of it; 0 where writes need none."""
    if plan.replication != "quorum":
        return 0.0
    known = {each.name: each.value if each.high is None else each.high for each in plan.parameters}
    beats_s = known.get("heartbeat_s", 0.0) * (known.get("misses", 0.0) + 1) + known.get("timeout_s", 0.0)
    return 2 * known.get("election_timeout_s", 0.0) + beats_s


def check(plan: Plan, timeline: Timeline) -> Check:
    """Fails where two nodes led at once for longer than a look."""
    reigns = reigns_of(timeline)
    if not reigns:
        return Check(NAME, "pass", "no node says that it leads")
    parts = {node.node: node.part for node in timeline.nodes}
    allowed_s, longest_s = grace_s(plan), 0.0
    shared: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for one, other in combinations(reigns, 2):
        if one.node == other.node or parts.get(one.node) != parts.get(other.node):
            continue
        from_s, to_s = max(one.start_s, other.start_s), min(one.end_s, other.end_s)
        first = one if one.end_s <= other.end_s else other
        longest_s = max(longest_s, to_s - from_s)
        if to_s - from_s > first.late_s + (allowed_s if _is_harmed(timeline, first.node, from_s, to_s) else 0.0):
            pair = (min(one.node, other.node), max(one.node, other.node))
            shared.setdefault(pair, []).append((from_s, to_s))
    if not shared:
        led = len({reign.node for reign in reigns})
        at_once = f"; two at once for at most {show_s(longest_s)}, no longer than one takes to see that it is cut off" if longest_s else ""
        return Check(NAME, "pass", f"{led} {'node' if led == 1 else 'nodes'} led{at_once}")
    told = [
        f"{one} and {other} both said that they led, for {show_s(math.fsum(to_s - from_s for from_s, to_s in spans))} "
        f"from {spans[0][0]:.2f} s on"
        for (one, other), spans in shared.items()
    ]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return Check(NAME, "fail", "; ".join(told[:SHOWN]) + more)


def _is_harmed(timeline: Timeline, node: str, from_s: float, to_s: float) -> bool:
    """A fault on this node can explain what it says then."""
    return any(
        fault.began_s is not None and fault.began_s < to_s and fault.explains_until_s > from_s
        for fault in timeline.faults
        if fault.took_effect and any(node in _WORDS.findall(target) for target in fault.target)
    )


def reigns_of(timeline: Timeline) -> list[Reign]:
    """Who led when, in the order of time; what is not over by the end of the run ends there."""
    moments = [(moment.at_s, moment.node, moment.what, moment.resolution_s) for moment in (*timeline.statuses, *timeline.roles)]
    leads: dict[str, bool] = {}
    runs: dict[str, bool] = {}
    since: dict[str, float] = {}
    found: list[Reign] = []
    for at_s, node, what, late_s in sorted(moments):
        if what in (f"+{LEADER}", f"-{LEADER}"):
            leads[node] = what.startswith("+")
        elif what in ("up", "down", "paused"):
            runs[node] = what == "up"
            # A process that has died leads no more when it comes back; one that was frozen may.
            leads[node] = leads.get(node, False) and what != "down"
        else:
            continue
        in_office = leads.get(node, False) and runs.get(node, True)
        if in_office and node not in since:
            since[node] = at_s
        elif not in_office and node in since:
            found.append(Reign(node, since.pop(node), at_s, late_s))
    found += [Reign(node, start_s, max(timeline.end_s, start_s), 0.0) for node, start_s in since.items()]
    return sorted(found, key=lambda reign: reign.start_s)
