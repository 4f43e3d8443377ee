"""Interprets a plan on a cluster and writes the history; nothing else. It judges nothing.

    up -> traffic -> baseline -> [settle -> inject .. heal -> prove gone] ... -> heal all -> settle -> stop -> down

Plain synchronous code with one agenda. Faults may overlap: each lives in an exit stack of its own. Whatever ends the run (an
abort condition, a signal, a bug), every fault in force is healed first, and signals that arrive meanwhile wait.
"""

from __future__ import annotations

import heapq
import itertools
import signal as signals
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from types import FrameType

import msgspec

from chaos import __version__, selectors, tables
from chaos.clock import Clock, MonotonicClock, to_ns, to_s
from chaos.errors import BadInput, FaultNotEffective, Interrupted, NinesError, NotHealed
from chaos.events import (
    HARNESS_DIED,
    SCHEMA,
    Aborting,
    FaultAsked,
    FaultEffective,
    FaultFailed,
    FaultGone,
    FaultHealed,
    FaultSkipped,
    Looked,
    PhaseBegun,
    Row,
    RunEnded,
    RunStarted,
    Settled,
    TrafficStarted,
)
from chaos.experiment import FaultSpec
from chaos.history import HistoryWriter, RunFolder
from chaos.kinds import CLIENTS, DNS, LEADER, VOTING, Cluster, Deployment, Effect, Fault, Runtime, Scene, TrafficOrder, Victims
from chaos.plan import Plan, Window
from chaos.planning_faults import SaysWhoIsDown
from chaos.state import LiveState
from chaos.target import Target
from chaos.undo import UndoLog

LEAD_IN_S = 0.25
"""From the order to the prober to its first slot: it must have resolved the name and opened its connections by then."""
PROVE_EVERY_S = 0.05
"""How often a healed fault is asked whether it is gone, and the cluster whether it has settled."""
STEP_S = 0.1
"""How soon a signal or the death of a helper process is noticed while waiting."""
TAIL_S = 0.2
"""A fault must be over this long before the traffic ends, else its outage could not be seen to end."""


