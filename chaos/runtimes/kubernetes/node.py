"""A node that is a container of somebody else's pod: seen and signalled by a guest, started again by kubelet and by nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chaos.core.clock import Clock
from chaos.core.errors import FaultNotEffective
from chaos.core.values import NodeInfo, Status
from chaos.plugin import Sink
from chaos.runtimes.base.agents.link import AgentGone, AgentLink, AgentRefused, Event
from chaos.runtimes.base.agents.node import AgentNode

DELETED_WITHIN_S: Final = 10.0


class PodNode(AgentNode):
    """One node, over all lives of its container and of its pod."""

    def __init__(self, info: NodeInfo, delete: Callable[[float | None], None], sink: Sink, clock: Clock) -> None:
        super().__init__(info, self._never, lambda: "", self._never, sink, clock)
        self._delete = delete
        self._guest: AgentLink | None = None
        self._told_ns = 0

    @property
    def guest(self) -> AgentLink | None:
        """Who looks after it now."""
        return self._guest

    def host(self, guest: AgentLink) -> AgentLink | None:
        """A guest has joined its present pod; returns that of the pod before."""
        before, self._guest, self._link = self._guest, guest, guest
        return before

    def moved(self, info: NodeInfo) -> None:
        """It lives in another pod now."""
        self._info = info

    def seen(self, event: Event) -> None:
        """Two guests may tell of the same: what is known already, or older than what is known, is passed over."""
        with self._changed:
            up = self._up_ns is not None
            if (event.event == "up") == up or event.event not in ("up", "down") or event.at_ns <= self._told_ns:
                return
            self._told_ns = event.at_ns
            super().seen(event)

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

    def _never(self) -> None:
        raise AssertionError("a container of somebody's pod is neither started nor replaced by us")
