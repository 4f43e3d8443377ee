"""The traffic of virtual clients: the same slots, client policy and records as the prober's, answered by what nodes were at the time.

A slot is worked out once its deadline is past, when everything that could happen to it is known. Names are resolved on a regular
beat of one TTL, as a busy client does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from chaos.core.clock import to_ns
from chaos.core.rng import stream
from chaos.core.values import TrafficOrder
from chaos.experiment.traffic import ClientPolicy
from chaos.history.events import TrafficEnded, TrafficSecond
from chaos.history.observations import Outcome, Why
from chaos.runtimes.fake.dns import VirtualDns
from chaos.runtimes.fake.faces import Faces, Meets
from chaos.runtimes.fake.simulation import READ, WRITE, VirtualNode
from chaos.traffic.probe import Slot
from chaos.traffic.records import Recorder, Tally
from chaos.traffic.spec import ONCE, PER_REQUEST, OperationOrder

AHEAD_NS = 10_000_000
"""Cached answers in use are renewed so long before they run out, or a fiftieth of their life if that is less."""
REFUSAL_NS = 150_000
"""A refused or closed connection is seen after this."""
RESOLVED_BEFORE_NS = 100_000_000
"""The prober resolves the name so long before its first slot."""

Ending = tuple[int, Outcome, Why]
"""When an attempt ended, and how."""


class VirtualGrid:
    """One operation's slots."""

    def __init__(self, index: int, order: OperationOrder, start_ns: int, duration_s: float) -> None:
        self.index = index
        self.order = order
        self.does = READ if order.does == READ else WRITE
        self._base_ns = start_ns + to_ns(order.phase_s)
        self._period_ns = order.period_ns
        self.limit = order.count(duration_s)
        self.next = 0
        self.next_ns = self.due_ns(0)

    def take(self) -> int:
        """When the next slot was due, which is taken with that."""
        due_ns = self.next_ns
        self.next += 1
        self.next_ns = self.due_ns(self.next)
        return due_ns

    def due_ns(self, index: int) -> int:
        """When that slot is due."""
        return self._base_ns + int(index * self._period_ns)

    def stop(self, now_ns: int) -> None:
        """No slot that is due after now is sent."""
        while self.limit > self.next and self.due_ns(self.limit - 1) > now_ns:
            self.limit -= 1

    def due_between(self, begin_ns: int, end_ns: int) -> int:
        """How many slots are due in [begin, end)."""
        return self._due_before(end_ns) - self._due_before(begin_ns)

    def _due_before(self, at_ns: int) -> int:
        count = min(self.limit, max(0, int((at_ns - self._base_ns) / self._period_ns)))
        while count < self.limit and self.due_ns(count) < at_ns:
            count += 1
        while count and self.due_ns(count - 1) >= at_ns:
            count -= 1
        return count


