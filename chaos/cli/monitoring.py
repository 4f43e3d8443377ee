"""The verbs for monitoring: ``metrics``, ``export``, ``rules``, ``check``. They read run folders and experiments, and start nothing."""

from __future__ import annotations

import argparse
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.cli.output import note, put, show, show_table
from chaos.core.errors import BadInput, Interrupted, NinesError
from chaos.core.units import WrongUnit, duration_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.history.events import Row
    from chaos.history.folder import RunFolder
    from chaos.plan.plan import Plan
    from chaos.report.alerts.trial import Trial


def metrics(arguments: argparse.Namespace) -> int:
    """The metrics of a run that goes on or is over: as text, or served until Ctrl-C."""
    from chaos.evidence.names import run_folder
    from chaos.history.folder import RunFolder
    from chaos.report.metrics.families import openmetrics, prometheus_text
    from chaos.report.metrics.folder import following

    now = following(RunFolder(run_folder(arguments.folder)))
    if arguments.port is None:
        text = (openmetrics if arguments.openmetrics else prometheus_text)(now())
        if arguments.output is None:
            show(text)
        else:
            _replace(text, Path(arguments.output))
        return 0
    from chaos.report.metrics.serve import served
    from chaos.run.signals import Interruption

    # Interrupted is what both signals raise here: to be told to end is what this verb waits for
    with contextlib.suppress(Interrupted), Interruption().watched(), served(now, arguments.port, arguments.address) as port:
        note(f"serving http://{arguments.address}:{port}/metrics; Ctrl-C ends it")
        threading.Event().wait()
    return 0


def _replace(text: str, path: Path) -> None:
    """Whole or not at all: node_exporter may read the file at any time."""
    from chaos.core.files import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}", right="another file with -o") from error


@contextlib.contextmanager
def served_live(plan: Plan, port: int | None) -> Iterator[Callable[[Row], None] | None]:
    """While a run goes on: a sink for its rows whose state is served; None without a port."""
    if port is None:
        yield None
        return
    from chaos.report.metrics.families import RunMetrics
    from chaos.report.metrics.progress import Follower
    from chaos.report.metrics.serve import HERE, served

    follower = Follower()
    with served(lambda: RunMetrics(plan, follower.now()), port) as bound:
        note(f"serving http://{HERE}:{bound}/metrics while the run goes on")
        yield follower


def export(arguments: argparse.Namespace) -> int:
    """A run in the format of another tool."""
    from chaos.core import plugins
    from chaos.evidence.names import run_folder
    from chaos.history.folder import RunFolder

    if arguments.folder is None:
        show("\n".join(plugins.names("exports")))
        return 0
    if arguments.format is None:
        raise BadInput("no format named", right=f"nines export RUN FORMAT, with one of: {', '.join(plugins.names('exports'))}")
    put(plugins.find("exports", arguments.format)(RunFolder(run_folder(arguments.folder))), arguments.output)
    return 0


def rules(arguments: argparse.Namespace) -> int:
    """Alert rules of an SLO, or what came of them on recorded runs: 0 if each alert did as it must, else 1."""
    from chaos.api import order
    from chaos.report.alerts.rules import Signals, make, render

    plan = order(Path(arguments.file), overrides=arguments.set).plan
    scrape_s, evaluation_s = _time(arguments.scrape, "--scrape"), _time(arguments.evaluate, "--evaluate")
    if bool(arguments.bad) != bool(arguments.all):
        raise BadInput("--bad and --all go together", right="two PromQL selectors: failed requests, and all of them")
    signals = Signals(arguments.bad, arguments.all) if arguments.bad else None
    made = make(plan, signals, scrape_s, evaluation_s)
    if not arguments.trial:
        if arguments.tests:
            raise BadInput("--tests goes with --try", right="nines rules FILE.yaml --try RUN --tests DIR")
        put(render(made), arguments.output)
        return 0
    if signals is not None:
        raise BadInput("--try uses the run's own counters", right="leave --bad and --all out: thresholds and windows are the same")
    from chaos.evidence.names import run_folder
    from chaos.report.alerts.trial import try_rules

    folders = [_run_folder(run_folder(each)) for each in arguments.trial]
    trials = try_rules(plan, folders, scrape_s, evaluation_s, Path(arguments.tests) if arguments.tests else None)
    _tell(trials, [made.outage.name, *(burn.name for burn in made.burns)])
    return 0 if all(trial.ok for trial in trials) else 1


