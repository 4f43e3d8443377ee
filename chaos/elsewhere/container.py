"""The standard streams of a container of a Docker engine, attached to: whoever is in it is spoken with by these alone."""

from __future__ import annotations

import contextlib
import select
import ssl
import struct
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from docker.api import APIClient

TURN_S: Final = 0.2
_HEADER: Final = struct.Struct(">BxxxL")
_CHUNK: Final = 65536


class Wire:
    """A connected socket that one thread reads while others write. A TLS connection must not be used by two at once: they take turns."""

    def __init__(self, connected: Any) -> None:  # noqa: ANN401 - the SDK has a kind for each way to an engine
        self._socket = connected
        self._turn = threading.Lock() if isinstance(connected, ssl.SSLSocket) else None
        if hasattr(connected, "settimeout"):
            connected.settimeout(None if self._turn is None else 0.0)

    def recv(self, size: int) -> bytes:
        """What has come, or nothing if no more will."""
        if self._turn is None:
            return bytes(self._socket.recv(size))
        while True:
            with self._turn, contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return bytes(self._socket.recv(size))
            select.select([self._socket], [], [], TURN_S)

    def sendall(self, data: bytes) -> None:
        """All of it. Callers take turns."""
        if self._turn is None:
            self._socket.sendall(data)
            return
        while data:
            with self._turn, contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                data = data[self._socket.send(data) :]
                continue
            select.select([], [self._socket], [], TURN_S)


class ContainerTalk:
    """Those of a container of a Docker engine, attached to."""

    def __init__(self, api: APIClient, container: str) -> None:
        # The response owns the connection: it must live as long as the socket is used.
        self._owner: Any = api.attach_socket(container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        self._socket = Wire(getattr(self._owner, "_sock", self._owner))

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Cut out of the engine's own frames."""
        buffer = bytearray()
        while data := self._socket.recv(_CHUNK):
            buffer += data
            while len(buffer) >= _HEADER.size:
                stream, length = _HEADER.unpack_from(buffer)
                end = _HEADER.size + length
                if len(buffer) < end:
                    break
                yield stream, bytes(buffer[_HEADER.size : end])
                del buffer[:end]

    def sendall(self, data: bytes) -> None:
        """As it is."""
        self._socket.sendall(data)

    def close(self) -> None:
        """Detach."""
        with contextlib.suppress(OSError):
            self._owner.close()
