"""What the run knows while it goes on, gathered from the same rows that go into the history."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import msgspec

from chaos.core.units import show_share
from chaos.core.values import Status
from chaos.experiment.safety import AbortIf
from chaos.experiment.schedules import Condition
from chaos.history.events import Aborting, NodeChanged, Row, TrafficSecond
from chaos.run.conditions import Known

RATIO_WINDOW_S = 10
"""``abort_if: {error_ratio}`` looks at the slots of so many last seconds."""


class LiveState:
    """A sink: stamps causes, keeps node states, watches abort conditions; hands each row on to the history."""

    def __init__(
        self,
        nodes: list[str],
        judge: str,
        abort_if: AbortIf,
        onward: Callable[[Row], None],
        wake: threading.Event,
        known: Known | None = None,
    ) -> None:
        self._status = dict.fromkeys(nodes, Status.UP)
        self._lives: dict[str, tuple[NodeChanged | None, NodeChanged | None]] = {}
        self._judge = judge
        self._abort_if = abort_if
        self._onward = onward
        self._wake = wake
        self._seconds: deque[TrafficSecond] = deque(maxlen=RATIO_WINDOW_S)
        self._lock = threading.Lock()
        self._known = known or Known({})
        self.cause = ""
        """The fault that is being injected or healed: node changes that somebody commanded are its doing."""
        self.abort = ""
        """Why the run must end early; empty while it need not."""

    def __call__(self, row: Row) -> None:
        with self._lock:
            if isinstance(row, NodeChanged):
                if not row.cause and self.cause:
                    row = msgspec.structs.replace(row, cause=self.cause)
                self._status[row.node] = Status(row.status)
                began, _ = self._lives.get(row.node, (None, None))
                if row.status != Status.PAUSED:
                    self._lives[row.node] = (row, None) if row.status == Status.UP else (began, row)
            elif isinstance(row, TrafficSecond) and row.operation == self._judge:
                self._seconds.append(row)
                self._note(self._condition(row))
            elif isinstance(row, Aborting):
                self._note(row.condition)
            self._known.take(row)
        self._onward(row)

    def holds(self, condition: Condition, since_ns: int) -> bool:
        """Whether what a fault waits for is so now."""
        with self._lock:
            return self._known.holds(condition, since_ns)

    def without_answer_s(self) -> float:
        """For how long clients of the judged service are in an outage, as far as the prober has told; 0 if they are well."""
        with self._lock:
            return self._known.without_answer_s(self._judge)

    def down(self) -> set[str]:
        """Nodes whose process is dead or frozen."""
        with self._lock:
            return {node for node, status in self._status.items() if status is not Status.UP}

    def last_life(self, node: str) -> tuple[NodeChanged | None, NodeChanged | None]:
        """The begin and the end of a node's last process, as far as the run saw them."""
        with self._lock:
            return self._lives.get(node, (None, None))

    def running(self) -> frozenset[str]:
        """Nodes whose process is not dead."""
        with self._lock:
            return frozenset(node for node, status in self._status.items() if status is not Status.DOWN)

    def _note(self, condition: str) -> None:
        if condition and not self.abort:
            self.abort = condition
            self._wake.set()

    def _condition(self, second: TrafficSecond) -> str:
        limit_s = self._abort_if.unavailable_for_s
        if limit_s is not None and second.bad_run_s >= limit_s:
            return f"{self._judge} unavailable for {second.bad_run_s:.3g} s, limit {limit_s:g} s"
        limit = self._abort_if.error_ratio
        if limit is not None and len(self._seconds) == RATIO_WINDOW_S:
            due = sum(row.due for row in self._seconds)
            bad = sum(row.bad for row in self._seconds)
            if due and bad / due > limit:
                return f"{self._judge}: {show_share(bad / due)} of the last {RATIO_WINDOW_S} s failed, limit {show_share(limit)}"
        return ""
