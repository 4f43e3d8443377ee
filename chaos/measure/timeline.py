"""From a run's history to intervals: slots, outages, faults, and the lanes of the time axis. Judges nothing, estimates nothing.

All times are seconds since t = 0, the due time of the first slot. The quiet baseline is laid out too, but is not part of what is
observed: outages in it are dropped (a check looks at its bad slots), and one that reaches out of it counts from its end, as
censored at the start. Works on a history that ends anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from chaos.core.clock import NS_PER_S
from chaos.history.events import (
    Aborting,
    ClockMapped,
    DnsChanged,
    Marked,
    NodeChanged,
    NodeUp,
    RoleChanged,
    Row,
    RunEnded,
    RunStarted,
    SystemSeen,
    TrafficEnded,
    TrafficStarted,
)
from chaos.history.observations import late_ns
from chaos.measure import detectors, timeline_evidence
from chaos.measure import faults as timeline_faults
from chaos.measure import lanes as timeline_lanes
from chaos.measure import slots as timeline_slots
from chaos.measure.addresses import as_at_last
from chaos.measure.faults import FaultRecord, Trial
from chaos.measure.slots import Edges, Slots
from chaos.measure.timeline_evidence import Gap, Untold
from chaos.plan.plan import Plan
from chaos.results.observed import Lane, Outage, Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Moment(msgspec.Struct, frozen=True):
    """Something that happened to a node or to the name: ``what`` is a status, a role gained (``+leader``) or lost, or a mark."""

    at_s: float
    node: str
    what: str
    cause: str = ""
    resolution_s: float = 0.0


class SetSeen(msgspec.Struct, frozen=True):
    """From this time on the name answered with these nodes."""

    at_s: float
    nodes: tuple[str, ...]


class ServiceTimeline(msgspec.Struct, frozen=True, eq=False):
    """One service: its slots, and its outages outside the baseline."""

    service: str
    rule: Rule
    begin_s: float
    end_s: float
    slots: Slots
    edges: Edges
    outages: tuple[Outage, ...]
    missing_under_edges: int
    """Missing slots that an edge of an outage touches."""
    gaps: tuple[Gap, ...] = ()
    """Missing slots in a row, as many as open an outage, outside the baseline."""
    untold: dict[str, Untold] = {}
    """Fault id -> why this service cannot tell what it did to clients."""

    @property
    def span_s(self) -> float:
        """How long it was observed, the baseline left out."""
        return self.end_s - self.begin_s

    @property
    def observed(self) -> slice:
        """Its slots outside the baseline."""
        return self.slots.since(self.begin_s)

    @property
    def least_s(self) -> float:
        """The shortest outage that can be seen: as many slots as open one."""
        return self.rule.open * self.rule.slot_s

    def visible_s(self, outage: Outage) -> float:
        """How much of an outage lies within what was observed: its duration, or at least so much of a censored one."""
        return (self.end_s if outage.end_s is None else outage.end_s) - outage.start_s

    @property
    def downtime_s(self) -> float:
        """All that was down, the visible part of censored outages included."""
        return min(math.fsum(self.visible_s(outage) for outage in self.outages), self.span_s)

    def told(self, trials: Sequence[Trial]) -> list[Trial]:
        """The tries that this service can tell of: whether clients noticed, and how long."""
        return [trial for trial in trials if not any(fault.id in self.untold for fault in trial.faults)]

    def by_fault(self) -> dict[str, list[Outage]]:
        """The outages of each fault that has any; those that came by themselves under ``""``."""
        found: dict[str, list[Outage]] = {}
        for outage in self.outages:
            for name in outage.faults or [""]:
                found.setdefault(name, []).append(outage)
        return found

    def recovery_s(self, fault: FaultRecord) -> float | None:
        """From its taking effect to the end of the last outage that is its; 0 if it opened none, None if that cannot be told."""
        if fault.effective_s is None or fault.id in self.untold:
            return None
        mine = [outage for outage in self.outages if fault.id in outage.faults]
        last_s = max((math.inf if outage.end_s is None else outage.end_s for outage in mine), default=fault.effective_s)
        return None if math.isinf(last_s) else max(last_s - fault.effective_s, 0.0)


class Timeline(msgspec.Struct, frozen=True, eq=False):
    """All that a history says, as intervals and moments."""

    start_ns: int
    baseline_s: float
    end_s: float
    services: dict[str, ServiceTimeline]
    faults: tuple[FaultRecord, ...]
    trials: tuple[Trial, ...]
    nodes: tuple[NodeUp, ...]
    statuses: tuple[Moment, ...]
    roles: tuple[Moment, ...]
    marks: tuple[Moment, ...]
    sets: tuple[SetSeen, ...]
    lanes: tuple[Lane, ...]
    run: RunStarted | None
    traffic: TrafficStarted | None
    traffic_ended: TrafficEnded | None
    aborting: tuple[Aborting, ...]
    ended: RunEnded | None
    damage: str = ""
    """What is damaged in the history; empty: nothing that can be told."""
    images: dict[str, str] = {}
    """What the nodes were made of."""
    views: detectors.Views | None = None
    """What the failure detectors of the nodes said; None where nobody asked them."""
    clock_bound_s: float = 0.0
    """How far times of faults, nodes and roles may be off the prober's clock; 0 where they share it, infinite where nothing bounds it."""

    def clock_too_coarse(self, slot_s: float) -> bool:
        """Such times cannot cut an outage of slots this long into phases; its own edges are the prober's."""
        return self.clock_bound_s > slot_s / 2

    def node_at(self, address: int) -> str:
        """The node that clients reach at an IPv4 address given as a number; the dotted address if it is nobody's."""
        text = dotted(address)
        at_last = {node.node: node for node in self.nodes}.values()
        return next((node.node for node in (*at_last, *self.nodes) if text in (node.client_address, node.address)), text)


