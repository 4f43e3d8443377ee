"""The history of runs, shown: a list, and what all runs of one configuration show together. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from chaos.core.escaping import terminal
from chaos.report import format as say
from chaos.report.pages.compare import judged
from chaos.report.svg.trend import picture, sparkline
from chaos.report.table import Column, Columns, Row, Table, make, right
from chaos.results import states

if TYPE_CHECKING:
    from chaos.evidence.rows import KeptRun
    from chaos.evidence.trend import Trend

_HEADS: Final = ("run", "started", "state", "faults", "availability", "MTTR", "version")
_RIGHT: Final = frozenset({3, 4})


def listed(runs: Sequence[KeptRun]) -> list[list[str]]:
    """The cells of each run."""
    return [
        [run.run, run.started_at[:16].replace("T", " "), states.named(run.state, run.exit_code).word, str(run.faults),
         say.percent(run.availability), _mttr(run), run.version]
        for run in runs
    ]  # fmt: skip


def _mttr(run: KeptRun) -> str:
    around = say.span(run.mttr_low_s, run.mttr_high_s, say.seconds)
    return say.seconds(run.mttr_s) + (f" ({around})" if around and run.mttr_s is not None else "")


def text(runs: Sequence[KeptRun]) -> str:
    """The list for a terminal. Ten thousand lines are written at once, so columns are padded here."""
    rows = [list(_HEADS), *([terminal(cell) for cell in row] for row in listed(runs))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(_padded(place, cell, widths[place]) for place, cell in enumerate(row)).rstrip() for row in rows)


def _padded(column: int, cell: str, width: int) -> str:
    return cell.rjust(width) if column in _RIGHT else cell.ljust(width)


def table(runs: Sequence[KeptRun]) -> Table:
    """The same for a page."""
    return make("Runs", [right(head) if place in _RIGHT else head for place, head in enumerate(_HEADS)], listed(runs))


def evidence(experiment: str, trends: Sequence[Trend]) -> Table:
    """What all runs of a configuration show together."""
    rows: list[Row] = [
        [trend.fault_class, str(trend.faults), f"{trend.runs} / {trend.versions}", say.estimate(trend.outage_s, say.seconds),
         sparkline([point.mean_s for point in trend.points])]
        for trend in trends
    ]  # fmt: skip
    columns: Columns = ["fault class", right("noticed faults"), right("runs / versions"), "MTTR", Column("newest runs")]
    return make(f"All runs of {experiment} together", columns, rows, after=[sentence(trend, margin=1.3) for trend in trends])


def sentence(trend: Trend, margin: float) -> str:
    """``214 kill/leader faults so far, MTTR 0.81 s to 0.90 s; version abc adds 5: no worse than 1.3 times, shown``."""
    compared = trend.compared
    before = trend.outage_s if compared is None else compared.old
    faults = trend.faults - (0 if compared is None else trend.added)
    around = say.span(before.low, before.high, say.seconds) or say.seconds(before.value)
    told = f"{faults} noticed {trend.fault_class} {'fault' if faults == 1 else 'faults'} so far, MTTR {around}"
    if trend.unit == "run" and trend.pooling_p is not None:
        told += f" (runs differ among themselves, {say.is_chance(trend.pooling_p)}, so a run counts as one piece of evidence)"
    elif trend.pooling_p is not None:
        told += f" (the runs may be pooled, {say.is_chance(trend.pooling_p)})"
    if compared is None:
        return f"{told}; all of one version."
    return f"{told}; version {trend.newest or 'without a name'} adds {trend.added}: {judged(compared, margin)}."


def html(experiment: str, runs: Sequence[KeptRun], trends: Sequence[Trend], source: str) -> str:
    """One page: a picture for each fault class, the sentences, the list."""
    from chaos.report.page import render

    pictures = [(trend.fault_class, picture(trend, say.seconds)) for trend in trends]
    return render(
        "runs.html.j2",
        title=experiment,
        source=source,
        sentences=[sentence(trend, margin=1.3) for trend in trends],
        pictures=[(name, drawing) for name, drawing in pictures if drawing is not None],
        runs=table(runs),
    )


def svg(trends: Sequence[Trend]) -> str:
    """The picture of the first fault class as a file of its own; empty without one."""
    from chaos.report.page import svg as drawn

    drawing = picture(trends[0], say.seconds) if trends else None
    return "" if drawing is None else drawn(drawing, 900)
