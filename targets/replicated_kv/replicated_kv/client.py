"""Requests to one peer over kept-alive, pipelined connections, made for links that break.

A black-holed connection accepts bytes and answers nothing. So requests never queue behind one that hangs: when the peer has been silent
for one and a half beats although an answer is due, each further beat knocks on a new connection, and the first that answers is kept; a
connection that owes an answer for ``hang_s`` is reset. How many are open, and how many answers are owed, is bounded. A slow link is
not taken for a silent one: answers keep coming in, only later. A request ends exactly once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from .handshake import Caller

Done = Callable[[int, bytes], None]
"""How a request ended: the status and body of its answer; or 0 if none came (it may have been done), or -1 if it was never sent."""

LOST, UNSENT = 0, -1
MAX_CONNECTIONS = 8
MAX_WAITING = 256


class Connection(asyncio.Protocol):
    """One connection to the peer, opening or open."""

    def __init__(self, now_s: float, caller: Caller | None = None) -> None:
        self._caller = caller
        self._greeting = caller is not None
        self.waiting: deque[tuple[float, Done]] = deque()
        self.closed = False
        self.opened_s = now_s
        self.heard_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.closed:
            self._transport.abort()
            return
        if self._caller is None:
            self._write_unsent()
        else:
            self.waiting.appendleft((self._loop.time(), self._on_greeted))
            self._transport.write(_post("/raft/hello", "peer", self._caller.hello()))

    def _write_unsent(self) -> None:
        self._greeting = False
        if self._transport is not None:
            self._transport.writelines(self._unsent)
        self._unsent.clear()

    def _on_greeted(self, status: int, body: bytes) -> None:
        """The peer has shown that it knows the secret: show it too, and send what waits without a further round trip."""
        shown = self._caller.prove(body) if self._caller is not None and status == 200 else None
        if self.closed:
            return
        if shown is None or self._transport is None:
            self.abort()
            return
        self.waiting.appendleft((self._loop.time(), self._on_proven))
        self._transport.write(_post("/raft/prove", "peer", shown))
        self._write_unsent()

    def _on_proven(self, status: int, body: bytes) -> None:  # noqa: ARG002 - the signature of ``Done``
        if status != 200 and not self.closed:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it is gone, whatever the cause
        self._end(LOST)

    def data_received(self, data: bytes) -> None:
        self.heard_s = self._loop.time()
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            status, size = _head(bytes(self._buffer[:end]))
            if status < 0 or not self.waiting:
                self.abort()
                return
            stop = end + 4 + size
            if len(self._buffer) < stop:
                return
            body = bytes(self._buffer[end + 4 : stop])
            del self._buffer[:stop]
            self.waiting.popleft()[1](status, body)

    def send(self, data: bytes, done: Done) -> None:
        """Queue a request; if the connection is still opening it goes out when it is open."""
        self.waiting.append((self._loop.time(), done))
        if self._transport is None or self._greeting:
            self._unsent.append(data)
        else:
            self._transport.write(data)

    def refused(self) -> None:
        """It did not open."""
        self._end(UNSENT)

    def abort(self) -> None:
        """Reset it; what is owed is lost."""
        opened = self._transport is not None
        if self._transport is not None:
            self._transport.abort()
        self._end(LOST if opened else UNSENT)

    def _end(self, status: int) -> None:
        self.closed = True
        waiting, self.waiting = self.waiting, deque()
        self._unsent.clear()
        for _, done in waiting:
            done(status, b"")


def _post(path: str, host: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def _head(head: bytes) -> tuple[int, int]:
    """Status and body size; status -1 if it is no such answer."""
    lines = head.lower().split(b"\r\n")
    words = lines[0].split(b" ")
    sizes = [line[15:].strip() for line in lines[1:] if line.startswith(b"content-length:")]
    if len(words) < 2 or not words[1].isdigit() or len(sizes) != 1 or not sizes[0].isdigit():
        return -1, 0
    return int(words[1]), int(sizes[0])


class Channel:
    """The way to one peer. ``address`` may be the peer's own or a proxy's; ``second`` is another way to it, on another network.

    Each connection that is opened takes the other way: a knock on one that is silent, or the first after one that broke.
    """

    def __init__(
        self, address: str, port: int, beat_s: float, hang_s: float,
        greet: Callable[[], Caller] | None = None, second: tuple[str, int] | None = None,
    ) -> None:  # fmt: skip
        self._ways = [(address, port), *([second] if second is not None else [])]
        self._opened = 0
        self._greet = greet
        self._beat_s = beat_s
        self._hang_s = hang_s
        self._connections: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._sweeping = False
        self._loop = asyncio.get_running_loop()

    def post(self, path: str, body: bytes, done: Done) -> None:
        """Send; ``done`` is called later, exactly once, never from within this call."""
        connection = self._connection()
        if connection is None or len(connection.waiting) >= MAX_WAITING:
            self._loop.call_soon(done, UNSENT, b"")
            return
        connection.send(_post(path, self._ways[0][0], body), done)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(self._hang_s / 4, self._sweep)

    def _connection(self) -> Connection | None:
        now_s = self._loop.time()
        self._connections = [connection for connection in self._connections if not connection.closed]
        if self._connections:
            newest = self._connections[-1]
            if now_s - newest.opened_s < 0.9 * self._beat_s or not self._silent(now_s):
                return newest
            if len(self._connections) >= MAX_CONNECTIONS:
                return None
        connection = Connection(now_s, self._greet() if self._greet is not None else None)
        self._connections.append(connection)
        task = self._loop.create_task(self._open(connection, self._ways[self._opened % len(self._ways)]))
        self._opened += 1
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return connection

    def _silent(self, now_s: float) -> bool:
        """An answer is due for so long, and nothing at all came meanwhile."""
        asked_s = min((connection.waiting[0][0] for connection in self._connections if connection.waiting), default=now_s)
        heard_s = max(connection.heard_s for connection in self._connections)
        return now_s - max(asked_s, heard_s) >= 1.5 * self._beat_s

    async def _open(self, connection: Connection, way: tuple[str, int]) -> None:
        try:
            await asyncio.wait_for(self._loop.create_connection(lambda: connection, *way), self._hang_s)
        except (OSError, TimeoutError):
            connection.refused()

    def _sweep(self) -> None:
        """Reset what hangs, close what a newer connection has replaced."""
        now_s = self._loop.time()
        self._sweeping = False
        for connection in list(self._connections):
            hangs = bool(connection.waiting) and now_s - connection.waiting[0][0] > self._hang_s
            replaced = not connection.waiting and connection is not self._connections[-1]
            if hangs or replaced:
                connection.abort()
        self._connections = [connection for connection in self._connections if not connection.closed]
        if any(connection.waiting for connection in self._connections):
            self._sweeping = True
            self._loop.call_later(self._hang_s / 4, self._sweep)
