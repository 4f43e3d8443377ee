"""One fault by hand, with a limit in time: what ``nines inject`` does to a cluster that is up.

    asked -> effective -> (the limit, or an earlier word to end) -> healed -> proven gone

The same plug-ins, proofs and undo log as in a run; what is missing is the measuring: no traffic, no outage, no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from chaos.core import plugins as tables
from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.errors import FaultNotEffective, NinesError, NotHealed
from chaos.core.rng import derive
from chaos.core.values import Status, Victims
from chaos.experiment.spec import FaultSpec
from chaos.history.events import FaultAsked, FaultEffective, FaultFailed, FaultGone, FaultHealed, Row
from chaos.plan import selection as selectors
from chaos.plan.plan import Plan
from chaos.plugin import Cluster, Effect, Fault, Scene, Undo

LOOK_EVERY_S: Final = 0.05
"""How soon a word to end is obeyed, and how often a healed fault is asked whether it is gone."""
STEP_S: Final = 0.1
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
    victims = pick(cluster, plan, spec, derive(clock.now_ns(), "by hand"))
    confirm(named(victims))
    fault: Fault = msgspec.convert(spec.params, tables.find("faults", spec.kind))
    return _Hand(cluster, spec, fault, victims, undo, clock, tell, end_now).do()


def pick(cluster: Cluster, plan: Plan, spec: FaultSpec, draw: int) -> Victims:
    """Whom the selector means, now."""
    return selectors.resolve(
        spec.target,
        nodes=plan.nodes,
        roles=cluster.roles(),
        up=frozenset(name for name, node in cluster.nodes.items() if node.status() is not Status.DOWN),
        protect=plan.experiment.limits.protect,
        draw=draw,
        last={},
        part=plan.experiment.cluster.dns.part or plan.nodes[0].part,
        has_roles=plan.has_roles,
        params=spec.params,
    )


class _Hand:
    """One injection, from its order to its proof."""

    def __init__(
        self, cluster: Cluster, spec: FaultSpec, fault: Fault, victims: Victims, undo: Undo, clock: Clock,
        tell: Callable[[Row], None], end_now: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._scene = Scene(cluster=cluster, clock=clock, undo=undo)
        self._spec = spec
        self._fault = fault
        self._victims = victims
        self._clock = clock
        self._tell = tell
        self._end_now = end_now
        self._id = f"{spec.name}.1"
        self._asked_ns = clock.now_ns()
        self._said = ByHand(spec.kind, f"{spec.kind}/{victims.role}", named(victims), HEALED)

    def do(self) -> ByHand:
        self._tell(
            FaultAsked(
                at_ns=self._asked_ns, id=self._id, fault=self._spec.name, kind=self._spec.kind, fault_class=self._said.fault_class,
                target=self._said.target,
            )
        )  # fmt: skip
        manager = self._fault.inject(self._scene, self._victims)
        try:
            effect = manager.__enter__()
        except FaultNotEffective as error:
            return self._failed(FAILED, str(error))
        except NinesError as error:
            return self._failed(LEFTOVER, f"failed, and could not be taken back: {error}")
        self._note(effective_s=self._since(effect.effective_at_ns), mechanism=effect.mechanism, before=effect.before, during=effect.during)
        self._tell(
            FaultEffective(
                at_ns=effect.effective_at_ns, id=self._id, mechanism=effect.mechanism, before=effect.before, during=effect.during
            )
        )
        why: FaultNotEffective | None = None
        bug: BaseException | None = None
        try:
            self._hold(effect)
        except FaultNotEffective as error:
            why = error
        except BaseException as error:  # ends us below; the fault is taken back all the same
            bug = error
        try:
            manager.__exit__(None if why is None else type(why), why, None)
        except FaultNotEffective as error:
            why = why or error
        except NinesError as error:
            return self._failed(LEFTOVER, f"could not be taken back: {error}")
        if bug is not None:
            raise bug
        if why is not None:
            return self._failed(FAILED, str(why))
        return self._prove(effect)

    def _hold(self, effect: Effect) -> None:
        """Until the limit; a fault that goes on by itself is led on its way, and is over when it says so."""
        assert self._spec.for_s is not None, "a fault by hand has a limit"
        until_ns = effect.effective_at_ns + to_ns(self._spec.for_s)
        again_ns = self._clock.now_ns() if effect.step is not None else until_ns
        while (now_ns := self._clock.now_ns()) < until_ns and not self._end_now():
            if effect.step is not None and now_ns >= again_ns:
                due_ns = effect.step()
                if due_ns is None:
                    return
                again_ns = due_ns
            self._clock.wait_until_ns(min(until_ns, again_ns if again_ns > now_ns else until_ns, now_ns + to_ns(STEP_S)))

    def _prove(self, effect: Effect) -> ByHand:
        if effect.healed_at_ns is not None:
            self._note(healed_s=self._since(effect.healed_at_ns))
            self._tell(FaultHealed(at_ns=effect.healed_at_ns, id=self._id))
        until_ns = self._clock.now_ns() + to_ns(GONE_WITHIN_S)
        while not (evidence := effect.gone()).ok:
            if self._clock.now_ns() >= until_ns:
                return self._failed(LEFTOVER, f"not proven gone: {evidence.why}")
            self._clock.wait_until_ns(self._clock.now_ns() + to_ns(LOOK_EVERY_S))
        now_ns = self._clock.now_ns()
        self._note(gone_s=self._since(now_ns), after=evidence.figures)
        self._tell(FaultGone(at_ns=now_ns, id=self._id, after=evidence.figures))
        return self._said

    def _failed(self, status: str, reason: str) -> ByHand:
        self._tell(FaultFailed(at_ns=self._clock.now_ns(), id=self._id, reason=reason, left_over=status == LEFTOVER))
        self._note(status=status, reason=reason)
        return self._said

    def _note(self, **what: object) -> None:
        self._said = msgspec.structs.replace(self._said, **what)

    def _since(self, at_ns: int) -> float:
        return round(to_s(at_ns - self._asked_ns), 6)


def named(victims: Victims) -> list[str]:
    """The victims one by one, as a history has them."""
    return list(victims.nodes) or [str(link) for link in victims.links] or [",".join(group) for group in victims.groups]
