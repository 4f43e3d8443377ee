"""Idle connections to nodes, from where the clients are: held by this process, or by the agent of the clients' place."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chaos.agent.agent_parts import connections
from chaos.core.errors import BadInput, FaultNotEffective
from chaos.core.values import CLIENTS, Link
from chaos.plugin import Crowd
from chaos.runtimes.base.layout import Layout

if TYPE_CHECKING:
    from chaos.runtimes.docker.agent_link import AgentLink

OPEN_WITHIN_S = 10.0
GRACE_S = 2.0


def place(layout: Layout, node: str, port: str) -> tuple[str, int]:
    """Where clients reach that port of the node; without a name its first one."""
    ports = layout.nodes[node].ports
    name = port or next(iter(ports))
    if name not in ports:
        raise BadInput(f"{node} has no port '{name}'", right=", ".join(ports))
    return layout.address(Link(CLIENTS, node)), ports[name]


class OwnCrowd:
    """Held by this process, and gone with it."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets

    def established(self) -> int:
        """By the kernel; none once they are closed."""
        return connections.established([one for one in self._sockets if one.fileno() >= 0])


@contextmanager
def own_crowd(layout: Layout, node: str, port: str, count: int) -> Iterator[Crowd]:
    """From this process, on the way that clients go."""
    host, number = place(layout, node, port)
    try:
        sockets = connections.opened(host, number, count, OPEN_WITHIN_S)
    except ValueError as error:
        raise FaultNotEffective(str(error)) from error
    try:
        yield OwnCrowd(sockets)
    finally:
        connections.close(sockets)


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
