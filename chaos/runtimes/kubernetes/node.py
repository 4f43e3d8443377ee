"""A node that is a container of somebody else's pod: seen and signalled by a guest, started again by kubelet and by nobody else."""

from __future__ import annotations

from typing import Final, Protocol

from chaos.core.clock import Clock
from chaos.core.errors import FaultNotEffective
from chaos.core.values import NodeInfo, Status
from chaos.plugin import Sink
from chaos.runtimes.base.agents.attached.node import GuestNode
from chaos.runtimes.base.agents.link import AgentGone, AgentLink, AgentRefused, Event

DELETED_WITHIN_S: Final = 10.0


class Orders(Protocol):
    """What the API server does about the pod that a node is now."""

    def delete(self, grace_s: float | None) -> str:
        """Have it deleted; its uid."""
        ...

    def evict(self, grace_s: float | None) -> tuple[str, str]:
        """The same if its disruption budgets allow it: its uid, and what they say (empty: it goes)."""
        ...

    def present(self) -> tuple[str, bool]:
        """The uid of the pod, once a guest stands there (else empty), and whether kubelet calls it ready."""
        ...


class PodNode(GuestNode):
    """One node, over all lives of its container and of its pod."""

    def __init__(self, info: NodeInfo, orders: Orders, sink: Sink, clock: Clock) -> None:
        super().__init__(info, self._never, lambda: "", sink, clock)
        self._orders = orders
        self._outlived = False
        """Another pod is in its place, and the end of the last one's process was not seen."""
        self._given_up = ""
        """The uid of the pod that was to go last."""

    def host(self, guest: AgentLink) -> AgentLink | None:
        """A guest has joined its present pod; returns that of the pod before."""
        return self._received(guest)

    def moved(self, info: NodeInfo) -> None:
        """It lives in another pod now, of which a guest is about to tell. The last one may go on for a while: that is no life of it."""
        with self._changed:
            self._info = info
            self._outlived = self._up_ns is not None

    def seen(self, event: Event) -> None:
        """The first word of another pod ends the life in the one before, where nobody saw that end."""
        with self._changed:
            if self._outlived and event.event == "up" and event.at_ns > self._told_ns + 1:
                self._outlived = False
                super().seen(Event("down", event.at_ns - 1))
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
        self._given_up = self._orders.delete(grace_s)
        if grace_s == 0 and life_ns is not None and self._await(lambda: self._up_ns != life_ns, DELETED_WITHIN_S):
            return self._down_ns
        return ordered_ns

    def evict(self, grace_s: float | None) -> str:
        """By the API server, which a disruption budget may bind."""
        with self._changed:
            self._killing = "EVICTED"
        given_up, held = self._orders.evict(grace_s)
        if held:
            with self._changed:
                self._killing = ""
            return held
        self._given_up = given_up
        return ""

    def replaced(self) -> bool:
        """By kubelet's word of the pod that is there now, where a guest stands and has seen it run."""
        uid, ready = self._orders.present()
        return bool(self._given_up) and uid != self._given_up and ready and self._up_ns is not None

    def status(self) -> Status:
        """By the word of the kernel; of a pod that is gone nothing runs."""
        try:
            return super().status()
        except (AgentRefused, AgentGone):
            return Status.DOWN
