"""One self-contained page that opens offline: the verdict in plain words, the time axis, tables, drawings.

No script and nothing fetched. Every figure in a drawing stands in a table or a title as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from chaos.report import data_tables, page, table, tables
from chaos.report import format as say
from chaos.report import headline as top
from chaos.report import story as tell
from chaos.report.answers import answers
from chaos.report.svg.axis import time_axis
from chaos.report.svg.bars import css_class
from chaos.report.svg.operations import operation_bars
from chaos.results.observed import PHASES
from chaos.results.report import Report

OUTAGES_SHOWN: Final = 60
TITLE: Final = 160
"""Letters of a headline that stand as the title; a longer one is a title and a sentence."""
LEGEND: Final[tuple[tuple[str, str], ...]] = (
    ("down", "outage of a service"), ("fault", "fault in force"), ("leader", "leader"), ("up", "up"), ("dead", "dead"),
    ("paused", "paused"), ("in", "in DNS"), ("quiet", "baseline"),
)  # fmt: skip


class Card(NamedTuple):
    """One of the figures on top."""

    name: str
    value: str
    more: str = ""


def render(report: Report) -> str:
    """The page."""
    headline, told = _lead(top.headline(report))
    found = data_tables.first(report)
    return page.render(
        "report.html.j2",
        report=report,
        say=say,
        tell=tell,
        top=top,
        headline=headline,
        told=told,
        story=tell.story(report),
        tone=table.TONES.get(report.verdict, table.OPEN),
        cards=list(_cards(report)),
        answers=answers(report),
        axis=time_axis(report),
        axis_legend=_axis_legend(report),
        phase_legend=_phase_legend(report),
        tables=tables.of(report, OUTAGES_SHOWN),
        violation=None if found is None else operation_bars(found[1]),
        parameters=tables.parameters(report.predicted) if report.predicted is not None else None,
    )


def _lead(headline: str) -> tuple[str, list[str]]:
    """A long headline gives the page its title up to the first colon; the rest goes to the sentences below."""
    title, colon, rest = headline.partition(": ")
    if len(headline) <= TITLE or not colon or len(title) > TITLE:
        return headline, []
    return title[:1].upper() + title[1:] + ".", [rest[:1].upper() + rest[1:]]


def _cards(report: Report) -> Iterator[Card]:
    """The figures on top: measured before modelled."""
    seen, model = report.observed, report.predicted
    if seen is not None:
        down = seen.availability.reason if seen.downtime_s is None else f"{say.seconds(seen.downtime_s)} of downtime"
        yield Card("Availability in this run", say.percent(seen.availability.value), down)
        around = say.sure(seen.mttr_s, say.seconds)
        yield Card("MTTR observed", say.seconds(seen.mttr_s.value), f"{around}, n = {seen.mttr_s.n}" if around else seen.mttr_s.reason)
        if model is not None:
            around = say.span(model.mttr_s.low, model.mttr_s.high, say.seconds)
            yield Card("MTTR predicted", say.seconds(model.mttr_s.value), f"{around} in a run like this" if around else model.mttr_s.reason)
    if report.agreement:
        yield Card("Prediction check", report.agreement_overall)
    production = model.production if model is not None else None
    if production is not None and production.nines is not None:
        more = f"{tell.monthly(production)} of downtime per month, by the model"
        yield Card("At production fault rates", f"{production.nines:.1f} nines", more)


def _axis_legend(report: Report) -> list[tuple[str, str]]:
    states = {interval.state for lane in report.timeline for interval in lane.intervals}
    return [item for item in LEGEND if item[0] != "paused" or "paused" in states]


def _phase_legend(report: Report) -> list[tuple[str, str]]:
    outages = report.observed.outages if report.observed is not None else []
    return [(css_class(name), say.phase(name)) for name in PHASES if any(outage.phases.get(name) for outage in outages)]
