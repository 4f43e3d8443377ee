"""Two leaders at once: for longer than a look at the roles can be wrong, both would take writes, and one would lose them.

What is excused stands in ``history.reigns``, which the check of data ``one_leader`` goes by as well.
"""

from __future__ import annotations

import math
import re
from typing import Final

from chaos.core.units import show_s
from chaos.history.reigns import Turn, at_once, grace_s, reigns_of
from chaos.measure.timeline import Timeline
from chaos.plan.plan import Plan
from chaos.results import check_names
from chaos.results.verdict import Check

NAME: Final = check_names.ONE_LEADER
SHOWN: Final = 4
_WORDS: Final = re.compile(r"[\w.-]+")


def check(plan: Plan, timeline: Timeline) -> Check:
    """Fails where two nodes led at once for longer than a look."""
    moments = (*timeline.statuses, *timeline.roles)
    reigns = reigns_of((Turn(each.at_s, each.node, each.what, each.resolution_s) for each in moments), timeline.end_s)
    if not reigns:
        return Check(NAME, "pass", "no node says that it leads")
    parts = {node.node: node.part for node in timeline.nodes}
    longest_s = 0.0
    shared: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def harmed(node: str, from_s: float, to_s: float) -> bool:
        return _is_harmed(timeline, node, from_s, to_s)

    for both in at_once(reigns, parts, grace_s(plan), harmed):
        if both is None:
            continue
        longest_s = max(longest_s, both.lasted_s)
        if both.inexcusable:
            shared.setdefault((min(both.one, both.other), max(both.one, both.other)), []).append((both.from_s, both.to_s))
    if not shared:
        led = len({reign.node for reign in reigns})
        at_most = f"; two at once for at most {show_s(longest_s)}, no longer than one takes to see that it is cut off" if longest_s else ""
        return Check(NAME, "pass", f"{led} {'node' if led == 1 else 'nodes'} led{at_most}")
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
        and fault.took_effect and any(node in _WORDS.findall(target) for target in fault.target)
        for fault in timeline.faults
    )  # fmt: skip
