"""One fault from its time to its proof: settle, pick, harm, step, heal, prove gone. Faults may overlap: each has its own entry.

due -> [settle] -> pick -> limits -> asked -> effective | failed -> healed -> gone | failed
                                  -> skipped, with its reason

A fault with a condition (``when``) waits for it first; a step of a sequence waits for those before it to be over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.errors import BadInput, FaultNotEffective
from chaos.core.values import Evidence, Victims
from chaos.experiment.faults import FaultSpec
from chaos.experiment.schedules import OnService, When
from chaos.history.events import Aborting, Awaited, FaultSkipped
from chaos.plan.describe import condition_text
from chaos.plan.plan import Plan, Window
from chaos.plugin import Cluster, Scene, Undo
from chaos.run import blast_radius as radius
from chaos.run import returning
from chaos.run.life import Life, pick
from chaos.run.monitor import LiveState
from chaos.run.own_condition import OwnCondition
from chaos.run.scheduler import Agenda
from chaos.run.settle import LOOK_EVERY_S, Settling
from chaos.run.turns import Turns

TAIL_S = 0.2
"""A fault must be over this long before the traffic ends, else its outage could not be seen to end."""

CONDITION_EVERY_S = 0.01
"""How often what a fault waits for is looked at: in memory, nobody is asked."""


class Active(msgspec.Struct):
    """A fault in force, or healed and not yet proven gone."""

    window: Window
    life: Life
    prove_until_ns: int = 0


class Injector:
    """Does the plan's faults, by way of the agenda."""

    def __init__(
        self, plan: Plan, cluster: Cluster, clock: Clock, state: LiveState, undo: Undo, agenda: Agenda, start_ns: int, logs: Path,
        own: OwnCondition | None = None,
    ) -> None:  # fmt: skip
        self._logs = logs
        self._plan = plan
        self._cluster = cluster
        self._clock = clock
        self._state = state
        self._undo = undo
        self._agenda = agenda
        self._start_ns = start_ns
        self._specs = {spec.name: spec for spec in plan.experiment.faults}
        self._active: dict[str, Active] = {}
        self._last: dict[str, Victims] = {}
        self._turns = Turns(plan.windows)
        self._settling = Settling(plan, cluster, clock, state, agenda, self._active.keys(), own)

    @property
    def busy(self) -> bool:
        """Some fault is in force, or not yet proven gone."""
        return bool(self._active)

    # --- in ------------------------------------------------------------------------------------------------------------

    def begin(self, window: Window) -> None:
        """Its time has come: now, or once its condition holds."""
        spec, now_ns = self._specs[window.fault], self._clock.now_ns()
        if spec.when is None:
            self._inject(window, self._start_ns + to_ns(window.start_s))
        else:
            self._await(window, spec.when, now_ns)

    def _await(self, window: Window, when: When, since_ns: int) -> None:
        now_ns = self._clock.now_ns()
        came = self._state.holds(when.on, since_ns)
        if not came and now_ns < since_ns + to_ns(when.within_s):
            self._agenda.soon(CONDITION_EVERY_S, partial(self._await, window, when, since_ns))
            return
        condition, otherwise = condition_text(when.on), "" if came else when.otherwise
        self._state(
            Awaited(at_ns=now_ns, id=window.id, condition=condition, waited_s=to_s(now_ns - since_ns), came=came, otherwise=otherwise)
        )
        if came or otherwise == "inject":
            self._inject(window, now_ns)
            return
        reason = f"it waited for '{condition}', which did not come within {when.within_s:g} s"
        self._skip(window, reason)
        if otherwise == "abort":
            self._state(Aborting(at_ns=now_ns, condition=f"{window.id}: {reason}"))

    def _inject(self, window: Window, due_ns: int) -> None:
        """``due_ns`` is when it was to begin: settling may take so long from then on."""
        spec = self._specs[window.fault]
        now_ns = self._clock.now_ns()
        if not spec.overlap:
            wants_outage = spec.when is not None and isinstance(spec.when.on, OnService) and spec.when.on.state == "down"
            if not (self._settling.is_whole() if wants_outage else self._settling.is_settled()):
                settle_s = self._plan.experiment.settle_s
                if now_ns < min(due_ns + to_ns(settle_s), self._agenda.end_ns):
                    self._agenda.at(now_ns + to_ns(LOOK_EVERY_S), partial(self._inject, window, due_ns))
                else:
                    self._skip(window, f"{self._settling.lacks()} {settle_s:g} s after its time")
                return
            # We may be the first to see it whole: without its row this fault would count as laid over the one before.
            self._settling.note()
        lasts_s = 0.0 if window.end_s is None else window.end_s - window.start_s
        if now_ns + to_ns(lasts_s + TAIL_S) > self._agenda.end_ns:
            self._skip(window, "no time left for it before the end of the traffic")
            return
        try:
            victims = pick(self._plan, self._cluster, spec, self._state.running(), window.draw, self._last)
        except BadInput as error:
            self._skip(window, error.message)
            return
        in_force = [(active.life.spec, active.life.victims) for active in self._active.values()]
        refusal = radius.refusal(self._plan, spec, victims, self._state.down(), in_force)
        if refusal:
            self._skip(window, refusal)
            return
        self._enter(window, spec, victims, lasts_s)

    def _enter(self, window: Window, spec: FaultSpec, victims: Victims, lasts_s: float) -> None:
        life = Life(window.id, spec, victims, Scene(cluster=self._cluster, clock=self._clock, undo=self._undo), self._state)
        self._last[spec.name] = victims
        with self._caused_by(window.id):
            began = life.begin()
        if not began:
            self._lose_after(life)
            return
        self._active[window.id] = Active(window, life)
        if life.fault.endless:
            self._settling.left_dead.update(victims.nodes)
        effect = life.effect
        if window.end_s is not None:
            self._agenda.at(effect.effective_at_ns + to_ns(lasts_s), partial(self._heal, window.id))
        else:
            # It stays; those after it in its sequence begin when its 'for' is over all the same.
            over_ns = effect.effective_at_ns + to_ns(spec.for_s or 0.0)
            self._agenda.at(over_ns, partial(self._over, window.id, over_ns))
        for other in self._turns.begun(window.id):
            self._agenda.soon(0.0, partial(self._inject, other, self._clock.now_ns()))
        if effect.step is not None:
            self._agenda.soon(0.0, partial(self._step, window.id))

    def _step(self, window_id: str) -> None:
        """Let a fault that goes on by itself do what is due; it is healed as soon as it has done all."""
        active = self._active.get(window_id)
        if active is None or active.life.healed or active.life.effect.step is None:
            return
        try:
            with self._caused_by(window_id):
                again_ns = active.life.effect.step()
        except FaultNotEffective as error:
            self._heal(window_id, error)
            return
        if again_ns is None:
            self._heal(window_id)
        else:
            self._agenda.at(again_ns, partial(self._step, window_id))

    # --- out -----------------------------------------------------------------------------------------------------------

    def _heal(self, window_id: str, why: FaultNotEffective | None = None) -> None:
        """``why``: it came to nothing in the middle of its work."""
        active = self._active.get(window_id)
        if active is None or active.life.healed:
            return
        with self._caused_by(window_id):
            healed = active.life.heal(why)
        if not healed:
            self._active.pop(window_id)
            self._lose_after(active.life)
            return
        now_ns = self._clock.now_ns()
        active.prove_until_ns = now_ns + self._proof_ns()
        self._agenda.at(now_ns, partial(self._prove, window_id))

    def _prove(self, window_id: str) -> None:
        active = self._active.get(window_id)
        if active is None:
            return
        life = active.life
        evidence = life.effect.gone()
        now_ns = self._clock.now_ns()
        if evidence.ok:
            self._gone(window_id, life, evidence)
            return
        if returning.held_down(returning.concerned(life.victims), self._others(window_id)):
            # It cannot be seen to be well before that other fault is over; then it has its whole time.
            active.prove_until_ns = now_ns + self._proof_ns()
        if now_ns < active.prove_until_ns:
            self._agenda.at(now_ns + to_ns(LOOK_EVERY_S), partial(self._prove, window_id))
            return
        left_dead = returning.concerned(life.victims) & self._settling.left_dead
        why = "" if left_dead else returning.not_back(
            self._cluster, self._state, life.victims, self._start_ns, self._logs, only_processes=life.fault.only_processes
        )  # fmt: skip
        if left_dead or why:
            # All of ours is taken back; what does not answer is a node that another fault left dead, or a system that did not recover.
            self._gone(window_id, life, evidence, why)
            return
        self._active.pop(window_id)
        life.not_gone(evidence)
        self._lose_after(life)

    def _gone(self, window_id: str, life: Life, evidence: Evidence, not_back: str = "") -> None:
        now_ns = self._clock.now_ns()
        self._active.pop(window_id)
        life.seen_gone(evidence, not_back)
        self._over(window_id, life.effect.healed_at_ns or now_ns)
        if not self._active:
            self._settling.begin(now_ns)

    def _others(self, window_id: str) -> list[Victims]:
        """Of the other faults in force."""
        return [other.life.victims for key, other in self._active.items() if key != window_id and not other.life.healed]

    def _proof_ns(self) -> int:
        return to_ns(max(self._plan.experiment.settle_s, 1.0))

    def heal_all(self) -> None:
        """Take back what is in force, wait until it is proven gone (bounded), whatever else has happened."""
        bug: Exception | None = None
        for window_id in [key for key, active in self._active.items() if not active.life.healed]:
            try:
                self._heal(window_id)
            except Exception as error:  # ends the run below; the others are taken back all the same
                bug = bug or error
        limit_ns = self._clock.now_ns() + to_ns(max(self._plan.experiment.settle_s, 1.0) + 1.0)
        while self._active and self._clock.now_ns() < limit_ns:
            for window_id in list(self._active):
                self._prove(window_id)
            if self._active:
                self._clock.wait_until_ns(self._clock.now_ns() + to_ns(LOOK_EVERY_S))
        if bug is not None:
            raise bug

    # --- what follows, or does not ---------------------------------------------------------------------------------------

    def _over(self, window_id: str, at_ns: int) -> None:
        """Those of its sequence whose turn it is now; proven gone first, so that no later step disturbs the proof."""
        now_ns = self._clock.now_ns()
        for window, due_ns in self._turns.over(window_id, at_ns):
            self._agenda.at(max(due_ns, now_ns), partial(self._inject, window, max(due_ns, now_ns)))

    def _lose(self, window_id: str, what: str) -> None:
        """None of its sequence follows a step that came to nothing."""
        for window in self._turns.lost(window_id):
            self._skip(window, f"{window_id}, which it {'follows' if window.after else 'goes with'}, {what}")

    def _skip(self, window: Window, reason: str) -> None:
        self._state(FaultSkipped(at_ns=self._clock.now_ns(), id=window.id, fault=window.fault, kind=window.kind, reason=reason))
        self._lose(window.id, "was skipped")

    def _lose_after(self, life: Life) -> None:
        """It failed."""
        self._lose(life.id, "could not be taken back" if life.left_over else "did not take effect")

    @contextmanager
    def _caused_by(self, window_id: str) -> Iterator[None]:
        """What is commanded to nodes meanwhile is this fault's doing."""
        self._state.cause = window_id
        try:
            yield
        finally:
            self._state.cause = ""
