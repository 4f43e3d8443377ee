"""Where pods stand: their machines, and the zones of those by the labels that Kubernetes itself knows (``topology.kubernetes.io/zone``).

A machine's name stands in its pods. Its labels stand in the machine, which belongs to no namespace: to read them is a right of its own,
asked for only where a zone is spoken of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.pods import PodsSpec
from chaos.kube.api import Api, Refused, Thing
from chaos.kube.find import ZONE, in_order, running, selector_of, service_of
from chaos.plugin import Spot


def spots(api: Api, spec: PodsSpec, named: Collection[str]) -> Sequence[Spot]:
    """Of each pod that runs, in the order of their names."""
    things = api.listed("pods", spec.namespace, selector_of(spec, service_of(api, spec)))
    machines = [pod.machine for pod in in_order(running(things, spec))]
    zones = {} if set(named) <= set(machines) else zones_of(api)
    return [Spot(machine, zones.get(machine, "")) for machine in machines]


def zones_of(api: Api) -> dict[str, str]:
    """Machine -> its zone, of those that say it."""
    try:
        machines = api.listed("nodes", "")
    except Refused as refused:
        if not refused.forbidden:
            raise
        raise EnvironmentUnusable(
            f"a selector names a zone, and the zones of machines may not be read: {refused.what}",
            how="'nines doctor --kubernetes --rbac --hosts' prints that right too; or name the nodes: cluster: {zones: {a: [n1, n2]}}",
        ) from refused
    return {name_of(each): zone for each in machines if (zone := (each["metadata"].get("labels") or {}).get(ZONE, ""))}


def name_of(thing: Thing) -> str:
    """Of anything that the API server knows."""
    return str(thing["metadata"]["name"])
