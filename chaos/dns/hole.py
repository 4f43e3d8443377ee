"""An address of this machine that is silent like a machine that is gone, where the kernel would refuse at once.

A listener whose queue of accepted connections is full is sent no answer to a SYN (Linux, ``tcp_abort_on_overflow`` being 0): one
connection of our own fills a queue of length zero. A datagram goes to a socket that nobody reads.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence


class Hole:
    """Some ports of one address; ``OSError`` from ``open`` where they are not to be had."""

    def __init__(self, address: str, ports: Sequence[int]) -> None:
        self._address = address
        self._ports = tuple(ports)
        self._held: list[socket.socket] = []
        self.is_open = False

    def open(self) -> None:
        """From now on nothing that comes there is answered."""
        try:
            for port in self._ports:
                listener = self._hold(socket.SOCK_STREAM)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((self._address, port))
                listener.listen(0)
                self._hold(socket.SOCK_STREAM).connect((self._address, port))
                self._hold(socket.SOCK_DGRAM).bind((self._address, port))
        except OSError:
            self.close()
            raise
        self.is_open = True

    def close(self) -> None:
        """The kernel refuses again."""
        for each in reversed(self._held):
            each.close()
        self._held = []
        self.is_open = False

    def _hold(self, kind: socket.SocketKind) -> socket.socket:
        made = socket.socket(socket.AF_INET, kind)
        self._held.append(made)
        return made
