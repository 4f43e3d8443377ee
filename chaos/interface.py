"""What ``import chaos`` offers: the verbs of the command line as functions, for notebooks, tests and programs.

Each takes a path, a YAML text, or what ``load`` returned, and returns values; nothing is printed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from chaos.api import Ordered, new_folder, order, order_text, perform
from chaos.history.folder import RunFolder
from chaos.plan.plan import Plan
from chaos.results.predicted import Predicted
from chaos.results.report import Report

if TYPE_CHECKING:
    from chaos.history.events import Row
    from chaos.run.manual.injection import ByHand

Experiment: TypeAlias = Ordered
Source: TypeAlias = str | Path | Experiment
"""A path, the text of an experiment (more than one line), or a loaded one."""
TEXT_FILE = Path("experiment.yaml")
"""What messages call a text that is no file."""


def load(source: Source, *, runtime: str | None = None, seed: int | None = None, faults: bool = True) -> Experiment:
    """Read, check and plan an experiment; starts nothing.

    ``runtime``: ``local``, ``docker``, ``fake`` (virtual time) or ``auto``, instead of what the file says; ``seed`` as well.
    ``faults=False``: traffic only. ``BadInput`` names file, line and what would be right.
    """
    if isinstance(source, Ordered):
        if (runtime, seed, faults) == (None, None, True):
            return source
        return order_text(source.text, Path(source.experiment.file), runtime=runtime or source.plan.runtime,
                          seed=source.plan.seed if seed is None else seed, faults=faults,
                          overrides=source.experiment.overrides)  # fmt: skip
    if isinstance(source, str) and "\n" in source:
        return order_text(source, TEXT_FILE, runtime=runtime, seed=seed, faults=faults)
    return order(Path(source), runtime=runtime, seed=seed, faults=faults)


def plan(source: Source, *, runtime: str | None = None, seed: int | None = None, faults: bool = True) -> Plan:
    """What a run would do, exactly: every window, link, node and parameter. Starts nothing."""
    return load(source, runtime=runtime, seed=seed, faults=faults).plan


def predict(source: Source, *, runtime: str | None = None, seed: int | None = None) -> Predicted:
    """What the model expects of that run (95 % ranges), and of production at the assumed rates. Starts nothing."""
    from chaos.predict.run import facts_from_plan
    from chaos.predict.run import predict as ask

    planned = plan(source, runtime=runtime, seed=seed)
    return ask(planned, facts_from_plan(planned)).predicted


def run(
    source: Source,
    *,
    runtime: str | None = None,
    seed: int | None = None,
    faults: bool = True,
    folder: str | Path | None = None,
    progress: Callable[[Row], None] | None = None,
) -> Report:
    """Start the cluster, send traffic, inject the faults, judge, and write the reports into ``folder`` (default: a new one under ``runs``).

    ``progress`` hears every row of the history as it happens (``chaos.history.events``). A missed objective is a verdict, no error:
    ``NinesError`` is raised for what is wrong before the first fault, and for what could not be rolled back.
    """
    loaded = load(source, runtime=runtime, seed=seed, faults=faults)
    return perform(loaded, new_folder(loaded.experiment.name) if folder is None else RunFolder(Path(folder)), progress)


def read(folder: str | Path) -> Report:
    """The report in a run folder, as it was written; a run that was never judged is judged now."""
    from chaos.report.build import read_or_judge

    return read_or_judge(RunFolder(Path(folder)))


def judge(folder: str | Path) -> Report:
    """Judge a run again from its files, without a cluster; writes nothing."""
    from chaos.report.build import from_folder

    return from_folder(RunFolder(Path(folder)))


def inject(
    fault: str,
    *,
    to: str = "",
    lasts: str,
    run: str | None = None,
    progress: Callable[[Row], None] | None = None,
    **fields: str,
) -> ByHand:
    """Inject one fault into a cluster that ``nines up`` holds, and roll it back after ``lasts`` (``"10s"``); returns when it is gone.

    ``to``: a target selector, such as ``leader`` or ``clients -> n2``. ``run``: the cluster's name or folder, if there is more than one.
    ``fields`` are the fault's own, as in a file: ``inject("latency", to="clients -> n2", lasts="10s", latency="50ms")``.
    """
    from chaos.core import plugins
    from chaos.run.manual.client import send
    from chaos.run.manual.socket import HandOrder
    from chaos.run.signals import Interruption

    plugins.find("faults", fault)
    return send(run, HandOrder(fault, to, lasts, fields), Interruption(), progress or _silent)


def _silent(_row: Row) -> None:
    """Nobody is told."""
