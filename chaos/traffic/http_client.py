"""The HTTP client of the prober: kept-alive connections by address, raw non-blocking sockets on the event loop.

An answer is awaited on one connection at a time (no pipelining), so each attempt has a connection of its own while it is under
way, and cutting an attempt is resetting that connection: with SO_LINGER 0 no port is left in TIME_WAIT, so that a long outage
at a high rate cannot use them up.

A connection that the server closed while it was idle is no failure of the service. Before each write on a kept-alive connection
we look whether its end has arrived; if so, nothing was sent and the request goes out on another connection, unnoticed. If the
end arrives *after* the write and before any byte of an answer, the server may have done the request: the attempt ends as
``closed`` or ``reset``, outcome unknown, and whether to try again is the client policy's business.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from chaos.core.http1 import Answer, NotHttp, whole
from chaos.history.observations import Outcome, Why
from chaos.traffic.probe import Slot

if TYPE_CHECKING:
    from chaos.core.tls import Trust
    from chaos.traffic.probe import Setup
    from chaos.traffic.tls_client import Client

LINGER_0: Final = struct.pack("ii", 1, 0)
_PEEK: Final = socket.MSG_PEEK
_READ_BYTES: Final = 65_536
_OURS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""This machine ran out of something: says nothing about the service."""
_FAR: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EACCES, errno.EPERM})

Judge = Callable[[int, bytes], tuple[Outcome, Why]]
"""(status, body) -> what the answer means."""
Request = Callable[[Slot], bytes]
"""The bytes of one attempt's request."""


def why_not_connected(number: int) -> tuple[Outcome, Why]:
    """What an ``errno`` of ``connect(2)`` means: nothing was sent in any case."""
    if number in _OURS:
        return Outcome.UNSENT, Why.NONE
    if number == errno.ECONNREFUSED:
        return Outcome.FAIL, Why.REFUSED
    if number in _FAR:
        return Outcome.FAIL, Why.UNREACHABLE
    return Outcome.FAIL, Why.TIMEOUT if number == errno.ETIMEDOUT else Why.RESET


Follow = Callable[[Slot, int, "bytes | Answer"], bool]
"""(slot, status, the answer whole or as it was read) -> whether the attempt goes on elsewhere."""


class Home(Protocol):
    """Takes a connection back whose answer came whole, and that may carry another request."""

    def append(self, connection: Connection, /) -> None:
        """It is free."""
        ...


class _Closes:
    """The home of connections that carry one request only."""

    def append(self, connection: Connection, /) -> None:
        connection.drop()


_CLOSES: Final = _Closes()


def _nobody() -> Slot:
    """Stands where a request was that has left its connection."""
    slot = Slot()
    slot.ended = lambda _slot, _outcome, _why: None
    slot.carrier = None
    return slot


_NOBODY: Final = _nobody()


class Pool:
    """The connections to one port, by address; the one used last is used first, so that few stay warm instead of many cold."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, port: int, request: Request, judge: Judge, *, bodiless: bool = False, looks: bool = True,
        client: Client | None = None,
    ) -> None:  # fmt: skip
        """``looks`` false: ``judge`` does not look at the body, and is given none. ``client``: connections are encrypted."""
        self.loop = loop
        self.port = port
        self.judge = judge
        self.bodiless = bodiless
        self.looks = looks
        self.client = client
        self.keeps = True
        """False: a connection for each attempt."""
        self.follow: Follow | None = None
        """What becomes of an answer that says to ask elsewhere; None: it is an answer like any other."""
        self.request = request
        self._connection = Connection if client is None else client.connection
        self._idle: dict[str, list[Connection]] = {}
        self.open: set[Connection] = set()

    def send(self, slot: Slot) -> None:
        """One attempt at the slot's address."""
        self.put(slot, self.request(slot))

    def put(self, slot: Slot, data: bytes) -> None:
        """The bytes of one attempt, to the slot's address."""
        idle = self._idle.get(slot.address)
        if idle is None:
            idle = self._idle[slot.address] = []
        while idle:
            connection = idle.pop()
            if connection.still_open() and connection.ask(slot, data):
                return
        try:
            connection = self._connection(self, slot.address, idle if self.keeps else _CLOSES)
        except OSError as error:
            slot.end(*why_not_connected(error.errno or 0))
            return
        connection.connect(slot, data)

    def reuse(self, slot: Slot, fresh: Callable[[Slot], None]) -> bool:  # noqa: ARG002 - see ``Reuses``
        """Connections are looked for by address."""
        return False

    def gone(self, connection: Connection) -> None:
        """It is closed."""
        self.open.discard(connection)

    def close(self) -> None:
        """Reset every connection."""
        for connection in list(self.open):
            connection.drop()


def encrypted(trust: Trust, operation: str) -> Client:
    """What encrypted connections of an operation share; loaded only where something is encrypted."""
    from chaos.traffic.tls_client import Client

    return Client(trust, operation)


