"""The asker: what the harness, the DNS server's health checks and the role watch ask nodes with. One event loop, no dependency.

``door`` is the way to it for code that waits; inside a node, where nothing of ours is, the agent asks (``agent_questions``).

With ``keep_alive`` a connection is used again for the next question to the same address, and a question that finds such a
connection closed under it is asked once more on a new one, within the same time-out. A question that is cut by its time-out
takes its connection with it, by reset, so that nodes that hang do not gather half-open ones.
"""

from __future__ import annotations

import asyncio
import socket
import struct

import msgspec

from chaos.core.clock import Clock, MonotonicClock, to_s
from chaos.experiment.target.spec import Ask
from chaos.query.http import BadReply, Reply, ReplyReader
from chaos.query.question import CLOSED, MOST_BYTES, NOT_EXPECTED, TIMED_OUT, Answer, Question, judged, prepare, say

Address = tuple[str, int]
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""Of SO_LINGER: the connection ends by reset, whatever is still under way."""


class Fetched(msgspec.Struct, frozen=True):
    """A whole reply, or why there is none; with the times of sending and of the end."""

    reply: Reply | None
    error: str | None
    sent_ns: int
    done_ns: int


def at_once(transport: asyncio.Transport) -> None:
    """A question leaves when it is written (TCP_NODELAY)."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reset(transport: asyncio.Transport) -> None:
    """End a connection by reset, so that nodes that hang do not gather half-open ones."""
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    transport.abort()


class _Closed(ConnectionError):
    """The other side closed; ``stale`` if not one byte of the answer had come."""

    def __init__(self, *, stale: bool) -> None:
        super().__init__(CLOSED)
        self.stale = stale
        self.strerror = CLOSED


class _Connection(asyncio.Protocol):
    """One connection, one question at a time."""

    def __init__(self) -> None:
        self.open = False
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._waiting: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.open = True
        at_once(transport)

    def ask(self, request: bytes, *, dated: bool) -> asyncio.Future[Reply]:
        """Send; the future ends with the reply, or with the error that came instead."""
        assert self._transport is not None
        self._reader = ReplyReader(dated=dated)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            self.abort()  # bytes that nobody asked for: the connection cannot be trusted any more
            return
        try:
            reply = self._reader.feed(data)
        except BadReply as error:
            self._waiting.set_exception(error)
            self.abort()
            return
        if reply is not None:
            self._waiting.set_result(reply)
            if not reply.keep_alive:
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        reply = self._reader.end() if exc is None else None
        if reply is not None:
            waiting.set_result(reply)
        elif isinstance(exc, OSError) and self._reader.started:
            waiting.set_exception(exc)
        elif isinstance(exc, OSError):
            lost = _Closed(stale=True)
            lost.strerror = say(exc)
            waiting.set_exception(lost)
        else:
            waiting.set_exception(_Closed(stale=not self._reader.started))

    def close(self) -> None:
        """End it in good order."""
        self.open = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once, by reset."""
        self.open = False
        if self._transport is None:
            return
        reset(self._transport)


class AsyncAsker:
    """Asks questions concurrently; must be used on one event loop, and closed."""

    def __init__(self, *, keep_alive: bool = True, clock: Clock | None = None) -> None:
        self._keep_alive = keep_alive
        self.clock = clock or MonotonicClock()
        self._idle: dict[Address, list[_Connection]] = {}

    async def ask(self, ask: Ask, timeout_s: float) -> Answer:
        """Once, all within ``timeout_s``. A node's failure is an answer, never an exception."""
        question = prepare(ask, self._keep_alive)
        fetched = await self.fetch(question, timeout_s)
        if fetched.reply is not None:
            return judged(question, fetched.reply, fetched.sent_ns, fetched.done_ns)
        rtt_s = to_s(fetched.done_ns - fetched.sent_ns) if fetched.error is None else None
        return Answer(ok=fetched.error is None, rtt_s=rtt_s, error=fetched.error, sent_ns=fetched.sent_ns, done_ns=fetched.done_ns)

    async def fetch(self, question: Question, timeout_s: float, *, dated: bool = False) -> Fetched:
        """The reply without judging it; for a TCP question no reply and no error means that it accepted. ``dated``: with its date."""
        sent_ns = self.clock.now_ns()
        reply, why = None, None
        try:
            async with asyncio.timeout(timeout_s):
                if question.expect is not None:
                    sent_ns, why = await self._talk(question)
                elif question.request:
                    sent_ns, reply = await self._exchange(question, dated)
                else:
                    (await self._connect((question.host, question.port))).close()
        except TimeoutError:
            why = TIMED_OUT
        except OSError as error:
            why = say(error)
        except BadReply as error:
            why = str(error)
        return Fetched(reply, why, sent_ns, self.clock.now_ns())

    async def _talk(self, question: Question) -> tuple[int, str | None]:
        """On a connection of its own; when it was sent, and None once the text has come, else why it did not."""
        assert question.expect is not None
        reader, writer = await asyncio.open_connection(question.host, question.port)
        try:
            sent_ns = self.clock.now_ns()
            writer.write(question.request)
            came = b""
            while question.expect not in came:
                data = await reader.read(4096)
                if not data or len(came) > MOST_BYTES:
                    return sent_ns, CLOSED if not came else NOT_EXPECTED
                came += data
        finally:
            writer.transport.abort()
        return sent_ns, None

    async def _exchange(self, question: Question, dated: bool) -> tuple[int, Reply]:
        address = (question.host, question.port)
        connection = self._take_idle(address)
        if connection is not None:
            sent_ns = self.clock.now_ns()
            try:
                return sent_ns, await self._on(connection, address, question.request, dated)
            except _Closed as error:
                if not error.stale:
                    raise
        connection = await self._connect(address)
        sent_ns = self.clock.now_ns()
        return sent_ns, await self._on(connection, address, question.request, dated)

    async def _on(self, connection: _Connection, address: Address, request: bytes, dated: bool) -> Reply:
        try:
            reply = await connection.ask(request, dated=dated)
        except BaseException:
            connection.abort()
            raise
        if connection.open and self._keep_alive and reply.keep_alive:
            self._idle.setdefault(address, []).append(connection)
        else:
            connection.close()
        return reply

    def _take_idle(self, address: Address) -> _Connection | None:
        waiting = self._idle.get(address, [])
        while waiting:
            connection = waiting.pop()
            if connection.open:
                return connection
        return None

    @staticmethod
    async def _connect(address: Address) -> _Connection:
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, address[0], address[1])
        return connection

    def close(self) -> None:
        """Close what is kept open."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()
