"""The verbs on a run folder: ``judge``, ``report``, ``history``. None needs a cluster."""

from __future__ import annotations

import argparse

from chaos.cli.output import note, put, show, show_report
from chaos.core.errors import BadInput
from chaos.core.escaping import terminal


def judge(arguments: argparse.Namespace) -> int:
    """Judge a run again from its files and write its reports anew."""
    from chaos.api import keep_evidence
    from chaos.core import plugins as tables
    from chaos.evidence.names import run_folder
    from chaos.history.folder import RunFolder
    from chaos.report.build import exit_status, from_folder, write

    folder = RunFolder(run_folder(arguments.folder))
    report = from_folder(folder)
    write(report, folder)
    keep_evidence(report, folder)
    if arguments.json:
        show(tables.find("reports", "json")(report), whole=True)
    else:
        show_report(report, verbose=arguments.verbose)
    return exit_status(report)


def report(arguments: argparse.Namespace) -> int:
    """Show ``report.json``: on one screen, or in the form that is named; a run that was never judged is judged first."""
    from chaos.core import plugins as tables
    from chaos.evidence.names import run_folder
    from chaos.history.folder import RunFolder
    from chaos.report.build import read_or_judge
    from chaos.report.pages import report as whole

    found = read_or_judge(RunFolder(run_folder(arguments.folder)))
    if arguments.lang != "en":
        if arguments.format != "html":
            raise BadInput("--lang is for pages", right="--format html --lang zh")
        put(whole.render(found, arguments.lang), arguments.output)
    elif arguments.format is None and arguments.output is None:
        show_report(found, verbose=arguments.verbose)
    else:
        put(tables.find("reports", arguments.format or "text")(found), arguments.output)
    return 0


def history(arguments: argparse.Namespace) -> int:
    """The rows of a run, one a line, in seconds since its first slot."""
    import msgspec

    from chaos.core.clock import to_s
    from chaos.evidence.names import run_folder
    from chaos.history.events import TrafficSecond, TrafficStarted
    from chaos.history.folder import RunFolder

    folder = RunFolder(run_folder(arguments.folder))
    folder.read_plan()  # refuses a folder that is none of ours
    read = folder.read_history()
    if read.damaged:
        note(f"nines: {read.damage}")
    rows = sorted((row for row in read.rows if arguments.all or not isinstance(row, TrafficSecond)), key=lambda row: row.at_ns)
    if arguments.json:
        show("".join(msgspec.json.encode(row).decode() + "\n" for row in rows), whole=True)
        return 0
    start_ns = next((row.start_ns for row in rows if isinstance(row, TrafficStarted)), rows[0].at_ns if rows else 0)
    lines = []
    for row in rows:
        fields = msgspec.to_builtins(row)
        told = "  ".join(
            terminal(f"{name}={_short(value)}")
            for name, value in fields.items()
            if name not in ("row", "at_ns") and value not in ("", None, [], {})
        )
        lines.append(f"{to_s(row.at_ns - start_ns):10.3f}  {fields['row']:<15} {told}")
    show("\n".join(lines))
    return 0


def calibrate(arguments: argparse.Namespace) -> int:
    """Detection, election, restart and resync as these runs show them, as parameters for other experiments."""
    from chaos.evidence.names import run_folder
    from chaos.judge.calibrate import calibrate as measure
    from chaos.plan.calibration import dump

    put(dump(measure([run_folder(folder) for folder in arguments.folders])), arguments.output)
    return 0


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_short(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}:{_short(item)}" for name, item in value.items())
    return str(value)
