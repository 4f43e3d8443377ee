"""Interprets a plan on a cluster and writes the history; nothing else. It judges nothing.

    up -> traffic -> baseline -> [settle -> inject .. heal -> prove gone] ... -> heal all -> settle -> stop -> down

Plain synchronous code with one agenda (``scheduler.py``); ``injector.py`` does each fault. Whatever ends the run (an abort
condition, a signal, a bug), every fault in force is healed first, and signals that arrive meanwhile wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from chaos.core import storage
from chaos.core.clock import Clock, MonotonicClock, to_ns, to_s
from chaos.core.errors import Interrupted, NotHealed
from chaos.core.units import duration_s
from chaos.core.values import TrafficOrder
from chaos.experiment.target.spec import Target
from chaos.history.events import HARNESS_DIED, Aborting, Looked, PhaseBegun, Row, TrafficStarted
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.history.undo import UndoLog
from chaos.plan.plan import Plan
from chaos.plugin import Cluster, Runtime
from chaos.run.cluster import cluster_into
from chaos.run.conditions import Known
from chaos.run.injector import Injector
from chaos.run.monitor import LiveState
from chaos.run.own_condition import OwnCondition
from chaos.run.people import People, as_led
from chaos.run.scheduler import Agenda
from chaos.run.settle import LOOK_EVERY_S
from chaos.run.signals import Interruption
from chaos.run.stop_command import Guard

LEAD_IN_S = 0.25
"""From the order to the prober to its first slot: it must have resolved the name and opened its connections by then."""
DRIVER_LEAD_S = 1.0
"""More of it where a driver has to show first that it lives."""
LIBRARY_LEAD_S = 5.0
"""The same where it imports a client library, which takes seconds on a busy machine. A driver with ``ready`` has its own limit instead."""

DISK_EVERY_S = 0.5
"""How often the disk of the run folder is looked at."""


def run_plan(
    plan: Plan,
    target: Target,
    experiment_text: str,
    folder: RunFolder,
    runtime: Runtime,
    clock: Clock | None = None,
    live: Callable[[Row], None] | None = None,
    decide: Callable[[], tuple[bool, str]] | None = None,
    people: People | None = None,
) -> list[Row]:
    """Run it; returns the rows that are not in the history since its disk took no more. Raises only what is found before any fault
    (``EnvironmentUnusable``...) and bugs of ours; all else is in the history, things that could not be removed at the end among it.

    ``live`` is shown every row as it is written. ``decide`` is asked after each round of a plan that may stop early: whether what it is
    to decide is decided, and what it says. ``people``: the run holds before each step until they let it go.
    """
    clock = clock or MonotonicClock()
    folder.write_plan(plan, experiment_text)
    folder.keep_room()
    writer = HistoryWriter(folder.history)
    wake = threading.Event()

    def onward(row: Row) -> None:
        writer.append(row)
        if live is not None:
            live(row)

    state = LiveState([node.name for node in plan.nodes], plan.judge, plan.experiment.abort_if, onward, wake, _known(plan))
    interruption = Interruption()
    try:
        with interruption.watched():
            conductor = Conductor(plan, folder, clock, state, interruption, wake, decide, lambda: writer.trouble, people)
            _run(conductor, target, runtime)
            if people is not None and conductor.led_until_s is not None:
                folder.write_plan(as_led(plan, people.begun, conductor.led_until_s), experiment_text)
    finally:
        writer.close()
        folder.give_room()
    return writer.unwritten


def _known(plan: Plan) -> Known:
    """What conditions may look at; a service is down after as many bad slots as open an outage."""
    traffic = plan.experiment.traffic
    return Known({name: traffic.outage.open / spec.rate_per_s for name, spec in traffic.operations.items()}, traffic.outage.open)


def _lead_s(plan: Plan, target: Target) -> float:
    """How long the prober is given before the first slot."""
    drivers = [kind for kind in plan.operations.values() if kind.probe == "driver"]
    if not drivers:
        return LEAD_IN_S
    said_s = max(duration_s(kind.options.get("ready", "0s")) for kind in drivers)
    return LEAD_IN_S + max(said_s, LIBRARY_LEAD_S if target.libraries else DRIVER_LEAD_S)


def _run(conductor: Conductor, target: Target, runtime: Runtime) -> None:
    state = conductor.state
    try:
        with cluster_into(
            conductor.folder, conductor.plan, target, runtime, conductor.clock, state, conductor.interruption,
            aborted=lambda: state.abort, failed=lambda error: f"did not start: {error}",
        ) as (cluster, undo):  # fmt: skip
            conductor.conduct(cluster, undo, _lead_s(conductor.plan, target))
            state.cause = "stopping"
    except Interrupted:
        pass  # noted in ``interruption``
    except NotHealed:
        if not conductor.began:
            raise


class Conductor:
    """One run: its traffic, and the agenda of what is done meanwhile."""

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        clock: Clock,
        state: LiveState,
        interruption: Interruption,
        wake: threading.Event,
        decide: Callable[[], tuple[bool, str]] | None = None,
        unwritable: Callable[[], str] = lambda: "",
        people: People | None = None,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.clock = clock
        self.state = state
        self.interruption = interruption
        self.began = False
        """Whether there is a run to judge: the cluster was up."""
        self.led_until_s: float | None = None
        """When people had led it to its end, in seconds since the first request."""
        self._people = people
        self._wake = wake
        self._decide = decide
        self._decided = False
        self._unwritable = unwritable
        self._stored_badly = ""
        self._told_of_disk = False
        self._cluster: Cluster
        self._undo: UndoLog
        self._agenda: Agenda
        self._injector: Injector
        self._guard: Guard | None = None
        self._own: OwnCondition | None = None

    def conduct(self, cluster: Cluster, undo: UndoLog, lead_s: float = LEAD_IN_S) -> None:
        """Traffic, ``lead_s`` from now on; baseline, faults, settling; leaves no fault in force."""
        plan, clock = self.plan, self.clock
        start_ns = clock.now_ns() + to_ns(lead_s)
        self.began = True
        self._cluster, self._undo = cluster, undo
        self._agenda = Agenda(clock, self._wake, self._must_stop, start_ns + to_ns(plan.duration_s))
        until, where = plan.experiment.settle_until, self.folder.path.absolute()
        self._own = None if until is None else OwnCondition(until, plan, cluster, clock, self.state, self.folder.run, where)
        self._injector = Injector(plan, cluster, clock, self.state, undo, self._agenda, start_ns, self.folder.logs, self._own)
        with cluster.traffic(TrafficOrder(start_ns=start_ns, duration_s=plan.duration_s)) as traffic:
            self.state(TrafficStarted(at_ns=clock.now_ns(), start_ns=start_ns, duration_s=plan.duration_s))
            self._fill(start_ns)
            try:
                self._agenda.follow()
                self._say_why_it_ended()
            finally:
                try:
                    self._injector.heal_all()
                finally:
                    self._end_guard()
                if self._decided or self._must_stop():
                    traffic.stop()

    def _fill(self, start_ns: int) -> None:
        """The agenda as far as the plan fixes it."""
        plan, at = self.plan, self._agenda.at
        at(start_ns, partial(self._phase, "baseline"))
        at(start_ns, self._look_at_disk)
        command = plan.experiment.abort_if.command
        if command is not None:
            where = self.folder.path.absolute()
            self._guard = Guard(command, self.folder.run, where, self.clock, self.state, self._agenda)
            at(start_ns, self._guard.ask)
        at(start_ns + to_ns(plan.experiment.baseline_s), partial(self._phase, "faults" if plan.windows else "measuring"))
        if self._people is not None:
            at(start_ns, partial(self._people.attend, self.clock, self._agenda, self.state))
            at(start_ns + to_ns(plan.experiment.baseline_s), partial(self._lead, start_ns))
        for window in plan.windows if self._people is None else ():
            if not (window.after or window.beside):
                at(start_ns + to_ns(window.start_s), partial(self._injector.begin, window))
        # After the last round the run ends anyhow.
        for number, look_s in enumerate(plan.looks_s[:-1] if self._decide is not None else (), 1):
            at(start_ns + to_ns(look_s), partial(self._look, number))

    def _lead(self, start_ns: int) -> None:
        """From here on people say when."""
        assert self._people is not None

        def end() -> None:
            now_ns = self.clock.now_ns()
            self._decided, self._agenda.end_ns = True, now_ns
            self.led_until_s = to_s(now_ns - start_ns)

        self._people.lead(self.clock, self._agenda, self._injector, self.state, start_ns, end)

    def _end_guard(self) -> None:
        if self._own is not None:
            self._own.close()
        if self._guard is not None:
            self._guard.end()

    def _must_stop(self) -> bool:
        broken = self._cluster.broken()
        if broken and not self._stored_badly:
            self._stored_badly = storage.trouble_of(self.folder.path)  # it may be what the part died of
        trouble = self._stored_badly or self._unwritable() or self._undo.trouble
        if trouble and not self._told_of_disk:
            self._told_of_disk = True
            self.state(Aborting(at_ns=self.clock.now_ns(), condition=f"{trouble}; the run was stopped, and what was measured is kept"))
        if broken and not self.state.abort:
            self.state(Aborting(at_ns=self.clock.now_ns(), condition=f"part of the {HARNESS_DIED}: {broken}"))
        return bool(self.state.abort) or self.interruption.signal_number is not None

    def _say_why_it_ended(self) -> None:
        number = self.interruption.signal_number
        if number is not None:
            self.state(Aborting(at_ns=self.clock.now_ns(), condition="interrupted", signal=number))
        elif self.state.abort:
            self.state(Aborting(at_ns=self.clock.now_ns(), condition=self.state.abort))

    def _look(self, number: int) -> None:
        """Between rounds, when no fault is in force: is it decided? Then the run ends here."""
        if self._injector.busy:
            self._agenda.soon(LOOK_EVERY_S, partial(self._look, number))
            return
        assert self._decide is not None
        at_ns = self.clock.now_ns()
        self._decided, said = self._decide()
        self.state(Looked(at_ns=at_ns, number=number, decided=self._decided, said=said))
        if self._decided:
            self._agenda.end_ns = at_ns

    def _look_at_disk(self) -> None:
        """A full disk ends the run before anything that it should have held is lost: the nodes' logs are on it, too."""
        self._stored_badly = self._stored_badly or storage.trouble_of(self.folder.path)
        self._agenda.soon(DISK_EVERY_S, self._look_at_disk)

    def _phase(self, name: str) -> None:
        self.state(PhaseBegun(at_ns=self.clock.now_ns(), phase=name))
