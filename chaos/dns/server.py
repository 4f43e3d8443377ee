"""The name server in front of a cluster: ``python -m chaos.dns.server SPEC.json``, a process of its own.

It is authoritative for the names it is given, over UDP and TCP, and stands where it was started: its health checks go from
there to the replicas (links ``dns -> node``), each on a connection of its own as load balancers make them, so that a replica
that no longer accepts is seen. Checks are open loop: each replica has its own grid of due times, the grids of a name are spread
evenly over the period, and a check that hangs delays no other one.

On standard output: ``{"ready": true}`` once the first check of every replica is done and both sockets are open, then a
``dns`` row for the set at the start and for every change of it, stamped when it changed. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import errno
import struct
import sys
from typing import Final, cast

import msgspec

from chaos import child
from chaos.asking_async import AsyncAsker
from chaos.child import Rows
from chaos.clock import Clock, MonotonicClock, to_ns, to_s
from chaos.dns.health import Change, Health
from chaos.dns.spec import HEALTH_CHECKED, DnsSpec, Replica, checked
from chaos.dns.zone import LiveName, Zone
from chaos.errors import EnvironmentUnusable
from chaos.events import DnsChanged

_TCP_IDLE_S: Final = 10.0
_LENGTH: Final = struct.Struct("!H")


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # before Python 3.12 asyncio's own is no subclass of it

    def datagram_received(self, data: bytes, addr: tuple[str | None, int]) -> None:
        answer = self._zone.answer(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


class _Checker:
    """Checks the replicas of one name and keeps its live set."""

    def __init__(self, live: LiveName, asker: AsyncAsker, rows: Rows, clock: Clock) -> None:
        self.live = live
        self._asker = asker
        self._rows = rows
        self._clock = clock
        check = live.spec.check
        self._health = Health((replica.node for replica in live.spec.replicas), fall=check.fall, rise=check.rise)
        self._announced = False
        live.set_live(())

    async def first_round(self) -> None:
        """Every replica once, all at the same time."""
        await asyncio.gather(*(self._check(replica, 0) for replica in self.live.spec.replicas))

    def announce(self) -> None:
        """From now on changes are told; the set at this moment first."""
        self._announced = True
        _announce(self._rows, self.live, self._clock.now_ns())

    async def keep_checking(self, index: int, group: asyncio.TaskGroup) -> None:
        """The grid of one replica; due times that were missed (a stalled machine) are left out, not made up for."""
        replica = self.live.spec.replicas[index]
        every_ns = to_ns(self.live.spec.check.every_s)
        start_ns = self._clock.now_ns() + every_ns * index // len(self.live.spec.replicas)
        number = 0
        while True:
            late_ns = self._clock.now_ns() - (start_ns + number * every_ns)
            if late_ns >= every_ns:
                number += late_ns // every_ns
            due_ns = start_ns + number * every_ns
            await asyncio.sleep(max(0.0, to_s(due_ns - self._clock.now_ns())))
            number += 1
            group.create_task(self._check(replica, number))

    async def _check(self, replica: Replica, number: int) -> None:
        assert replica.check is not None
        answer = await self._asker.ask(replica.check, self.live.spec.check.timeout_s)
        change = self._health.result(replica.node, number, ok=answer.ok, why=answer.error or "")
        if change is not None:
            self._apply(change)

    def _apply(self, change: Change) -> None:
        if self.live.set_live(self._health.healthy) and self._announced:
            _announce(self._rows, self.live, self._clock.now_ns(), change.node, change.why)


def _announce(rows: Rows, live: LiveName, at_ns: int, changed: str = "", why: str = "start") -> None:
    rows.put(DnsChanged(at_ns=at_ns, name=live.spec.name, nodes=live.nodes, changed=changed, why=why))


async def _serve_stream(zone: Zone, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Queries over TCP: each message after its length (RFC 1035 4.2.2), until the client closes or says nothing for long."""
    try:
        while True:
            async with asyncio.timeout(_TCP_IDLE_S):
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                query = await reader.readexactly(length)
            answer = zone.answer(query, tcp=True)
            if answer is None:
                break
            writer.write(_LENGTH.pack(len(answer)) + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
        pass  # the client has gone or fallen silent: the end of this conversation, nothing else
    finally:
        writer.close()


class _Stop(Exception):
    """Ends the task group."""


async def serve(spec: DnsSpec, rows: Rows, stop: asyncio.Event, clock: Clock | None = None) -> None:
    """Serve until ``stop`` is set. ``EnvironmentUnusable`` if the port is taken."""
    clock = clock or MonotonicClock()
    zone = Zone(spec)
    asker = AsyncAsker(keep_alive=False, clock=clock)
    checkers = [_Checker(live, asker, rows, clock) for live in zone.live if live.spec.balancer == HEALTH_CHECKED]
    await asyncio.gather(*(checker.first_round() for checker in checkers))
    loop = asyncio.get_running_loop()
    try:
        udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(zone), local_addr=(spec.host, spec.port))
        tcp = await asyncio.start_server(lambda reader, writer: _serve_stream(zone, reader, writer), spec.host, spec.port)
    except OSError as error:
        what = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror or error}"
        raise EnvironmentUnusable(
            f"dns: {spec.host}:{spec.port} {what}", how="end what listens there, or choose another address"
        ) from error
    rows.ready()
    checked_names = {checker.live.spec.name for checker in checkers}
    for live in zone.live:
        if live.spec.name not in checked_names:
            _announce(rows, live, clock.now_ns())
    for checker in checkers:
        checker.announce()
    try:
        async with asyncio.TaskGroup() as group:
            for checker in checkers:
                for index in range(len(checker.live.spec.replicas)):
                    group.create_task(checker.keep_checking(index, group))
            await stop.wait()
            raise _Stop
    except* (_Stop, BrokenPipeError):
        pass  # asked to end, or nobody reads our rows any more: the harness is gone
    finally:
        udp.close()
        tcp.close()
        asker.close()


def main(arguments: list[str]) -> int:
    """The process; see ``child.run`` for its exit status."""
    return child.run("chaos.dns.server", arguments, lambda data: checked(msgspec.json.decode(data, type=DnsSpec)), serve)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
