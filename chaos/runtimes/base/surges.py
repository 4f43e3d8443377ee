"""More traffic than the measured one: a second prober, whose slots stand in a file of their own (``load-1.bin``) and in no figure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.values import Sent
from chaos.history import observations
from chaos.history.events import Row
from chaos.history.observations import Outcome
from chaos.plan.capabilities import needed
from chaos.plan.plan import Plan
from chaos.plugin import Deployment
from chaos.runtimes.base.helper import Helper

SURGE = "load"
"""Its helpers are called load-1, load-2..."""
READY_S = 10.0
LEAD_IN_S = 0.25
"""From the order to the first slot: it must have resolved the name and opened its connections by then."""
LOADS_WITHIN_S = 3.0
"""The same for one that has yet to load its modules; on docker its container is made first."""
END_S = 10.0
MOST_SPARES = 4
LONGEST_S = 86_400.0
"""It goes on until it is told to end, or its harness is gone."""


class SurgeOrder(msgspec.Struct, frozen=True):
    """What to send: slot i is due at ``start_ns`` + i / rate."""

    name: str
    """Of the helper, its spec and its file."""
    operation: str
    rate_per_s: float
    start_ns: int


class RunningSurge:
    """``kinds.Surge``: the prober at work."""

    def __init__(self, path: Path, began_ns: int) -> None:
        self._path = path
        self.began_ns = began_ns

    def sent(self) -> Sent:
        """By the records that are on the disk: some 50 ms behind."""
        sent = list(observations.sent(self._path))
        if not sent:
            return Sent(0, 0, 0.0)
        span_s = to_s(max(done_ns for done_ns, _ in sent) - self.began_ns)
        return Sent(len(sent), sum(outcome is Outcome.OK for _, outcome in sent), span_s)


class Spares:
    """Probers that are loaded and wait, made while the cluster starts; for a surge beyond their number one is made when it begins."""

    def __init__(self, make: Callable[[str], Helper]) -> None:
        self._make = make
        self._made = 0
        self._waiting: deque[Helper] = deque()

    def warm(self, plan: Plan) -> None:
        """As many as the plan has surges, if those are few."""
        if Capability.SURGES in needed(plan):
            for _ in range(min(MOST_SPARES, max(1, sum(window.kind == SURGE for window in plan.windows)))):
                self._waiting.append(self._new())

    def take(self) -> tuple[Helper, float]:
        """The next one, and how long it may need from now on to send its first slot."""
        if self._waiting:
            return self._waiting.popleft(), LEAD_IN_S
        return self._new(), LOADS_WITHIN_S

    def _new(self) -> Helper:
        self._made += 1
        return self._make(f"{SURGE}-{self._made}")


class Surges:
    """All surges of a run, one after the other or at once. ``go`` tells a prober what to do."""

    def __init__(self, deployment: Deployment, spares: Spares, go: Callable[[Helper, SurgeOrder], None], clock: Clock) -> None:
        self._folder = deployment.folder
        self._deadline_s = deployment.plan.experiment.traffic.client.deadline_s
        self._spares = spares
        self._go = go
        self._clock = clock

    @contextmanager
    def surge(self, operation: str, rate_per_s: float) -> Iterator[RunningSurge]:
        """Leaving waits until the last slot has ended and the last record is on the disk."""
        helper, lead_s = self._spares.take()
        order = SurgeOrder(helper.child.name, operation, rate_per_s, self._clock.now_ns() + to_ns(lead_s))
        try:
            self._go(helper, order)
            helper.wait_ready(READY_S)
            yield RunningSurge(self._folder / f"{order.name}.bin", order.start_ns)
        finally:
            helper.end_input()
            helper.must_finish(self._deadline_s + END_S)


def unheard(_row: Row) -> None:
    """What a surge says of its seconds is no part of the history."""
