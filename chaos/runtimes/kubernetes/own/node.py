"""A node that is a pod of ours: seen, signalled and started through the agent in it, given up through the API server."""

from __future__ import annotations

from chaos.core.clock import Clock
from chaos.core.values import NodeInfo
from chaos.plugin import Sink
from chaos.runtimes.base.agents.life import Anew, StartSystem
from chaos.runtimes.base.agents.node import AgentNode, HowEnded
from chaos.runtimes.kubernetes.node import Orders, PodNode


class OwnNode(PodNode):
    """One node, over all lives of its system and of its pod."""

    def __init__(
        self, info: NodeInfo, orders: Orders, open_gate: StartSystem, how_ended: HowEnded, anew: Anew, sink: Sink, clock: Clock
    ) -> None:  # fmt: skip
        super().__init__(info, orders, sink, clock)
        self._start_system = open_gate
        self._how_ended = how_ended
        self._anew = anew

    @property
    def runs(self) -> bool:
        """As it was told last."""
        return self._up_ns is not None

    def start(self) -> int:
        """Through its gate."""
        return AgentNode.start(self)
