"""What is asked before the plan is made: of nodes that run already, where they stand and what they say of themselves; where nodes of ours
are to stand, if the runtime has hosts that have names.

A host or a zone of a selector that the file does not define is asked for:

    {host: worker-2}   {zone: eu-1a}   {any: 1, zone: eu-1a}      kubernetes: {zones: machines}

The labels of nodes that run already are asked for where a selector speaks of labels: ``{label: tier=cache}``.

Where faults are planned, the runtime also tells parameters of the models (``Runtime.told``). What was found stands in the plan's
experiment, as if the file had said it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.cluster import ClusterSpec
from chaos.experiment.document import Experiment
from chaos.experiment.selectors import Labelled, Role, Selector, Zone, label_of
from chaos.experiment.target.spec import Target
from chaos.plan.cluster import planned_nodes, refuse
from chaos.plan.traits import made
from chaos.plugin import Runtime, Spot

MACHINES: Final = "machines"


def placed(experiment: Experiment, target: Target, runtime: type[Runtime]) -> Experiment:
    """With the hosts and zones of what it attaches to or starts, where a selector names one that the file does not; and its labels."""
    cluster = experiment.cluster
    if cluster.attach is None:
        return _to_be_placed(experiment, target, runtime)
    if any(label_of(spec.target) is not None for spec in experiment.faults):
        experiment = _labelled(experiment, target, runtime)
        cluster = experiment.cluster
    attach = cluster.attach
    assert attach is not None
    if attach.pods is None:
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


def _labelled(experiment: Experiment, target: Target, runtime: type[Runtime]) -> Experiment:
    """With what each node is labelled with now; as it is where the runtime cannot tell."""
    cluster, nodes = experiment.cluster, planned_nodes(experiment, target)
    attach = cluster.attach
    assert attach is not None
    found = runtime.labels(attach, tuple(dict.fromkeys(node.part for node in nodes)))
    labels: dict[str, dict[str, str]] = {}
    for part, each in found.items():
        names = [node.name for node in nodes if node.part == part]
        if len(each) != len(names):
            of_part = "" if len(found) == 1 else f" of '{part}'"
            how = f"cluster: {{nodes: {len(each)}}}, or wait until all of them run"
            raise EnvironmentUnusable(f"{len(each)} {attach.kind}{of_part} run, and the experiment says {len(names)}", how=how)
        labels |= {name: dict(its) for name, its in zip(names, each, strict=True)}
    cluster = msgspec.structs.replace(cluster, attach=msgspec.structs.replace(attach, labels=labels))
    return msgspec.structs.replace(experiment, cluster=cluster)


def told(experiment: Experiment, runtime: type[Runtime]) -> Experiment:
    """With what it attaches to says of itself, as far as it can be asked, or who makes volumes for what it starts; none of it is needed to
    make a plan."""
    attach, ours = experiment.cluster.attach, experiment.cluster.kubernetes
    if attach is None and ours.outlives and any(Capability.DRAINS in made(spec).needs for spec in experiment.faults):
        ours = msgspec.structs.replace(ours, keeper=runtime.keeper(experiment))
        return msgspec.structs.replace(experiment, cluster=msgspec.structs.replace(experiment.cluster, kubernetes=ours))
    if attach is None or attach.pods is None or not experiment.faults:
        return experiment
    found = runtime.told(attach)
    pods = msgspec.structs.replace(
        attach.pods, says=dict(found.parameters), answers=dict(found.name_servers), past=dict(found.past), unseen=found.unseen
    )
    cluster = msgspec.structs.replace(experiment.cluster, attach=msgspec.structs.replace(attach, pods=pods))
    return msgspec.structs.replace(experiment, cluster=cluster)


def _zones(names: Sequence[str], found: Sequence[Spot]) -> dict[str, tuple[str, ...]]:
    zones = dict.fromkeys(spot.zone for spot in found if spot.zone)
    return {zone: tuple(name for name, spot in zip(names, found, strict=True) if spot.zone == zone) for zone in zones}


def _spoken_of(experiment: Experiment) -> set[str]:
    """The zones and hosts that selectors name."""
    return {place for spec in experiment.faults if (place := _place(spec.target)) is not None}


def _place(selector: Selector | None) -> str | None:
    return selector.zone if isinstance(selector, Zone | Role | Labelled) else None


def _to_be_placed(experiment: Experiment, target: Target, runtime: type[Runtime]) -> Experiment:
    """Nodes of ours: the file's zones onto those of the machines, or all nodes in turn onto the zones or the machines themselves."""
    cluster = experiment.cluster
    unknown = _spoken_of(experiment) - set(cluster.zones) - set(cluster.hosts)
    of_file = cluster.kubernetes.zones == MACHINES
    if not unknown and not of_file:
        return experiment
    found = runtime.ground(experiment)
    if not found:
        return experiment  # a selector that names what is not there is refused with its line
    hosts = [spot.host for spot in found]
    zones = list(dict.fromkeys(spot.zone for spot in found if spot.zone))
    names = [node.name for node in planned_nodes(experiment, target)]
    if of_file:
        called = _onto(experiment, zones)
        within = {node: called[zone] for zone, members in cluster.zones.items() for node in members}
        back = {label: zone for zone, label in called.items()}
        return _with(experiment, cluster, {}, within, {spot.host: back[spot.zone] for spot in found if spot.zone in back})
    lies = {spot.host: spot.zone for spot in found if spot.zone}
    if unknown & set(hosts):
        turn = _in_turn(found)
        stand = {name: turn[number % len(turn)].host for number, name in enumerate(names)}
        where = {name: lies.get(host, "") for name, host in stand.items()}
        return _with(experiment, _in_zones(cluster, where), stand, {}, lies)
    if cluster.zones or not zones:
        return experiment
    within = {name: zones[number % len(zones)] for number, name in enumerate(names)}
    return _with(experiment, _in_zones(cluster, within), {}, within, lies)


