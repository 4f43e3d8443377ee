"""One fault by hand, with a limit in time: what ``nines inject`` does to a cluster that is up.

    asked -> effective -> (the limit, or an earlier word to end) -> healed -> proven gone

The same plug-ins, proofs and undo log as in a run; what is missing is the measuring: no traffic, no outage, no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.errors import FaultNotEffective, NotHealed
from chaos.core.rng import derive
from chaos.core.values import Status
from chaos.history.events import FaultAsked, FaultEffective, FaultFailed, FaultGone, FaultHealed, Row
from chaos.plan.plan import Plan
from chaos.plugin import Cluster, Scene, Undo
from chaos.run.life import Life, named, pick
from chaos.run.settle import LOOK_EVERY_S

STEP_S: Final = 0.1
"""How soon a word to end is obeyed."""
GONE_WITHIN_S: Final = 20.0

HEALED, FAILED, LEFTOVER = "healed", "failed", "leftover"
Figures = dict[str, float | str | None]


class ByHand(msgspec.Struct, frozen=True):
    """What came of it, with the names that a fault has in a report. Times are seconds since it was asked."""

    fault: str
    fault_class: str
    target: list[str]
    status: str
    """``healed``, ``failed`` (it did not take effect, and was taken back) or ``leftover`` (it may still be in force)."""
    reason: str = ""
    effective_s: float | None = None
    healed_s: float | None = None
    gone_s: float | None = None
    mechanism: str = ""
    before: Figures = {}
    during: Figures = {}
    after: Figures = {}

    def __repr__(self) -> str:
        return f"Injection({self.fault} on {', '.join(self.target) or 'no node'}: {self.status}{f', {self.reason}' if self.reason else ''})"

    @property
    def exit_code(self) -> int:
        """As for a run: 0, 3 for a fault that could not be shown, 6 for one that could not be shown to be gone."""
        return {HEALED: 0, FAILED: FaultNotEffective.exit_code, LEFTOVER: NotHealed.exit_code}[self.status]


def by_hand(
    cluster: Cluster, plan: Plan, undo: Undo, clock: Clock, tell: Callable[[Row], None], end_now: Callable[[], bool],
    confirm: Callable[[Sequence[str]], None] = lambda _victims: None,
) -> ByHand:  # fmt: skip
    """Do the one fault of this plan, now; ``end_now`` is asked all the time whether it is to be healed before its limit.

    ``tell`` hears each step as a row of a history. ``confirm`` is shown the victims before any harm is done, and raises to prevent it.
    ``BadInput`` if the selector matches nobody.
    """
    (spec,) = plan.experiment.faults
    up = frozenset(name for name, node in cluster.nodes.items() if node.status() is not Status.DOWN)
    victims = pick(plan, cluster, spec, up, derive(clock.now_ns(), "by hand"))
    confirm(named(victims))
    said: list[Row] = []

    def note(row: Row) -> None:
        said.append(row)
        tell(row)

    life = Life(f"{spec.name}.1", spec, victims, Scene(cluster=cluster, clock=clock, undo=undo), note)
    if life.begin() and _lead(life, clock, end_now):
        _await_gone(life, clock)
    return _what_came(said)


def _lead(life: Life, clock: Clock, end_now: Callable[[], bool]) -> bool:
    """Through its time in force; whether it was healed then. A bug of ours ends it early, and is raised once it is healed."""
    why: FaultNotEffective | None = None
    bug: BaseException | None = None
    try:
        _hold(life, clock, end_now)
    except FaultNotEffective as error:
        why = error
    except BaseException as error:  # raised below; the fault is taken back all the same
        bug = error
    healed = life.heal(why)
    if bug is not None and not life.left_over:
        raise bug
    return healed


def _hold(life: Life, clock: Clock, end_now: Callable[[], bool]) -> None:
    """Until the limit; a fault that goes on by itself is led on its way, and is over when it says so."""
    assert life.spec.for_s is not None, "a fault by hand has a limit"
    effect = life.effect
    until_ns = effect.effective_at_ns + to_ns(life.spec.for_s)
    again_ns = clock.now_ns() if effect.step is not None else until_ns
    while (now_ns := clock.now_ns()) < until_ns and not end_now():
        if effect.step is not None and now_ns >= again_ns:
            due_ns = effect.step()
            if due_ns is None:
                return
            again_ns = due_ns
        clock.wait_until_ns(min(until_ns, again_ns if again_ns > now_ns else until_ns, now_ns + to_ns(STEP_S)))


def _await_gone(life: Life, clock: Clock) -> None:
    until_ns = clock.now_ns() + to_ns(GONE_WITHIN_S)
    while not (evidence := life.effect.gone()).ok:
        if clock.now_ns() >= until_ns:
            life.not_gone(evidence)
            return
        clock.wait_until_ns(clock.now_ns() + to_ns(LOOK_EVERY_S))
    life.seen_gone(evidence)


def _what_came(rows: Sequence[Row]) -> ByHand:
    """The rows of one fault, as one value."""
    asked = rows[0]
    assert isinstance(asked, FaultAsked), "a fault is asked first"
    said = ByHand(asked.kind, asked.fault_class, asked.target, HEALED)

    def since(at_ns: int) -> float:
        return round(to_s(at_ns - asked.at_ns), 6)

    for row in rows:
        match row:
            case FaultEffective(at_ns=at_ns, mechanism=mechanism, before=before, during=during):
                said = replace(said, effective_s=since(at_ns), mechanism=mechanism, before=before, during=during)
            case FaultHealed(at_ns=at_ns):
                said = replace(said, healed_s=since(at_ns))
            case FaultGone(at_ns=at_ns, after=after):
                said = replace(said, gone_s=since(at_ns), after=after)
            case FaultFailed(reason=reason, left_over=left_over):
                said = replace(said, status=LEFTOVER if left_over else FAILED, reason=reason)
    return said
