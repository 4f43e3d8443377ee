"""``nines run``: experiments one after the other, the progress on standard error, the report on standard output."""

from __future__ import annotations

import argparse
import contextlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from chaos.cli.output import note, put, show, show_json, show_report
from chaos.core.errors import BadInput, NinesError
from chaos.core.units import WrongUnit, duration_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.api import Ordered
    from chaos.cli.progress import Live
    from chaos.history.events import Row
    from chaos.history.folder import RunFolder
    from chaos.results.report import Report

SEVERITY: Final = (6, 70, 143, 130, 5, 2, 4, 3, 1, 0)
"""With several files the exit status is the first of these that occurred."""
LONGEST: Final = "15m"
"""How long a run goes on at most until it is decided, where nobody says."""
STOPS: Final = frozenset({130, 143, 70, 6, 5})
"""After one of these no further experiment is begun."""


class Outcome(NamedTuple):
    """What came of one experiment: a report, or why there is none."""

    ordered: Ordered
    folder: Path
    status: int
    report: Report | None
    error: str = ""


def run(arguments: argparse.Namespace) -> int:
    """Load all files before anything starts, then run them in order."""
    from chaos.api import order

    ready = []
    for file in arguments.files:
        try:
            longest_s = _longest_s(arguments)
            ready.append(
                order(Path(file), runtime=arguments.runtime, seed=arguments.seed, faults=not arguments.no_faults, longest_s=longest_s,
                      overrides=arguments.set, system_version=arguments.system_version)
            )  # fmt: skip
        except NinesError as error:
            _refused(arguments, Path(file).name, str(error), error.exit_code, "")
            raise
    outcomes: list[Outcome] = []
    several = len(ready) > 1
    for ordered, label in zip(ready, labels([ordered.experiment.name for ordered in ready]), strict=True):
        outcome = carried_out(ordered, folder_of(ordered, arguments, label if several else ""), arguments)
        outcomes.append(outcome)
        _tell(outcome, arguments, label if several else "")
        if outcome.status in STOPS:
            break
    status = worst([outcome.status for outcome in outcomes])
    if arguments.json and several:
        show_json({"exit_code": status, "runs": [_entry(outcome) for outcome in outcomes]})
    return status


def worst(statuses: Sequence[int]) -> int:
    """The most urgent exit status."""
    return next((status for status in SEVERITY if status in statuses), max(statuses, default=0))


def _entry(outcome: Outcome) -> dict[str, object]:
    """Of the one document about several runs."""
    experiment = outcome.ordered.experiment
    return {"experiment": experiment.name, "file": experiment.file, "exit_code": outcome.status, "error": outcome.error or None,
            "report": outcome.report}  # fmt: skip


def labels(names: Sequence[str]) -> list[str]:
    """What tells the files of several experiments apart: their names, and a number where one stands there already."""
    found: list[str] = []
    for name in names:
        label, number = name, 2
        while label in found:
            label, number = f"{name}-{number}", number + 1
        found.append(label)
    return found


def _refused(arguments: argparse.Namespace, name: str, said: str, status: int, label: str) -> None:
    """What could not be run stands in the files that a CI system reads as well, as an error."""
    from chaos.report.formats import junit, markdown

    for render, output in ((junit.refused, arguments.junit), (markdown.refused, arguments.markdown)):
        if output is not None:
            put(render(name, said, status), _apart(output, label) if label else output)


def _longest_s(arguments: argparse.Namespace) -> float | None:
    """How long a run may go on until it is decided; None for one that ends with its plan."""
    if not arguments.until_decided:
        if arguments.max is not None:
            raise BadInput("--max goes with --until-decided", right="nines run X.yaml --until-decided --max 15m")
        return None
    if arguments.no_faults:
        raise BadInput("--until-decided needs faults", right="leave --no-faults out")
    try:
        return duration_s(arguments.max or LONGEST)
    except WrongUnit as error:
        raise BadInput(str(error)) from None


def folder_of(ordered: Ordered, arguments: argparse.Namespace, label: str) -> RunFolder:
    """Where it runs; ``label``: what tells it from other experiments of one command, empty for one alone."""
    from chaos.api import new_folder
    from chaos.history.folder import RunFolder

    if arguments.folder is None:
        return new_folder(ordered.experiment.name)
    return RunFolder(Path(arguments.folder) / label if label else Path(arguments.folder))


