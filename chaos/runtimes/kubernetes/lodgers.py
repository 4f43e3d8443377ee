"""What a run whose guests stand in ephemeral containers cannot do, and pods given back by such a guest."""

from __future__ import annotations

from typing import Final

from chaos.core.capabilities import Capability as C
from chaos.core.clock import Clock
from chaos.core.errors import CapabilityMissing
from chaos.kube import commands, ephemeral
from chaos.kube.api import Api
from chaos.kube.find import Pod
from chaos.kube.streams import Exec
from chaos.plan.plan import Plan
from chaos.plan.traits import made
from chaos.runtimes.base.agents.attached.guests import left_by
from chaos.runtimes.base.agents.link import AgentLink
from chaos.runtimes.kubernetes.guests import HELLO_WITHIN_S

EPHEMERAL: Final = "ephemeral"
BEYOND: Final = frozenset({
    C.SIGNALS, C.CGROUP, C.SHARED_DISK, C.STREAMS, C.RESTART_POLICY, C.HOSTS, C.HOST_CUTS, C.DRAINS,
})  # fmt: skip
WHY: Final = (
    "an ephemeral container acts on the pod's network alone: it sees no process of the other containers, and nobody reaches a proxy in it"
)
INSTEAD: Final = "'partition', 'loss', 'delete', 'dns'; or leave 'guests' out, for which privileged pods must be allowed"


def refuse_beyond_network(plan: Plan) -> None:
    """``CapabilityMissing`` for the first fault that needs more than a pod's network."""
    for fault in plan.experiment.faults:
        if made(fault).needs & BEYOND:
            who = f"line {fault.line}: the fault '{fault.name}' cannot be done with 'guests: ephemeral'"
            raise CapabilityMissing(f"{who}: {WHY}", how=INSTEAD)
    if plan.proxied:
        who = f"a fault on the bytes of '{plan.proxied[0]}' cannot be done with 'guests: ephemeral'"
        raise CapabilityMissing(f"{who}: {WHY}", how=INSTEAD)


def give_back(api: Api, namespace: str, run: str, pod: Pod, image: str, clock: Clock) -> str:
    """One pod as it was before we came, but for the name of an ended container in its description. What could not be taken back."""
    there = ephemeral.ensure(api, namespace, pod.name, run, image, 60.0)
    streams = Exec(api, namespace, pod.name, there, commands.lodger(pod.container_id))
    link = AgentLink(None, pod.container_id, node=pod.name, clock=clock, streams=streams)
    try:
        link.hello(HELLO_WITHIN_S)
        left = left_by(link)
    finally:
        link.close()
    return left or ephemeral.end(api, namespace, pod.name, run)