class VirtualTraffic:
    """One run of traffic. ``now_ns`` of the cluster is asked for where the real prober would look at the clock."""

    def __init__(
        self,
        path: Path,
        order: TrafficOrder,
        operations: tuple[OperationOrder, ...],
        client: ClientPolicy,
        ttl_s: float,
        nodes: Mapping[str, VirtualNode],
        dns: VirtualDns,
        seed: int,
        sink: Callable[[TrafficSecond | TrafficEnded], None],
    ) -> None:
        self._grids = [VirtualGrid(index, each, order.start_ns, order.duration_s) for index, each in enumerate(operations)]
        self._client = client
        self._timeout_ns = to_ns(client.timeout_s)
        self._deadline_ns = to_ns(client.deadline_s)
        self._nodes = nodes
        self._dns = dns
        self._random = stream(seed, "fake", "traffic").random
        self._sink = sink
        tallies = [Tally(grid.order.name, order.start_ns, grid.due_between) for grid in self._grids]
        late_ns = [int(grid.order.period_ns / 2) for grid in self._grids]
        self._recorder = Recorder(str(path), order.start_ns, self._deadline_ns, tallies, late_ns)
        self._resolved_ns = order.start_ns - RESOLVED_BEFORE_NS
        ttl_ns = to_ns(ttl_s)
        self._jitter = stream(seed, "fake", "backoff").random
        self._tokens = [client.retry_budget.burst if client.retry_budget is not None else math.inf] * len(self._grids)
        self._endpoints: tuple[str, ...] = ()
        if client.endpoints is not None:
            self._endpoints = client.endpoints.nodes or tuple(dns.nodes)
        self._order = "random" if client.endpoints is None else client.endpoints.order
        self._first = [0] * len(self._grids)
        """Of each grid, which endpoint comes first."""
        self._life_ns = 0 if client.resolve == PER_REQUEST else ttl_ns - min(AHEAD_NS, ttl_ns // 50)

    def catch_up(self, now_ns: int) -> None:
        """Work out every slot whose deadline is past."""
        while (grid := self._first_due(now_ns - self._deadline_ns)) is not None:
            self._slot(grid)
        if 0 < self._recorder.flush_at_ns <= now_ns:
            self._recorder.flush()
        for row in self._recorder.rows(now_ns):
            self._sink(row)

    def stop(self, now_ns: int) -> None:
        """End early."""
        for grid in self._grids:
            grid.stop(now_ns)

    @property
    def end_ns(self) -> int:
        """The end of the last slot."""
        return max(grid.due_ns(grid.limit) for grid in self._grids)

    @property
    def over_ns(self) -> int:
        """When the last slot's deadline is past."""
        return max(grid.due_ns(max(0, grid.limit - 1)) for grid in self._grids) + self._deadline_ns

    def finish(self, now_ns: int) -> None:
        """The rest, and the last byte on disk."""
        self.catch_up(now_ns)
        self._recorder.flush()
        for row in self._recorder.last_rows(now_ns):
            self._sink(row)
        self._recorder.close()
        slots = {grid.order.name: grid.limit for grid in self._grids}
        self._sink(TrafficEnded(at_ns=now_ns, end_ns=self.end_ns, slots=slots))

    # --- one slot ------------------------------------------------------------------------------------------------------

    def _first_due(self, until_ns: int) -> VirtualGrid | None:
        first = None
        for grid in self._grids:
            if grid.next < grid.limit and grid.next_ns <= until_ns and (first is None or grid.next_ns < first.next_ns):
                first = grid
        return first

    def _slot(self, grid: VirtualGrid) -> None:
        slot = Slot()
        slot.due_ns = slot.sent_ns = grid.take()
        slot.deadline_ns = slot.due_ns + self._deadline_ns
        slot.address = ""
        slot.attempts = slot.status = 0
        tried: tuple[str, ...] = ()
        now_ns, outcome, why = slot.due_ns, Outcome.FAIL, Why.NONE
        sure = True
        budget = self._client.retry_budget
        if budget is not None:
            self._tokens[grid.index] = min(budget.burst, self._tokens[grid.index] + budget.ratio)
        while slot.attempts < max(1, self._client.attempts) and now_ns < slot.deadline_ns:
            slot.attempts += 1
            node = self._pick(grid.index, now_ns, tried)
            expiry_ns = min(now_ns + self._timeout_ns, slot.deadline_ns)
            if node is None:
                slot.address = ""
                now_ns, outcome, why = now_ns + REFUSAL_NS, Outcome.FAIL, Why.DNS
                next_ns = self._next_ns(grid.index, slot, now_ns)
                if next_ns is None:
                    break
                now_ns = next_ns
                continue
            slot.address = self._nodes[node].info.address
            now_ns, outcome, why = self._attempt(node, grid.does, now_ns, expiry_ns)
            if outcome is Outcome.OK:
                break
            sure = sure and outcome is Outcome.FAIL
            if why is Why.TIMEOUT and expiry_ns == slot.deadline_ns:
                why = Why.DEADLINE
            tried += (node,)
            if why is not Why.ERROR:
                self._learn(grid.index, node, now_ns)
            next_ns = self._next_ns(grid.index, slot, now_ns)
            if next_ns is None:
                break
            now_ns = next_ns
        if outcome is not Outcome.OK:
            outcome = Outcome.FAIL if sure else Outcome.UNKNOWN
        self._recorder.add(grid.index, slot, now_ns, outcome, why)

    def _learn(self, grid: int, node: str, now_ns: int) -> None:
        """What a client remembers of an attempt that met nobody."""
        if self._client.resolve_on_error:
            self._resolved_ns = max(self._resolved_ns, now_ns)
        if self._order == "sticky" and self._endpoints[self._first[grid]] == node:
            self._first[grid] = (self._first[grid] + 1) % len(self._endpoints)

    def _next_ns(self, grid: int, slot: Slot, now_ns: int) -> int | None:
        """When the next attempt begins; None: there is none."""
        if slot.attempts >= self._client.attempts:
            return None
        if self._client.backoff is not None:
            now_ns += to_ns(self._client.backoff.wait_s(slot.attempts, self._jitter()))
        if now_ns >= slot.deadline_ns or self._tokens[grid] < 1:
            return None
        self._tokens[grid] -= 1
        return now_ns

    def _pick(self, grid: int, at_ns: int, tried: tuple[str, ...]) -> str | None:
        if self._order != "random":
            first = self._first[grid]
            ordered = self._endpoints[first:] + self._endpoints[:first]
            return next((node for node in ordered if node not in tried), ordered[0])
        members = self._endpoints or self._answer(at_ns)
        if tried and self._client.other_address:
            members = tuple(node for node in members if node not in tried) or members
        return members[int(self._random() * len(members))] if members else None

    def _answer(self, at_ns: int) -> tuple[str, ...]:
        """The nodes in the answer that a client uses then."""
        if self._client.resolve == ONCE:
            return self._dns.members_at(self._resolved_ns)
        if self._life_ns <= 0:
            return self._dns.members_at(at_ns)
        lives = (at_ns - self._resolved_ns) // self._life_ns
        return self._dns.members_at(self._resolved_ns + lives * self._life_ns)

    def _attempt(self, node: str, does: str, sent_ns: int, expiry_ns: int) -> Ending:
        faces: Faces = self._nodes[node].faces[does]
        now_ns = sent_ns
        while True:
            face, until_ns = faces.at(now_ns)
            match face.meets:
                case Meets.REFUSED:
                    # Refused at the door; one that stood inside already saw its connection break.
                    outcome, why = (Outcome.FAIL, Why.REFUSED) if now_ns == sent_ns else (Outcome.UNKNOWN, Why.RESET)
                    return now_ns + REFUSAL_NS, outcome, why
                case Meets.CLOSED:
                    return now_ns + REFUSAL_NS, Outcome.UNKNOWN, Why.CLOSED
                case Meets.ERROR:
                    return now_ns + face.latency_ns, Outcome.FAIL, Why.ERROR
                case Meets.LOST:
                    return expiry_ns, Outcome.UNKNOWN, Why.TIMEOUT
                case Meets.ANSWER:
                    done_ns = now_ns + face.latency_ns
                    if until_ns is None or done_ns <= until_ns:
                        return (done_ns, Outcome.OK, Why.NONE) if done_ns <= expiry_ns else (expiry_ns, Outcome.UNKNOWN, Why.TIMEOUT)
                case Meets.WAITS | Meets.HELD | Meets.DROPPED:
                    pass  # until the node is another one
            if until_ns is None or until_ns >= expiry_ns:
                return expiry_ns, Outcome.UNKNOWN, Why.TIMEOUT
            if face.meets is Meets.DROPPED:
                return until_ns + REFUSAL_NS, Outcome.UNKNOWN, Why.ERROR
            if face.meets is Meets.HELD and faces.at(until_ns)[0].meets is not Meets.ANSWER:
                return expiry_ns, Outcome.UNKNOWN, Why.TIMEOUT
            now_ns = until_ns
