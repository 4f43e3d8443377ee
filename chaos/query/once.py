"""One question on a connection of its own, without a task, a transport or a stream: half the processor time of these.

    Once(question, timeout_s, take, clock).begin()     ``take`` is told once what came of it

As load balancers ask, so that a server that no longer accepts is seen. For HTTP questions, and for a mere connect, at an address.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable

from chaos.core.clock import Clock
from chaos.core.http1 import whole
from chaos.query.aio import RESET_ON_CLOSE, Fetched
from chaos.query.http import BadReply, Reply, ReplyReader
from chaos.query.question import CLOSED, TIMED_OUT, Question, say

_PIECE = 65_536
Place = tuple[int, tuple[str, int]]
"""An address family, and an address of it."""


def numeric(host: str, port: int) -> Place | None:
    """Where to connect; None for a name, which must be looked up first."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
    except OSError:
        return None
    return family, (str(address[0]), int(address[1]))


def fits(question: Question) -> bool:
    """Whether it is of the kinds that can be asked so."""
    return question.expect is None and numeric(question.host, question.port) is not None


class Once:
    """One question; ``take`` is called from the loop, never from ``begin``."""

    def __init__(self, question: Question, timeout_s: float, take: Callable[[Fetched], None], clock: Clock) -> None:
        self._question = question
        self._timeout_s = timeout_s
        self._take = take
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._sent_ns = 0
        self._rest = question.request
        self._reader: ReplyReader | None = None
        """Of an answer that has come in part."""
        self._socket: socket.socket
        self._timer: asyncio.TimerHandle

    def begin(self) -> None:
        """Connect, and send as soon as that is possible: within this call where the other side is near."""
        place = numeric(self._question.host, self._question.port)
        assert place is not None, "see ``fits``"
        self._sent_ns = self._clock.now_ns()
        self._timer = self._loop.call_later(self._timeout_s, self._end, None, TIMED_OUT)
        self._socket = socket.socket(place[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self._socket.connect_ex(place[1])
        if code not in (0, errno.EINPROGRESS):
            self._loop.call_soon(self._end, None, say(OSError(code, os.strerror(code))))
        elif not self._rest or not self._sent():
            self._loop.add_writer(self._socket, self._writable)
        else:
            self._loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        """Give it up, unless it has ended; nobody is told."""
        if self._socket.fileno() < 0:
            return
        self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def _sent(self) -> bool:
        """Whether all of it is; false while the connection is not there yet. What else is wrong shows when the answer is read."""
        now_ns = self._clock.now_ns()
        try:
            sent = self._socket.send(self._rest)
        except BlockingIOError:
            return False
        except OSError as error:
            self._loop.call_soon(self._end, None, say(error))
            return True
        if len(self._rest) == len(self._question.request):
            self._sent_ns = now_ns
        self._rest = self._rest[sent:]
        return not self._rest

    def _writable(self) -> None:
        """The connection is there, or has failed."""
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._end(None, say(OSError(code, os.strerror(code))))
        elif not self._question.request:
            self._end(None, None)
        elif self._sent():
            self._loop.remove_writer(self._socket)
            self._loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(None, say(error))
            return
        plain = whole(data) if self._reader is None else None
        if plain is not None:
            self._end(Reply(plain[0], data[plain[1] :], keep_alive=True), None)
            return
        self._reader = self._reader or ReplyReader()
        try:
            reply = self._reader.feed(data) if data else self._reader.end()
        except BadReply as error:
            self._end(None, str(error))
            return
        if reply is not None or not data:
            self._end(reply, None if reply is not None else CLOSED)

    def _end(self, reply: Reply | None, why: str | None) -> None:
        if self._socket.fileno() < 0:
            return  # it has ended already
        done_ns = self._clock.now_ns()
        if why is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close()
        self._take(Fetched(reply, why, self._sent_ns, done_ns))
