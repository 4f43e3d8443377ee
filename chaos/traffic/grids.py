"""When the slots of one operation are due: at a constant rate, or at one that changes, and what its next slot is made of."""

from __future__ import annotations

import bisect

from chaos.core.clock import to_ns
from chaos.traffic.probe import Probe, Reuses
from chaos.traffic.spec import OperationOrder, ProberSpec
from chaos.traffic.uneven import Uneven


class Grid:
    """One operation's due times. ``next_ns`` is the due time of the next slot to send, ``left`` how many there are."""

    __slots__ = (
        "base_ns", "first", "host", "index", "keys", "left", "limit", "next_index", "next_ns", "order", "period_ns", "probe", "reuse",
        "tokens", "uneven", "values",
    )  # fmt: skip

    def __init__(self, index: int, order: OperationOrder, spec: ProberSpec, probe: Probe) -> None:
        self.index = index
        self.order = order
        self.probe = probe
        self.host = probe.host or spec.name
        self.reuse = probe.reuse if spec.client.pool is not None and isinstance(probe, Reuses) else None
        """Connections that are looked for before any name is."""
        self.first = 0
        """Which of the client's endpoints comes first."""
        self.tokens = 0.0 if spec.client.retry_budget is None else spec.client.retry_budget.burst
        """Of the budget for retries."""
        self.base_ns = spec.start_ns + to_ns(order.phase_s)
        self.period_ns = order.period_ns
        self.uneven = Uneven(order.pieces) if order.pieces else None
        """Of a rate that changes."""
        self.limit = order.count(spec.duration_s) if self.uneven is None else self.uneven.count
        self.left = self.limit
        self.next_index = 0
        self.next_ns = self.due_ns(0)
        self.keys = [f"{spec.key_prefix}{number}" for number in range(max(1, spec.keys))]
        self.values = f"{spec.run}.{order.name}."

    def due_ns(self, index: int) -> int:
        """When slot ``index`` is due."""
        if self.uneven is not None:
            return self.base_ns + to_ns(self.uneven.due_s(index))
        return self.base_ns + int(index * self.period_ns)

    def step(self) -> None:
        """On to the next slot."""
        self.next_index += 1
        self.left -= 1
        self.next_ns = self.due_ns(self.next_index)

    def due_between(self, begin_ns: int, end_ns: int) -> int:
        """How many slots are due in [begin, end)."""
        return self._due_before(end_ns) - self._due_before(begin_ns)

    def _due_before(self, at_ns: int) -> int:
        if self.uneven is not None:
            return bisect.bisect_left(range(self.limit), at_ns, key=self.due_ns)
        count = min(self.limit, max(0, int((at_ns - self.base_ns) / self.period_ns)))
        while count < self.limit and self.due_ns(count) < at_ns:
            count += 1
        while count and self.due_ns(count - 1) >= at_ns:
            count -= 1
        return count

    def stop(self, now_ns: int) -> None:
        """No slot that is due after now will be sent."""
        self.limit = max(self.next_index, self._due_before(now_ns + 1))
        self.left = self.limit - self.next_index

    @property
    def end_ns(self) -> int:
        """The end of the last slot."""
        return self.due_ns(self.limit)
