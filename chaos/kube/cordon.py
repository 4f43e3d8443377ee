"""A machine closed to new pods, and opened again: as ``kubectl cordon`` does it, with a label that says which run did.

The label is what a heal finds it by. A machine that somebody else has closed is left alone, and one whose label is gone was opened by
somebody else.
"""

from __future__ import annotations

from typing import Final

from chaos.core.errors import EnvironmentUnusable, FaultNotEffective, NotHealed
from chaos.kube.api import Api, Refused, Thing
from chaos.kube.spots import name_of

CORDONED: Final = "nines.cordoned"
"""The label: the run."""
TRIES: Final = 5
"""Kubelet changes the machine's object as well: what was read may be old when it is to be changed."""


def cordon(api: Api, host: str, run: str) -> None:
    """Closed when it returns. ``FaultNotEffective`` if it is so already, or is not there."""
    for _ in range(TRIES):
        machine = api.get("nodes", "", host)
        if machine is None:
            raise FaultNotEffective(f"the cluster has no machine '{host}'")
        if machine["spec"].get("unschedulable"):
            raise FaultNotEffective(f"the machine '{host}' is cordoned already, by somebody else")
        if _changed(api, machine, {"labels": {CORDONED: run}}, {"unschedulable": True}):
            break
    closed = api.get("nodes", "", host)
    if closed is None or not closed["spec"].get("unschedulable"):
        raise FaultNotEffective(f"the machine '{host}' is not cordoned, although the API server took the order")


def uncordon(api: Api, host: str, run: str) -> None:
    """Open when it returns, and without our label; ``NotHealed`` otherwise. One that is not closed by this run stays as it is."""
    for _ in range(TRIES):
        machine = api.get("nodes", "", host)
        if machine is None or _label(machine) != run:
            return
        if _changed(api, machine, {"labels": {CORDONED: None}}, {"unschedulable": None}):
            break
    opened = api.get("nodes", "", host)
    if opened is not None and (opened["spec"].get("unschedulable") or _label(opened)):
        raise NotHealed(f"the machine '{host}' is still cordoned; 'kubectl uncordon {host}', 'kubectl label node {host} {CORDONED}-'")


def cordoned_by(api: Api, run: str) -> list[str]:
    """The machines that this run has closed, by its label; none where they may not be looked at: then it could not have closed any."""
    try:
        return [name_of(each) for each in api.listed("nodes", "", f"{CORDONED}={run}")]
    except Refused as refused:
        if refused.forbidden:
            return []
        raise


def _label(machine: Thing) -> str:
    return str((machine["metadata"].get("labels") or {}).get(CORDONED) or "")


def _changed(api: Api, machine: Thing, metadata: Thing, spec: Thing) -> bool:
    """False if it has changed since it was read."""
    wanted = {"metadata": {**metadata, "resourceVersion": machine["metadata"]["resourceVersion"]}, "spec": spec}
    try:
        api.change("nodes", "", name_of(machine), wanted)
    except Refused as refused:
        if refused.there_already:
            return False
        if refused.forbidden:
            raise EnvironmentUnusable(
                f"machines may not be cordoned: {refused.what}", how="'nines doctor --kubernetes --rbac --hosts' prints that right too"
            ) from refused
        raise
    return True