class Connection:
    """One socket: connecting, asking, reading, idle, gone."""

    __slots__ = ("_answer", "_fd", "_home", "_pending", "_pool", "_recv", "_send", "_slot", "_socket", "_wrote", "address", "gone")

    def __init__(self, pool: Pool, address: str, home: Home) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pool = pool
        self._home = home
        self._socket = sock
        self._fd = sock.fileno()
        self._recv: Callable[..., bytes] = sock.recv
        self._send: Callable[..., int] = sock.send
        self._slot: Slot | None = None
        self._answer: Answer | None = None
        self._pending = b""
        """What of the request is not yet in the kernel's hands."""
        self._wrote = False
        self.address = address
        self.gone = False
        pool.open.add(self)

    def connect(self, slot: Slot, data: bytes) -> None:
        """Begin to connect, then ask."""
        self._slot = slot
        self._pending = data
        slot.carrier = self
        number = self._socket.connect_ex((self.address, self._pool.port))
        if number not in (0, errno.EINPROGRESS):
            self._fail(*why_not_connected(number))
            return
        loop = self._pool.loop
        loop.add_reader(self._fd, self._readable)
        loop.add_writer(self._fd, self._writable)

    def still_open(self) -> bool:
        """Whether neither an end nor unasked bytes have arrived by now; if so the connection is dropped."""
        if self.gone:
            return False
        try:
            self._recv(1, _PEEK)
        except BlockingIOError:
            return True
        except OSError:
            self.drop()
            return False
        self.drop()
        return False

    def ask(self, slot: Slot, data: bytes) -> bool:
        """Write the request on a kept-alive connection; false if the connection turned out gone, and nothing was sent."""
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.drop()
            return False
        self._slot = slot
        self._wrote = sent > 0
        slot.carrier = self
        if sent < len(data):
            self._pending = data[sent:]
            self._pool.loop.add_writer(self._fd, self._writable)
        return True

    def cut(self) -> bool:
        """Reset in the middle of an attempt; see ``Carrier``."""
        self._slot = None
        self.drop()
        return self._wrote

    def leave(self) -> bool:
        """End the attempt, and let its connection wait for the answer all the same; see ``Leaves``."""
        self._slot = _NOBODY
        return self._wrote

    def set_option(self, level: int, option: int, value: int) -> None:
        """Of its socket."""
        self._socket.setsockopt(level, option, value)

    def drop(self) -> None:
        """Close by reset."""
        if self.gone:
            return
        self.gone = True
        self._pool.gone(self)
        loop = self._pool.loop
        loop.remove_reader(self._fd)
        if self._pending:
            loop.remove_writer(self._fd)
            self._pending = b""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self._socket.close()

    def _fail(self, outcome: Outcome, why: Why) -> None:
        slot, self._slot = self._slot, None
        self.drop()
        if slot is not None:
            slot.end(outcome, why)

    def _lost(self, why: Why) -> None:
        """The connection ended under the request: not done for sure only if nothing was written."""
        self._fail(Outcome.UNKNOWN if self._wrote else Outcome.FAIL, why)

    def _writable(self) -> None:
        if self.gone:
            return
        if not self._wrote:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                self._fail(*why_not_connected(number))
                return
        try:
            sent = self._send(self._pending)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(Why.CLOSED if error.errno == errno.EPIPE else Why.RESET)
            return
        self._wrote = True
        self._pending = self._pending[sent:]
        if not self._pending:
            self._pool.loop.remove_writer(self._fd)

    def _readable(self) -> None:
        if self.gone:
            return
        if self._pending and not self._wrote:
            return  # connecting: the writer sees what became of it
        try:
            data = self._recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._lost(Why.RESET)
            return
        slot = self._slot
        if slot is None:
            self.drop()  # closed, or spoke without being asked
            return
        if not data:
            self._at_end()
            return
        if self._answer is None and not self._pending and not self._pool.bodiless:
            plain = whole(data)
            if plain is not None:
                self._slot = None
                self._wrote = False
                self._home.append(self)
                status, at = plain
                slot.status = status
                if status >= 300 and self._sent_on(slot, status, data):
                    return
                slot.answer = data[at:] if self._pool.looks else b""
                slot.end(*self._pool.judge(status, slot.answer))
                return
        self._piece(data)

    def _sent_on(self, slot: Slot, status: int, answer: bytes | Answer) -> bool:
        follow = self._pool.follow
        return follow is not None and slot is not _NOBODY and follow(slot, status, answer)

    def _piece(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            answer = self._answer = Answer(bodiless=self._pool.bodiless, keep_body=self._pool.looks)
        try:
            done = answer.feed(data)
        except NotHttp:
            self._fail(Outcome.UNKNOWN, Why.PROTOCOL)
            return
        if done:
            self._done(answer)

    def _at_end(self) -> None:
        if self._answer is not None and self._answer.ended():
            self._done(self._answer)
        else:
            self._lost(Why.CLOSED)

    def _done(self, answer: Answer) -> None:
        slot, self._slot = self._slot, None
        assert slot is not None
        self._answer = None
        if answer.keep and not self._pending:
            self._wrote = False
            self._home.append(self)
        else:
            self.drop()
        slot.status, slot.answer = answer.status, answer.body
        if answer.status >= 300 and self._sent_on(slot, answer.status, answer):
            return
        slot.end(*self._pool.judge(answer.status, answer.body))


def pool_of(
    setup: Setup, port: int, request: Request, judge: Judge, *, bodiless: bool = False, looks: bool = True, client: Client | None = None
) -> Pool:
    """The connections of one operation, as the clients' policy has them."""
    if setup.client.pool is not None:
        from chaos.traffic.shared_pool import SharedPool

        return SharedPool(setup.loop, port, request, judge, setup.client.pool, bodiless=bodiless, looks=looks, client=client)
    made = Pool(setup.loop, port, request, judge, bodiless=bodiless, looks=looks, client=client)
    made.keeps = setup.client.keep_alive
    return made


def raise_file_limit() -> None:
    """Allow this process as many open files as the system lets it have: an outage holds one connection per slot under way."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
