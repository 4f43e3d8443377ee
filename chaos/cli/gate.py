"""``nines gate``: many experiments, one verdict. Each is run, judged, and held against what the history knows of other versions."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chaos.cli.output import note, put, show, show_json
from chaos.cli.run import STOPS, Outcome, carried_out, folder_of, labels, worst
from chaos.cli.runs import EXITS, margin
from chaos.core.errors import BadInput, EnvironmentUnusable, NinesError

if TYPE_CHECKING:
    from chaos.api import Ordered
    from chaos.evidence.compare import Comparison
    from chaos.report.pages.gate import Gate, Gated

SUMMARY: Final = "GITHUB_STEP_SUMMARY"
"""The file that GitHub shows on the page of a job."""
ENDINGS: Final = (".yaml", ".yml")
LET_THROUGH: Final = "pass"


def gate(arguments: argparse.Namespace) -> int:
    """Load all, run all, compare all, and tell it once in each form that is asked for."""
    from chaos.report.pages import gate as page

    factor = margin(arguments)
    if arguments.against is not None:
        _require_history()
    ready, refused = _ordered(arguments)
    gated: list[Gated] = refused
    if not refused:
        gated = []
        for ordered, label in zip(ready, labels([each.experiment.name for each in ready]), strict=True):
            gated.append(_one(ordered, label, arguments, factor))
            if gated[-1].exit_code in STOPS:
                break
    status = worst([each.exit_code for each in gated])
    verdict = {0: "pass", 1: "fail"}.get(status, "unknown")
    found = page.Gate(page.SCHEMA, status, verdict, arguments.against or "", gated)
    _tell(found, arguments)
    return status


def _require_history() -> None:
    from chaos.evidence.store import VARIABLE, usual_path

    if usual_path() is None:
        raise BadInput("--against needs the history", right=f"leave {VARIABLE}=off out")


def _ordered(arguments: argparse.Namespace) -> tuple[list[Ordered], list[Gated]]:
    """All experiments, or all that is wrong with any of them: nothing is started then."""
    from chaos.api import order
    from chaos.report.pages.gate import Gated

    ready, refused = [], []
    for file in found_files(arguments.paths):
        try:
            ready.append(order(file, runtime=arguments.runtime, seed=arguments.seed, overrides=arguments.set,
                               system_version=arguments.system_version))  # fmt: skip
        except (BadInput, EnvironmentUnusable) as error:
            note(f"nines: {error}")
            state = "not-started"
            refused.append(Gated(file.stem, str(file), error.exit_code, state, str(error), 0.0, 0.0, "", None))
    return ready, refused


def found_files(paths: Sequence[str]) -> list[Path]:
    """The files that are named, and the experiments in the folders that are; other YAML there is passed over, and that is said."""
    found: list[Path] = []
    for word in paths:
        path = Path(word)
        if not path.is_dir():
            found.append(path)
            continue
        inside = [each for each in sorted(path.iterdir()) if each.suffix in ENDINGS and each.is_file()]
        experiments = [each for each in inside if _is_experiment(each)]
        if not experiments:
            raise BadInput(f"there is no experiment in {path}", right="a folder with *.yaml files that begin with 'experiment: NAME'")
        found += experiments
    return list(dict.fromkeys(found))


def _is_experiment(path: Path) -> bool:
    """By its own keys; what cannot be read is for the loader to refuse."""
    from chaos.experiment import kinds
    from chaos.experiment.source import parse, read_text

    try:
        kind = kinds.kind_of(parse(read_text(path), str(path)).entries)
    except NinesError:
        return True
    if kind in kinds.INSTEAD:
        note(f"{path} is {kind}: passed over")
    return kind not in kinds.INSTEAD


# --- one experiment ----------------------------------------------------------------------------------------------------


def _one(ordered: Ordered, label: str, arguments: argparse.Namespace, factor: float) -> Gated:
    from chaos.report.pages.gate import Gated, line_of

    began_s = time.monotonic()
    outcome = carried_out(ordered, folder_of(ordered, arguments, label), arguments)
    took_s = time.monotonic() - began_s
    comparison, uncompared, status = None, "", _let_through(outcome.status, arguments)
    report = outcome.report
    if arguments.against is not None and report is not None:
        comparison, uncompared = _compared(outcome, arguments.against, factor)
        if comparison is not None:
            status = worst([status, _let_through(EXITS[comparison.verdict], arguments)])
    planned_s = ordered.plan.duration_s
    state = (report.state or report.verdict) if report is not None else "crashed" if outcome.status == 70 else "not-started"
    said = line_of(report) if report is not None else outcome.error
    return Gated(ordered.experiment.name, ordered.experiment.file, status, state, said, planned_s, took_s, str(outcome.folder),
                 report, comparison, uncompared)  # fmt: skip


def _let_through(status: int, arguments: argparse.Namespace) -> int:
    """What cannot be told is no pass, unless it is asked for."""
    return 0 if status == EXITS["cannot tell"] and arguments.unknown == LET_THROUGH else status


def _compared(outcome: Outcome, against: str, factor: float) -> tuple[Comparison | None, str]:
    """This run with all of its version against the reference; or why that cannot be."""
    from chaos.evidence.comparisons import held_against
    from chaos.evidence.sides import of_version, side
    from chaos.evidence.store import open_usual

    report = outcome.report
    assert report is not None
    store = open_usual()
    if store is None:
        return None, "nothing to compare with yet"
    with store:
        entered = store.runs("run = ?", (report.run,), newest=1)
        if not entered or not entered[0].trusted:
            return None, "this run is no evidence"
        run = entered[0]
        known = store.versions(run.configuration)
        if not [version for version in known if version != run.version] and store.count("configuration = ?", (run.configuration,)) < 2:
            return None, "nothing to compare with yet: the first run of this configuration"
        try:
            old = side(store, against, newest=run.version, but=[run.run])
        except BadInput as error:
            return None, error.message
        new = of_version(run.version)
        if run.configuration not in old.configurations(store):
            return None, f"'{old.label}' has no run of this configuration"
        if old.where.startswith("version = ?") and old.values[0] == run.version:
            new = new._replace(where="run = ?", values=(run.run,))
        old, new = (
            each._replace(where=f"({each.where}) AND configuration = ?", values=(*each.values, run.configuration)) for each in (old, new)
        )
        return held_against(store, old, new, margin=factor)[0], ""


# --- telling -----------------------------------------------------------------------------------------------------------


def _tell(found: Gate, arguments: argparse.Namespace) -> None:
    from chaos.report.pages import gate as page

    if arguments.json:
        show_json(found)
    else:
        show(page.text(found))
    if arguments.junit is not None:
        put(page.as_junit(found), arguments.junit)
    if arguments.markdown is not None:
        put(page.as_markdown(found), arguments.markdown)
    summary = os.environ.get(SUMMARY)
    if summary and arguments.markdown != summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(page.as_markdown(found))
        except OSError as error:
            note(f"nines: cannot write the summary of the job to {summary}: {error.strerror}")
