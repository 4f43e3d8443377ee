"""One question on a connection of its own, without a task, a transport or a stream: half the processor time of these.

    Once(question, timeout_s, take, clock).begin()     ``take`` is told once what came of it

As load balancers ask, so that a server that no longer accepts is seen. At an address: ``aio`` looks names up first.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from chaos.core import tls
from chaos.core.clock import Clock
from chaos.core.http1 import whole
from chaos.core.system import NONBLOCKING
from chaos.query.http import BadReply, Reply, ReplyReader
from chaos.query.question import CLOSED, MOST_BYTES, NOT_EXPECTED, TIMED_OUT, Question, say

if TYPE_CHECKING:
    import ssl

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""Of SO_LINGER: the connection ends by reset, so that nodes that hang do not gather half-open ones."""
_PIECE = 65_536
Place = tuple[int, tuple[str, int]]
"""An address family, and an address of it."""


@functools.lru_cache(maxsize=1024)
def numeric(host: str, port: int) -> Place | None:
    """Where to connect; None for a name, which must be looked up first."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
    except OSError:
        return None
    return family, (str(address[0]), int(address[1]))


@functools.cache
def anybody() -> ssl.SSLContext:
    """How questions are asked over TLS: whoever answers is believed, since what is asked is whether it answers."""
    return tls.context(tls.Trust(verify=False))


class Fetched(msgspec.Struct, frozen=True):
    """A whole reply, or why there is none; with the times of sending and of the end. For a TCP question neither means yes."""

    reply: Reply | None
    error: str | None
    sent_ns: int
    done_ns: int


class Once:
    """One question; ``take`` is called from the loop, never from ``begin``. ``dated``: the reply comes with its date."""

    def __init__(self, question: Question, timeout_s: float, take: Callable[[Fetched], None], clock: Clock, *, dated: bool = False) -> None:
        self._question = question
        self._timeout_s = timeout_s
        self._take = take
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._sent_ns = 0
        self._rest = question.request
        self._reader: ReplyReader | None = ReplyReader(dated=True) if dated else None
        """Of an answer that has come in part."""
        self._text = b""
        """What has come where a text is awaited."""
        self._open = False
        self._encrypted = False
        self._socket: socket.socket | tls.Wire
        self._fd = -1
        """Told to the loop in place of the socket, of which it would write out all there is at each look-up that fails."""
        self._undo: Callable[[int], bool] = self._loop.remove_reader
        """Takes back what the loop was told to wait for."""
        self._timer: asyncio.TimerHandle

    def begin(self) -> None:
        """Connect, and send as soon as that is possible: within this call where the other side is near."""
        place = numeric(self._question.host, self._question.port)
        assert place is not None, "an address"
        self._sent_ns = self._clock.now_ns()
        try:
            plain = self._socket = socket.socket(place[0], socket.SOCK_STREAM | NONBLOCKING)
            plain.setblocking(False)
        except OSError as error:  # no descriptors left
            self._loop.call_soon(self._take, Fetched(None, say(error), self._sent_ns, self._sent_ns))
            return
        self._open, self._fd = True, self._socket.fileno()
        self._timer = self._loop.call_later(self._timeout_s, self._end, None, TIMED_OUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = plain.connect_ex(place[1])
        if code not in (0, errno.EINPROGRESS):
            self._loop.call_soon(self._end, None, say(OSError(code, os.strerror(code))))
        elif self._question.tls or not self._rest or not self._sent():
            self._undo = self._loop.remove_writer
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Give it up, unless it has ended; nobody is told."""
        if not self._open:
            return
        self._open = False
        self._timer.cancel()
        self._undo(self._fd)
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
        code = 0
        if isinstance(self._socket, socket.socket):
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if self._question.tls and not code:
                self._socket = tls.Wire(self._socket, anybody(), self._question.host)
        if code:
            self._end(None, say(OSError(code, os.strerror(code))))
        elif not self._shaken():
            return
        elif not self._question.request and self._question.expect is None:
            self._end(None, None)
        elif not self._question.request or self._sent():
            self._sent_ns = self._sent_ns if self._question.request else self._clock.now_ns()
            self._undo(self._fd)
            self._undo = self._loop.remove_reader
            self._loop.add_reader(self._fd, self._readable)

    def _shaken(self) -> bool:
        """Whether the connection is as it must be before the question is sent: encrypted, where it is to be."""
        wire = self._socket
        if not isinstance(wire, tls.Wire) or self._encrypted:
            return True
        try:
            step = wire.shake()
        except OSError as error:
            self._end(None, say(error))
            return False
        self._undo(self._fd)
        self._encrypted = step == tls.DONE
        reads = step == tls.READS
        self._undo = self._loop.remove_reader if reads else self._loop.remove_writer
        (self._loop.add_reader if reads else self._loop.add_writer)(self._fd, self._writable)
        return self._encrypted

    def _readable(self) -> None:
        self._read()
        wire = self._socket
        while self._open and isinstance(wire, tls.Wire) and wire.pending():
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(None, say(error))
            return
        if self._question.expect is not None:
            self._await(self._question.expect, data)
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

    def _await(self, expect: bytes, data: bytes) -> None:
        self._text += data
        if expect in self._text:
            self._end(None, None)
        elif not data or len(self._text) > MOST_BYTES:
            self._end(None, NOT_EXPECTED if self._text else CLOSED)

    def _end(self, reply: Reply | None, why: str | None) -> None:
        if not self._open:
            return  # it has ended already
        done_ns = self._clock.now_ns()
        if why is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close()
        self._take(Fetched(reply, why, self._sent_ns, done_ns))
