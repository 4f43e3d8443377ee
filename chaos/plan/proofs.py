"""What every fault is proven with, looked for before the run: a fault that could never be shown to take effect is refused.

settling        after each fault every node is asked on its clients' port, where the target has no roles
a node's fault  the same of its victims
a link's fault  its destination is asked on the port that the link's traffic goes to
frozen, proxied only an answer of the program's own tells: the kernel, and a proxy, accept connections by themselves
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chaos.core.capabilities import Capability
from chaos.core.values import CLIENTS, DNS, LEADER, Toxic
from chaos.experiment.document import Experiment
from chaos.experiment.target.spec import Target
from chaos.plan.cluster import refuse
from chaos.plan.faults import Planned
from chaos.plan.plan import PlannedNode
from chaos.plugin import ActsOnLinks, Runtime


class _Need(NamedTuple):
    part: str
    port: str
    answers: bool
    """A bare connection does not tell."""
    proxied: bool = False
    """A proxy stands in that port."""


def check_proofs(
    experiment: Experiment, target: Target, faults: Sequence[Planned], runtime: type[Runtime], nodes: Sequence[PlannedNode]
) -> None:  # fmt: skip
    """Raise ``BadInput`` for a fault that nothing of this target could prove, with what to add to the target."""
    if runtime.virtual:
        return
    for planned in faults:
        parts = {node.part for node in nodes if any(node.name in victims.nodes for victims in planned.possible)}
        for part in parts if Capability.CONNECTIONS in planned.fault.needs else ():
            if target.parts[part].client_port not in target.parts[part].ports and not planned.fault.names:
                right = "port: port8080 with attach: {ports: [8080]}; by hand --port 8080 --set port=port8080"
                raise refuse(experiment, planned.path, f"nothing says to which port of '{part}' connections are to be opened", right)
        for need in dict.fromkeys(_needs(target, planned, runtime, nodes)):
            lacks = _lacks(target, need)
            if lacks:
                message = f"that '{planned.spec.kind}' takes effect and goes cannot be seen on '{target.name}': {lacks}"
                right = (
                    f'add to the target.yaml: parts.{need.part}.ping: {{{need.port}: {{http: "http://{{address}}:{{{need.port}}}/..."}}}}'
                )
                if target.parts[need.part].by_process:
                    right = "attach: {ready: {http: http://{address}:8080/}}; by hand --ask http://{address}:8080/"
                raise refuse(experiment, planned.path, message, right)


def _needs(target: Target, planned: Planned, runtime: type[Runtime], nodes: Sequence[PlannedNode]) -> Iterator[_Need]:
    part_of = {node.name: node.part for node in nodes}
    if LEADER not in target.roles:
        yield from (_Need(part, target.parts[part].client_port, False) for part in dict.fromkeys(part_of.values()))
    hit = [name for victims in planned.possible for name in victims.nodes]
    if planned.fault.pings and "nodes" in planned.fault.takes:
        for part in dict.fromkeys(part_of[name] for name in hit if name in part_of):
            yield _Need(part, target.parts[part].client_port, planned.fault.hangs)
    if isinstance(planned.fault, ActsOnLinks):
        for link in planned.links:
            if link.destination in part_of:
                part = part_of[link.destination]
                port = target.parts[part].port_for(peers=link.source not in (CLIENTS, DNS))
                proxied = _is_proxied(planned, nodes)
                yield _Need(part, port, Capability.PACKET_RULES not in runtime.offers or proxied, proxied)


def _is_proxied(planned: Planned, nodes: Sequence[PlannedNode]) -> bool:
    assert isinstance(planned.fault, ActsOnLinks)
    names = [node.name for node in nodes]
    return any(isinstance(rule, Toxic) for victims in planned.possible[:1] for rule in planned.fault.rules(victims, names))


def _lacks(target: Target, need: _Need) -> str:
    """Empty if the target has it."""
    part = target.parts[need.part]
    if part.by_process:  # what its process does is seen, and packets of ours are sent over its links
        return f"a proxy stands in a port, and nothing says how '{need.part}' is asked at one" if need.proxied else ""
    if need.port not in part.ports:
        return f"part '{need.part}' has no port '{need.port}'"
    question = part.question(need.port)
    if question is None:
        return f"part '{need.part}' has no question for its port '{need.port}'"
    if need.answers and question.tcp is not None and question.expect is None:
        return f"the question for port '{need.port}' of part '{need.part}' only connects, which needs no answer of the program's own"
    return ""
