"""Idle connections to nodes, held by the agent that stands where the clients are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chaos.core.errors import FaultNotEffective
from chaos.plugin import Crowd
from chaos.runtimes.base.agents.link import AgentLink
from chaos.runtimes.base.crowds import GRACE_S, OPEN_WITHIN_S, place
from chaos.runtimes.base.layout import Layout


class AgentCrowd:
    """Held by an agent, which lets go of them when it does not hear of us."""

    def __init__(self, link: AgentLink, number: int) -> None:
        self._link = link
        self._number = number

    def established(self) -> int:
        """By the kernel there."""
        return int(self._link.call("connections.count", crowd=self._number).result["open"] or 0)


class AgentCrowds:
    """By the agent that ``find`` gives."""

    def __init__(self, layout: Layout, find: Callable[[], AgentLink | None]) -> None:
        self._layout = layout
        self._find = find
        self._numbers = itertools.count(1)

    @contextmanager
    def crowd(self, node: str, port: str, count: int) -> Iterator[Crowd]:
        """From the clients' own namespace."""
        host, at = place(self._layout, node, port)
        link, number = self._find(), next(self._numbers)
        if link is None:
            raise FaultNotEffective("nobody stands where the clients are: no fault of the plan said that it needs somebody there")
        try:
            link.call("connections.open", OPEN_WITHIN_S + GRACE_S, crowd=number, host=host, port=at, count=count, within_s=OPEN_WITHIN_S)
            yield AgentCrowd(link, number)
        finally:
            link.call("connections.close", crowd=number)
