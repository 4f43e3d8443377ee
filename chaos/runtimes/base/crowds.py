"""Idle connections to nodes, from where the clients are: held by this process."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from chaos.agent.agent_parts import connections
from chaos.core.errors import BadInput, FaultNotEffective
from chaos.core.values import CLIENTS, Link
from chaos.plugin import Crowd
from chaos.runtimes.base.layout import Layout

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
