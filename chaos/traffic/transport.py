"""The sockets under a ``Resolver``."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from chaos.traffic.resolver import BY_TTL, Resolver

_LENGTH = struct.Struct("!H")
STREAM_WITHIN_S = 5.0
"""An answer by TCP that takes longer is of no use to anyone who waits."""


class Wires:
    """The sockets under a ``Resolver``: one UDP socket to one server, and TCP for answers that do not fit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: str, port: int, clock_ns: Callable[[], int]) -> None:
        self._loop = loop
        self._server = (server, port)
        self._clock_ns = clock_ns
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.connect(self._server)
        self._streams: set[asyncio.Task[None]] = set()
        self._resolver: Resolver | None = None

    def attach(self, resolver: Resolver) -> None:
        """Carry this resolver's questions and answers."""
        self._resolver = resolver
        resolver.ask_stream = self._ask_stream
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def send(self, wire: bytes) -> None:
        """One question by UDP. What the socket does not take is lost, as on a network: the resolver asks again."""
        for _ in range(2):
            try:
                self._socket.send(wire)
                return
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue  # reported here, but about an earlier datagram; this one was not sent yet

    def close(self) -> None:
        """Let go of the sockets."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        for stream in self._streams:
            stream.cancel()

    def _readable(self) -> None:
        assert self._resolver is not None
        for _ in range(32):
            try:
                wire = self._socket.recv(65535)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self._resolver.unreachable()
                return
            self._resolver.receive(wire, self._clock_ns())

    def _ask_stream(self, wire: bytes) -> None:
        task = self._loop.create_task(self._by_stream(wire))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _by_stream(self, wire: bytes) -> None:
        """RFC 1035 4.2.2: two bytes of length before each message. A failure leaves the question open: it is asked again."""
        try:
            async with asyncio.timeout(STREAM_WITHIN_S):
                reader, writer = await asyncio.open_connection(*self._server)
                try:
                    writer.write(_LENGTH.pack(len(wire)) + wire)
                    length = _LENGTH.unpack(await reader.readexactly(2))[0]
                    answer = await reader.readexactly(length)
                finally:
                    writer.close()
        except (OSError, asyncio.IncompleteReadError):
            return  # a time-out is an OSError as well
        if self._resolver is not None:
            self._resolver.receive(answer, self._clock_ns())


def connect(
    loop: asyncio.AbstractEventLoop,
    server: str,
    port: int,
    clock_ns: Callable[[], int],
    *,
    policy: str = BY_TTL,
    domain: str = "",
    again_s: float = 1.0,
    seed: int = 0,
) -> tuple[Resolver, Wires]:
    """A resolver on real sockets, to be closed by the caller."""
    wires = Wires(loop, server, port, clock_ns)
    resolver = Resolver(wires.send, policy=policy, domain=domain, again_s=again_s, seed=seed)
    wires.attach(resolver)
    return resolver, wires
