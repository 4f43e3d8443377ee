"""The sockets of a name server of ours, UDP and TCP on one port: open, or closed as those of a server whose process is gone."""

from __future__ import annotations

import asyncio
import errno
from abc import ABC, abstractmethod

from chaos.core.errors import EnvironmentUnusable


class Doors(ABC):
    """On one address. What comes through them is for who inherits."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def open(self) -> None:
        """``EnvironmentUnusable`` if the port is taken."""
        try:
            self._udp = await self._open_udp()
            self._tcp = await asyncio.start_server(self._serve, self._host, self._port)
        except OSError as error:
            what = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror or error}"
            raise EnvironmentUnusable(
                f"dns: {self._host}:{self._port} {what}", how="end what listens there, or choose another address"
            ) from error

    def close(self) -> None:
        """Nobody listens any more."""
        for door in (self._udp, self._tcp):
            if door is not None:
                door.close()
        self._udp = self._tcp = None

    @property
    def are_open(self) -> bool:
        """Somebody listens."""
        return self._udp is not None

    @abstractmethod
    async def _open_udp(self) -> asyncio.DatagramTransport:
        """The socket, which is listened on."""

    @abstractmethod
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client over TCP (RFC 1035 4.2.2), until it closes or says nothing for long."""
