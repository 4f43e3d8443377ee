"""From a fleet's file to the numbered nodes, sides and groups that one life goes through. Times in s, rates in 1/s."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.experiment.fleet import FLEET, ZONE, constant
from chaos.predict.fleet.state import CAUSES, EVENTS, Model, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chaos.experiment.fleet import Fleet, Law, Service

SHARES: Final = (0.0, 0.01, 0.1, 0.5)
"""Of all groups: for how long are more than so many down at once?"""
_KINDS: Final = ("constant", "uniform", "exponential", "lognormal")
_NEVER: Final = constant(math.inf)


def model_of(fleet: Fleet) -> Model:
    """All that does not change in a life."""
    services = list(fleet.services.values())
    regions = list(fleet.regions)
    zones = [len(fleet.regions[name]) for name in regions]
    region_first = _sums(zones)
    sides = [each.groups * each.sides for each in services]
    first_node = _sums([count * each.nodes for count, each in zip(sides, services, strict=True)])
    first_side, first_group = _sums(sides), _sums([each.groups for each in services])
    node_zone = np.concatenate([_zones(each, regions, zones, region_first) for each in services])
    zone_area, queue_first = _areas(fleet, zones, node_zone)
    ordered = np.argsort(node_zone, kind="stable")
    side_of = np.arange(first_side[-1])
    service_of_side = np.repeat(np.arange(len(services)), sides)
    counts = np.array([each.sides for each in services])[service_of_side]
    groups = first_group[:-1][service_of_side] + (side_of - first_side[:-1][service_of_side]) // counts
    return Model(
        hazard=np.cumsum(_hazards(fleet, sides)),
        laws=np.array([number for law in _laws(fleet) for number in _law(law)]),
        size=_ints(each.nodes for each in services),
        quorum=_ints(each.needed for each in services),
        led=_ints(each.takeover is not None for each in services),
        sides=_ints(each.sides for each in services),
        hidden_s=np.array([each.retries_s for each in services]),
        turn_s=np.array([_turn_s(each) for each in services]),
        handover=_ints(each.maintenance is not None and each.maintenance.handover for each in services),
        first_node=first_node,
        first_side=first_side,
        first_group=first_group,
        node_side=np.repeat(side_of, np.array([each.nodes for each in services])[service_of_side]),
        node_zone=node_zone,
        side_service=service_of_side,
        side_group=groups,
        group_service=np.repeat(np.arange(len(services)), [each.groups for each in services]),
        zone_area=zone_area,
        zone_first=np.searchsorted(node_zone[ordered], np.arange(sum(zones) + 1)),
        zone_nodes=ordered,
        region_first=region_first,
        queue_first=queue_first,
        levels=np.array([max(1.0, math.floor(share * first_group[-1]) + 1.0) for share in SHARES]),
        window_s=0.0 if fleet.slo is None else fleet.slo.window_s,
        budget_s=0.0 if fleet.slo is None else (1.0 - fleet.slo.availability) * fleet.slo.window_s,
    )


def start_of(fleet: Fleet, m: Model) -> State:
    """Everything up, the first node of each side leading, nothing counted."""
    nodes, sides, groups, zones = len(m.node_side), len(m.side_group), len(m.group_service), len(m.zone_area)
    services, regions, areas = len(m.size), len(m.region_first) - 1, len(m.queue_first) - 1
    room = 2 * (nodes + sides + 2 * groups + zones + regions)
    """Twice what can be awaited, so that dropping what was overtaken always makes room."""
    side_size = np.asarray(m.size)[m.side_service]
    first = np.concatenate(([0], np.cumsum(side_size)[:-1]))
    ints, floats = _none, np.zeros
    return State(
        node_state=ints(nodes), node_version=ints(nodes), node_queued=ints(nodes),
        side_up=side_size.astype(np.int64), side_leader=np.where(np.asarray(m.led)[m.side_service] > 0, first, -1),
        side_electing=ints(sides), side_version=ints(sides), side_works=np.ones(sides, np.int64),
        group_active=ints(groups), group_mode=ints(groups), group_version=ints(groups), back_version=ints(groups),
        group_since=np.full(groups, -1.0), group_cause=ints(groups), window_down=floats(groups),
        zone_dark=ints(zones), zone_struck=ints(zones), region_struck=ints(regions),
        crews=np.full(areas, -1 if fleet.crews is None else fleet.crews.number, np.int64),
        queue=ints(nodes), queue_at=ints(areas), queue_length=ints(areas),
        heap_at=floats(room), heap_key=ints(room), turn_at=np.asarray(m.turn_s).copy(), turn=ints(services), ints=ints(4), floats=floats(2),
        outages=ints(services * len(CAUSES)), lost_s=floats(services * len(CAUSES)), longest_s=floats(services),
        windows=ints(services), windows_met=ints(services), level_s=floats(len(SHARES)), events=ints(len(EVENTS)),
    )  # fmt: skip


def _hazards(fleet: Fleet, sides: list[int]) -> list[float]:
    services = list(fleet.services.values())
    alone = [(1 - each.common_cause) * each.crash_per_s * count * each.nodes for each, count in zip(services, sides, strict=True)]
    shared = [each.common_cause * each.crash_per_s * count for each, count in zip(services, sides, strict=True)]
    zone, region = fleet.outages.zone, fleet.outages.region
    zones = sum(len(each) for each in fleet.regions.values())
    return [*alone, *shared, zone.rate_per_s * zones if zone else 0.0, region.rate_per_s * len(fleet.regions) if region else 0.0]


def _laws(fleet: Fleet) -> list[Law]:
    """In the order of ``state.LAWS`` for each service, then of zones and regions."""
    found = []
    for each in fleet.services.values():
        over, planned = each.failover, each.maintenance
        found += [each.repair, each.restart, each.resync, each.takeover or _NEVER]
        found += [over.after, over.takes, over.back] if over else [_NEVER] * 3
        found.append(planned.takes if planned else _NEVER)
    zone, region = fleet.outages.zone, fleet.outages.region
    return [*found, zone.lasts if zone else _NEVER, region.lasts if region else _NEVER]


def _law(law: Law) -> tuple[float, float, float]:
    """Its kind and what it takes to draw from it; of a lognormal law mu = ln(mean) - s^2/2 and s, with s^2 = ln(1 + cv^2)."""
    kind = float(_KINDS.index(law.kind))
    if law.kind == "lognormal":
        variance = math.log1p(law.cv**2)
        return kind, math.log(law.mean_s) - variance / 2, math.sqrt(variance)
    return (kind, law.mean_s, 0.0) if law.kind == "exponential" else (kind, law.low_s, law.high_s)


def _zones(service: Service, regions: list[str], zones: list[int], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each node: replica r of group g stands in zone g + r of its region, round and round."""
    names = [service.in_, *([service.failover.to] if service.failover else [])]
    group, replica = np.arange(service.groups)[:, np.newaxis], np.arange(service.nodes)
    each = [first[regions.index(name)] + (group + replica) % zones[regions.index(name)] for name in names]
    return np.stack(each, axis=1).reshape(-1).astype(np.int64)


def _areas(fleet: Fleet, zones: list[int], node_zone: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each zone, whose crews work there; and where the queue of each crew's area begins."""
    if fleet.crews is None or fleet.crews.per == FLEET:
        area = np.zeros(sum(zones), np.int64)
    elif fleet.crews.per == ZONE:
        area = np.arange(sum(zones), dtype=np.int64)
    else:
        area = np.repeat(np.arange(len(zones), dtype=np.int64), zones)
    return area, _sums(np.bincount(area[node_zone], minlength=int(area.max()) + 1).tolist())


def _turn_s(service: Service) -> float:
    """From one planned restart of the service to the next."""
    planned = service.maintenance
    return math.inf if planned is None else planned.every_s / (service.nodes * service.groups * service.sides)


def _sums(counts: list[int]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def _ints(values: Iterable[int]) -> NDArray[np.int64]:
    return np.array([int(value) for value in values], dtype=np.int64)


def _none(count: int) -> NDArray[np.int64]:
    """So many zeros."""
    return np.zeros(count, np.int64)