def dotted(address: int) -> str:
    """An IPv4 address as people write it."""
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def build(plan: Plan, rows: Sequence[Row], observations: NDArray[np.void], damage: str = "") -> Timeline:
    """Lay a history out in time. ``rows`` may be in any order and may end anywhere; ``damage``: what of them could not be read."""
    rows = sorted(rows, key=lambda row: row.at_ns)
    traffic = next((row for row in rows if isinstance(row, TrafficStarted)), None)
    traffic_ended = next((row for row in rows if isinstance(row, TrafficEnded)), None)
    start_ns = traffic.start_ns if traffic else rows[-1].at_ns if rows else 0
    to_s = _seconds_since(start_ns)
    places = tuple(row for row in rows if isinstance(row, NodeUp))
    grids = _grids(plan, start_ns, traffic, traffic_ended, as_at_last(observations, places))
    end_s = max((slots.end_s for slots in grids.values()), default=0.0)
    faults = timeline_faults.read_faults(plan, rows, to_s, end_s)
    trials = timeline_faults.trials(faults)
    services = {name: _service(plan, name, slots, faults, trials) for name, slots in grids.items()}
    moments = _moments(rows, to_s)
    views = detectors.read(rows, to_s)
    sets = tuple(SetSeen(to_s(row.at_ns), tuple(row.nodes)) for row in rows if isinstance(row, DnsChanged))
    return Timeline(
        start_ns=start_ns,
        baseline_s=plan.experiment.baseline_s,
        end_s=end_s,
        services=services,
        faults=faults,
        trials=trials,
        nodes=places,
        statuses=moments[0],
        roles=moments[1],
        marks=moments[2],
        sets=sets,
        lanes=(
            *(_service_lane(each) for each in services.values()),
            *timeline_lanes.lanes(rows, faults, to_s, end_s),
            *detectors.lanes(views, end_s),
        ),
        views=views,
        run=next((row for row in rows if isinstance(row, RunStarted)), None),
        traffic=traffic,
        traffic_ended=traffic_ended,
        aborting=tuple(row for row in rows if isinstance(row, Aborting)),
        ended=next((row for row in reversed(rows) if isinstance(row, RunEnded)), None),
        damage=damage,
        images={name: image for row in rows if isinstance(row, SystemSeen) for name, image in row.images.items()},
        clock_bound_s=_clock_bound_s(rows),
    )


def _clock_bound_s(rows: Sequence[Row]) -> float:
    """The largest that anybody noted."""
    bounds_s = [row.bound_s for row in rows if isinstance(row, ClockMapped)]
    bounds_s += [row.clock_bound_s for row in rows if isinstance(row, RunStarted)]
    return max((math.inf if bound_s is None else bound_s for bound_s in bounds_s), default=0.0)


def _seconds_since(start_ns: int) -> Callable[[int], float]:
    return lambda at_ns: (at_ns - start_ns) / NS_PER_S


def _grids(
    plan: Plan, start_ns: int, traffic: TrafficStarted | None, ended: TrafficEnded | None, observations: NDArray[np.void]
) -> dict[str, Slots]:
    traffic_spec = plan.experiment.traffic
    lasts_s = max(plan.duration_s, traffic.duration_s if traffic else 0.0)
    grids = {}
    for operation, (name, spec) in enumerate(traffic_spec.operations.items()):
        limit = math.ceil(lasts_s * spec.rate_per_s) + 2
        promised = ended.slots.get(name) if ended else None
        grids[name] = timeline_slots.lay_out(
            observations if traffic else observations[:0],
            operation=operation,
            start_ns=start_ns,
            rate_per_s=spec.rate_per_s,
            deadline_s=traffic_spec.client.deadline_s,
            limit=limit,
            promised=None if promised is None else min(promised, limit),
        )
    return grids


