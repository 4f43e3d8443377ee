"""A run on what was there before it: found, measured and harmed by guests, given back. What is the same wherever that is.

Nothing is built, started, limited or configured: what is not known of a system from its outside cannot be done to it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from chaos.core.clock import Clock
from chaos.core.values import Link, RoundTrip
from chaos.experiment.cluster import AttachSpec
from chaos.history.events import DnsChanged
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.agents.attached.guests import GuestsBase
from chaos.runtimes.base.agents.link import AgentLink
from chaos.runtimes.base.agents.net.net import AgentNet
from chaos.runtimes.base.agents.wiring import ask_over, placed, queue_of
from chaos.runtimes.base.layout import Layout
from chaos.runtimes.base.session import Session


class AttachedSession(Session):
    """``_bring_up`` sets layout, net and guests as it makes them."""

    left_over: ClassVar[str] = "not everything is as it was"

    def __init__(self, deployment: Deployment, claim: Claim, sink: Sink, clock: Clock) -> None:
        if not deployment.target.folder:  # nothing of a target is shown to the clients then
            target = msgspec.structs.replace(deployment.target, folder=str(deployment.folder.absolute() / "specs"))
            deployment = msgspec.structs.replace(deployment, target=target)
        super().__init__(deployment, claim, sink, clock)
        attach = deployment.plan.experiment.cluster.attach
        assert attach is not None
        self._attach: AttachSpec = attach
        self._layout: Layout
        self._net: AgentNet
        self._guests: GuestsBase | None = None

    @property
    def _clients(self) -> AgentLink:
        """Who stands where clients are."""
        assert self._guests is not None
        assert self._guests.clients is not None
        return self._guests.clients

    @property
    def _agents(self) -> Mapping[str, AgentLink]:
        assert self._guests is not None
        return self._guests.agents

    def _queue_of(self, node: str) -> int | None:
        return queue_of(self._layout, self._agents, node)

    def _tell_nodes(self, called: Mapping[str, str]) -> None:
        """``called``: node -> what people call it."""
        layout = self._layout
        for row in placed(layout, self._clock, called):
            self._sink(row)
        members = [name for name, info in layout.nodes.items() if info.part == layout.dns_part]
        self._sink(DnsChanged(at_ns=self._clock.now_ns(), name=layout.name, nodes=members, why="start"))

    def _measure(self, link: Link, timeout_s: float) -> RoundTrip:
        """Where nothing is asked of its nodes, by a connection of ours over the link."""
        layout = self._layout
        end = link.destination if link.destination in layout.nodes else link.source
        if layout.part(end).by_process:
            return self._net.opening(link.whole, timeout_s)
        return ask_over(layout, self._agents, link, timeout_s)
