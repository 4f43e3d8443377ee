"""One self-contained page that opens offline: the verdict and four answers, a time axis that can be zoomed, tables, drawings.

Nothing is fetched, and the page forbids itself to. Without scripts (mail, the viewers of CI systems, print) a still drawing stands
where the time axis is. Every figure of a drawing stands in a table as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any, Final, NamedTuple

from chaos.report import data_tables, model_tables, page, table, tables
from chaos.report import format as say
from chaos.report import headline as top
from chaos.report import story as tell
from chaos.report.answers import NO_FIGURES, answers
from chaos.report.error_budget import budget
from chaos.report.svg.axis import Mark, rows, time_axis
from chaos.report.svg.bars import css_class
from chaos.report.svg.operations import operation_bars
from chaos.report.table import Table
from chaos.report.words import ENGLISH, words
from chaos.results import states
from chaos.results.observed import PHASES
from chaos.results.report import Report

OUTAGES_SHOWN: Final = 60
MILLIS: Final = 3
"""Digits of a second in the drawing."""
TITLE: Final = 160
"""Letters of a headline that stand as the title; a longer one is a title and a sentence."""
LEGEND: Final[tuple[tuple[str, str], ...]] = (
    ("down", "outage of a service"), ("fault", "fault in force"), ("leader", "leader"), ("up", "up"), ("dead", "dead"),
    ("paused", "paused"), ("suspects", "suspected by a failure detector"), ("in", "in DNS"), ("quiet", "baseline"),
)  # fmt: skip
CHART_WORDS: Final = (
    "ok", "Zoom in", "Zoom out", "Whole run", "Previous event", "Next event", "no event",
    "Time axis. Arrow keys go from event to event, plus and minus zoom, Home shows the whole run, Enter opens the table row.",
)  # fmt: skip


class Card(NamedTuple):
    """One of the figures on top."""

    name: str
    value: str
    more: str = ""


def render(report: Report, lang: str = ENGLISH, *, scripts: bool = True) -> str:
    """The page; ``lang``: of its own words. Without ``scripts`` it is small, and its time axis still."""
    headline, told = _lead(top.headline(report))
    found = data_tables.first(report)
    made, log = tables.of(report, OUTAGES_SHOWN), tables.log(report)
    axis = time_axis(report)
    drawn = scripts and axis is not None
    shown = _anchors([*made.values(), log])
    return page.render(
        "report.html.j2",
        report=report,
        lang=lang,
        t=words(lang),
        say=say,
        tell=tell,
        top=top,
        state=top.state(report),
        beside=states.beside(report),
        headline=headline,
        told=told,
        story=tell.story(report),
        answers=answers(report),
        doubtful=top.state(report) in NO_FIGURES,
        cards=list(_cards(report)),
        axis=axis,
        axis_legend=_axis_legend(report),
        phase_legend=_phase_legend(report),
        tables=made,
        log=log,
        shown=shown,
        violation=None if found is None else operation_bars(found[1]),
        parameters=model_tables.parameters(report.predicted) if report.predicted is not None else None,
        scripts=scripts,
        drawn=_drawn(report, lang, shown) if drawn else None,
        library=asset("echarts.min.js") if drawn else "",
        program=asset("timeline.js") if drawn else "",
    )


def asset(name: str) -> str:
    """A file of ``chaos/report/assets``."""
    return (resources.files("chaos.report") / "assets" / name).read_text(encoding="utf-8").strip()


def _lead(headline: str) -> tuple[str, list[str]]:
    """A long headline gives the page its title up to the first colon; the rest goes to the sentences below."""
    title, colon, rest = headline.partition(": ")
    if len(headline) <= TITLE or not colon or len(title) > TITLE:
        return headline, []
    return say.begun(title) + ".", [say.begun(rest)]


def _anchors(made: list[Table]) -> frozenset[str]:
    """Every row that a link may lead to."""
    return frozenset(row[0].anchor for each in made for row in each.rows if row and row[0].anchor)


def _cards(report: Report) -> Iterator[Card]:
    """The figures on top: measured before modelled, each with its interval."""
    seen, model = report.observed, report.predicted
    if seen is not None:
        down = seen.availability.reason if seen.downtime_s is None else f"{say.seconds(seen.downtime_s)} of downtime"
        faults = top.effective(report)
        under = f"with {say.count(faults, 'fault')} in {report.duration_s:.0f} s, the baseline not counted" if faults else ""
        around = say.sure(seen.availability, say.percent)
        yield Card(
            "Availability in this run", say.percent(seen.availability.value), "; ".join(each for each in (around, down, under) if each)
        )
        around = say.sure(seen.mttr_s, say.seconds)
        yield Card("MTTR observed", say.seconds(seen.mttr_s.value), f"{around}, n = {seen.mttr_s.n}" if around else seen.mttr_s.reason)
        if model is not None:
            around = say.span(model.mttr_s.low, model.mttr_s.high, say.seconds)
            yield Card("MTTR predicted", say.seconds(model.mttr_s.value), f"{around} in a run like this" if around else model.mttr_s.reason)
    yield from _yearly(report)
    overall = next((row for row in report.agreement if row.measure == "downtime" and not row.fault_class), None)
    if overall is not None:
        ratio = "" if overall.low is None or overall.high is None else f"{say.number(overall.low)} to {say.number(overall.high)}"
        strength = f"true downtime {ratio} times the predicted (90 %)" if ratio else ""
        yield Card("Prediction check", report.agreement_overall, strength)


def _yearly(report: Report) -> Iterator[Card]:
    """Downtime of a year at the assumed rates: by the measured outages, then by the model."""
    found, allowance = report.extrapolated, budget(report)
    if found is not None and found.downtime_s_per_year.value is not None:
        around = say.sure(found.downtime_s_per_year, say.seconds)
        of_budget = f"{say.percent(allowance.used)} of the error budget" if allowance is not None and allowance.used is not None else ""
        more = "; ".join(each for each in (around, of_budget, "at assumed rates") if each)
        yield Card("Downtime per year, measured", say.seconds(found.downtime_s_per_year.value), more)
    production = report.predicted.production if report.predicted is not None else None
    if production is not None and production.nines is not None:
        around = say.span(production.downtime_low_s_per_year, production.downtime_high_s_per_year, say.seconds)
        more = f"{around or 'no interval: parameters are declared'}; {production.nines:.1f} nines"
        yield Card("Downtime per year, by the model", say.seconds(production.downtime_s_per_year), more)


def _axis_legend(report: Report) -> list[tuple[str, str]]:
    found = {interval.state for lane in report.timeline for interval in lane.intervals}
    found |= {"suspects" for lane in report.timeline if lane.kind == "detector" and lane.intervals}
    return [item for item in LEGEND if item[0] not in ("paused", "suspects") or item[0] in found]


def _phase_legend(report: Report) -> list[tuple[str, str]]:
    outages = [outage for _, observed in tables.services(report) for outage in observed.outages]
    return [(css_class(name), say.phase(name)) for name in PHASES if any(outage.phases.get(name) for outage in outages)]


def _drawn(report: Report, lang: str, shown: frozenset[str]) -> dict[str, Any]:
    """What the program draws: the marks of the still drawing, and each service over time."""
    told, places = words(lang), _places(report, shown)
    quiet = [each for lane in report.timeline if lane.kind == "phase" for each in lane.intervals if each.state == "baseline"]
    return {
        "duration_s": report.duration_s,
        "baseline_s": max((each.end_s for each in quiet), default=0.0),
        "lanes": [
            {"name": name, "marks": [_as_drawn(name, mark, places, told) for mark in marks]} for name, marks in rows(report.timeline)
        ],
        "services": [
            {"name": name, "step_s": each.step_s, "good": each.good, "bad": each.bad, "p50_s": each.p50_s, "p99_s": each.p99_s}
            for name, each in sorted(report.series.items(), key=lambda item: item[0] != report.judged)
        ],
        "words": {word: told(word) for word in CHART_WORDS},
    }


def _as_drawn(lane: str, mark: Mark, places: dict[tuple[str, float], str], told: Callable[[str], str]) -> list[str | float]:
    begins_s = round(mark.interval.start_s, MILLIS)
    place = places.get((lane, begins_s), "") if mark.style in ("down", "fault") else ""
    return [begins_s, round(mark.interval.end_s, MILLIS), mark.top, mark.height, mark.style, told(mark.title), place]


def _places(report: Report, shown: frozenset[str]) -> dict[tuple[str, float], str]:
    """Lane and beginning of a mark -> the row of a table that tells more."""
    found = {
        (fault.name, round(fault.effective_at_s, MILLIS)): table.anchor("fault", fault.id)
        for fault in report.faults if fault.effective_at_s is not None
    }  # fmt: skip
    found |= {
        (name, round(outage.start_s, MILLIS)): table.anchor("outage", outage.id)
        for name, observed in tables.services(report) for outage in observed.outages
    }  # fmt: skip
    return {key: place for key, place in found.items() if place in shown}
