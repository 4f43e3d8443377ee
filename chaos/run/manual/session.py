"""A cluster that is up without being measured: brought up, held for faults by hand, taken down; its folder says what was done to it.

The same runtime, undo log and record as of a run, so ``nines leftovers``, ``nines heal`` and ``nines stop`` know it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chaos.core.clock import Clock
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.experiment.target.spec import Target
from chaos.history.events import Row
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.history.undo import UndoLog
from chaos.plan.plan import Plan
from chaos.plugin import Cluster, Runtime
from chaos.registry import runs as registry
from chaos.run.cluster import cluster_into
from chaos.run.manual.injection import ByHand, by_hand
from chaos.run.manual.socket import Caller, Done, HandOrder, Orders, Refusal, Step, socket_of
from chaos.run.signals import Interruption

PlanOrder = Callable[[HandOrder], Plan]
"""From an order to a plan with that one fault; ``BadInput`` or ``CapabilityMissing`` for one that cannot be."""


class Standing:
    """A cluster that is up, and what by-hand faults need beside it."""

    def __init__(self, cluster: Cluster, undo: UndoLog, clock: Clock, tell: Callable[[Row], None], interruption: Interruption) -> None:
        self.cluster = cluster
        self._undo = undo
        self._clock = clock
        self._tell = tell
        self._interruption = interruption

    @property
    def ending(self) -> bool:
        """A signal came, or something of ours died: no fault goes on."""
        return self._interruption.signal_number is not None or self.cluster.broken() is not None

    def inject(
        self, plan: Plan, on_row: Callable[[Row], None], end_now: Callable[[], bool] = lambda: False,
        confirm: Callable[[Sequence[str]], None] = lambda _victims: None,
    ) -> ByHand:  # fmt: skip
        """The one fault of this plan, if ``confirm`` does not raise; every step is in the history before ``on_row`` hears of it."""

        def tell(row: Row) -> None:
            self._tell(row)
            on_row(row)

        return by_hand(self.cluster, plan, self._undo, self._clock, tell, lambda: self.ending or end_now(), confirm)


@contextmanager
def standing(
    plan: Plan, target: Target, text: str, folder: RunFolder, runtime: Runtime, clock: Clock, interruption: Interruption
) -> Iterator[Standing]:
    """Bring it up, and take it down at the end. Raises what was found before it was up, and ``NotHealed`` for what it left.

    ``Interrupted`` for a signal while it starts, if ``interruption`` is watched; later ones are noted there.
    """
    folder.refuse_held()
    folder.write_plan(plan, text)
    writer = HistoryWriter(folder.history)
    try:
        with cluster_into(folder, plan, target, runtime, clock, writer.append, interruption) as (cluster, undo):
            yield Standing(cluster, undo, clock, writer.append, interruption)
    finally:
        writer.close()


def serve(up: Standing, run: str, plan_order: PlanOrder, said: Callable[[ByHand | Refusal], None]) -> None:
    """Carry out orders, one after the other, until a signal comes. ``EnvironmentUnusable`` if a part of the harness dies."""
    orders = Orders(socket_of(registry.state_dir(), run))
    try:
        while not up.ending:
            caller = orders.next()
            if caller is not None:
                try:
                    said(_carry_out(up, caller, plan_order))
                finally:
                    caller.close()
    finally:
        orders.close()
    broken = up.cluster.broken()
    if broken is not None:
        raise EnvironmentUnusable(f"part of the harness has died: {broken}", how="see the folder's logs")


def _carry_out(up: Standing, caller: Caller, plan_order: PlanOrder) -> ByHand | Refusal:
    order = caller.order()
    if order is None:
        return Refusal("that was no order", BadInput.exit_code)
    answer: Done | Refusal
    try:
        done = up.inject(plan_order(order), lambda row: caller.tell(Step(row)), caller.wants_end)
        answer = Done(done)
    except (BadInput, EnvironmentUnusable) as error:
        answer = Refusal(str(error), error.exit_code)
    caller.tell(answer)
    return answer.done if isinstance(answer, Done) else answer
