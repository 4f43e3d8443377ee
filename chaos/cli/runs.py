"""The verbs on the history of all runs: ``runs`` lists, adds, merges and draws; ``compare`` holds two sets of runs against each other."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chaos.cli.output import note, put, show, show_json
from chaos.core.errors import BadInput

if TYPE_CHECKING:
    from chaos.evidence.compare import Comparison
    from chaos.evidence.rows import KeptRun
    from chaos.evidence.store import Store
    from chaos.evidence.trend import Trend

NEWEST: Final = 20
EXITS: Final = {"no worse": 0, "worse": 1, "cannot tell": 3}
"""Exit status by verdict."""


def runs(arguments: argparse.Namespace) -> int:
    """List what is in the history, or bring something into it."""
    if arguments.add or arguments.merge:
        return _bring_in(arguments)
    from chaos.evidence.store import open_usual

    store = open_usual(_named(arguments))
    if store is None:
        if arguments.json:
            show("[]")
        else:
            note("there is no history yet: 'nines run' begins one, 'nines runs --add RUN' enters a run folder that is there")
        return 0
    with store:
        where, values = _filter(arguments)
        found = store.runs(where, values, None if arguments.all else arguments.newest)
        if arguments.json:
            show_json(found)
            return 0
        if not found:
            note(f"no run in {store.path} matches")
            return 0
        return _shown(arguments, store, found, store.count(where, values))


def _shown(arguments: argparse.Namespace, store: Store, found: Sequence[KeptRun], total: int) -> int:
    from chaos.report import table
    from chaos.report.pages import runs as page

    experiment, trends = _trends(store, found[0])
    if arguments.html is not None or arguments.svg is not None:
        if arguments.html is not None:
            put(page.html(experiment, found, trends, str(store.path)), arguments.html)
        if arguments.svg is not None:
            drawn = page.svg(trends)
            if not drawn:
                raise BadInput(f"clients noticed no fault in any run of {experiment}: there is nothing to draw")
            put(drawn, arguments.svg)
        return 0
    if not arguments.trend:
        show(page.text(found))
        if len(found) < total:
            note(f"the {len(found)} newest of {total} runs in {store.path}; --all shows all")
        show("")
    if trends:
        show(table.text(page.evidence(experiment, trends)))
    return 0


def _trends(store: Store, newest: KeptRun) -> tuple[str, list[Trend]]:
    """What all runs of the newest run's configuration show."""
    from chaos.evidence.compare import MARGIN
    from chaos.evidence.rows import TRUSTED
    from chaos.evidence.sides import counted
    from chaos.evidence.trend import trends

    trials = store.trials(f"configuration = ? AND {counted()}", (newest.configuration, *TRUSTED))
    return newest.experiment, trends(trials, MARGIN)


def _filter(arguments: argparse.Namespace) -> tuple[str, list[object]]:
    """The condition that the options make."""
    from chaos.core.units import WrongUnit, duration_s

    conditions, values = ["1"], list[object]()
    for column in ("experiment", "target", "runtime", "state"):
        wanted = getattr(arguments, column)
        if wanted is not None:
            conditions.append(f"{column} = ?")
            values.append(wanted.lower() if column == "state" else wanted)
    if arguments.version is not None:
        conditions.append("substr(version, 1, ?) = ?")
        values += [len(arguments.version), arguments.version]
    if arguments.run is not None:
        conditions.append("substr(run, 1, ?) = ?")
        values += [len(arguments.run), arguments.run]
    if arguments.since is not None:
        try:
            conditions.append("started_s >= ?")
            values.append(time.time() - duration_s(arguments.since))
        except WrongUnit as error:
            raise BadInput(f"--since: {error}", right="7d") from None
    return " AND ".join(conditions), values


def _bring_in(arguments: argparse.Namespace) -> int:
    from chaos.evidence.names import run_folder
    from chaos.evidence.rows import rows_of
    from chaos.evidence.store import OFF, VARIABLE, Store, usual_path
    from chaos.history.folder import RunFolder
    from chaos.report.build import read_or_judge

    path = _named(arguments) or usual_path()
    if path is None:
        raise BadInput(f"{VARIABLE}={OFF} keeps no history", right="name one: --history FILE")
    reports = []
    for word in arguments.add:
        folder = run_folder(word)
        reports.append(rows_of(read_or_judge(RunFolder(folder)), str(folder.absolute())))
    with Store(path, create=True) as store:
        if reports:
            store.record_all(reports)
            note(f"{len(reports)} entered into {path}")
        for other in arguments.merge:
            note(f"{store.merge(Path(other))} runs taken over from {other} into {path}")
    return 0


def _named(arguments: argparse.Namespace) -> Path | None:
    return None if arguments.history is None else Path(arguments.history)


# --- compare -----------------------------------------------------------------------------------------------------------


def compare(arguments: argparse.Namespace) -> int:
    """Two runs, or two versions of a system: is the second one worse?"""
    from chaos.evidence.comparisons import held_against
    from chaos.evidence.sides import side
    from chaos.evidence.store import open_usual
    from chaos.report.pages import compare as page

    store = open_usual(_named(arguments))
    if store is None:
        raise BadInput("there is no history yet", right="nines run FILE.yaml begins one, or name one: --history FILE")
    with store:
        new = side(store, arguments.new)
        newest = store.runs(new.where, new.values, newest=1)
        old = side(store, arguments.old, newest=newest[0].version if newest else None)
        found = held_against(store, old, new, margin=margin(arguments))
    tell(found, arguments, page.text, page.markdown)
    return EXITS[worst(found)]


def margin(arguments: argparse.Namespace) -> float:
    """``BadInput`` for a factor that allows nothing."""
    if not 1.0 < arguments.margin <= 100.0:
        raise BadInput(f"--margin {arguments.margin:g} is out of range", right="above 1, such as 1.3: no worse than 1.3 times")
    return float(arguments.margin)


def worst(found: Sequence[Comparison]) -> str:
    """Of several comparisons."""
    verdicts = {each.verdict for each in found}
    return next(word for word in ("worse", "cannot tell", "no worse") if word in verdicts)


def tell(found: Sequence[Comparison], arguments: argparse.Namespace, text: object, markdown: object) -> None:
    """In the form that is asked for."""
    assert callable(text)
    assert callable(markdown)
    if arguments.json:
        show_json(list(found))
    else:
        show(text(found))
    if arguments.markdown is not None:
        put(markdown(found), arguments.markdown)