def carried_out(ordered: Ordered, folder: RunFolder, arguments: argparse.Namespace) -> Outcome:
    """Run it, its progress on standard error. What goes wrong is told there, and is part of the outcome."""
    from chaos.api import BUG_FILE, perform
    from chaos.cli.monitoring import served_live
    from chaos.cli.progress import Live
    from chaos.plan.capabilities import runtime_of
    from chaos.report.build import exit_status

    if not arguments.quiet:
        at_most = f"at most {ordered.plan.duration_s:.0f} s, an interim analysis after each of {len(ordered.plan.looks_s)} rounds"
        lasts = at_most if ordered.plan.looks_s else f"{ordered.plan.duration_s:.0f} s"
        where = _where(ordered, arguments.runtime or ordered.experiment.cluster.runtime)
        note(f"{ordered.experiment.name}: {lasts} on the runtime {where}, into {folder.path}")
    if stays := runtime_of(ordered.plan.runtime).stays(ordered.plan):
        note(stays)
    live = Live(ordered.plan, sys.stderr)
    try:
        ticking = contextlib.nullcontext() if arguments.quiet else live.ticking()
        with ticking, served_live(ordered.plan, arguments.metrics_port) as metrics:
            sinks = [sink for sink in (None if arguments.quiet else followed(live), metrics) if sink is not None]
            report = perform(ordered, folder, _each(sinks) if sinks else None)
    except NinesError as error:
        note(f"nines: {error}")
        return Outcome(ordered, folder.path, error.exit_code, None, str(error))
    except Exception as error:
        traceback.print_exception(error)
        note(f"nines: this is a bug in Nines, not in what you wrote; the traceback is in {folder.path / BUG_FILE}")
        return Outcome(ordered, folder.path, 70, None, f"{type(error).__name__}: {error}")
    return Outcome(ordered, folder.path, exit_status(report), report)


def _each(sinks: Sequence[Callable[[Row], None]]) -> Callable[[Row], None]:
    """One sink that tells them all."""

    def row(row: Row) -> None:
        for sink in sinks:
            sink(row)

    return row


def followed(live: Live) -> Callable[[Row], None]:
    """The live line, and on any standard error what each node is called where it runs, before the first fault."""
    from chaos.history.events import NodeUp

    def row(row: Row) -> None:
        if isinstance(row, NodeUp) and row.container:
            note(f"{row.node} is {row.container}")
        live.row(row)

    return row


def _where(ordered: Ordered, asked: str) -> str:
    """The runtime; whose choice it was; and of docker which engine, since the settings of the docker command may lead anywhere."""
    from chaos.plan.capabilities import AUTO, runtime_of

    runtime = runtime_of(ordered.plan.runtime)
    chosen = f"'{runtime.name}'"
    if asked == AUTO and ordered.experiment.cluster.attach is None and not ordered.experiment.cluster.hosts:
        chosen += f" (chosen: {runtime.suits(ordered.target)})"
    hosts = ordered.experiment.cluster.hosts
    return chosen + (f" on {len(hosts)} hosts ({', '.join(hosts)})" if hosts else runtime.place())


def _tell(outcome: Outcome, arguments: argparse.Namespace, label: str) -> None:
    from chaos.core import plugins as tables
    from chaos.report.headline import line

    report = outcome.report
    if report is None:
        _refused(arguments, outcome.ordered.experiment.name, outcome.error, outcome.status, label)
        return
    if arguments.json:
        if not label:
            show(tables.find("reports", "json")(report), whole=True)
    elif arguments.quiet:
        show(line(report))
    else:
        show_report(report, verbose=arguments.verbose)
    for name in ("junit", "markdown", "html"):
        output = getattr(arguments, name)
        if output is not None:
            put(tables.find("reports", name)(report), _apart(output, label) if label else output)


def _apart(output: str, label: str) -> str:
    """With several experiments each gets a file of its own: ``out.xml`` -> ``out-leader-kill.xml``."""
    path = Path(output)
    return str(path.with_name(f"{path.stem}-{label}{path.suffix}"))
