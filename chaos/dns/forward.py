"""A resolver of ours before somebody else's name server: ``python -m chaos.dns.forward SPEC.json``, a process of its own.

    clients -> here -> the name server that is not ours

It hands every question on and every answer back, so that the name stays the business of whoever serves it, and takes orders to do something
wrong with answers about the names that it is given (``orders.py``). Nobody but who asks here sees that: the server itself is as before.
``stale`` answers as the last right answer before the order did; whatever is not asked before is asked now, once.

On standard output: ``{"ready": true}`` once both sockets are open, then a ``dns_order`` row for each order when it is carried out, and a
``dns`` row where an order changes whom the name's answers may hold. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import struct
import sys
from collections.abc import Callable
from typing import Final, cast

import msgspec
from dnslib import DNSRecord
from dnslib.dns import DNSError

from chaos.core import worker as child
from chaos.core.clock import Clock, MonotonicClock
from chaos.core.worker import Orders, Rows
from chaos.dns.doors import Doors
from chaos.dns.obedience import Obedience, told
from chaos.dns.orders import DOWN, STALE, Harms
from chaos.dns.spec import NameOrder, NameSpec
from chaos.history.events import DnsChanged

WAITS_S: Final = 10.0
"""No client waits longer for one answer; what comes later belongs to nobody."""
IDLE_S: Final = 10.0
_ID: Final = struct.Struct("!H")
_LENGTH: Final = struct.Struct("!H")
Address = tuple[str | None, int]


class ForwardSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it listens (UDP and TCP), whom it asks, and the names that orders are about."""

    host: str
    port: int
    server: str
    server_port: int
    names: tuple[NameSpec, ...]
    nowhere: str
    """Where nobody answers: what wrong answers hold."""


class Answers:
    """What becomes of an answer on its way back: right, or wrong as ordered. No sockets and no time here."""

    def __init__(self, spec: ForwardSpec) -> None:
        self.harms = Harms(spec.names, spec.nowhere)
        self._held: dict[tuple[str, int], bytes] = {}
        """Question -> the last right answer."""

    def held(self, query: bytes) -> bytes | None:
        """The answer to give without asking, if names are to stay as they are."""
        if not self.harms.has(STALE):
            return None
        kept = self._held.get(_about(query) or ("", 0))
        return None if kept is None else self._ordered(query[: _ID.size] + kept[_ID.size :])

    def came(self, answer: bytes) -> bytes:
        """One that the name server gave."""
        about = _about(answer)
        if about is not None and (about not in self._held or not self.harms.has(STALE)):
            self._held[about] = answer
        return self._ordered(answer)

    def _ordered(self, answer: bytes) -> bytes:
        try:
            return self.harms.applied(answer)
        except DNSError:
            return answer  # nothing that we understand, so nothing about a name of ours


def _about(message: bytes) -> tuple[str, int] | None:
    """(name, type) of its only question; None if it is none of ours to keep."""
    try:
        record = DNSRecord.parse(message)
    except DNSError:
        return None
    if len(record.questions) != 1:
        return None
    return str(record.questions[0].qname).lower(), int(record.questions[0].qtype)


class _Up(asyncio.DatagramProtocol):
    """Asks the name server: each question under a number of our own, since clients may have drawn the same one."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._transport: asyncio.DatagramTransport | None = None
        self._numbers = itertools.cycle(range(1, 1 << 16))
        self._asked: dict[int, tuple[bytes, Callable[[bytes], None]]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # before Python 3.12 asyncio's own is no subclass of it

    def ask(self, query: bytes, told: Callable[[bytes], None]) -> None:
        """``told`` takes the answer, if one comes."""
        if self._transport is None:
            return
        number = next(self._numbers)
        self._asked[number] = (query[: _ID.size], told)
        self._transport.sendto(_ID.pack(number) + query[_ID.size :])
        asyncio.get_running_loop().call_later(WAITS_S, self._asked.pop, number, None)

    def datagram_received(self, data: bytes, addr: Address) -> None:  # noqa: ARG002 - the socket hears the name server alone
        found = self._asked.pop(_ID.unpack_from(data)[0], None) if len(data) > _ID.size else None
        if found is not None:
            number, told = found
            told(self._answers.came(number + data[_ID.size :]))

    def error_received(self, exc: Exception) -> None:
        """The name server refuses: as silent as it is, and clients' own patience decides."""


