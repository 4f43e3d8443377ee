"""Clients whose data is checked: each session asks one thing at a time, and every call and return goes into the journal.

    draw an operation, a key, a value -> address -> journal: call -> probe.send -> journal: return -> pause -> again

A closed loop, unlike the measured traffic: what a session saw before it asked again is what makes its reads comparable. An operation is
sent once. Time is up: the attempt is cut, and unknown if any of it may have arrived. Values are never written twice.

When the time is over, every key that was written is read again, through the service and at each node by itself, until all agree or
``settle_s`` have passed: what is missing then is not merely late.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Final

import msgspec

from chaos.core.clock import NS_PER_S, to_ns
from chaos.core.rng import stream
from chaos.history import journal
from chaos.history.journal import Begun, Called, Ended, JournalRow, NodeRead, Returned
from chaos.history.observations import Outcome, Why
from chaos.traffic.data_order import FIRST_ROUND_S, DataOrder
from chaos.traffic.probe import Probe, SaysValue, Slot
from chaos.traffic.resolver import Resolver

READ: Final = "read"
INCREMENT: Final = "incr"
LAST_READER: Final = 0
"""The session that reads every key when the run is over."""
READERS: Final = 16
"""So many keys are read at the same time then."""
PAUSES_S: Final = (0.2, 0.4, 0.8, 1.6)
"""Between two rounds of the last reading; the last one again and again."""
STOPPED_S: Final = 3.0
"""A run that is ended early waits no longer than this for its nodes to agree."""
MOST_OWN: Final = 3_000
"""So many keys of their own at most, spread over the run: each is read at the end, at every node."""
_OUTCOMES: Final = {Outcome.OK: journal.OK, Outcome.FAIL: journal.FAIL, Outcome.UNSENT: journal.FAIL}


class Answer(msgspec.Struct, frozen=True):
    """How one request ended."""

    at_ns: int
    outcome: str
    why: Why
    status: int
    value: str | None = None


class Sessions:
    """All clients of one run. ``write`` takes the rows of the journal; ``run`` returns when the last of them is written."""

    def __init__(
        self,
        order: DataOrder,
        probes: Mapping[str, Probe],
        read_node: Probe | None,
        resolver: Resolver,
        loop: asyncio.AbstractEventLoop,
        write: Callable[[JournalRow], None],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._order = order
        self._probes = probes
        self._read_node = read_node
        self._nodes = dict(order.nodes)
        self._reads = next(name for name, kind in order.operations.items() if kind.does == READ)
        self._resolver = resolver
        self._loop = loop
        self._write = write
        self._clock_ns = clock_ns
        self._timeout_ns = to_ns(order.timeout_s)
        self._numbers = itertools.count(1)
        self._own_keys = itertools.count()
        self._written: dict[str, None] = {}
        """Keys that somebody began to write."""
        self._last: dict[tuple[str, str], tuple[str, str | None]] = {}
        self._stopping = asyncio.Event()
        self.operations = 0
        self.settled = False

    def stop(self) -> None:
        """Ask nothing more, but read what was written."""
        self._stopping.set()

    async def run(self) -> None:
        """All of it."""
        order = self._order
        self._write(Begun(self._clock_ns(), journal.SCHEMA, order.run, order.workload, order.keys, order.sessions))
        async with asyncio.TaskGroup() as group:
            for number in range(1, order.sessions + 1):
                group.create_task(self._session(number))
        await self._read_all()
        self._write(Ended(self._clock_ns(), self.operations, self.settled))

    # --- one session ---------------------------------------------------------------------------------------------------

    async def _session(self, number: int) -> None:
        order = self._order
        random = stream(order.seed, "session", str(number))
        names, shares = list(order.mix), list(order.mix.values())
        once = min(order.once, MOST_OWN / max(1.0, order.rate_per_s * order.duration_s))
        period_ns = NS_PER_S * order.sessions / order.rate_per_s
        end_ns = order.start_ns + to_ns(order.duration_s)
        due_ns = order.start_ns + int(period_ns * (number - 1) / order.sessions)
        written = 0
        while due_ns < end_ns and await self._wait(due_ns):
            name = random.choices(names, shares)[0]
            does = order.operations[name].does
            key, value = f"{order.key_prefix}d{random.randrange(order.keys)}", None
            if does == INCREMENT:
                value = "1"
            elif does != READ:
                written += 1
                value = f"{number}.{written}"
                if random.random() < once:
                    key = f"{order.key_prefix}o{next(self._own_keys)}"
            address = await self._address(random.random())
            if address:
                await self._operate(number, name, key, value, address)
            due_ns = max(due_ns + int(period_ns * (0.5 + random.random())), self._clock_ns())

    async def _wait(self, until_ns: int) -> bool:
        """Until then; false if it was told to stop meanwhile."""
        wait_s = (until_ns - self._clock_ns()) / NS_PER_S
        if wait_s > 0 and not self._stopping.is_set():
            try:
                async with asyncio.timeout(wait_s):
                    await self._stopping.wait()
            except TimeoutError:
                pass
        return not self._stopping.is_set()

    async def _operate(self, session: int, name: str, key: str, value: str | None, address: str) -> Answer:
        """One operation, with its rows."""
        number = next(self._numbers)
        self.operations += 1
        does = self._order.operations[name].does
        if does != READ:
            self._written[key] = None
        self._write(Called(number, self._clock_ns(), session, name, does, key, value))
        answer = await self._ask(self._probes[name], number, key, value or "", address, reads=does == READ)
        why = "" if answer.why is Why.NONE else answer.why.name.lower()
        self._write(Returned(number, answer.at_ns, answer.outcome, answer.value, address, why, answer.status))
        return answer

    # --- one request ---------------------------------------------------------------------------------------------------

    async def _address(self, draw: float) -> str:
        """One of the name's, any of them; empty if it has none."""
        addresses = await self._addresses()
        return addresses[int(draw * len(addresses))] if addresses else ""

    async def _addresses(self) -> tuple[str, ...]:
        order = self._order
        if order.addresses:
            return order.addresses
        now_ns = self._clock_ns()
        known = self._resolver.cached(order.name, now_ns)
        if known is not None:
            return known
        future: asyncio.Future[tuple[str, ...]] = self._loop.create_future()

        def told(found: tuple[str, ...]) -> None:
            if not future.done():
                future.set_result(found)

        self._resolver.ask(order.name, now_ns, told, now_ns + self._timeout_ns)
        try:
            async with asyncio.timeout(self._order.timeout_s):
                return await future
        except TimeoutError:
            return ()

    async def _ask(self, probe: Probe, number: int, key: str, value: str, address: str, *, reads: bool) -> Answer:
        future: asyncio.Future[tuple[int, Outcome, Why]] = self._loop.create_future()

        def end(_slot: Slot, outcome: Outcome, why: Why) -> None:
            if not future.done():
                future.set_result((self._clock_ns(), outcome, why))

        slot = Slot()
        slot.index, slot.key, slot.value, slot.address = number, key, value, address
        slot.due_ns = slot.sent_ns = self._clock_ns()
        slot.deadline_ns = slot.expiry_ns = slot.sent_ns + self._timeout_ns
        slot.carrier, slot.attempts, slot.status, slot.answer = None, 1, 0, b""
        slot.ended = end

        def cut() -> None:
            carrier, slot.carrier = slot.carrier, None
            may_have_arrived = carrier is not None and carrier.cut()
            end(slot, Outcome.UNKNOWN if may_have_arrived else Outcome.FAIL, Why.TIMEOUT)

        timer = self._loop.call_at(slot.expiry_ns / NS_PER_S, cut)
        probe.send(slot)
        at_ns, outcome, why = await future
        timer.cancel()
        found = None
        if reads and outcome is Outcome.OK:
            assert isinstance(probe, SaysValue)
            try:
                found = probe.value(slot)
            except (ValueError, msgspec.MsgspecError):
                outcome, why = Outcome.UNKNOWN, Why.WRONG
        return Answer(at_ns, _OUTCOMES.get(outcome, journal.UNKNOWN), why, slot.status, found)

    # --- the last reading ------------------------------------------------------------------------------------------------

    async def _read_all(self) -> None:
        """Every key that was written, in rounds, until all that can be asked agree on it."""
        stopped = self._stopping.is_set()
        until_ns = self._clock_ns() + to_ns(min(self._order.settle_s, STOPPED_S) if stopped else self._order.settle_s)
        limit_ns = until_ns + (0 if stopped else to_ns(FIRST_ROUND_S))
        open_keys = list(self._written)
        for pause_s in itertools.chain(PAUSES_S, itertools.repeat(PAUSES_S[-1])):
            open_keys = await self._round(open_keys, limit_ns)
            limit_ns = until_ns
            if not open_keys or self._clock_ns() + to_ns(pause_s) >= until_ns:
                break
            await asyncio.sleep(pause_s)
        self.settled = not open_keys

    async def _round(self, keys: Iterable[str], limit_ns: int) -> list[str]:
        """Those that are still open after it; from ``limit_ns`` on nothing more is read."""
        waiting, still_open = iter(keys), []

        async def reader(number: int) -> None:
            for key in waiting:
                if self._clock_ns() >= limit_ns or not await self._agree(key, number):
                    still_open.append(key)

        async with asyncio.TaskGroup() as group:
            for number in range(READERS):
                group.create_task(reader(number))
        return still_open

    async def _agree(self, key: str, reader: int) -> bool:
        """Ask everybody for one key; whether all answered, and the same. While the name has no address the key stays open."""
        addresses = await self._addresses()
        if self._read_node is not None and addresses:
            addresses = (addresses[(self.operations + reader) % len(addresses)],)
        asked: list[Coroutine[None, None, Answer]] = [self._operate(LAST_READER, self._reads, key, None, address) for address in addresses]
        if self._read_node is not None:
            asked += [self._at_node(node, key) for node in self._nodes]
        told = await asyncio.gather(*asked)
        return bool(addresses) and all(each.outcome == journal.OK and each.value == told[0].value for each in told)

    def moved(self, node: str, address: str) -> None:
        """It is read there from now on."""
        if node in self._nodes:
            self._nodes[node] = address

    async def _at_node(self, node: str, key: str) -> Answer:
        assert self._read_node is not None
        answer = await self._ask(self._read_node, 0, key, "", self._nodes[node], reads=True)
        said = (answer.outcome, answer.value)
        if self._last.get((node, key)) != said:
            self._last[node, key] = said
            why = "" if answer.why is Why.NONE else answer.why.name.lower()
            self._write(NodeRead(answer.at_ns, node, key, answer.outcome, answer.value, why))
        return answer
