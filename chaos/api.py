"""One experiment from its file to its report: what ``nines run`` and the pytest plugin share.

load -> plan -> refuse leftovers -> run -> judge -> report, all into one run folder
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core import storage
from chaos.core.errors import Aborted, EnvironmentUnusable, NinesError, NotHealed, Place
from chaos.core.files import write_atomically
from chaos.experiment.cluster import AttachSpec
from chaos.experiment.document import Experiment
from chaos.experiment.target.spec import Target
from chaos.history import identity
from chaos.history.folder import RunFolder
from chaos.plan.plan import Plan
from chaos.results.report import Report

if TYPE_CHECKING:
    from chaos.history.events import Row
    from chaos.run.people import People

BUG_FILE: Final = "bug.txt"


class Ordered(msgspec.Struct, frozen=True):
    """An experiment that is ready to run."""

    experiment: Experiment
    text: str
    target: Target
    plan: Plan

    def __repr__(self) -> str:
        return f"Experiment({self.experiment.name}: {self.plan!r})"


def order(
    file: Path, *, runtime: str | None = None, seed: int | None = None, faults: bool = True, longest_s: float | None = None,
    system_version: str | None = None, overrides: Sequence[str] = (),
) -> Ordered:  # fmt: skip
    """Load a file and plan it; ``BadInput`` for all that is wrong with it. Starts nothing.

    ``longest_s``: go on with further rounds of its faults for so long, until what it is to decide is decided. ``system_version``: what the
    user calls the version of the system under test; None: the environment's word, else a hash. ``overrides``: values in place of the
    file's, ``cluster.nodes=5``.
    """
    from chaos.experiment.source import read_text

    text = read_text(file)
    return order_text(
        text, file, runtime=runtime, seed=seed, faults=faults, longest_s=longest_s, system_version=system_version, overrides=overrides
    )


def order_text(
    text: str, file: Path, *, runtime: str | None = None, seed: int | None = None, faults: bool = True, longest_s: float | None = None,
    system_version: str | None = None, overrides: Sequence[str] = (),
) -> Ordered:  # fmt: skip
    """The same from a text; ``file`` names it in messages, and relative paths start from its folder."""
    from chaos.experiment.document import parse_experiment
    from chaos.experiment.overrides import located
    from chaos.plan.build import make_plan
    from chaos.plan.capabilities import runtime_of
    from chaos.plan.placing import placed, told

    experiment = parse_experiment(text, str(file), overrides)
    target = _target(experiment, file)
    place = None if runtime else located(str(file), overrides, "cluster.runtime")
    cluster = experiment.cluster
    chosen = chosen_runtime(runtime or cluster.runtime, target, place, attach=cluster.attach, hosts=bool(cluster.hosts))
    experiment = told(placed(experiment, target, runtime_of(chosen)), runtime_of(chosen))
    plan = make_plan(experiment, target, seed=seed, runtime=chosen, longest_s=longest_s)
    plan = versioned(plan, target, system_version)
    if faults:
        _require_agreement_possible(plan)
    return Ordered(experiment, text, target, plan if faults else msgspec.structs.replace(plan, windows=()))


def versioned(plan: Plan, target: Target, given: str | None) -> Plan:
    """The plan with the version of the system under test."""
    from chaos.core.capabilities import Capability
    from chaos.plan.capabilities import runtime_of
    from chaos.plan.system_version import VARIABLE, system_version

    version = system_version(target, given, here=Capability.HERE in runtime_of(plan.runtime).offers)
    return msgspec.structs.replace(plan, system=version, system_given=bool(os.environ.get(VARIABLE) if given is None else given))


def _require_agreement_possible(plan: Plan) -> None:
    """Refuse ``agreement: consistent`` where the models say nothing of any fault: there is nothing that could agree."""
    if not plan.windows or not any(spec.measure == "agreement" for spec in plan.experiment.objectives):
        return
    from chaos.plan.cluster import refuse
    from chaos.predict.run import why_nothing

    reasons = why_nothing(plan)
    if reasons:
        message = f"no fault of this plan is predicted, so nothing could decide 'agreement': {'; '.join(reasons)}"
        right = "leave it out, or plan a fault that is predicted (docs/faults.md, What is predicted)"
        raise refuse(plan.experiment, "objectives.agreement", message, right)


def _target(experiment: Experiment, file: Path) -> Target:
    """The one that is named; for a system that runs already, what the experiment says about it."""
    from chaos.experiment.cluster import ATTACHED
    from chaos.experiment.overrides import located
    from chaos.experiment.target.load import load_target
    from chaos.plan.attached import attached_target

    cluster = experiment.cluster
    if cluster.attach is not None and cluster.target == ATTACHED:
        return attached_target(experiment, None)
    named = load_target(cluster.target, beside=file.parent, place=located(str(file), experiment.overrides, "cluster.target"))
    return attached_target(experiment, named) if cluster.attach is not None else named


def chosen_runtime(name: str, target: Target, place: Place | None = None, *, attach: AttachSpec | None = None, hosts: bool = False) -> str:
    """``auto`` is docker where an engine answers and the target has a form for it, else local. An unknown name is refused."""
    from chaos.plan.capabilities import chosen

    return chosen(name, target, place, attach=attach, hosts=hosts)


def new_folder(name: str, under: Path = Path("runs")) -> RunFolder:
    """``runs/<experiment>-<time>-<id>``, not there yet."""
    return RunFolder(under / identity.stamped(name))


def perform(
    ordered: Ordered,
    folder: RunFolder,
    live: Callable[[Row], None] | None = None,
    history: Path | None = None,
    people: People | None = None,
) -> Report:
    """Run, judge, write the reports, and enter the run into the history (None: the usual one).

    ``NinesError`` for what is found before any fault; a bug leaves its traceback in the folder. ``people``: they lead its steps, see
    ``chaos.run.people``.
    """
    folder.refuse_held()
    with contextlib.ExitStack() as stack:
        far = engine_elsewhere(ordered.plan, stack)
        if far is None:
            ready(ordered, folder)
        elif people is not None:
            raise EnvironmentUnusable("a game day needs its nodes on this machine: people and run share a clock and a folder",
                                      how="run the command where the engine is")  # fmt: skip
        elif ordered.plan.experiment.cluster.hosts:
            from chaos.run.leftovers import refuse_leftovers

            refuse_leftovers()  # beside one engine the harness there knows of them
        report = _perform(ordered, folder, live, far, people)
    keep_evidence(report, folder, history)
    return report


def ready(ordered: Ordered, folder: RunFolder) -> None:
    """Whether it may begin here: ``EnvironmentUnusable`` for leftovers, for too little room and for what its faults lack."""
    from chaos.run import machine
    from chaos.run.leftovers import refuse_leftovers

    if not ordered.plan.virtual:
        refuse_leftovers()
    machine.require(ordered.plan, ordered.target)
    _require_room(ordered.plan, folder.path)


def engine_elsewhere(plan: Plan, stack: contextlib.ExitStack) -> object | None:
    """What the harness of a run must travel to; None where nothing travels. ``EnvironmentUnusable`` if it does not answer."""
    from chaos.plan.capabilities import runtime_of

    return stack.enter_context(runtime_of(plan.runtime).elsewhere(plan))


def _perform(
    ordered: Ordered, folder: RunFolder, live: Callable[[Row], None] | None, far: object | None, people: People | None = None
) -> Report:
    from chaos.history.events import TrafficStarted
    from chaos.plan.calibration import keep
    from chaos.report.build import from_folder

    keep(ordered.experiment.predict.calibration, ordered.experiment.file, folder.path)
    began = False

    def note(row: Row) -> None:
        nonlocal began
        began = began or isinstance(row, TrafficStarted)
        if live is not None:
            live(row)

    try:
        report = from_folder(folder, _carry_out(ordered, folder, note, far, people))
    except (NinesError, OSError) as error:
        gone = "" if folder.path.is_dir() else storage.trouble_of(folder.path)
        if began and gone and not isinstance(error, NotHealed):
            raise Aborted(f"the run was stopped and its faults were rolled back, and nothing is left to judge: {gone}") from error
        if isinstance(error, NinesError):
            raise
        if storage.of_storage(error):
            raise _full(error, folder, began, far) from error
        _keep_bug(folder.path)
        raise
    except Exception:
        _keep_bug(folder.path)
        raise
    _write(report, folder)
    return report


def keep_evidence(report: Report, folder: RunFolder, history: Path | None = None) -> None:
    """Enter a judged run into the history (None: the usual one); what keeps it out is told on standard error."""
    from chaos.core.escaping import page
    from chaos.evidence.keep import keep as enter

    enter(report, folder.path, lambda why: print(page(f"nines: {why}"), file=sys.stderr), history)


def _carry_out(
    ordered: Ordered, folder: RunFolder, note: Callable[[Row], None], far: object | None, people: People | None = None
) -> list[Row]:
    """By this process, in virtual time on the fake runtime; or by one of ours beside an engine that is elsewhere."""
    from chaos.core import plugins as tables
    from chaos.core.clock import ManualClock, MonotonicClock

    plan, decide = ordered.plan, _decider(ordered.plan, folder)
    if far is not None:
        from chaos.elsewhere.travel import carry_out

        folder.write_plan(plan, ordered.text)
        return carry_out(far, plan, ordered.target, msgspec.json.encode(ordered), folder, _warming(note), decide)
    from chaos.run.run import run_plan

    runtime = tables.find("runtimes", plan.runtime)()
    virtual = plan.virtual
    clock = ManualClock() if virtual else MonotonicClock()
    return run_plan(plan, ordered.target, ordered.text, folder, runtime, clock, note if virtual else _warming(note), decide, people)


def _write(report: Report, folder: RunFolder) -> None:
    """The reports. Without room for them the run stays as it is, to be judged again: ``EnvironmentUnusable``, if it came to its end."""
    from chaos.report.build import JUDGED_CODES, write

    try:
        write(report, folder)
    except OSError as error:
        where = Path(error.filename or folder.report)
        unwritten = EnvironmentUnusable(
            storage.why(error, where), how=f"what was measured is kept: 'nines judge {folder.path}' judges it again"
        )
        if report.exit_code in JUDGED_CODES.values():
            raise unwritten from error
        print(f"nines: {unwritten}", file=sys.stderr)


def _full(error: OSError, folder: RunFolder, began: bool, far: object | None) -> NinesError:
    """What a disk did, in one line: before the first request nothing was measured, after it the run is one that was stopped."""
    why = storage.why(error, Path(error.filename or folder.history))
    if not began:
        return EnvironmentUnusable(why, how="free some space, or name a folder on another disk with --folder")
    if far is not None:
        kept = f"what was measured is kept where the run was: nines fetch {folder.run} --folder DIR, with a DIR where there is room"
        return EnvironmentUnusable(why, how=kept)
    return Aborted(f"{why}\n  the run was stopped; what was measured until then is kept: 'nines judge {folder.path}'")


def _keep_bug(folder: Path) -> None:
    """The traceback, beside what was measured; the terminal has it too."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / BUG_FILE, traceback.format_exc().encode(errors="replace"))


