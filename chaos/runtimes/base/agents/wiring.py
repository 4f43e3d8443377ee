"""What runs whose nodes are looked after by agents have in common: the net over them, who is asked, who is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from chaos.agent.agent_parts import listening
from chaos.core.clock import Clock
from chaos.core.values import Link, NodeInfo, RoundTrip
from chaos.history.events import NodeUp
from chaos.net.addresses import Addresses
from chaos.net.layers import Measure
from chaos.net.needs import Needs
from chaos.plugin import Deployment
from chaos.runtimes.base.agents.link import AgentLink
from chaos.runtimes.base.agents.net.net import AgentNet
from chaos.runtimes.base.asker import not_measurable, round_trip
from chaos.runtimes.base.layout import Layout, at_place


class Grounded(Protocol):
    """A layout of ends whose addresses packet rules can name."""

    nodes: dict[str, NodeInfo]

    @property
    def gateway(self) -> str:
        """Where the harness stands, as its nodes see it: exempt from every rule."""
        ...

    def addresses(self) -> Addresses:
        """Of all ends, on all networks."""
        ...


def make_net(deployment: Deployment, layout: Grounded, measure: Measure, needs: Needs, clock: Clock, *, late: bool = False) -> AgentNet:
    """Harm to the links of this layout; agents join later, and with ``late`` after the systems."""
    return AgentNet(
        run=deployment.run,
        addresses=layout.addresses(),
        ports={name: info.ports for name, info in layout.nodes.items()},
        links=deployment.plan.links,
        gateway=layout.gateway,
        measure=measure,
        clock=clock,
        needs=needs,
        late=late,
    )


def ask_over(layout: Layout, agents: Mapping[str, AgentLink], link: Link, timeout_s: float) -> RoundTrip:
    """Asked by the agent at the link's source, so that the question goes the way of its traffic.

    Clients and name server are asked nothing by anyone: the packets to them are answers, so they ask, and the answer comes that way.
    """
    named, link = link.port, link.whole
    if link.destination not in layout.nodes:
        link = Link(link.destination, link.source)
    if link.source not in agents:
        return RoundTrip(None, f"not measurable: nobody of ours stands at '{link.source}'")
    port = named or layout.port_of(link)
    question = layout.ping_question(link.destination, port)
    if question is None:
        return not_measurable(port)
    return round_trip(agents[link.source].ask(layout.ask(question, link.destination), timeout_s))


def queue_of(layout: Layout, agents: Mapping[str, AgentLink], node: str) -> int | None:
    """How long the listen queue of its clients' port is, by the agent there; None where none is."""
    info = layout.nodes[node]
    if node not in agents or layout.part(node).client_port not in info.ports:
        return None
    seen = listening.read(agents[node].call("listening.queues").result)
    return listening.queue_of(seen, info.address, info.ports[layout.part(node).client_port])


def placed(layout: Layout, clock: Clock, containers: Mapping[str, str] | None = None) -> Iterator[NodeUp]:
    """Where every node will be; ``containers``: which container it is, by node, where these were there before the run."""
    for name, info in layout.nodes.items():
        yield at_place(info, (containers or {}).get(name, ""), clock)