class _Down(asyncio.DatagramProtocol):
    """Hears clients."""

    def __init__(self, answers: Answers, up: _Up) -> None:
        self._answers = answers
        self._up = up
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self._answers.harms.has(DOWN) or len(data) <= _ID.size:
            return
        kept = self._answers.held(data)
        if kept is not None:
            self._reply(kept, addr)
        else:
            self._up.ask(data, lambda answer: self._reply(answer, addr))

    def _reply(self, answer: bytes, addr: Address) -> None:
        late_s = self._answers.harms.delay_s
        if late_s > 0:
            asyncio.get_running_loop().call_later(late_s, self._send, answer, addr)
        else:
            self._send(answer, addr)

    def _send(self, answer: bytes, addr: Address) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._answers.harms.has(DOWN):
            self._transport.sendto(answer, addr)


class _Doors(Doors):
    """And the one by which the other server is asked."""

    def __init__(self, spec: ForwardSpec, answers: Answers) -> None:
        super().__init__(spec.host, spec.port)
        self._spec = spec
        self._answers = answers
        self._up = _Up(answers)
        self._asks: asyncio.DatagramTransport | None = None

    async def _open_udp(self) -> asyncio.DatagramTransport:
        spec, loop = self._spec, asyncio.get_running_loop()
        if self._asks is None:
            self._asks, _ = await loop.create_datagram_endpoint(lambda: self._up, remote_addr=(spec.server, spec.server_port))
        udp, _ = await loop.create_datagram_endpoint(lambda: _Down(self._answers, self._up), local_addr=(spec.host, spec.port))
        return udp

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Queries over TCP (RFC 1035 4.2.2), each asked by TCP, until the client closes or says nothing for long."""
        try:
            while True:
                query = await _message(reader)
                if self._answers.harms.has(DOWN):
                    continue
                answer = self._answers.held(query) or self._answers.came(await self._asked(query))
                await asyncio.sleep(self._answers.harms.delay_s)
                writer.write(_LENGTH.pack(len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, OSError):
            pass  # the client or the name server has gone or fallen silent: the end of this conversation, nothing else
        finally:
            writer.close()

    async def _asked(self, query: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._spec.server, self._spec.server_port)
        try:
            writer.write(_LENGTH.pack(len(query)) + query)
            return await _message(reader)
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(IDLE_S):
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)


class _Obedience(Obedience):
    """Says whom the answers of the other server may hold."""

    def _visible(self) -> list[list[str]]:
        return [self._harms.visible(replica.node for replica in spec.replicas) for spec in self._names]

    def _tell(self, order: NameOrder, before: list[list[str]], at_ns: int) -> None:
        for spec, shown, was in zip(self._names, self._visible(), before, strict=True):
            if shown != was:
                self._rows.put(DnsChanged(at_ns=at_ns, name=spec.name, nodes=shown, changed=order.harm.record, why=told(order)))


async def forward(
    spec: ForwardSpec, rows: Rows, stop: asyncio.Event, clock: Clock | None = None, orders: Orders | None = None
) -> None:  # fmt: skip
    """Hand on until ``stop`` is set. ``EnvironmentUnusable`` if the port is taken."""
    answers = Answers(spec)
    doors = _Doors(spec, answers)
    await doors.open()
    rows.ready()
    obedience = _Obedience(spec.names, answers.harms, doors, rows, clock or MonotonicClock())
    if orders is not None:
        orders.taken_by(obedience.take)
    try:
        async with child.tasks_until(stop) as group:
            group.create_task(obedience.obey())
    finally:
        with contextlib.suppress(RuntimeError):
            doors.close()


def main(arguments: list[str]) -> int:
    """The process; see ``child.run`` for its exit status."""
    orders = Orders()
    work = functools.partial(forward, orders=orders)
    return child.run("chaos.dns.forward", arguments, lambda data: msgspec.json.decode(data, type=ForwardSpec), work, orders)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