def _require_room(plan: Plan, folder: Path) -> None:
    """``EnvironmentUnusable`` for a machine that has too little of something, or not the program that may end the run."""
    from chaos.plan.capabilities import runtime_of
    from chaos.run import preflight as room
    from chaos.run import stop_command as guard

    if plan.experiment.abort_if.command is not None:
        guard.require(plan.experiment.abort_if.command)
    room.require(plan, folder, None if plan.experiment.cluster.hosts else runtime_of(plan.runtime).disk())


def _warming(live: Callable[[Row], None] | None) -> Callable[[Row], None]:
    """Loads what judging needs while the baseline is being measured, which no fault disturbs: it saves the user most of a second."""
    from chaos.history.events import PhaseBegun

    def load() -> None:
        import importlib

        for module in ("scipy.special", "chaos.judge.judge", "chaos.report.formats.html"):
            importlib.import_module(module)

    def row_written(row: Row) -> None:
        if isinstance(row, PhaseBegun) and row.phase == "baseline":
            threading.Thread(target=load, name="warming", daemon=True).start()
        if live is not None:
            live(row)

    return row_written


def _decider(plan: Plan, folder: RunFolder) -> Callable[[], tuple[bool, str]] | None:
    """What a run that may stop early asks after each round; None for one that goes on to its end."""
    if not plan.looks_s:
        return None
    from chaos.judge.early_stop import Decider

    return Decider(plan, folder).decide
