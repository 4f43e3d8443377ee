"""Whether the addresses of a run are free: found out before anything is started, by binding to them.

Two runs that start together both find a block free, for its ports are bound only later, by what they start. The registry keeps them
apart where they share a state folder. A socket does so wherever they keep their state (``Hold``).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Self

from chaos.core.errors import EnvironmentUnusable
from chaos.runtimes.local.layout import DNS_PORT, HOLD_PORT, TOXIPROXY_PORT, LocalLayout


class Hold:
    """At most one block that is this run's: a bound socket, which the kernel gives to one process alone, and takes back when it ends."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def unusable(self, layout: LocalLayout) -> str:
        """Why this block cannot be used; empty: it is held from now on."""
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            held.bind((layout.hold_address, HOLD_PORT))
        except OSError as error:
            held.close()
            if error.errno != errno.EADDRINUSE:
                raise _cannot_use(layout.hold_address, HOLD_PORT, error) from error
            return f"{layout.hold_address}:{HOLD_PORT} is taken"
        self._socket = held
        try:
            taken = first_taken(layout)
        except EnvironmentUnusable:
            self.let_go()
            raise
        if taken:
            self.let_go()
            return f"{taken} is taken"
        return ""

    def let_go(self) -> None:
        """Others may have it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def first_taken(layout: LocalLayout) -> str | None:
    """The first ``address:port`` that somebody uses, or None."""
    for host, port, kind in _places(layout):
        if _is_taken(host, port, kind):
            return f"{host}:{port}"
    return None


def _places(layout: LocalLayout) -> Iterator[tuple[str, int, socket.SocketKind]]:
    for node in layout.nodes.values():
        for port in node.ports.values():
            yield node.address, port, socket.SOCK_STREAM
    for proxy in layout.proxies:
        yield proxy.host, proxy.port, socket.SOCK_STREAM
    if layout.proxies:
        yield layout.toxiproxy_address, TOXIPROXY_PORT, socket.SOCK_STREAM
    yield layout.dns_address, DNS_PORT, socket.SOCK_STREAM
    yield layout.dns_address, DNS_PORT, socket.SOCK_DGRAM


def _is_taken(host: str, port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that lingers in TIME_WAIT is in nobody's way
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise _cannot_use(host, port, error) from error
    return False


def _cannot_use(host: str, port: int, error: OSError) -> EnvironmentUnusable:
    return EnvironmentUnusable(
        f"cannot use {host}:{port}: {error.strerror}",
        how="the local runtime needs Linux, the loopback device up, and ports that a plain user may use",
    )
