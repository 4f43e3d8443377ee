"""Where pods stand: their machines, and the zones of those by the labels that Kubernetes itself knows (``topology.kubernetes.io/zone``).

A machine's name stands in its pods. Its labels stand in the machine, which belongs to no namespace: to read them is a right of its own,
asked for only where a zone is spoken of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.pods import PodsSpec
from chaos.kube.api import Api, Refused, Thing
from chaos.kube.find import ZONE, Pod, in_order, running, selector_of, service_of
from chaos.plugin import Spot


def spots(api: Api, spec: PodsSpec, named: Collection[str]) -> Sequence[Spot]:
    """Of each pod that runs, in the order of their names."""
    machines = [pod.machine for pod in there(api, spec)]
    zones = {} if set(named) <= set(machines) else zones_of(api)
    return [Spot(machine, zones.get(machine, "")) for machine in machines]


def there(api: Api, spec: PodsSpec) -> list[Pod]:
    """The pods that run, in the order of their names."""
    return in_order(running(api.listed("pods", spec.namespace, selector_of(spec, service_of(api, spec))), spec))


def machines(api: Api) -> Sequence[Spot]:
    """Those that take pods, in the order of their names."""
    found = [Spot(name_of(each), _zone(each)) for each in _listed(api) if takes_pods(each)]
    return sorted(found, key=lambda spot: spot.host)


def takes_pods(thing: Thing) -> bool:
    """It is ready, and closed to nobody."""
    spec, conditions = thing.get("spec", {}), thing.get("status", {}).get("conditions") or ()
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    barred = any(taint.get("effect") in ("NoSchedule", "NoExecute") for taint in spec.get("taints") or ())
    return ready and not barred and not spec.get("unschedulable")


def zones_of(api: Api) -> dict[str, str]:
    """Machine -> its zone, of those that say it."""
    return {name_of(each): zone for each in _listed(api) if (zone := _zone(each))}


def _zone(thing: Thing) -> str:
    return str((thing["metadata"].get("labels") or {}).get(ZONE, ""))


def _listed(api: Api) -> list[Thing]:
    try:
        return api.listed("nodes", "")
    except Refused as refused:
        if not refused.forbidden:
            raise
        raise EnvironmentUnusable(
            f"a zone or a machine is named, and the machines may not be read: {refused.what}",
            how="'nines doctor --kubernetes --rbac --hosts' prints that right too; or name the nodes: cluster: {zones: {a: [n1, n2]}}",
        ) from refused


def name_of(thing: Thing) -> str:
    """Of anything that the API server knows."""
    return str(thing["metadata"]["name"])
