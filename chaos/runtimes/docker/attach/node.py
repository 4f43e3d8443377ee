"""A node that is somebody else's container: seen and signalled by a guest on its machine, started by the engine.

It outlives our run, so nothing is done to it beyond the fault's own order. A restart policy of its own is respected: where the fault
says that the policy is to act, the signal is a plain one, as a crash is; else the engine sends it, which then leaves it dead until
it is told to start it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.core.clock import Clock
from chaos.core.errors import FaultNotEffective
from chaos.core.values import NodeInfo, Status
from chaos.engine.errors import translated
from chaos.plugin import Sink
from chaos.runtimes.base.agents.attached.node import GuestNode
from chaos.runtimes.base.agents.life import StartSystem
from chaos.runtimes.base.agents.link import AgentLink, AgentRefused

if TYPE_CHECKING:
    from docker.api import APIClient

JOINED_WITHIN_S = 20.0
"""From the start of a container to a guest in its new network."""


class AttachedNode(GuestNode):
    """``policy``: this run's kills are for the container's own restart policy to mend."""

    def __init__(
        self, info: NodeInfo, api: APIClient, start: StartSystem, how_ended: Callable[[], str], policy: bool, sink: Sink, clock: Clock
    ) -> None:
        super().__init__(info, start, how_ended, sink, clock)
        self._api = api
        self._policy = policy
        self._container = ""
        self._comes_back = False
        """Its container has a restart policy."""
        self._guests = threading.Condition()
        self._joined_life = 0

    @property
    def container(self) -> str:
        """The id that it has now."""
        return self._container

    def host(self, container: str, guest: AgentLink, *, comes_back: bool) -> AgentLink | None:
        """A guest has joined the container's present life; returns the guest of the life before."""
        with self._guests:
            before = self._received(guest)
            self._container, self._comes_back = container, comes_back
            self._joined_life += 1
            self._guests.notify_all()
        return before

    def start(self) -> int:
        """By the engine; returns when a guest stands in its new network, so that rules hold there too."""
        with self._guests:
            lives = self._joined_life
        at_ns = super().start()
        with self._guests:
            if not self._guests.wait_for(lambda: self._joined_life > lives, JOINED_WITHIN_S):
                raise FaultNotEffective(f"{self.info.name} was started, but its network could not be joined within {JOINED_WITHIN_S:g} s")
        return at_ns

    def status(self) -> Status:
        """By the word of the kernel; frozen by the engine counts as well."""
        try:
            return super().status()
        except AgentRefused:
            return Status.DOWN

    def _send(self, signal: int) -> int:
        if self._policy or not self._comes_back:
            return super()._send(signal)
        with translated(f"sending signal {signal} to {self.info.name}"):
            self._api.kill(self._container, signal)
        return self._clock.now_ns()
