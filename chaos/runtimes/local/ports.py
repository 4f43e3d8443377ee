"""Whether the addresses of a run are free: found out before anything is started, by binding to them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from chaos.core.errors import EnvironmentUnusable
from chaos.runtimes.local.layout import DNS_PORT, TOXIPROXY_PORT, LocalLayout


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
            raise EnvironmentUnusable(
                f"cannot use {host}:{port}: {error.strerror}",
                how="the local runtime needs Linux, the loopback device up, and ports that a plain user may use",
            ) from error
    return False
