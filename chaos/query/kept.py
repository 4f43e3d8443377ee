"""Questions asked again and again over kept connections: with one timer and bare sockets, which cost a third of transports.

    due --> asked --> a whole reply, an error, or the time-out --> due again, on a grid of ``interval_s``

All of a group are due at once, so that the loop wakes once for them and not once for each. A question is never asked anew while it
is open; what is due meanwhile is left out. A time-out is noticed at the next due time, which is when it can first matter. A kept
connection that the other side has closed costs no answer: the question is asked once more on a new one, within the same time-out.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final

from chaos.core import tls
from chaos.core.clock import Clock, to_ns
from chaos.core.system import NONBLOCKING
from chaos.query.grid import Grid
from chaos.query.http import BadReply, Reply, ReplyReader
from chaos.query.once import RESET_ON_CLOSE, Fetched, anybody, numeric
from chaos.query.question import CLOSED, TIMED_OUT, Question, say

_MOST: Final = 65_536


class KeptQuestion:
    """Tells ``take`` what came of each time it was asked; belongs to one event loop and to one ``Beat``."""

    def __init__(self, question: Question, take: Callable[[Fetched], None], clock: Clock) -> None:
        self._question = question
        self._take = take
        self._clock = clock
        self._socket: socket.socket | tls.Wire | None = None
        self._busy: asyncio.Task[None] | None = None
        """Connects, or sends what the kernel did not take at once."""
        self._reader: ReplyReader | None = None
        """Of an answer that has come in part."""
        self._sent_ns = 0
        self._until_ns: int | None = None
        """When the open question is given up; None while none is open."""
        self._used = False
        """The connection has carried an answer, so that its end may only mean that it was idle for too long."""
        self._last: tuple[bytes, Reply] | None = None
        """The last answer that came in one piece, byte by byte: mostly the next one is the same, and need not be read anew."""

    def due(self, now_ns: int, timeout_ns: int) -> None:
        """Give the open question up if its time is over; ask if none is open."""
        if self._until_ns is not None and now_ns >= self._until_ns:
            self._end(None, TIMED_OUT)
        if self._until_ns is None:
            self._sent_ns = now_ns
            self._until_ns = now_ns + timeout_ns
            if self._socket is None:
                self._busy = asyncio.create_task(self._connect())
            else:
                self._send(self._socket)

    def turn_to(self, question: Question) -> None:
        """It is put to somebody else from its next time on; of one that is open nothing is told any more."""
        if self._busy is not None:
            self._busy.cancel()
        self._busy = self._reader = self._until_ns = self._last = None
        self._used = False
        self._drop(reset=True)
        self._question = question

    def close(self) -> None:
        """No question and no connection any more."""
        if self._busy is not None:
            self._busy.cancel()
        self._drop()

    # --- asking --------------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """The time-out of the question ends it by cancelling."""
        loop, question = asyncio.get_running_loop(), self._question
        made: socket.socket | None = None
        wire: socket.socket | tls.Wire | None = None
        try:
            place = numeric(question.host, question.port)
            if place is None:
                found = await loop.getaddrinfo(question.host, question.port, type=socket.SOCK_STREAM)
                place = found[0][0], (str(found[0][4][0]), int(found[0][4][1]))
            made = socket.socket(place[0], socket.SOCK_STREAM | NONBLOCKING)
            made.setblocking(False)
            await loop.sock_connect(made, place[1])
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = tls.Wire(made, anybody(), question.host) if question.tls else made
            await _shaken(wire)
        except BaseException as error:
            if wire is not None or made is not None:
                (wire or made).close()  # type: ignore[union-attr] # one of them is there
            if not isinstance(error, OSError):
                raise
            self._end(None, say(error))
            return
        self._socket = wire
        loop.add_reader(wire.fileno(), self._readable)
        self._send(wire)

    def _send(self, wire: socket.socket | tls.Wire) -> None:
        request = self._question.request
        self._reader = None
        self._sent_ns = self._clock.now_ns()
        try:
            sent = wire.send(request)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lost(error)
            return
        if sent < len(request) and isinstance(wire, tls.Wire):
            self._lost(OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS)))  # the kernel has no room for some hundred bytes
        elif sent < len(request):
            assert isinstance(wire, socket.socket)
            self._busy = asyncio.create_task(self._send_rest(wire, request[sent:]))

    async def _send_rest(self, wire: socket.socket, rest: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(wire, rest)
        except OSError as error:
            self._lost(error)

    # --- what comes ----------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        self._take_in()
        wire = self._socket
        while isinstance(wire, tls.Wire) and wire is self._socket and wire.pending():
            self._take_in()

    def _take_in(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_MOST)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        if not data:
            self._lost(None)
        elif self._until_ns is None:
            self._drop(reset=True)  # bytes that nobody asked for: the connection cannot be trusted any more
        elif self._last is not None and data == self._last[0] and self._reader is None:
            self._end(self._last[1], None)
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        in_one = self._reader is None
        if self._reader is None:
            self._reader = ReplyReader()
        try:
            reply = self._reader.feed(data)
        except BadReply as error:
            self._end(None, str(error))
            return
        if reply is not None:
            self._last = (data, reply) if in_one and reply.keep_alive else None
            self._end(reply, None)

    def _lost(self, error: OSError | None) -> None:
        """The other side ended the connection, or the kernel did."""
        self._drop()
        if self._until_ns is None:
            return
        reply = self._reader.end() if error is None and self._reader is not None else None
        if reply is not None:
            self._end(reply, None)
        elif self._used and self._reader is None:
            self._used = False
            self._busy = asyncio.create_task(self._connect())
        else:
            self._end(None, CLOSED if error is None else say(error))

    def _end(self, reply: Reply | None, why: str | None) -> None:
        """The open question has its answer, or none; a connection that cannot carry another one goes."""
        self._until_ns = None
        if reply is None:
            if self._busy is not None and self._busy is not asyncio.current_task():
                self._busy.cancel()
            self._busy = None
            self._drop(reset=True)
        elif not reply.keep_alive:
            self._drop()
        self._used = self._socket is not None
        self._take(Fetched(reply, why, self._sent_ns, self._clock.now_ns()))

    def _drop(self, *, reset: bool = False) -> None:
        """End the connection; by reset where a node hangs, so that it does not gather half-open ones."""
        wire, self._socket = self._socket, None
        if wire is None:
            return
        asyncio.get_running_loop().remove_reader(wire.fileno())
        if reset:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        wire.close()


async def _shaken(wire: socket.socket | tls.Wire) -> None:
    """The handshake, where the connection is encrypted."""
    loop = asyncio.get_running_loop()
    while isinstance(wire, tls.Wire) and (step := wire.shake()) != tls.DONE:
        possible: asyncio.Future[None] = loop.create_future()
        wait, undo = (loop.add_reader, loop.remove_reader) if step == tls.READS else (loop.add_writer, loop.remove_writer)
        wait(wire.fileno(), _done, possible)
        try:
            await possible
        finally:
            undo(wire.fileno())


def _done(possible: asyncio.Future[None]) -> None:
    if not possible.done():
        possible.set_result(None)


class Beat:
    """The grid of one group of questions, from ``begin`` to ``close``."""

    def __init__(self, questions: Sequence[KeptQuestion], interval_s: float, timeout_s: float, clock: Clock) -> None:
        self._questions = questions
        self._timeout_ns = to_ns(timeout_s)
        self._grid = Grid(interval_s, self._ask, clock)

    def begin(self, phase_s: float) -> None:
        """Ask for the first time that much later."""
        self._grid.begin(phase_s)

    def close(self) -> None:
        """No questions and no connections any more."""
        self._grid.close()
        for question in self._questions:
            question.close()

    def _ask(self, _number: int, now_ns: int) -> None:
        for question in self._questions:
            question.due(now_ns, self._timeout_ns)