class Interruption:
    """SIGINT and SIGTERM: while starting they interrupt at once, later they end the run at its next step; undo is never cut short."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.at_once = True

    def _handle(self, signal_number: int, _frame: FrameType | None) -> None:
        # Only plain stores here: the main thread may hold any lock at this instant, an event's own among them.
        first = self.signal_number is None
        if first:
            self.signal_number = signal_number
        if first and self.at_once:
            self.at_once = False
            raise Interrupted(signal_number)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Handlers in place; only the main thread may have them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signals.signal(number, self._handle) for number in (signals.SIGINT, signals.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signals.signal(number, handler)


class Active(msgspec.Struct):
    """A fault in force, or healed and not yet proven gone."""

    window: Window
    spec: FaultSpec
    victims: Victims
    manager: AbstractContextManager[Effect]
    effect: Effect
    healed: bool = False
    prove_until_ns: int = 0


def run_plan(
    plan: Plan,
    target: Target,
    experiment_text: str,
    folder: RunFolder,
    runtime: Runtime,
    clock: Clock | None = None,
    live: Callable[[Row], None] | None = None,
    decide: Callable[[], tuple[bool, str]] | None = None,
) -> None:
    """Run it. Raises only what is found before any fault (``EnvironmentUnusable``...) and bugs of ours; all else is in the history,
    things that could not be removed at the end among it.

    ``live`` is shown every row as it is written. ``decide`` is asked after each round of a plan that may stop early: whether what it is
    to decide is decided, and what it says.
    """
    clock = clock or MonotonicClock()
    folder.write_plan(plan, experiment_text)
    writer = HistoryWriter(folder.history)
    wake = threading.Event()

    def onward(row: Row) -> None:
        writer.append(row)
        if live is not None:
            live(row)

    state = LiveState([node.name for node in plan.nodes], plan.judge, plan.experiment.abort_if, onward, wake)
    interruption = Interruption()
    try:
        with interruption.watched():
            _run(Conductor(plan, folder, clock, state, interruption, wake, decide), target, runtime)
    finally:
        writer.close()


def _run(conductor: Conductor, target: Target, runtime: Runtime) -> None:
    plan, clock, state, interruption = conductor.plan, conductor.clock, conductor.state, conductor.interruption
    state(
        RunStarted(
            at_ns=clock.now_ns(), schema=SCHEMA, run=conductor.folder.path.name, started_at=datetime.now(UTC).astimezone().isoformat(),
            runtime=runtime.name, versions={"nines": __version__},
        )
    )  # fmt: skip
    state(PhaseBegun(at_ns=clock.now_ns(), phase="starting"))
    bug = ""
    left: list[str] = []
    deployment = Deployment(run=conductor.folder.path.name, folder=conductor.folder.path.absolute(), plan=plan, target=target)
    try:
        with runtime.up(deployment, state, clock) as cluster:
            interruption.at_once = False
            conductor.conduct(cluster)
            state.cause = "stopping"
            state(PhaseBegun(at_ns=clock.now_ns(), phase="stopping"))
    except Interrupted:
        pass  # noted in ``interruption``; the runtime has taken down what it had started
    except NotHealed as error:
        left = [str(error)]
        if not conductor.began:
            raise
    except NinesError as error:
        bug = f"did not start: {error}"
        raise
    except BaseException as error:
        bug = f"{type(error).__name__}: {error}"
        raise
    finally:
        left += [f"{entry.action} {entry.subject}" for entry in conductor.undo.pending()] if not left else []
        ended = RunEnded(at_ns=clock.now_ns(), left=left, aborted=state.abort, signal=interruption.signal_number, bug=bug)
        conductor.undo.close()
        state(ended)


class Conductor:
    """One run's agenda."""

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        clock: Clock,
        state: LiveState,
        interruption: Interruption,
        wake: threading.Event,
        decide: Callable[[], tuple[bool, str]] | None = None,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.clock = clock
        self.state = state
        self.interruption = interruption
        self.undo = UndoLog(folder.undo)
        self._wake = wake
        self._decide = decide
        self._decided = False
        self._specs = {spec.name: spec for spec in plan.experiment.faults}
        self._order = itertools.count()
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._active: dict[str, Active] = {}
        self._last: dict[str, Victims] = {}
        self._left_dead: set[str] = set()
        """Nodes that a fault was asked not to bring back."""
        self._gone_ns: int | None = None
        """When the last fault was proven gone, until the cluster has been seen settled after it."""
        self._start_ns = 0
        self._end_ns = 0
        self._cluster: Cluster

    @property
    def began(self) -> bool:
        """Whether there is a run to judge: the cluster was up."""
        return self._start_ns > 0

    def conduct(self, cluster: Cluster) -> None:
        """Traffic, baseline, faults, settling; leaves no fault in force."""
        self._cluster = cluster
        plan, clock = self.plan, self.clock
        self._start_ns = clock.now_ns() + to_ns(LEAD_IN_S)
        self._end_ns = self._start_ns + to_ns(plan.duration_s)
        with cluster.traffic(TrafficOrder(start_ns=self._start_ns, duration_s=plan.duration_s)) as traffic:
            self.state(TrafficStarted(at_ns=clock.now_ns(), start_ns=self._start_ns, duration_s=plan.duration_s))
            self._at(self._start_ns, lambda: self._phase("baseline"))
            self._at(self._start_ns + to_ns(plan.experiment.baseline_s), lambda: self._phase("faults" if plan.windows else "measuring"))
            for window in plan.windows:
                self._at(self._start_ns + to_ns(window.start_s), partial(self._inject, window))
            # After the last round the run ends anyhow.
            for number, look_s in enumerate(plan.looks_s[:-1] if self._decide is not None else (), 1):
                self._at(self._start_ns + to_ns(look_s), partial(self._look, number))
            try:
                self._follow_agenda()
            finally:
                self._heal_all()
                if self._decided or self._must_stop():
                    traffic.stop()

    # --- the agenda ----------------------------------------------------------------------------------------------------

    def _at(self, at_ns: int, do: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (at_ns, next(self._order), do))

    def _must_stop(self) -> bool:
        broken = self._cluster.broken()
        if broken and not self.state.abort:
            self.state(Aborting(at_ns=self.clock.now_ns(), condition=f"part of the {HARNESS_DIED}: {broken}"))
        return bool(self.state.abort) or self.interruption.signal_number is not None

    def _follow_agenda(self) -> None:
        while not self._must_stop():
            due_ns = min(self._agenda[0][0], self._end_ns) if self._agenda else self._end_ns
            if self._wait(due_ns):
                continue
            if not self._agenda or self._agenda[0][0] > self._end_ns:
                return
            heapq.heappop(self._agenda)[2]()
        number = self.interruption.signal_number
        if number is not None:
            self.state(Aborting(at_ns=self.clock.now_ns(), condition="interrupted", signal=number))
        elif self.state.abort:
            self.state(Aborting(at_ns=self.clock.now_ns(), condition=self.state.abort))

    def _wait(self, until_ns: int) -> bool:
        """True if the run must stop before then. In short steps, since a signal does not end a wait."""
        while not self._must_stop():
            now_ns = self.clock.now_ns()
            if now_ns >= until_ns:
                return False
            if self.clock.wait_until_ns(min(until_ns, now_ns + to_ns(STEP_S)), self._wake):
                self._wake.clear()
        return True

    def _look(self, number: int) -> None:
        """Between rounds, when no fault is in force: is it decided? Then the run ends here."""
        if self._active:
            self._at(self.clock.now_ns() + to_ns(PROVE_EVERY_S), partial(self._look, number))
            return
        assert self._decide is not None
        at_ns = self.clock.now_ns()
        self._decided, said = self._decide()
        self.state(Looked(at_ns=at_ns, number=number, decided=self._decided, said=said))
        if self._decided:
            self._end_ns = at_ns

    def _phase(self, name: str) -> None:
        self.state(PhaseBegun(at_ns=self.clock.now_ns(), phase=name))

    # --- one fault -----------------------------------------------------------------------------------------------------

    def _inject(self, window: Window) -> None:
        spec = self._specs[window.fault]
        now_ns = self.clock.now_ns()
        if not spec.overlap:
            if not self._is_whole():
                deadline_ns = self._start_ns + to_ns(window.start_s + self.plan.experiment.settle_s)
                if now_ns < min(deadline_ns, self._end_ns):
                    self._at(now_ns + to_ns(PROVE_EVERY_S), lambda: self._inject(window))
                else:
                    self._skip(window, f"the cluster had not settled {self.plan.experiment.settle_s:g} s after its time")
                return
            # We may be the first to see it whole: without its row this fault would count as laid over the one before.
            self._note_settled()
        lasts_s = 0.0 if window.end_s is None else window.end_s - window.start_s
        if now_ns + to_ns(lasts_s + TAIL_S) > self._end_ns:
            self._skip(window, "no time left for it before the end of the traffic")
            return
        try:
            victims = self._resolve(spec, window)
        except BadInput as error:
            self._skip(window, error.message)
            return
        refusal = self._over_limit(spec, victims)
        if refusal:
            self._skip(window, refusal)
            return
        self._enter(window, spec, victims, lasts_s)

    def _resolve(self, spec: FaultSpec, window: Window) -> Victims:
        return selectors.resolve(
            spec.target,
            nodes=self.plan.nodes,
            roles=self._cluster.roles(),
            up=self.state.running(),
            protect=self.plan.experiment.limits.protect,
            draw=window.draw,
            last=self._last,
            part=self.plan.experiment.cluster.dns.part or self.plan.nodes[0].part,
            has_roles=self.plan.has_roles,
            params=spec.params,
        )

    def _enter(self, window: Window, spec: FaultSpec, victims: Victims, lasts_s: float) -> None:
        fault: Fault = msgspec.convert(spec.params, tables.find("faults", spec.kind))
        fault_class = f"{spec.kind}/{victims.role}"
        named = list(victims.nodes) or [str(link) for link in victims.links] or [",".join(group) for group in victims.groups]
        self.state(
            FaultAsked(at_ns=self.clock.now_ns(), id=window.id, fault=spec.name, kind=spec.kind, fault_class=fault_class, target=named)
        )
        self._last[spec.name] = victims
        manager = fault.inject(Scene(cluster=self._cluster, clock=self.clock, undo=self.undo), victims)
        self.state.cause = window.id
        try:
            effect = manager.__enter__()
        except FaultNotEffective as error:
            self.state(FaultFailed(at_ns=self.clock.now_ns(), id=window.id, reason=str(error)))
            return
        except NinesError as error:
            reason = f"failed, and could not be taken back: {error}"
            self.state(FaultFailed(at_ns=self.clock.now_ns(), id=window.id, reason=reason, left_over=True))
            return
        finally:
            self.state.cause = ""
        self._active[window.id] = Active(window, spec, victims, manager, effect)
        if spec.params.get("recovery") == "none":
            self._left_dead.update(victims.nodes)
        self.state(
            FaultEffective(
                at_ns=effect.effective_at_ns, id=window.id, mechanism=effect.mechanism, before=effect.before, during=effect.during
            )
        )
        if window.end_s is not None:
            self._at(effect.effective_at_ns + to_ns(lasts_s), lambda: self._heal(window.id))
        if effect.step is not None:
            self._at(self.clock.now_ns(), lambda: self._step(window.id))

    def _step(self, window_id: str) -> None:
        """Let a fault that goes on by itself do what is due; it is healed as soon as it has done all."""
        active = self._active.get(window_id)
        if active is None or active.healed or active.effect.step is None:
            return
        self.state.cause = window_id
        try:
            again_ns = active.effect.step()
        except FaultNotEffective as error:
            self._heal(window_id, error)
            return
        finally:
            self.state.cause = ""
        if again_ns is None:
            self._heal(window_id)
        else:
            self._at(again_ns, lambda: self._step(window_id))

    def _heal(self, window_id: str, why: FaultNotEffective | None = None) -> None:
        """``why``: it came to nothing in the middle of its work."""
        active = self._active.get(window_id)
        if active is None or active.healed:
            return
        self.state.cause = window_id
        active.healed = True
        try:
            active.manager.__exit__(None if why is None else type(why), why, None)
            if why is not None:
                raise why
        except FaultNotEffective as error:
            self._active.pop(window_id)
            self.state(FaultFailed(at_ns=self.clock.now_ns(), id=window_id, reason=str(error)))
            return
        except NinesError as error:
            self._active.pop(window_id)
            self.state(FaultFailed(at_ns=self.clock.now_ns(), id=window_id, reason=f"could not be taken back: {error}", left_over=True))
            return
        finally:
            self.state.cause = ""
        now_ns = self.clock.now_ns()
        active.prove_until_ns = now_ns + to_ns(max(self.plan.experiment.settle_s, 1.0))
        if active.effect.healed_at_ns is not None:
            self.state(FaultHealed(at_ns=active.effect.healed_at_ns, id=window_id))
        self._at(now_ns, lambda: self._prove(window_id))

    def _prove(self, window_id: str) -> None:
        active = self._active.get(window_id)
        if active is None:
            return
        evidence = active.effect.gone()
        now_ns = self.clock.now_ns()
        if evidence.ok:
            self._active.pop(window_id)
            self.state(FaultGone(at_ns=now_ns, id=window_id, after=evidence.figures))
            if not self._active:
                self._gone_ns = now_ns
                self._await_settled()
        elif now_ns >= active.prove_until_ns:
            self._active.pop(window_id)
            self.state(FaultFailed(at_ns=now_ns, id=window_id, reason=f"not proven gone: {evidence.why}", left_over=True))
        else:
            self._at(now_ns + to_ns(PROVE_EVERY_S), lambda: self._prove(window_id))

    def _skip(self, window: Window, reason: str) -> None:
        self.state(FaultSkipped(at_ns=self.clock.now_ns(), id=window.id, fault=window.fault, kind=window.kind, reason=reason))

    def _over_limit(self, spec: FaultSpec, victims: Victims) -> str:
        touched = set(victims.nodes) | {end for link in victims.links for end in (link.source, link.destination)} - {CLIENTS, DNS}
        for node in sorted(touched & set(self.plan.experiment.limits.protect)):
            return f"{node} is protected"
        limit = self.plan.experiment.limits.nodes_down
        fault = tables.find("faults", spec.kind)
        if limit is None or not fault.takes_down:
            return ""
        cut = {node for active in self._active.values() if active.spec.kind == "partition" for node in self._cut_off(active.victims)}
        hit = self._cut_off(victims)
        if isinstance(made := msgspec.convert(spec.params, fault), SaysWhoIsDown):
            hit = set(made.cuts(victims, [node.name for node in self.plan.nodes]))
        down = self.state.down() | cut | hit
        return f"{len(down)} nodes would be down, limits.nodes_down is {limit}" if len(down) > limit else ""

    def _cut_off(self, victims: Victims) -> set[str]:
        """The nodes that these victims leave the cluster without: of groups, all but the largest side."""
        if not victims.groups:
            return set(victims.nodes)
        names = {node.name for node in self.plan.nodes}
        sides = [names & set(group) for group in victims.groups]
        sides.append(names.difference(*sides))
        return names - max(sides, key=len)

    # --- settling ------------------------------------------------------------------------------------------------------

    def _await_settled(self) -> None:
        """Say so as soon as the cluster is whole again: an outage that begins later is no doing of the last fault."""
        if self._active or self._gone_ns is None:
            return  # the next fault begins and its own end will look again, or it has been said
        now_ns = self.clock.now_ns()
        if self._is_whole():
            self._note_settled()
        elif now_ns + to_ns(PROVE_EVERY_S) < self._end_ns:
            self._at(now_ns + to_ns(PROVE_EVERY_S), self._await_settled)

    def _note_settled(self) -> None:
        """Once after the last fault that was proven gone."""
        if self._gone_ns is not None:
            now_ns = self.clock.now_ns()
            self.state(Settled(at_ns=now_ns, waited_s=to_s(now_ns - self._gone_ns)))
            self._gone_ns = None

    def _is_whole(self) -> bool:
        """No fault in force or unproven, and every node up and voting, with a leader where there is one to have."""
        if self._active:
            return False
        if self.state.down() - self._left_dead:
            return False
        if not self.plan.has_roles:
            return all(self._cluster.ping(node, 0.2).rtt_s is not None for node in self._cluster.nodes if node not in self._left_dead)
        roles = self._cluster.roles()
        alive = [node for node in roles if node not in self._left_dead]
        declared = set().union(*roles.values()) if roles else set()
        voting = VOTING not in declared or all(VOTING in roles[node] for node in alive)
        return voting and sum(LEADER in roles[node] for node in alive) == 1

    def _heal_all(self) -> None:
        """Take back what is in force, wait until it is proven gone (bounded), whatever else has happened."""
        bug: Exception | None = None
        for window_id in [key for key, active in self._active.items() if not active.healed]:
            try:
                self._heal(window_id)
            except Exception as error:  # ends the run below; the others are taken back all the same
                bug = bug or error
        limit_ns = self.clock.now_ns() + to_ns(max(self.plan.experiment.settle_s, 1.0))
        while self._active and self.clock.now_ns() < limit_ns + to_ns(1.0):
            for window_id in list(self._active):
                self._prove(window_id)
            if self._active:
                self.clock.wait_until_ns(self.clock.now_ns() + to_ns(PROVE_EVERY_S))
        if bug is not None:
            raise bug
