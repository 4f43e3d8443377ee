"""Bad requests by service, reason, status and node: counted from the slots, before the first fault may begin and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.history.observations import Why
from chaos.measure.slots import BAD, OVER_DEADLINE, cause_of
from chaos.results import reasons
from chaos.results.observed import BadRequests, NameEmpty

if TYPE_CHECKING:
    from chaos.measure.timeline import ServiceTimeline, Timeline
    from chaos.plan.plan import Plan

BASELINE: Final = "baseline"
RUN: Final = "run"
"""After the baseline: what availability and outages are made of."""


def bad_requests(timeline: Timeline) -> list[BadRequests]:
    """Of every service; the most frequent first within each of ``baseline`` and ``run``. Their counts are those of the bad slots."""
    found = []
    for service in timeline.services.values():
        begin = service.observed.start
        found += of_service(timeline, service, BASELINE, slice(0, begin)) + of_service(timeline, service, RUN, slice(begin, None))
    return found


def of_service(timeline: Timeline, service: ServiceTimeline, when: str, part: slice) -> list[BadRequests]:
    """The rows of one service in a part of its slots."""
    slots = service.slots
    bad = slots.state[part] == BAD
    if not np.any(bad):
        return []
    causes, addresses, kinds = slots.cause[part][bad], slots.address[part][bad], slots.kind[part][bad]
    counts: dict[tuple[str, int | None], dict[str, int]] = {}
    keys, numbers = np.unique(np.stack([causes, addresses, kinds.astype(np.uint32)]), axis=1, return_counts=True)
    for (cause, address, kind), number in zip(keys.T.tolist(), numbers.tolist(), strict=True):
        nodes = counts.setdefault(_reason(*cause_of(cause), kind), {})
        node = timeline.node_at(address) if address else ""
        nodes[node] = nodes.get(node, 0) + number
    rows = [
        BadRequests(service.service, when, reason, status, sum(nodes.values()), {node: nodes[node] for node in sorted(nodes) if node})
        for (reason, status), nodes in counts.items()
    ]
    return sorted(rows, key=lambda row: (-row.count, row.reason, row.status or 0))


def _reason(why: int, status: int, kind: int) -> tuple[str, int | None]:
    """The word and the status; a good answer that came too late is late, whatever it said."""
    if kind == OVER_DEADLINE:
        return reasons.LATE, None
    known = why in Why.__members__.values()
    return reasons.OF[Why(why)] if known else reasons.OTHER, status or None


def name_empty(plan: Plan, timeline: Timeline) -> list[NameEmpty]:
    """The stretches, after the first slot, in which no node passed its health check, so that the name answered with nobody.

    Not those that a fault of the name service made, nor those of a name that holds only who has a role: nobody has it in an election.
    """
    if plan.experiment.cluster.dns.check.what.startswith("role:"):
        return []
    of_the_name = [fault for fault in timeline.faults if fault.traits.of_name and fault.effective_s is not None]
    harmed = [(fault.effective_s or 0.0, fault.explains_until_s) for fault in of_the_name]
    found = []
    for place, seen in enumerate(timeline.sets):
        until_s = timeline.sets[place + 1].at_s if place + 1 < len(timeline.sets) else timeline.end_s
        start_s = max(seen.at_s, 0.0)
        by_fault = any(from_s < until_s and to_s > start_s for from_s, to_s in harmed)
        if not seen.nodes and until_s > start_s and place and not by_fault:
            names = dict.fromkeys(node.node for node in timeline.nodes)
            found.append(NameEmpty(start_s, until_s, [node for node in names if _ran(timeline, node, start_s, until_s)]))
    return found


def _ran(timeline: Timeline, node: str, start_s: float, until_s: float) -> bool:
    """Neither dead nor frozen at any time of it."""
    before = [moment.what for moment in timeline.statuses if moment.node == node and moment.at_s <= start_s]
    within = [moment.what for moment in timeline.statuses if moment.node == node and start_s < moment.at_s < until_s]
    return (before[-1:] or ["up"]) == ["up"] and all(what == "up" for what in within)
