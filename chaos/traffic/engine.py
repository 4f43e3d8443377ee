"""The open-loop sender: grids of slots, the client policy, and what becomes of each slot.

    due -> sent -> attempt -> ok ------------------------------> record
                     |  `-> not ok, attempts left, in time -> attempt at another address
                     `----> time is up: cut ----------------^

Nothing here waits for an answer before the next slot is sent. A slot that could not be sent because *this process* was held up
past the slot's deadline, or whose answer came while it was held up, is recorded as ``UNSENT``: what we did not see is missing,
never an outage.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import time
from collections.abc import Callable

from chaos.core.clock import NS_PER_S, to_ns
from chaos.core.rng import stream
from chaos.history.events import TrafficSecond
from chaos.history.observations import Outcome, Why, late_ns
from chaos.traffic.grids import Grid
from chaos.traffic.loop import Wheel
from chaos.traffic.probe import Leaves, Probe, Slot
from chaos.traffic.records import Recorder, Tally
from chaos.traffic.resolver import Resolver
from chaos.traffic.spec import ProberSpec

HELD_UP_NS = 25_000_000
"""A time-out that we notice so much too late was not watched: we were held up ourselves."""
BATCH = 48
"""Slots sent in one go before answers are looked at again; at 12,000 a second one batch is 4 ms behind only after a hold-up."""
_ANSWERED = frozenset({Why.NONE, Why.ERROR, Why.WRONG, Why.DNS, Why.NO_DNS, Why.POOL})
"""Of these no address is to blame."""
OK = Outcome.OK
UNSENT = Outcome.UNSENT


class Engine:
    """Sends one prober's traffic. ``emit`` takes the rows of finished seconds; ``finished`` is done when the last slot has ended."""

    def __init__(
        self,
        spec: ProberSpec,
        probes: list[Probe],
        resolver: Resolver,
        loop: asyncio.AbstractEventLoop,
        *,
        emit: Callable[[TrafficSecond], None],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        client = spec.client
        self._timeout_ns = to_ns(client.timeout_s)
        self._deadline_ns = to_ns(client.deadline_s)
        self._attempts = max(1, client.attempts)
        self._other_address = client.other_address
        self._patient = client.patient
        self._backoff = client.backoff
        self._budget = client.retry_budget
        self._forgets = client.resolve_on_error
        self._ordered = client.endpoints is not None and client.endpoints.order != "random"
        self._sticks = client.endpoints is not None and client.endpoints.order == "sticky"
        self._waits: list[tuple[int, int, Slot]] = []
        """Slots between two attempts, by when the next one begins."""
        self._waiting: set[Slot] = set()
        self._fixed = {spec.name: spec.addresses} if spec.addresses else {}
        self._resolver = resolver
        self._loop = loop
        self._emit = emit
        self._clock_ns = clock_ns
        self._draw = stream(spec.seed, "prober", "address").random
        self._jitter = stream(spec.seed, "prober", "backoff").random
        self.grids = [Grid(index, order, spec, probe) for index, (order, probe) in enumerate(zip(spec.operations, probes, strict=True))]
        self._wheel = Wheel(max(1_000_000, min(5_000_000, min(self._timeout_ns, self._deadline_ns) // 50)))
        tallies = [Tally(grid.order.name, spec.start_ns, grid.due_between) for grid in self.grids]
        lates_ns = [int(late_ns(grid.period_ns)) for grid in self.grids]
        self.recorder = Recorder(spec.observations, spec.start_ns, self._deadline_ns, tallies, lates_ns)
        self._flying = 0
        self._rows_at_ns = spec.start_ns + NS_PER_S
        self._timer: asyncio.Handle | None = None
        self.finished: asyncio.Future[None] = loop.create_future()

    def start(self) -> None:
        """Send slots as they fall due, from now on."""
        self._wake()

    def stop(self) -> None:
        """End early."""
        now_ns = self._clock_ns()
        for grid in self.grids:
            grid.stop(now_ns)
        if self._timer is not None and not self.finished.done():
            self._timer.cancel()
            self._timer = self._loop.call_soon(self._wake)

    # --- the beat ------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        now_ns = self._clock_ns()
        self._wheel.expire(now_ns, self._cut)
        if self._waits:
            self._go_on(now_ns)
        behind = self._send_due(now_ns)
        now_ns = self._clock_ns()
        recorder = self.recorder
        if 0 < recorder.flush_at_ns <= now_ns:
            recorder.flush()
        if now_ns >= self._rows_at_ns:
            self._sum_up(now_ns)
        self._resolver.tick(now_ns)
        if self._flying == 0 and not any(grid.left for grid in self.grids):
            recorder.flush()
            for row in recorder.last_rows(now_ns):
                self._emit(row)
            self.finished.set_result(None)
            return
        self._timer = self._loop.call_soon(self._wake) if behind else self._loop.call_at(self._next_ns(now_ns) / NS_PER_S, self._wake)

    def _next_ns(self, now_ns: int) -> int:
        """When there is next something to do; slots sent or ended in between set no timer of their own."""
        at_ns = min(self._rows_at_ns, now_ns + NS_PER_S)
        for grid in self.grids:
            if grid.left and grid.next_ns < at_ns:
                at_ns = grid.next_ns
        if self._waits and self._waits[0][0] < at_ns:
            at_ns = self._waits[0][0]
        expiry_ns = self._wheel.next_ns()
        if expiry_ns is not None and expiry_ns < at_ns:
            at_ns = expiry_ns
        again_ns = self._resolver.next_ns()
        if again_ns is not None and again_ns < at_ns:
            at_ns = again_ns
        flush_ns = self.recorder.flush_at_ns
        return flush_ns if 0 < flush_ns < at_ns else at_ns

    def _send_due(self, now_ns: int) -> bool:
        """Send what is due, the oldest first, at most a batch; true if some is left."""
        grids = self.grids
        for _ in range(BATCH):
            first = None
            for grid in grids:
                if grid.left and grid.next_ns <= now_ns and (first is None or grid.next_ns < first.next_ns):
                    first = grid
            if first is None:
                return False
            self._begin(first)
        return True

    def _sum_up(self, now_ns: int) -> None:
        for row in self.recorder.rows(now_ns):
            self._emit(row)
        self._rows_at_ns = self.recorder.rows_at_ns(now_ns)

    # --- one slot ------------------------------------------------------------------------------------------------------

    def _begin(self, grid: Grid) -> None:
        index, due_ns = grid.next_index, grid.next_ns
        grid.step()
        slot = Slot()
        slot.grid = grid
        slot.index = index
        slot.key = grid.keys[index % len(grid.keys)]
        slot.value = f"{grid.values}{index}"
        slot.due_ns = due_ns
        slot.deadline_ns = due_ns + self._deadline_ns
        slot.attempts = slot.status = 0
        slot.address = ""
        slot.sure = True
        slot.tried = ()
        slot.carrier = None
        slot.ended = self._ended
        self._flying += 1
        now_ns = self._clock_ns()
        if now_ns >= slot.deadline_ns:
            slot.sent_ns = 0
            self._record(slot, now_ns, UNSENT, Why.NONE)
            return
        slot.sent_ns = now_ns
        if self._budget is not None:
            grid.tokens = min(self._budget.burst, grid.tokens + self._budget.ratio)
        self._attempt(slot, now_ns)

    def _attempt(self, slot: Slot, now_ns: int) -> None:
        slot.attempts += 1
        slot.status = 0
        expiry_ns = now_ns + self._timeout_ns
        slot.expiry_ns = expiry_ns if expiry_ns < slot.deadline_ns else slot.deadline_ns
        self._wheel.add(slot)
        grid = slot.grid
        if grid.reuse is not None and grid.reuse(slot, self._open):
            return
        self._look_up(slot, now_ns)

    def _open(self, slot: Slot) -> None:
        """An attempt that has waited for a connection may open one."""
        self._look_up(slot, self._clock_ns())

    def _look_up(self, slot: Slot, now_ns: int) -> None:
        grid = slot.grid
        addresses = self._fixed.get(grid.host) or self._resolver.cached(grid.host, now_ns)
        if addresses is None:
            self._resolver.ask(grid.host, now_ns, functools.partial(self._resolved, slot, slot.attempts), slot.expiry_ns)
        elif addresses:
            self._send(slot, addresses)
        else:
            self._resolved(slot, slot.attempts, addresses)  # the name service said, within the TTL, that there is nobody

    def _resolved(self, slot: Slot, attempt: int, addresses: tuple[str, ...]) -> None:
        if slot.attempts != attempt or slot in self._waiting:
            return  # cut while it waited for the name
        if addresses:
            self._send(slot, addresses)
        else:
            slot.address = ""
            slot.end(Outcome.FAIL, Why.DNS)

    def _send(self, slot: Slot, addresses: tuple[str, ...]) -> None:
        if self._ordered:
            start = slot.grid.first
            addresses = addresses[start:] + addresses[:start]
            slot.address = next((address for address in addresses if address not in slot.tried), addresses[0])
            slot.grid.probe.send(slot)
            return
        if slot.tried and self._other_address:
            addresses = tuple(address for address in addresses if address not in slot.tried) or addresses
        address = addresses[0] if len(addresses) == 1 else addresses[int(self._draw() * len(addresses))]
        slot.address = address
        grid = slot.grid
        grid.probe.send(slot)

    def _cut(self, slot: Slot) -> None:
        """The attempt's time is over."""
        if self._waiting and slot in self._waiting:
            return  # that attempt has ended, the next one has not begun
        carrier = slot.carrier
        if carrier is None:
            outcome, why = Outcome.FAIL, Why.NO_DNS
            slot.address = ""
        else:
            slot.carrier = None
            over = carrier.leave if self._patient and isinstance(carrier, Leaves) else carrier.cut
            outcome = Outcome.UNKNOWN if over() else Outcome.FAIL
            why = getattr(carrier, "why", None) or (Why.DEADLINE if slot.expiry_ns == slot.deadline_ns else Why.TIMEOUT)
        self._not_ok(slot, outcome, why, self._clock_ns())

    def _ended(self, slot: Slot, outcome: Outcome, why: Why) -> None:
        """The probe says that the attempt is over."""
        now_ns = self._clock_ns()
        if outcome is OK:
            if now_ns <= slot.expiry_ns:
                self._record(slot, now_ns, OK, Why.NONE)
            elif now_ns - slot.expiry_ns > HELD_UP_NS:
                self._record(slot, now_ns, UNSENT, Why.NONE)
            else:
                self._not_ok(slot, Outcome.UNKNOWN, Why.DEADLINE if slot.expiry_ns == slot.deadline_ns else Why.TIMEOUT, now_ns)
        else:
            self._not_ok(slot, outcome, why, now_ns)

    def _not_ok(self, slot: Slot, outcome: Outcome, why: Why, now_ns: int) -> None:
        if outcome is UNSENT:
            if slot.attempts == 1:
                slot.sent_ns = 0
            self._record(slot, now_ns, UNSENT, why)
            return
        slot.sure = slot.sure and outcome is Outcome.FAIL
        if why not in _ANSWERED:
            self._learn(slot)
        if slot.attempts < self._attempts and now_ns < slot.deadline_ns and self._again(slot, now_ns):
            return
        if now_ns - slot.expiry_ns > HELD_UP_NS:
            self._record(slot, now_ns, UNSENT, why)
        else:
            self._record(slot, now_ns, Outcome.FAIL if slot.sure else Outcome.UNKNOWN, why)

    def _learn(self, slot: Slot) -> None:
        """What a client remembers of an attempt that met nobody."""
        grid = slot.grid
        if self._forgets:
            self._resolver.forget(grid.host)
        if self._sticks and slot.address:
            addresses = self._fixed[grid.host]
            if addresses[grid.first] == slot.address:
                grid.first = (grid.first + 1) % len(addresses)

    def _again(self, slot: Slot, now_ns: int) -> bool:
        """Whether there is a further attempt, now or after a wait."""
        at_ns = now_ns
        if self._backoff is not None:
            at_ns += to_ns(self._backoff.wait_s(slot.attempts, self._jitter()))
            if at_ns >= slot.deadline_ns:
                return False
        if self._budget is not None:
            if slot.grid.tokens < 1:
                return False
            slot.grid.tokens -= 1
        if slot.address:
            slot.tried += (slot.address,)
        if at_ns > now_ns:
            self._waiting.add(slot)
            heapq.heappush(self._waits, (at_ns, id(slot), slot))
            self._wake_by(at_ns)
        else:
            self._attempt(slot, now_ns)
        return True

    def _go_on(self, now_ns: int) -> None:
        """Begin the attempts whose wait is over."""
        waits = self._waits
        while waits and waits[0][0] <= now_ns:
            at_ns, _, slot = heapq.heappop(waits)
            self._waiting.discard(slot)
            if now_ns >= slot.deadline_ns:
                held_up = now_ns - at_ns > HELD_UP_NS
                self._record(slot, now_ns, UNSENT if held_up else Outcome.FAIL if slot.sure else Outcome.UNKNOWN, Why.DEADLINE)
            else:
                self._attempt(slot, now_ns)

    def _wake_by(self, at_ns: int) -> None:
        """The timer may have been set for later, when nobody waited yet."""
        timer = self._timer
        if isinstance(timer, asyncio.TimerHandle) and not timer.cancelled() and timer.when() * NS_PER_S > at_ns:
            timer.cancel()
            self._timer = self._loop.call_at(at_ns / NS_PER_S, self._wake)

    def _record(self, slot: Slot, done_ns: int, outcome: Outcome, why: Why) -> None:
        grid = slot.grid
        self.recorder.add(grid.index, slot, done_ns, outcome, why)
        slot.attempts = -1  # entries on the wheel and late answers of the name server no longer mean this slot
        self._flying -= 1