def _run_folder(path: Path) -> RunFolder:
    from chaos.history.folder import RunFolder

    return RunFolder(path)


def _tell(trials: list[Trial], alerts: list[str]) -> None:
    from chaos.report.format import count

    rows = []
    for trial in trials:
        for each in trial.episodes:
            began_s = each.outage.start_s if each.outage is not None else 0.0
            fired = "never" if each.fired_s is None else f"{each.fired_s - began_s:.1f} s"
            rows.append([trial.run, each.alert, each.outage.id if each.outage else "", fired, f"{each.promised_s - began_s:.1f} s",
                         "in time" if each.ok else "MISSED" if each.fired_s is None else "LATE"])  # fmt: skip
        rows += [[trial.run, name, "", f"at {at_s:.1f} s", "never", "FALSE"] for name, at_s in trial.false_alerts]
        silent = [name for name in alerts if not any(name == each.alert for each in trial.episodes)
                  and not any(name == other for other, _ in (*trial.false_alerts, *trial.allowed))]  # fmt: skip
        if silent:
            rows.append([trial.run, ", ".join(silent), "", "silent", "silent", "as it must"])
        rows += [[trial.run, name, "", f"at {at_s:.1f} s", "", "at the edge"] for name, at_s in trial.allowed]
    show_table(["run", "alert", "outage", "fired after", "promised within", "result"], rows, [24, 24, None, None, None, None])
    due = [each for trial in trials for each in trial.episodes]
    kept = sum(each.ok for each in due)
    false = sum(len(trial.false_alerts) for trial in trials)
    outages = sum(len(trial.outages) for trial in trials)
    runs = count(len(trials), "run")
    show(f"{runs}, {outages} outages: {kept} of {len(due)} due alerts fired in time; {false} false alerts.")


def _time(text: str, option: str) -> float:
    try:
        value = duration_s(text)
    except WrongUnit as error:
        raise BadInput(f"{option}: {error}") from None
    if value <= 0:
        raise BadInput(f"{option} is {text}", right="a time above 0, e.g. 15s")
    return value


def check(arguments: argparse.Namespace) -> int:
    """One line and an exit code as monitoring plug-ins have them; whatever goes wrong is UNKNOWN (3)."""
    from chaos.report import plugin_check

    try:
        status, line = _checked(arguments)
    except (NinesError, OSError) as error:
        status, line = plugin_check.unknown(str(error))
    show(line)
    return status


def _checked(arguments: argparse.Namespace) -> tuple[int, str]:
    from chaos.core.clock import wall_s
    from chaos.history.folder import RunFolder
    from chaos.report import plugin_check
    from chaos.report.build import read_or_judge

    most_s = None if arguments.max_age is None else _time(arguments.max_age, "--max-age")
    path = Path(arguments.folder)
    folder = path if (path / "plan.json").exists() else _newest(path, arguments.experiment)
    report = read_or_judge(RunFolder(folder))
    return plugin_check.line(report, max(wall_s() - (folder / "plan.json").stat().st_mtime, 0.0), most_s)


def _newest(path: Path, experiment: str | None) -> Path:
    """The newest judged run in a folder of runs, of that experiment if one is named."""
    from chaos.history.folder import RunFolder

    found = sorted((each.parent for each in path.glob("*/report.json")), key=lambda each: -(each / "plan.json").stat().st_mtime)
    for each in found:
        if experiment is None or RunFolder(each).read_plan().experiment.name == experiment:
            return each
    whose = "" if experiment is None else f" of '{experiment}'"
    raise BadInput(f"{path} has no judged run{whose}", right="a run folder, or a folder of run folders")