def _service(plan: Plan, name: str, slots: Slots, faults: Sequence[FaultRecord], trials: Sequence[Trial]) -> ServiceTimeline:
    outage = plan.experiment.traffic.outage
    end_s = slots.end_s
    begin_s = min(plan.experiment.baseline_s, end_s)
    every = timeline_slots.find_outages(slots, outage.open, outage.close, outage.merge_s)
    observed = np.isnan(every.last_bad_s) | (every.last_bad_s >= begin_s - slots.slot_s * 1e-6)
    edges = every.only(observed & (begin_s < end_s))
    rule = Rule(slot_s=slots.slot_s, open=outage.open, close=outage.close, merge_s=outage.merge_s)
    outages = tuple(_outage(name, edges, number, begin_s, end_s, slots.slot_s, faults) for number in range(len(edges)))
    gaps = timeline_evidence.find_gaps(slots, outage.open, begin_s)
    untold = timeline_evidence.untold(trials, outages, gaps, end_s, slots.slot_s)
    return ServiceTimeline(name, rule, begin_s, end_s, slots, edges, outages, _missing_under(slots, edges), gaps, untold)


def _outage(service: str, edges: Edges, number: int, begin_s: float, end_s: float, slot_s: float, faults: Sequence[FaultRecord]) -> Outage:
    last_good_s, first_bad_s = _seen(edges.last_good_s[number]), float(edges.first_bad_s[number])
    last_bad_s, first_good_s = _seen(edges.last_bad_s[number]), _seen(edges.first_good_s[number])
    in_baseline = first_bad_s < begin_s - slot_s * 1e-6
    at_start = last_good_s is None or in_baseline
    at_end = first_good_s is None
    start_s = begin_s if last_good_s is None or in_baseline else max((last_good_s + first_bad_s) / 2, begin_s)
    stop_s = None if first_good_s is None or last_bad_s is None else (last_bad_s + first_good_s) / 2
    censored = {(False, False): None, (True, False): "start", (False, True): "end", (True, True): "both"}[at_start, at_end]
    certain_from_s = max(first_bad_s, begin_s)
    # Where slots are short, one may be sent later than half of it after its due time: each edge is known so much less.
    late_s = 2 * max(0.0, late_ns(slot_s * NS_PER_S) / NS_PER_S - slot_s / 2)
    low_s = (end_s if last_bad_s is None else last_bad_s) - certain_from_s - late_s
    high_s = None if censored or first_good_s is None or last_good_s is None else first_good_s - last_good_s + late_s
    return Outage(
        id=f"{service}-{number + 1}",
        service=service,
        start_s=start_s,
        end_s=stop_s,
        duration_s=None if censored or stop_s is None else stop_s - start_s,
        low_s=max(low_s, 0.0),
        high_s=high_s,
        censored=censored,
        faults=timeline_faults.blame(faults, last_good_s, first_bad_s, float(edges.first_bad_done_s[number])),
        phases={},
    )


def _seen(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _missing_under(slots: Slots, edges: Edges) -> int:
    """Missing slots between the two slots that make an edge."""
    before = [edges.last_good_s, edges.last_bad_s]
    after = [edges.first_bad_s, edges.first_good_s]
    total = 0
    for one, other in zip(before, after, strict=True):
        seen = ~(np.isnan(one) | np.isnan(other))
        places = np.searchsorted(slots.due_s, np.concatenate((one[seen], other[seen])))
        total += int(np.sum(places[seen.sum() :] - places[: seen.sum()] - 1))
    return total


def _moments(rows: Sequence[Row], to_s: Callable[[int], float]) -> tuple[tuple[Moment, ...], tuple[Moment, ...], tuple[Moment, ...]]:
    statuses, roles, marks = [], [], []
    for row in rows:
        match row:
            case NodeChanged():
                statuses.append(Moment(to_s(row.at_ns), row.node, row.status, row.cause))
            case RoleChanged():
                roles.append(Moment(to_s(row.at_ns), row.node, f"{'+' if row.holds else '-'}{row.role}", resolution_s=row.resolution_s))
            case Marked():
                marks.append(Moment(to_s(row.at_ns), row.node, row.mark))
            case _:
                pass
    return tuple(statuses), tuple(roles), tuple(marks)


def _service_lane(service: ServiceTimeline) -> Lane:
    down = [(outage.start_s, service.end_s if outage.end_s is None else outage.end_s) for outage in service.outages]
    return timeline_lanes.alternating("service", service.service, down, "up", "down", service.end_s)
