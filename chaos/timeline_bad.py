"""Bad requests by service, reason, status and node: counted from the slots, before the first fault may begin and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from chaos import reasons
from chaos.observations import Why
from chaos.results import BadRequests
from chaos.timeline_slots import BAD, OVER_DEADLINE, cause_of

if TYPE_CHECKING:
    from chaos.timeline import ServiceTimeline, Timeline

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
