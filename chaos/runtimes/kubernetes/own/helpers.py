"""Our helpers beside a cluster of ours: the name server has a place of its own, and what nodes stamp is mapped onto our clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from chaos.core.clock import Clock
from chaos.history.events import Marked, Row
from chaos.kube.commands import ENTER, in_pod
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.agents.link import AgentLink
from chaos.runtimes.base.helper import Breakage, Helper, Talker
from chaos.runtimes.base.helpers import WATCH, Helpers
from chaos.runtimes.base.layout import Layout


class OwnHelpers(Helpers):
    """``places``: who stands in a network of its own -> the uid of the pod whose network that is. ``agents``: who stands at each node, and
    knows its machine's clock."""

    def __init__(
        self, deployment: Deployment, layout: Layout, claim: Claim, breakage: Breakage, sink: Sink, clock: Clock,
        places: Mapping[str, str], agents: Mapping[str, AgentLink],
    ) -> None:  # fmt: skip
        super().__init__(deployment, layout, claim, breakage, sink, clock)
        self._places = dict(places)
        self._agents = agents

    def _way_to(self, place: str) -> tuple[str, ...]:
        """Into the network of its pod."""
        return in_pod(self._places[place], ENTER) if place in self._places else ()

    def _helper(
        self, talker: Talker, name: str, on_row: Callable[[Row], None] | None, sink: Sink | None, spec_fd: int | None = None
    ) -> Helper:
        return super()._helper(talker, name, on_row, self._mapped if name == WATCH else sink, spec_fd)

    def _mapped(self, row: Row) -> None:
        """A mark is of the node's own clock."""
        if isinstance(row, Marked) and row.node in self._agents:
            row = msgspec.structs.replace(row, at_ns=self._agents[row.node].here_ns(row.at_ns))
        self._sink(row)