def _onto(experiment: Experiment, zones: Sequence[str]) -> dict[str, str]:
    """The file's zone -> one of the machines: that of its name, else the next one that is free. ``BadInput`` where there are too few."""
    wanted = list(experiment.cluster.zones)
    if not wanted:
        raise refuse(
            experiment, "cluster.kubernetes.zones", "the experiment has no zones that could be placed", "zones: {a: [n1], b: [n2]}"
        )
    if len(zones) < len(wanted):
        there = f"{len(zones)} ({', '.join(zones)})" if zones else "none (topology.kubernetes.io/zone)"
        message = f"the experiment has {len(wanted)} zones, and the cluster's machines have {there}"
        raise refuse(
            experiment, "cluster.zones", message, "fewer zones, or 'kubernetes: {zones: rules}': groups of nodes, wherever they stand"
        )
    free = iter([zone for zone in zones if zone not in wanted])
    return {zone: zone if zone in zones else next(free) for zone in wanted}


def _in_turn(found: Sequence[Spot]) -> list[Spot]:
    """One of each zone, then the next of each: so few nodes stand in as many zones as there are."""
    depth: dict[str, int] = {}
    ranked = []
    for spot in found:
        depth[spot.zone] = depth.get(spot.zone, 0) + 1
        ranked.append((depth[spot.zone], spot))
    return [spot for _, spot in sorted(ranked, key=lambda each: each[0])]


def _in_zones(cluster: ClusterSpec, where: Mapping[str, str]) -> ClusterSpec:
    """With zones as they come of where nodes stand, unless the file has its own."""
    if cluster.zones:
        return cluster
    zones = dict.fromkeys(zone for zone in where.values() if zone)
    return msgspec.structs.replace(cluster, zones={zone: tuple(node for node, its in where.items() if its == zone) for zone in zones})


def _with(
    experiment: Experiment, cluster: ClusterSpec, stand: Mapping[str, str], within: Mapping[str, str], lies: Mapping[str, str]
) -> Experiment:  # fmt: skip
    ours = msgspec.structs.replace(cluster.kubernetes, stand=dict(stand), within=dict(within), lies=dict(lies))
    return msgspec.structs.replace(experiment, cluster=msgspec.structs.replace(cluster, kubernetes=ours))
