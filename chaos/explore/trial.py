"""One schedule tried: planned, run, and judged by the objectives alone. In virtual time, or on the real runtime of the experiment."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from chaos import api
from chaos.core.errors import Aborted, BadInput, CapabilityMissing, Interrupted, NotHealed
from chaos.experiment.document import Experiment
from chaos.experiment.faults import FAULTS, FaultSpec
from chaos.experiment.source import parse
from chaos.experiment.target.spec import Target
from chaos.explore.document import Document
from chaos.explore.menu import Menu
from chaos.explore.schedule import Move, Schedule, faults_text
from chaos.plan.plan import Plan
from chaos.results import states

Told = Literal["fails", "holds", "nothing"]
HELD: Final = (states.PASS.name, states.INCONCLUSIVE.name)


class Tried(msgspec.Struct, frozen=True):
    """What one run of a schedule told."""

    told: Told
    """``nothing``: an assumption of the measurement failed, or the run was aborted."""
    broke: tuple[str, ...] = ()
    """The objectives that were missed, by their keys."""
    said: str = ""
    """In words."""
    folder: str = ""


class Bench(msgspec.Struct, frozen=True):
    """All that a trial needs, loaded once."""

    document: Document
    base: Experiment
    target: Target
    runtime: str

    def planned(self, schedule: Schedule, seed: int) -> Plan:
        """``BadInput`` and ``CapabilityMissing`` for a schedule that contradicts itself or asks too much."""
        from chaos.plan.build import make_plan

        faults: tuple[FaultSpec, ...] = ()
        if schedule:
            faults, _ = FAULTS.read(parse(faults_text(schedule), str(self.document.file)).entries["faults"])
        return make_plan(msgspec.structs.replace(self.base, faults=faults), self.target, seed=seed, runtime=self.runtime)

    def possible(self, whole: Menu) -> tuple[Menu, list[str]]:
        """Without what this runtime or target cannot do, and why that is so; one attempt a target. ``BadInput`` if nothing is left."""
        choices, refused = [], []
        for choice in whole.choices:
            targets, why = [], ""
            for target in choice.targets:
                try:
                    self.planned((Move(choice.kind, choice.fields, target, 1.0, whole.shortest_s),), 1)
                    targets.append(target)
                except (BadInput, CapabilityMissing) as error:
                    why = error.message if isinstance(error, BadInput) else str(error).partition("\n")[0]
            if targets:
                choices.append(msgspec.structs.replace(choice, targets=tuple(targets)))
            else:
                refused.append(f"{choice}: {why}")
        if not choices:
            raise BadInput(f"no fault can be drawn: {'; '.join(refused)}", right="name others with --kinds, or put them into the file")
        return msgspec.structs.replace(whole, choices=tuple(choices)), refused

    @property
    def virtual(self) -> bool:
        """Nothing real is started."""
        from chaos.plan.capabilities import runtime_of

        return runtime_of(self.runtime).virtual

    def tried(self, schedule: Schedule, seed: int, folder: Path) -> Tried:
        """Run it. ``folder``: of the run, kept if an objective was missed. Raises what ends a search: ``Interrupted``, ``NotHealed``..."""
        return self._virtually(schedule, seed) if self.virtual else self._really(schedule, seed, folder)

    def _virtually(self, schedule: Schedule, seed: int) -> Tried:
        from chaos.core import plugins
        from chaos.core.clock import ManualClock
        from chaos.history.folder import RunFolder
        from chaos.judge.judge import judge
        from chaos.run.run import run_plan

        shared = Path("/dev/shm")  # noqa: S108 - only where it is cheaper to write: a search writes thousands of runs
        with tempfile.TemporaryDirectory(prefix="nines-explore-", dir=shared if shared.is_dir() else None) as made:
            run = RunFolder(Path(made) / "run")
            plan = self.planned(schedule, seed)
            rows = run_plan(plan, self.target, "", run, plugins.find("runtimes", self.runtime)(), ManualClock())
            judged = judge(run, rows, predicting=False)
        missed = [objective for objective in judged.objectives if objective.verdict == "fail"]
        return told(judged.state, [each.name for each in missed], judged.reasons)

    def _really(self, schedule: Schedule, seed: int, folder: Path) -> Tried:
        from chaos.history.folder import RunFolder
        from chaos.judge.judge import NOT_HEALED, SIGNALLED

        ordered = api.order_text(self.document.text(schedule, seed), self.document.file, runtime=self.runtime, seed=seed)
        try:
            report = api.perform(ordered, RunFolder(folder))
        except Aborted as error:
            return Tried("nothing", said=str(error), folder=str(folder))
        if report.exit_code > SIGNALLED:
            raise Interrupted(report.exit_code - SIGNALLED)
        if report.exit_code == NOT_HEALED:
            raise NotHealed("; ".join(report.reasons) or "a fault could not be verified as rolled back")
        missed = [objective.name for objective in report.objectives if objective.verdict == "fail"]
        tried = told(report.state, missed, report.reasons, str(folder))
        if tried.told == "holds":
            shutil.rmtree(folder, ignore_errors=True)
            return msgspec.structs.replace(tried, folder="")
        return tried


def told(state: str, missed: Sequence[str], reasons: Sequence[str], folder: str = "") -> Tried:
    """``state``: a name of ``results.states``. A run whose assumptions failed tells nothing, even where an objective was missed."""
    broke = tuple(dict.fromkeys(name.split(" ")[0] for name in missed))
    said = "; ".join(reasons)
    if state == states.FAIL.name:
        return Tried("fails", broke, said, folder)
    return Tried("holds" if state in HELD else "nothing", (), said, folder)


def bench(text: str, file: Path, runtime: str | None = None, overrides: Sequence[str] = ()) -> Bench:
    """For an experiment. Raises ``BadInput`` with all that is wrong with it."""
    from chaos.explore.document import document

    made = document(text, file, overrides)
    ordered = api.order_text(made.text(()), file, runtime=runtime, faults=False)
    return Bench(made, ordered.experiment, ordered.target, ordered.plan.runtime)
