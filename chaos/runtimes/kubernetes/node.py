"""A node that is a container of somebody else's pod: seen and signalled by a guest, started again by kubelet and by nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chaos.core.clock import Clock
from chaos.core.errors import FaultNotEffective
from chaos.core.values import NodeInfo, Status
from chaos.plugin import Sink
from chaos.runtimes.base.agents.attached.node import GuestNode
from chaos.runtimes.base.agents.link import AgentGone, AgentLink, AgentRefused

DELETED_WITHIN_S: Final = 10.0


class PodNode(GuestNode):
    """One node, over all lives of its container and of its pod."""

    def __init__(self, info: NodeInfo, delete: Callable[[float | None], None], sink: Sink, clock: Clock) -> None:
        super().__init__(info, self._never, lambda: "", sink, clock)
        self._delete = delete

    def host(self, guest: AgentLink) -> AgentLink | None:
        """A guest has joined its present pod; returns that of the pod before."""
        return self._received(guest)

    def moved(self, info: NodeInfo) -> None:
        """It lives in another pod now."""
        self._info = info

    def start(self) -> int:
        """Nobody but kubelet can."""
        raise FaultNotEffective(f"{self.info.name} is a container of a pod: kubelet alone starts it again")

    def delete(self, grace_s: float | None) -> int:
        """By the API server; at once: until its process is dead, as the guest sees it."""
        with self._changed:
            life_ns = self._up_ns
            self._killing = "DELETED"
        ordered_ns = self._clock.now_ns()
        self._delete(grace_s)
        if grace_s == 0 and life_ns is not None and self._await(lambda: self._up_ns != life_ns, DELETED_WITHIN_S):
            return self._down_ns
        return ordered_ns

    def status(self) -> Status:
        """By the word of the kernel; of a pod that is gone nothing runs."""
        try:
            return super().status()
        except (AgentRefused, AgentGone):
            return Status.DOWN
