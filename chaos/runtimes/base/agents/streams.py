"""The standard streams of one of our own containers, attached to before it starts, so that not a byte is missed.

The engine multiplexes standard output and error into frames of an eight-byte header (stream number, three zero bytes, length as
a big-endian number) and the data; what we write arrives on the container's standard input as it is.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from docker.api import APIClient

STDOUT: Final = 1
STDERR: Final = 2
_HEADER: Final = struct.Struct(">BxxxL")
_CHUNK: Final = 65536


class Streams(Protocol):
    """The standard streams of a process of ours, however it is reached. One thread may read while others write."""

    def read(self, within_s: float) -> list[tuple[int, bytes]] | None:
        """(stream, data) of all that has come, an empty list if nothing did in time; None when there will be no more."""
        ...

    def write(self, data: bytes) -> None:
        """To its standard input; ``OSError`` when it is gone. Callers take turns."""
        ...

    def close(self) -> None:
        """Detach; a reader that waits is woken."""
        ...


class Attached:
    """One attachment. One thread may read while others write; ``close`` wakes the reader."""

    def __init__(self, api: APIClient, container: str) -> None:
        # The file object owns the response, and with it the connection: it must live as long as the socket is used.
        self._owner = api.attach_socket(container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        self._socket: socket.socket = getattr(self._owner, "_sock", self._owner)
        self._socket.settimeout(None)
        self._buffer = bytearray()
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def read(self, within_s: float) -> list[tuple[int, bytes]] | None:
        """The frames that have come, an empty list if none came in time; None when there will be no more."""
        if not self._poll.poll(within_s * 1e3):
            return []
        try:
            data = self._socket.recv(_CHUNK)
        except OSError:
            return None  # closed by us, or broken with the engine: no more will come either way
        if not data:
            return None
        self._buffer += data
        frames: list[tuple[int, bytes]] = []
        while len(self._buffer) >= _HEADER.size:
            stream, length = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append((stream, bytes(self._buffer[_HEADER.size : end])))
            del self._buffer[:end]
        return frames

    def write(self, data: bytes) -> None:
        """To its standard input; ``OSError`` when it is gone. Callers take turns."""
        self._socket.sendall(data)

    def end_input(self) -> None:
        """Nothing more will be written: it sees the end of its input."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # gone already: it has seen the end of everything

    def close(self) -> None:
        """Detach; a reader that waits is woken."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was first
        finally:
            self._owner.close()


class Lines:
    """Cuts a stream of bytes into whole lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines
