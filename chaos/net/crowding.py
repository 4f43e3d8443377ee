"""Whether a proxy before a node would change what the node does while it hangs: looked at before the first fault.

    no proxy   a hung server's listen queue fills; the kernel drops further attempts, clients give up, and nothing of them is left
    a proxy    it takes in all attempts and dials for each, one after the other; once the queue is full a dial waits for 1, 3, 7 s, and
               all others behind it, also long after the server goes on: outages that no client of the real system would see

So where a fault makes a node hang whose clients come through a proxy, its listen queue must hold all that may come meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import msgspec

from chaos.core.errors import CapabilityMissing
from chaos.core.values import CLIENTS
from chaos.experiment.cluster import Dns
from chaos.experiment.faults import FaultSpec
from chaos.plan.faults import planned_faults
from chaos.plugin import Deployment

HANGS = "hangs"
"""The flag in the class of a fault that leaves its victims' sockets open while nobody takes in what comes."""


class Crowd(msgspec.Struct, frozen=True):
    """The most connections that may come to a node while a fault makes it hang."""

    node: str
    fault: FaultSpec
    arrivals: int


def crowds(deployment: Deployment) -> list[Crowd]:
    """For each node behind a proxy of its clients, the fault that makes the most come."""
    plan, target = deployment.plan, deployment.target
    dns = plan.experiment.cluster.dns
    part = dns.part or next(iter(target.parts))
    proxied = {link.destination for link in (plan.links if plan.proxied is None else plan.proxied) if link.source == CLIENTS}
    served = [node.name for node in plan.nodes if node.part == part]
    traffic = plan.experiment.traffic
    rate_per_s = sum(operation.most_per_s for operation in traffic.operations.values()) * traffic.client.attempts
    found: dict[str, Crowd] = {}
    for planned in planned_faults(plan.experiment, target, plan.nodes, part) if proxied else ():
        if not planned.fault.hangs:
            continue
        hangs_s = min(planned.spec.for_s or math.inf, _named_s(dns), plan.duration_s)
        arrivals = math.ceil(rate_per_s * hangs_s / max(len(served), 1))
        for node in {name for victims in planned.possible for name in victims.nodes} & proxied & set(served):
            if node not in found or arrivals > found[node].arrivals:
                found[node] = Crowd(node, planned.spec, arrivals)
    return sorted(found.values(), key=lambda crowd: crowd.node)


def _named_s(dns: Dns) -> float:
    """How long clients go on being sent to a node that hangs."""
    if dns.balancer != "health-checked":
        return math.inf
    return dns.check.fall * (dns.check.every_s + dns.check.timeout_s) + dns.ttl_s


def refuse_short_queues(found: Iterable[Crowd], queue_of: Callable[[str], int | None]) -> None:
    """``CapabilityMissing`` for the first node whose queue would overflow; ``queue_of`` a node is None where that is not known."""
    for crowd in found:
        length = queue_of(crowd.node)
        if length is None or crowd.arrivals <= length + 1:  # the kernel holds one more than it was told
            continue
        raise CapabilityMissing(
            f"{crowd.node} has a listen queue of {length} connections, and up to {crowd.arrivals} may come while '{crowd.fault.name}'"
            f" (line {crowd.fault.line}) makes it hang: the proxy before it would go on dialling for clients that have long given up,"
            " and outages would be seen that the system by itself does not have",
            how=f"a listen queue of {crowd.arrivals} or more in the server (listen(2), 'backlog'); a lower rate; or this fault in an"
            " experiment without faults of the clients' links, so that no proxy stands there",
        )
