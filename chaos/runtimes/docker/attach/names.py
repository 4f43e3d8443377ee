"""Whom a name leads to, by what the engine says of containers: known before a run, without asking any name server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.engine.errors import translated
from chaos.plan.attached import client_name
from chaos.plan.plan import Plan
from chaos.runtimes.docker.attach.find import SERVICE, listed

if TYPE_CHECKING:
    from docker.api import APIClient


def contradictions(api: APIClient, plan: Plan) -> list[tuple[str, str, str]]:
    """A name that leads to some of the containers only, which would hide the faults of the others. Nothing where none runs."""
    attach, name = plan.experiment.cluster.attach, client_name(plan.experiment)
    if attach is None or not name:
        return []
    parts = list(dict.fromkeys(node.part for node in plan.nodes))
    part = plan.experiment.cluster.dns.part or parts[0]
    found, _ = listed(api, attach, attach.services_of(part, parts))
    with translated("looking at the names of containers"):
        inspected = [api.inspect_container(each["Id"]) for each in found]
    named = [each for each in inspected if name in names_of(each)]
    missed = [str(each["Name"]).lstrip("/") for each in inspected if each not in named]
    if not named or not missed:
        return []
    what = f"the name '{name}' leads to {len(named)} of {len(inspected)} containers: clients would never reach {', '.join(missed)}"
    right = f"write {{address}} in place of {name}: clients then know the addresses of all; or give all one name (--network-alias)"
    return [("traffic.operations", what, right)]


def names_of(inspected: dict[str, Any]) -> set[str]:
    """Those that Docker answers with an address of this container, on any of its networks."""
    found = {str(inspected["Name"]).lstrip("/"), str(inspected["Config"]["Hostname"]), str(inspected["Config"]["Labels"].get(SERVICE, ""))}
    for network in inspected["NetworkSettings"]["Networks"].values():
        found |= set(network.get("Aliases") or ()) | set(network.get("DNSNames") or ())
    return found - {""}
