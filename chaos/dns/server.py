"""The name server in front of a cluster: ``python -m chaos.dns.server SPEC.json``, a process of its own.

It is authoritative for the names it is given, over UDP and TCP, and stands where it was started: its health checks go from
there to the replicas (links ``dns -> node``), each on a connection of its own as load balancers make them, so that a replica
that no longer accepts is seen. Checks are open loop: each replica has its own grid of due times, the grids of a name are spread
evenly over the period, and a check that hangs delays no other one.

On standard output: ``{"ready": true}`` once the first check of every replica is done and both sockets are open, then a
``dns`` row for the set at the start and for every change of it, stamped when it changed. It ends when its standard input does.

Before that, each line of its standard input is an order to do something wrong, or to stop doing so (``orders.py``); a ``dns_order``
row says when it is carried out, or why it cannot be. Checks go on meanwhile, so that the set is right when the harm ends. Another
kind of line says that a node is at another address.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from functools import partial
from typing import Final, cast

import msgspec

from chaos.core import worker as child
from chaos.core.clock import Clock, MonotonicClock
from chaos.core.values import NameHarm
from chaos.core.worker import Orders, Rows
from chaos.dns.doors import Doors
from chaos.dns.health import Change, Health
from chaos.dns.hole import Hole
from chaos.dns.obedience import Obedience, told
from chaos.dns.orders import DOWN, STALE, WRONG, Harms
from chaos.dns.spec import HEALTH_CHECKED, DnsSpec, NameOrder, Replica, checked
from chaos.dns.zone import LiveName, Zone
from chaos.history.events import DnsChanged
from chaos.query import question as asking
from chaos.query.aio import fetch
from chaos.query.grid import Grid
from chaos.query.once import Fetched, Once, numeric
from chaos.query.question import Question

_TCP_IDLE_S: Final = 10.0
_LENGTH: Final = struct.Struct("!H")


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone, harms: Harms) -> None:
        self._zone = zone
        self._harms = harms
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # before Python 3.12 asyncio's own is no subclass of it

    def datagram_received(self, data: bytes, addr: tuple[str | None, int]) -> None:
        if self._harms.has(DOWN):
            return
        answer = self._zone.answer(data)
        if answer is None or self._transport is None:
            return
        answer, late_s = self._harms.applied(answer), self._harms.delay_s
        if late_s > 0:
            asyncio.get_running_loop().call_later(late_s, self._send, answer, addr)
        else:
            self._transport.sendto(answer, addr)

    def _send(self, answer: bytes, addr: tuple[str | None, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, addr)


class _Doors(Doors):
    """To a zone."""

    def __init__(self, spec: DnsSpec, zone: Zone, harms: Harms) -> None:
        super().__init__(spec.host, spec.port)
        self._zone = zone
        self._harms = harms

    async def _open_udp(self) -> asyncio.DatagramTransport:
        made = asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Udp(self._zone, self._harms), local_addr=(self._host, self._port)
        )
        return (await made)[0]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _serve_stream(self._zone, self._harms, reader, writer)


class _Checker:
    """Checks the replicas of one name and keeps its live set."""

    def __init__(self, live: LiveName, rows: Rows, clock: Clock, harms: Harms) -> None:
        self.live = live
        self._harms = harms
        self._rows = rows
        self._clock = clock
        check = live.spec.check
        self._health = Health((replica.node for replica in live.spec.replicas), fall=check.fall, rise=check.rise)
        self._announced = False
        self._grids: list[Grid] = []
        self._questions: dict[str, Question] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        live.set_live(())

    async def first_round(self) -> None:
        """Every replica once, all at the same time."""
        asked = [(replica.node, replica.check) for replica in self.live.spec.replicas]
        await asyncio.gather(*(self._check(node, asking.prepare(check), 0) for node, check in asked if check is not None))

    def announce(self) -> None:
        """From now on changes are told; the set at this moment first."""
        self._announced = True
        _announce(self._rows, self.live, self._harms, self._clock.now_ns())

    def catch_up(self) -> None:
        """The set is held still no longer."""
        if self.live.set_live(self._health.answered(fail_open=self.live.spec.fail_open)):
            _announce(self._rows, self.live, self._harms, self._clock.now_ns(), why="no longer held still")

    def moved(self, replica: Replica) -> None:
        """It is asked at its new address from now on, if it is one of this name's."""
        if any(each.node == replica.node for each in self.live.spec.replicas):
            assert replica.check is not None
            self._questions[replica.node] = asking.prepare(replica.check)

    def keep_checking(self) -> None:
        """Each replica on a grid of its own."""
        replicas, every_s = self.live.spec.replicas, self.live.spec.check.every_s
        for index, replica in enumerate(replicas):
            if replica.node not in self._questions:
                self.moved(replica)
            grid = Grid(every_s, partial(self._due, replica.node), self._clock)
            self._grids.append(grid)
            grid.begin(every_s * index / len(replicas))

    def _due(self, node: str, number: int, _now_ns: int) -> None:
        question = self._questions[node]
        check = self._check_once if numeric(question.host, question.port) else self._check_by_task
        check(node, question, number)

    def close(self) -> None:
        """No check is begun any more."""
        for grid in self._grids:
            grid.close()

    def _check_once(self, node: str, question: Question, number: int) -> None:
        Once(question, self.live.spec.check.timeout_s, lambda fetched: self._take(node, question, number, fetched), self._clock).begin()

    def _check_by_task(self, node: str, question: Question, number: int) -> None:
        task = asyncio.create_task(self._check(node, question, number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check(self, node: str, question: Question, number: int) -> None:
        self._take(node, question, number, await fetch(question, self.live.spec.check.timeout_s, self._clock))

    def _take(self, node: str, question: Question, number: int, fetched: Fetched) -> None:
        why = fetched.error if fetched.reply is None else asking.refusal(question, fetched.reply)
        change = self._health.result(node, number, ok=why is None, why=why or "")
        if change is not None:
            self._apply(change)

    def _apply(self, change: Change) -> None:
        if self._harms.has(STALE):
            return
        if self.live.set_live(self._health.answered(fail_open=self.live.spec.fail_open)) and self._announced:
            _announce(self._rows, self.live, self._harms, self._clock.now_ns(), change.node, change.why)


def _announce(rows: Rows, live: LiveName, harms: Harms, at_ns: int, changed: str = "", why: str = "start") -> None:
    rows.put(DnsChanged(at_ns=at_ns, name=live.spec.name, nodes=harms.visible(live.nodes), changed=changed, why=why))


class _Obedience(Obedience):
    """Holds the set still, and sends clients where nobody answers."""

    def __init__(self, zone: Zone, harms: Harms, doors: _Doors, hole: Hole, checkers: list[_Checker], rows: Rows, clock: Clock) -> None:
        super().__init__([live.spec for live in zone.live], harms, doors, rows, clock)
        self._zone = zone
        self._hole = hole
        self._checkers = checkers

    def _visible(self) -> list[list[str]]:
        return [self._harms.visible(live.nodes) for live in self._zone.live]

    def _move(self, moved: Replica) -> None:
        super()._move(moved)
        for live in self._zone.live:
            live.move(moved)
        for checker in self._checkers:
            checker.moved(moved)

    def _prepared(self, order: NameOrder) -> str:
        """From now to our end the wrong address is silent, since caches hold it for longer than answers do; the reason if it cannot be."""
        if not self._harms.has(WRONG) or self._hole.is_open:
            return ""
        try:
            self._hole.open()
        except OSError as error:
            self._harms.take(order.number)
            return f"the address that wrong answers hold would refuse: {error}"
        return ""

    def _tell(self, order: NameOrder, before: list[list[str]], at_ns: int) -> None:
        mode = order.harm.mode
        if mode == STALE and not self._harms.has(STALE):
            for checker in self._checkers:
                checker.catch_up()
        for live, shown in zip(self._zone.live, before, strict=True):
            if mode != STALE and self._harms.visible(live.nodes) != shown:
                _announce(self._rows, live, self._harms, at_ns, order.harm.record, told(order))

    def _why_not(self, harm: NameHarm) -> str:
        if harm.mode == STALE and not self._checkers:
            return "no name here is health-checked, so none can get stale"
        return super()._why_not(harm)


async def _serve_stream(zone: Zone, harms: Harms, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Queries over TCP: each message after its length (RFC 1035 4.2.2), until the client closes or says nothing for long."""
    try:
        while True:
            async with asyncio.timeout(_TCP_IDLE_S):
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                query = await reader.readexactly(length)
            answer = zone.answer(query, tcp=True)
            if answer is None:
                break
            if harms.has(DOWN):
                continue
            answer = harms.applied(answer)
            if harms.delay_s > 0:
                await asyncio.sleep(harms.delay_s)
            writer.write(_LENGTH.pack(len(answer)) + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
        pass  # the client has gone or fallen silent: the end of this conversation, nothing else
    finally:
        writer.close()


async def serve(spec: DnsSpec, rows: Rows, stop: asyncio.Event, clock: Clock | None = None, orders: Orders | None = None) -> None:
    """Serve until ``stop`` is set. ``EnvironmentUnusable`` if the port is taken."""
    clock = clock or MonotonicClock()
    zone = Zone(spec)
    harms = Harms(spec.names, spec.nowhere)
    checkers = [_Checker(live, rows, clock, harms) for live in zone.live if live.spec.balancer == HEALTH_CHECKED]
    await asyncio.gather(*(checker.first_round() for checker in checkers))
    doors = _Doors(spec, zone, harms)
    await doors.open()
    rows.ready()
    checked_names = {checker.live.spec.name for checker in checkers}
    for live in zone.live:
        if live.spec.name not in checked_names:
            _announce(rows, live, harms, clock.now_ns())
    for checker in checkers:
        checker.announce()
    hole = Hole(spec.nowhere, spec.silent_ports)
    obedience = _Obedience(zone, harms, doors, hole, checkers, rows, clock)
    if orders is not None:
        orders.taken_by(obedience.take)
    try:
        async with child.tasks_until(stop) as group:
            group.create_task(obedience.obey())
            for checker in checkers:
                checker.keep_checking()
    finally:
        for checker in checkers:
            checker.close()
        doors.close()
        hole.close()


def main(arguments: list[str]) -> int:
    """The process; see ``child.run`` for its exit status."""
    orders = Orders()
    work = partial(serve, orders=orders)
    return child.run("chaos.dns.server", arguments, lambda data: checked(msgspec.json.decode(data, type=DnsSpec)), work, orders)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
