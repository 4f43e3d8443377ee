"""A node that is not ours: seen and signalled by a guest, of which each of its lives may have another one."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chaos.core.clock import Clock
from chaos.core.values import NodeInfo
from chaos.plugin import Sink
from chaos.runtimes.base.agents.life import StartSystem
from chaos.runtimes.base.agents.link import AgentLink, Event
from chaos.runtimes.base.agents.node import AgentNode, HowEnded


class GuestNode(AgentNode):
    """One node, over all of its lives."""

    def __init__(self, info: NodeInfo, start: StartSystem, how_ended: HowEnded, sink: Sink, clock: Clock) -> None:
        super().__init__(info, start, how_ended, self._never, sink, clock)
        self._guest: AgentLink | None = None
        self._told_ns = 0

    @property
    def guest(self) -> AgentLink | None:
        """Who looks after it now."""
        return self._guest

    def _received(self, guest: AgentLink) -> AgentLink | None:
        """A guest has joined; returns the one before."""
        before, self._guest, self._link = self._guest, guest, guest
        self._dark = False
        return before

    def moved(self, info: NodeInfo) -> None:
        """It lives somewhere else now, of which a guest is about to tell."""
        with self._changed:
            self._info = info

    def labelled(self, labels: Mapping[str, str]) -> None:
        """It has these labels now; nothing where no selector speaks of labels."""
        with self._changed:
            if self._info.labels is not None:
                self._info = msgspec.structs.replace(self._info, labels=dict(labels))

    def seen(self, event: Event) -> None:
        """Two guests may tell of the same: what is known already, or older than what is known, is passed over."""
        with self._changed:
            up = self._up_ns is not None
            if (event.event == "up") == up or event.event not in ("up", "down") or event.at_ns <= self._told_ns:
                return
            self._told_ns = event.at_ns
            super().seen(event)

    def _never(self) -> None:
        raise AssertionError("what is not ours is neither started nor replaced by us")
