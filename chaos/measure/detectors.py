"""Failure detectors of the system's own, from the changes of their views: when each suspected whom, and with what reason.

A suspicion has a reason if one of its ends is a victim of a fault in whose time it began: from its asking to when the cluster was seen
settled after it, or the next fault came (``FaultRecord.explains_until_s``). All others are unfounded. A node that dies suspects nobody.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from chaos.history.events import NodeChanged, Row, ViewChanged
from chaos.measure.faults import FaultRecord
from chaos.results.detectors import Detectors, Suspected, Unfounded
from chaos.results.observed import Interval, Lane, Outage

_WORDS: Final = re.compile(r"[\w.-]+")


class Suspicion(msgspec.Struct, frozen=True):
    """From then to then one node suspected another; ``end_s`` None: to the end."""

    detector: str
    node: str
    other: str
    start_s: float
    end_s: float | None
    late_s: float

    @property
    def told(self) -> str:
        """``n2 -> n1``."""
        return f"{self.node} -> {self.other}"


class Views(msgspec.Struct, frozen=True):
    """Everything the detectors said."""

    names: tuple[str, ...]
    pairs: int
    suspicions: tuple[Suspicion, ...]


def read(rows: Sequence[Row], to_s: Callable[[int], float]) -> Views | None:
    """From the rows in order of time; None where no node was asked for its views."""
    names: dict[str, None] = {}
    pairs: set[tuple[str, str]] = set()
    open_: dict[tuple[str, str, str], tuple[float, float]] = {}
    found: list[Suspicion] = []

    def end(key: tuple[str, str, str], at_s: float) -> None:
        start_s, late_s = open_.pop(key)
        found.append(Suspicion(*key, start_s, at_s, late_s))

    for row in rows:
        if isinstance(row, NodeChanged) and row.status == "down":
            for key in [key for key in open_ if key[1] == row.node]:
                end(key, to_s(row.at_ns))
        if not isinstance(row, ViewChanged):
            continue
        names.setdefault(row.detector)
        pairs.add((row.node, row.other))
        key = (row.detector, row.node, row.other)
        if row.suspects:
            open_.setdefault(key, (to_s(row.at_ns), row.resolution_s))
        elif key in open_:
            end(key, to_s(row.at_ns))
    found += [Suspicion(*key, start_s, None, late_s) for key, (start_s, late_s) in open_.items()]
    return Views(tuple(names), len(pairs), tuple(sorted(found, key=lambda each: each.start_s))) if names else None


def beside_clients(
    views: Views | None, faults: Sequence[FaultRecord], outages: Sequence[Outage], downs_s: dict[str, float | None], end_s: float
) -> Detectors | None:
    """Each effective fault and each detector. ``outages``: of all services; ``downs_s``: fault id -> downtime of the primary service."""
    if views is None:
        return None
    effective = [fault for fault in faults if fault.effective_s is not None]
    founded: dict[str, list[Suspicion]] = {fault.id: [] for fault in effective}
    unfounded: list[Unfounded] = []
    for each in views.suspicions:
        if each.end_s is not None and each.end_s < 0:
            continue  # before the first request, while the system started
        reasons = [fault for fault in effective if _explains(fault, each)]
        for fault in reasons:
            founded[fault.id].append(each)
        if not reasons:
            start_s = max(each.start_s, 0.0)
            unfounded.append(Unfounded(each.detector, each.told, start_s, (end_s if each.end_s is None else each.end_s) - start_s))
    told = [
        _suspected(fault, detector, [each for each in founded[fault.id] if each.detector == detector], outages, downs_s)
        for fault in effective
        for detector in views.names
    ]
    return Detectors(list(views.names), views.pairs, told, unfounded)


def lanes(views: Views | None, end_s: float) -> list[Lane]:
    """A lane a detector; what one node suspects of another is one stretch, and they overlap."""
    if views is None:
        return []
    made = []
    for name in views.names:
        mine = [each for each in views.suspicions if each.detector == name]
        stretches = [
            Interval(max(each.start_s, 0.0), end_s if each.end_s is None else min(each.end_s, end_s), f"{each.node} suspects {each.other}")
            for each in mine
        ]
        made.append(Lane("detector", name, [each for each in stretches if each.end_s > each.start_s]))
    return made


def _explains(fault: FaultRecord, suspicion: Suspicion) -> bool:
    began_s = fault.began_s
    ends = {suspicion.node, suspicion.other}
    victims = {word for target in fault.target for word in _WORDS.findall(target)}
    return began_s is not None and began_s <= suspicion.start_s <= fault.explains_until_s and bool(ends & victims)


def _suspected(
    fault: FaultRecord, detector: str, mine: Sequence[Suspicion], outages: Sequence[Outage], downs_s: dict[str, float | None]
) -> Suspected:
    effect_s = fault.effective_s or 0.0
    first_s = min((outage.start_s for outage in outages if fault.id in outage.faults), default=None)
    return Suspected(
        fault=fault.id,
        detector=detector,
        by=list(dict.fromkeys(each.told for each in mine)),
        after_s=max(mine[0].start_s - effect_s, 0.0) if mine else None,
        late_s=mine[0].late_s if mine else 0.0,
        cleared_after_s=_cleared_s(fault, mine),
        clients_after_s=None if first_s is None else max(first_s - effect_s, 0.0),
        clients_s=downs_s.get(fault.id),
    )


def _cleared_s(fault: FaultRecord, mine: Sequence[Suspicion]) -> float | None:
    over_s = fault.healed_s if fault.healed_s is not None else fault.gone_s
    if over_s is None:
        return None
    last_s = max((math.inf if each.end_s is None else each.end_s for each in mine), default=over_s)
    return None if math.isinf(last_s) else max(last_s - over_s, 0.0)
