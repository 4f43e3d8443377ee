"""The name of a system that was there before us: asked as a client does, from the clients' place, before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chaos.core.clock import Clock, to_ns
from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.target.spec import Ask
from chaos.plugin import Deployment
from chaos.runtimes.base.agents.link import AgentLink
from chaos.runtimes.base.layout import Layout

RESOLVES_WITHIN_S: Final = 5.0


def await_name(
    name: str, clients: AgentLink, layout: Layout, deployment: Deployment, called: Mapping[str, str], clock: Clock, how: str,
    port: int | None = None,
) -> None:  # fmt: skip
    """Until clients reach it. ``EnvironmentUnusable`` if they do not (``how``: what to do), or if it leads to some of the nodes only.

    ``called``: node -> what people call it. ``port``: that of the name, if it is not that of the nodes.
    """
    served = next(info for info in layout.nodes.values() if info.part == layout.dns_part)
    port = port or served.ports[deployment.target.parts[served.part].client_port]
    until_ns = clock.now_ns() + to_ns(RESOLVES_WITHIN_S)
    while not (answer := clients.ask(Ask(tcp=f"{name}:{port}"), 1.0)).ok:
        if clock.now_ns() >= until_ns:
            raise EnvironmentUnusable(f"clients on the network cannot reach '{name}' at port {port}: {answer.error}", how=how)
    answer_of = clients.call("names.resolve", RESOLVES_WITHIN_S, name=name)
    _refuse_partial(name, frozenset(str(answer_of.result.get("addresses") or "").split()), layout, called)


def _refuse_partial(name: str, addresses: frozenset[str], layout: Layout, called: Mapping[str, str]) -> None:
    """A name of some of the nodes only would hide the faults of the others; a name of none of them is a load balancer's."""
    served = [node for node, info in layout.nodes.items() if info.part == layout.dns_part]
    inside = [node for node in served if layout.nodes[node].address in addresses]
    outside = [node for node in served if node not in inside]
    if inside and outside:
        told = ", ".join(f"{node} ({called[node]})" for node in outside)
        raise EnvironmentUnusable(
            f"the name '{name}' leads to {len(inside)} of {len(served)} nodes: clients would never reach {told}",
            how="give all of them one name (--network-alias), and use that one in the operations or as attach: {name: ...}; "
            "or write {address} in place of the name: clients then know the addresses of all nodes",
        )
