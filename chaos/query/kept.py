"""One question asked again and again over one kept connection: with timers and callbacks, which cost a third of tasks and futures.

    due --> asked --> a whole reply, an error, or the time-out --> due again, on a grid of ``interval_s``

A question is never asked anew while it is open; what is due meanwhile is left out. A kept connection that the other side has
closed costs no answer: the question is asked once more on a new one, within the same time-out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chaos.core.clock import Clock, to_ns, to_s
from chaos.query.aio import Fetched, at_once, reset
from chaos.query.http import BadReply, Reply, ReplyReader
from chaos.query.question import CLOSED, TIMED_OUT, Question, say


class _Wire(asyncio.Protocol):
    """One connection. asyncio tells of its end later than we let go of it, when there may be another one already."""

    def __init__(self, owner: KeptQuestion) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None

    def write(self, data: bytes) -> None:
        """Send."""
        assert self._transport is not None
        self._transport.write(data)

    def close(self) -> None:
        """End it in good order."""
        assert self._transport is not None
        self._transport.close()

    def abort(self) -> None:
        """End it by reset, so that nodes that hang do not gather half-open connections."""
        assert self._transport is not None
        reset(self._transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        at_once(transport)

    def data_received(self, data: bytes) -> None:
        self._owner.received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(self, exc)


class KeptQuestion:
    """Tells ``take`` what came of each time it was asked; belongs to one event loop, from ``begin`` to ``close``."""

    def __init__(self, question: Question, interval_s: float, timeout_s: float, take: Callable[[Fetched], None], clock: Clock) -> None:
        self._question = question
        self._interval_ns = to_ns(interval_s)
        self._timeout_ns = to_ns(timeout_s)
        self._take = take
        self._clock = clock
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reader = ReplyReader()
        self._due_ns = 0
        self._sent_ns = 0
        self._until_ns: int | None = None
        """When the open question is given up; None while none is open."""
        self._used = False
        """The connection has carried an answer, so that its end may only mean that it was idle for too long."""

    def begin(self, phase_s: float) -> None:
        """Ask for the first time that much later."""
        self._due_ns = self._clock.now_ns() + to_ns(phase_s)
        self._set_timer(self._due_ns)

    def close(self) -> None:
        """No question and no connection any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    # --- the grid ------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now_ns = self._clock.now_ns()
        if self._until_ns is not None and now_ns >= self._until_ns:
            self._end(None, TIMED_OUT)
        if now_ns >= self._due_ns:
            missed = (now_ns - self._due_ns) // self._interval_ns
            self._due_ns += (missed + 1) * self._interval_ns
            if self._until_ns is None:
                self._ask(now_ns)
        self._set_timer(self._due_ns if self._until_ns is None else min(self._due_ns, self._until_ns))

    def _set_timer(self, at_ns: int) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, to_s(at_ns - self._clock.now_ns())), self._tick)

    def _ask(self, now_ns: int) -> None:
        self._sent_ns = now_ns
        self._until_ns = now_ns + self._timeout_ns
        if self._wire is None:
            self._connecting = asyncio.create_task(self._connect())
        else:
            self._send(self._wire)

    def _send(self, wire: _Wire) -> None:
        self._reader = ReplyReader()
        self._sent_ns = self._clock.now_ns()
        wire.write(self._question.request)

    async def _connect(self) -> None:
        """The time-out of the question ends it by cancelling."""
        try:
            loop = asyncio.get_running_loop()
            _, wire = await loop.create_connection(lambda: _Wire(self), self._question.host, self._question.port)
        except OSError as error:
            self._end(None, say(error))
            return
        self._wire = wire
        self._send(wire)

    def _end(self, reply: Reply | None, why: str | None) -> None:
        """The open question has its answer, or none; a connection that cannot carry another one goes."""
        self._until_ns = None
        if reply is None:
            self._let_go()
        elif not reply.keep_alive and self._wire is not None:
            self._wire.close()
            self._wire = None
        self._used = self._wire is not None
        self._take(Fetched(reply, why, self._sent_ns, self._clock.now_ns()))

    def _let_go(self) -> None:
        if self._connecting is not None and self._connecting is not asyncio.current_task():
            self._connecting.cancel()
        self._connecting = None
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    # --- the connection ------------------------------------------------------------------------------------------------

    def received(self, wire: _Wire, data: bytes) -> None:
        """Part of an answer, or bytes that nobody asked for: the connection cannot be trusted any more then."""
        if wire is not self._wire:
            return
        if self._until_ns is None:
            self._let_go()
            return
        try:
            reply = self._reader.feed(data)
        except BadReply as error:
            self._end(None, str(error))
            return
        if reply is not None:
            self._end(reply, None)

    def lost(self, wire: _Wire, exc: Exception | None) -> None:
        """The other side ended the connection, or the kernel did."""
        if wire is not self._wire:
            return
        self._wire = None
        if self._until_ns is None:
            return
        reply = self._reader.end() if exc is None else None
        if reply is not None:
            self._end(reply, None)
        elif self._used and not self._reader.started:
            self._used = False
            self._connecting = asyncio.create_task(self._connect())
        else:
            self._end(None, say(exc) if isinstance(exc, OSError) else CLOSED)
