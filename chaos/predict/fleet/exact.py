"""The same service by the exact chain, where both can be had: what the simulation is checked against.

A chain knows exponential times alone, one group at a time, and neither a second region nor crews that many groups share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core.errors import BadInput
from chaos.predict.markov.chain import MOST_NODES, ClusterChain, solvable
from chaos.predict.markov.measures import client_view
from chaos.predict.markov.wide import WideChain

if TYPE_CHECKING:
    from chaos.experiment.fleet import Fleet, Law, Service
    from chaos.predict.markov.chain import Solvable

AT_ONCE_PER_S: Final = 1e9
"""The rate of what takes no time."""
EXPONENTIAL: Final = "exponential"


class Exact(msgspec.Struct, frozen=True):
    """The long run; or why it cannot be had."""

    unavailability: float | None
    outages_per_year: float | None
    why_not: str = ""


def exact(fleet: Fleet, service: Service) -> Exact:
    """Of one group of the service, as its clients see it."""
    why = _why_not(fleet, service)
    if not why:
        try:
            seen = client_view(_chain(fleet, service), service.retries_s)
        except BadInput as error:
            why = error.message
        else:
            return Exact(seen.unavailability, 365 * 86400.0 / seen.cycle_s)
    return Exact(None, None, why)


def _why_not(fleet: Fleet, service: Service) -> str:
    zone = fleet.outages.zone
    times = [service.repair, service.resync, *([service.takeover] if service.takeover else []), *([zone.lasts] if zone else [])]
    if service.nodes > MOST_NODES:
        return "a group has too many nodes"
    if service.failover is not None or fleet.outages.region is not None:
        return "a chain knows no second region"
    if service.maintenance is not None:
        return "planned restarts come on the clock"
    if any(not _is_exponential(each) for each in times):
        return "a chain knows exponential times alone"
    if zone is not None and service.restart != service.repair:
        return "nodes start in another way after an outage of their zone"
    alone = service.groups == 1 and len(fleet.services) == 1 and fleet.crews is not None and fleet.crews.per != "zone"
    if fleet.crews is not None and not (alone and zone is None):
        return "groups share repair crews"
    return ""


def _is_exponential(law: Law) -> bool:
    return law.kind == EXPONENTIAL or law.mean_s == 0


def _rate(law: Law | None) -> float:
    return AT_ONCE_PER_S if law is None or law.mean_s == 0 else 1.0 / law.mean_s


def _chain(fleet: Fleet, service: Service) -> Solvable:
    zone, rates = fleet.outages.zone, (service.crash_per_s, _rate(service.repair), _rate(service.resync), _rate(service.takeover))
    crews = None if fleet.crews is None else fleet.crews.number
    if zone is None:
        return solvable(ClusterChain(service.nodes, service.needed, *rates, crews, common_cause=service.common_cause))
    zones = fleet.regions[service.in_]
    sizes = tuple(len(range(place, service.nodes, len(zones))) for place in range(min(len(zones), service.nodes)))
    back = None if zone.lasts.mean_s == 0 else 1.0 / zone.lasts.mean_s
    chain = WideChain(sizes, service.needed, *rates, zone_per_s=zone.rate_per_s, zone_back_per_s=back)
    return chain.with_common_cause(service.common_cause).solvable()
