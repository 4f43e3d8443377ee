"""What is asked of nodes that run already, before the plan is made: where they stand, and what they say of themselves.

A host or a zone of a selector that the file does not define is asked for:

    {host: worker-2}   {zone: eu-1a}   {any: 1, zone: eu-1a}

Where faults are planned, the runtime also tells parameters of the models (``Runtime.told``). What was found stands in the plan's
experiment, as if the file had said it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.document import Experiment
from chaos.experiment.selectors import Role, Selector, Zone
from chaos.plugin import Runtime, Spot


def placed(experiment: Experiment, runtime: type[Runtime]) -> Experiment:
    """With the hosts and zones of what it attaches to, where a selector names one that the file does not."""
    cluster = experiment.cluster
    attach = cluster.attach
    if attach is None or attach.pods is None:
        return experiment
    unknown = _spoken_of(experiment) - set(cluster.zones)
    if not unknown:
        return experiment
    found = runtime.spots(attach, unknown)
    if not found:
        return experiment
    if len(found) != (cluster.nodes or 1):
        how = f"cluster: {{nodes: {len(found)}}}, or wait until all of them run"
        raise EnvironmentUnusable(f"{len(found)} {attach.kind} run, and the experiment says {cluster.nodes or 1}", how=how)
    names = [f"n{number}" for number in range(1, len(found) + 1)]
    hosts = {name: spot.host for name, spot in zip(names, found, strict=True)}
    pods = msgspec.structs.replace(attach.pods, stand=hosts, lies={spot.host: spot.zone for spot in found if spot.zone})
    zones = cluster.zones or _zones(names, found)
    cluster = msgspec.structs.replace(cluster, zones=zones, attach=msgspec.structs.replace(attach, pods=pods))
    return msgspec.structs.replace(experiment, cluster=cluster)


def told(experiment: Experiment, runtime: type[Runtime]) -> Experiment:
    """With what it attaches to says of itself, as far as it can be asked; none of it is needed to make a plan."""
    attach = experiment.cluster.attach
    if attach is None or attach.pods is None or not experiment.faults:
        return experiment
    found = runtime.told(attach)
    pods = msgspec.structs.replace(attach.pods, says=dict(found.parameters), answers=dict(found.name_servers), unseen=found.unseen)
    cluster = msgspec.structs.replace(experiment.cluster, attach=msgspec.structs.replace(attach, pods=pods))
    return msgspec.structs.replace(experiment, cluster=cluster)


def _zones(names: Sequence[str], found: Sequence[Spot]) -> dict[str, tuple[str, ...]]:
    zones = dict.fromkeys(spot.zone for spot in found if spot.zone)
    return {zone: tuple(name for name, spot in zip(names, found, strict=True) if spot.zone == zone) for zone in zones}


def _spoken_of(experiment: Experiment) -> set[str]:
    """The zones and hosts that selectors name."""
    return {place for spec in experiment.faults if (place := _place(spec.target)) is not None}


def _place(selector: Selector | None) -> str | None:
    return selector.zone if isinstance(selector, Zone | Role) else None
