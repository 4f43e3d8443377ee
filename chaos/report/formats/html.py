"""One self-contained page that opens offline: the verdict in plain words, the time axis, anatomy, prediction beside observation.

No script and nothing fetched. Every figure in a drawing stands in a table or a title as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.core.escaping import every, terminal
from chaos.core.escaping import html as escape
from chaos.report import format as say
from chaos.report import story as tell
from chaos.report.format import Show
from chaos.report.svg.axis import time_axis
from chaos.report.svg.bars import css_class, interval_bars, phase_bars, share_bar
from chaos.report.svg.style import SHEET
from chaos.results.observed import PHASES, Estimate, Observed, Outage
from chaos.results.predicted import Range
from chaos.results.report import Report

OUTAGES_SHOWN: Final = 60
TITLE: Final = 160
"""Letters of a headline that stand as the title; a longer one is a title and a sentence."""
WRAPPED: Final = 40
"""A longer line below a figure is a sentence and may be broken; a shorter one is an interval."""
TONES: Final = {"pass": "--pass", "fail": "--fail", "unknown": "--unknown"}
SIGNS: Final = {"pass": "✓", "fail": "✕", "unknown": "?", "consistent": "✓", "inconsistent": "✕", "inconclusive": "?", "healed": "✓",
                "failed": "✕", "leftover": "✕", "skipped": "–"}  # fmt: skip


def render(report: Report) -> str:
    """The page."""
    report = every(report, terminal)
    body = [
        _top(report), _verdict(report), _figures(report), _axis(report), _compared(report), _outages(report), _bad(report),
        f'<div class="two">{_objectives(report)}{_improve(report)}</div>', _extrapolated(report), _looks(report),
        _classes(report), _faults(report), _checks(report),
        _assumptions(report), _again(report),
    ]  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(tell.verdict(report))}: {escape(report.experiment)} – Nines</title><style>{SHEET}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


# --- small parts -------------------------------------------------------------------------------------------------------


def _section(title: str, note: str, inside: str) -> str:
    if not inside:
        return ""
    told = f'<p class="note">{note}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{told}{inside}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = (), wide: int | None = None) -> str:
    """Cells are HTML already."""
    if not rows:
        return ""

    def style(column: int) -> str:
        return ' class="num"' if column in numbers else ' class="wide"' if column == wide else ""

    heads = "".join(f'<th scope="col"{style(column)}>{escape(text)}</th>' for column, text in enumerate(head))
    lines = "".join(f"<tr>{''.join(f'<td{style(column)}>{cell}</td>' for column, cell in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'


def _mark(word: str) -> str:
    return f'<span class="mark {escape(word)}">{SIGNS.get(word, "")}&nbsp;{escape(word)}</span>'


def _legend(items: Sequence[tuple[str, str]]) -> str:
    return f'<ul class="legend">{"".join(f"<li>{_swatch(style)}{escape(text)}</li>" for style, text in items)}</ul>'


def _swatch(style: str) -> str:
    square = f'<rect width="14" height="10" rx="2" class="{style}"/>'
    return f'<svg viewBox="0 0 14 10" class="swatch" aria-hidden="true">{square}</svg>'


def _seen(value: Estimate, show: Show) -> str:
    """The value, and below it the interval or the reason why there is no value."""
    return _two_lines(show(value.value), value.reason if value.value is None else say.sure(value, show))


def _expected(value: Range | None, show: Show) -> str:
    if value is None:
        return ""
    around = say.span(value.low, value.high, show)
    return _two_lines(show(value.value), value.reason if value.value is None else around)


def _two_lines(value: str, below: str) -> str:
    told = ' class="told"' if len(below) > WRAPPED else ""
    return f'<span class="fix">{escape(value)}</span>' + (f"<small{told}>{escape(below)}</small>" if below else "")


# --- the page, from the top --------------------------------------------------------------------------------------------


def _top(report: Report) -> str:
    when = report.started_at.replace("T", " ")[:19]
    told = f"{report.target} · {say.count(len(report.nodes), 'node')} · {report.runtime} · seed {report.seed} · {report.duration_s:.0f} s"
    name = f"<span><strong>Nines</strong> · {escape(report.experiment)}</span>"
    return f'<header class="top">{name}<span>{escape(told)} · {escape(when)}</span></header>'


def _verdict(report: Report) -> str:
    tone = TONES.get(report.verdict, "--unknown")
    word = tell.verdict(report)
    headline, told = _lead(tell.headline(report))
    story = "".join(f"<li>{escape(sentence)}</li>" for sentence in [*told, *tell.story(report)])
    notes = "".join(f"<li>Note: {escape(reason)}</li>" for reason in tell.notes(report))
    notes += "".join(f"<li>Next: {escape(step)}</li>" for step in tell.next_steps(report))
    question = f'<p class="question">{escape(report.question)}</p>' if report.question else ""
    return (
        f'<div class="verdict" style="--tone: var({tone})">{question}<h1><span class="badge">{escape(word)}</span>'
        f'{escape(headline)}</h1><ul class="story">{story}{notes}</ul></div>'
    )


def _lead(headline: str) -> tuple[str, list[str]]:
    """A long headline gives the page its title up to the first colon; the rest goes to the sentences below."""
    title, colon, rest = headline.partition(": ")
    if len(headline) <= TITLE or not colon or len(title) > TITLE:
        return headline, []
    return title[:1].upper() + title[1:] + ".", [rest[:1].upper() + rest[1:]]


def _figures(report: Report) -> str:
    cards: list[tuple[str, str, str]] = []
    production = report.predicted.production if report.predicted is not None else None
    if production is not None and production.nines is not None:
        cards.append(
            ("At production fault rates", f"{production.nines:.1f} nines", f"{tell.monthly(production)} of downtime a month, by the model")
        )
    seen, model = report.observed, report.predicted
    if seen is not None:
        around = say.sure(seen.mttr_s, say.seconds)
        cards.append(
            ("MTTR, as clients saw it", say.seconds(seen.mttr_s.value), f"{around}, n = {seen.mttr_s.n}" if around else seen.mttr_s.reason)
        )
        if model is not None:
            around = say.span(model.mttr_s.low, model.mttr_s.high, say.seconds)
            cards.append(
                ("MTTR predicted", say.seconds(model.mttr_s.value), f"{around} in a run like this" if around else model.mttr_s.reason)
            )
        down = seen.availability.reason if seen.downtime_s is None else f"{say.seconds(seen.downtime_s)} down"
        cards.append(("Availability in this run", say.percent(seen.availability.value), down))
    if report.agreement:
        cards.append(("Prediction check", report.agreement_overall, ""))
    inside = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>" for name, value, more in cards
    )
    return f'<dl class="figures">{inside}</dl>' if cards else ""


def _axis(report: Report) -> str:
    drawing = time_axis(report)
    if not drawing:
        return ""
    legend = [("down", "outage of a service"), ("fault", "fault in force"), ("leader", "leader"), ("up", "up"), ("dead", "dead"),
              ("paused", "frozen"), ("in", "in DNS"), ("quiet", "baseline")]  # fmt: skip
    states = {interval.state for lane in report.timeline for interval in lane.intervals}
    legend = [item for item in legend if item[0] != "paused" or "paused" in states]
    return _section(
        "What happened", "Seconds since the first slot. Hover over a mark for its times.", f"<figure>{drawing}</figure>{_legend(legend)}"
    )


def _compared(report: Report) -> str:
    seen, model = report.observed, report.predicted
    if seen is None:
        return ""
    rows: list[list[str]] = []

    def add(name: str, value: Estimate, expected: Range | None, show: Show, verdict: str = "") -> None:
        drawing = interval_bars(value, expected, show)
        rows.append([escape(name), _seen(value, show), _expected(expected, show), drawing, verdict])

    overall = _mark(report.agreement_overall) if report.agreement else ""
    add("Availability", seen.availability, model.availability if model else None, say.percent, overall)
    add("MTTR", seen.mttr_s, model.mttr_s if model else None, say.seconds)
    add("MTTF", seen.mttf_s, model.mttf_s if model else None, say.seconds)
    if seen.mtbf_basis != "schedule":
        add("MTBF", seen.mtbf_s, model.mtbf_s if model else None, say.seconds)
    for name, row in seen.by_fault.items():
        expected = model.by_fault.get(name) if model else None
        add(f"{name}: recovery", row.recovery_s, expected.recovery_s if expected else None, say.seconds, _agreed(report, name))
    basis = "MTBF is left out: the fault rate was our own choice. " if seen.mtbf_basis == "schedule" else ""
    note = (
        f"Service {escape(report.judged)}. {_worst(seen)}Dot: seen, with its 95 % interval. Diamond and band: prediction, "
        f"95 % range for a run of this size. {basis}Each line has a scale of its own."
    )
    return _section("Predicted against observed", note, _table(["figure", "observed", "predicted", "", "agreement"], rows, wide=3))


def _worst(seen: Observed) -> str:
    name, ratios = say.windows(seen)
    return f"Share of good answers in the {escape(name)}: {escape(ratios)}. " if name else ""


def _agreed(report: Report, fault_class: str) -> str:
    rows = [row for row in report.agreement if row.fault_class == fault_class and row.service == report.judged]
    return "".join(f"<div>{_mark(row.verdict)} <small class='inline'>{escape(row.measure)}</small></div>" for row in rows)


def _outages(report: Report) -> str:
    seen = report.observed
    if seen is None or not seen.outages:
        return ""
    shown = sorted(sorted(seen.outages, key=_length)[-OUTAGES_SHOWN:], key=lambda outage: outage.start_s)
    longest_s = max(max(_length(outage), sum(phase.predicted_s or 0.0 for phase in outage.phases.values())) for outage in shown)
    rows = [
        [
            escape(outage.id),
            say.clock(outage.start_s),
            escape(say.length(outage)),
            phase_bars(outage, longest_s, say.seconds),
            escape(", ".join(outage.faults) or "no fault"),
        ]
        for outage in shown
    ]
    used = [name for name in PHASES if any(outage.phases.get(name) for outage in shown)]
    rule = f"An outage is {say.rule(seen.rule)}; both ends are back-dated."
    rule += f" Repairs: {escape(say.maintained(seen.maintainability))}." if seen.maintainability is not None else ""
    left_out = f" The {len(shown)} longest of {len(seen.outages)}; report.json has all." if len(shown) < len(seen.outages) else ""
    note = f"The thick bar is what was seen, the thin one below what the model gives each phase. {rule}{left_out}"
    table = _table(["outage", "at (s)", "length", "anatomy", "after"], rows, numbers=(1, 2), wide=3)
    return _section("Outage breakdown by phase", note, table + _legend([(css_class(name), name) for name in used]))


def _bad(report: Report) -> str:
    rows = [[escape(cell) for cell in row] for row in say.bad_rows(report)]
    note = f"How the last attempt of each ended. {escape(say.way_out(report))}".rstrip()
    return _section("Bad requests by reason", note, _table(say.BAD_HEAD, rows, numbers=(2,)))


def _length(outage: Outage) -> float:
    return outage.duration_s or 0.0


def _objectives(report: Report) -> str:
    rows = [
        [escape(row.name), f'<code class="fix">{escape(row.want)}</code>', _seen(row.observed, say.measure(row.name)), _mark(row.verdict)]
        for row in report.objectives
    ]
    return _section("Objectives", "", _table(["objective", "want", "observed", ""], rows))


def _improve(report: Report) -> str:
    production = report.predicted.production if report.predicted is not None else None
    advice = report.predicted.advice if report.predicted is not None else []
    if production is None or not (production.improve_first or advice):
        return ""
    listed = "".join(f"<p>{escape(line)}</p>" for line in advice)
    if not production.improve_first:
        return _section("What to improve first", "", listed)
    most = max(each.halving_saves_s_per_year for each in production.improve_first)
    rows = [
        [escape(each.parameter), share_bar(each.halving_saves_s_per_year, most), say.seconds(each.halving_saves_s_per_year)]
        for each in production.improve_first[:6]
    ]
    told = [escape(line) for line in tell.causes(production)]
    note = " ".join(["What halving each would save in a year of production, by the model.", *told])
    return _section("Biggest levers", note, _table(["parameter", "", "a year"], rows, numbers=(2,)) + listed)


def _extrapolated(report: Report) -> str:
    found = report.extrapolated
    if found is None:
        return ""
    rows = [
        [escape(part.fault_class), escape(f"{part.rate} ({part.rate_basis})"), str(part.faults), say.seconds(part.downtime_s_per_year),
         say.DASH if part.variance_share is None else f"{part.variance_share:.0%}", escape(part.note)]
        for part in found.parts
    ]  # fmt: skip
    head = ["fault class", "rate in production", "measured here", "downtime a year", "share of variance", ""]
    inside = _table(head, rows, numbers=(2, 3, 4)) or f'<p class="note">{escape(found.reason)}</p>'
    return _section("What the measured outages mean in production", f"{escape(say.extrapolated(found))}.", inside)


def _looks(report: Report) -> str:
    rows = [
        [str(row.number), say.clock(row.at_s), str(row.faults), say.DASH if row.confidence is None else f"{row.confidence:.2%}",
         _mark(row.agreement), "yes" if row.decided else "no"]
        for row in report.looks
    ]  # fmt: skip
    note = "This run could stop early. Interim analyses: the overall error rate is controlled by alpha spending."
    return _section(
        "Looks", note, _table(["look", "at (s)", "faults", "confidence of claims", "agreement", "decided"], rows, numbers=(0, 1, 2, 3))
    )


def _classes(report: Report) -> str:
    seen = report.observed
    rows = []
    for name, row in (seen.by_fault if seen is not None else {}).items():
        model = report.predicted.by_fault.get(name) if report.predicted is not None else None
        rows.append([escape(name), f"{row.effective} of {row.injected}", say.noticed(row), _seen(row.share, say.percent),
                     _expected(model.share if model else None, say.percent), _seen(row.outage_s, say.seconds),
                     _expected(model.outage_s if model else None, say.seconds)])  # fmt: skip
    head = ["fault class", "took effect", "noticed", "share noticed", "predicted", "outage duration (faults clients noticed)", "predicted"]
    return _section("By fault class", "Classes behave differently, so they are never pooled.", _table(head, rows, numbers=(2,)))


def _faults(report: Report) -> str:
    named = say.containers(report.nodes)
    rows = [
        [
            f'<span class="fix">{escape(fault.id)}</span>',
            escape(fault.fault_class),
            escape(say.victims(fault.target, named)),
            say.clock(fault.effective_at_s),
            say.clock(fault.healed_at_s),
            say.seconds(fault.recovery_s),
            _mark(fault.status) + (f"<small>{escape(fault.reason)}</small>" if fault.reason else ""),
            escape(_achieved(fault.achieved.mechanism, fault.achieved.during)),
        ]
        for fault in report.faults
    ]
    head = ["fault", "class", "target", "at (s)", "healed (s)", "recovery", "status", "mechanism and measured effect"]
    return _section("Faults", "Each is proven from outside to have taken effect, and to be gone.", _table(head, rows, numbers=(3, 4, 5)))


def _achieved(mechanism: str, during: dict[str, float | str | None]) -> str:
    return ": ".join(part for part in (mechanism, say.figures(during)) if part)


def _checks(report: Report) -> str:
    rows = [[escape(row.heading), _mark(row.verdict), escape(row.detail)] for row in report.checks]
    shares = ""
    if report.observed is not None and report.observed.addresses:
        names = {node.address: node.name for node in report.nodes}
        told = " · ".join(
            f"{escape(names.get(address, address))} {say.percent(share)}" for address, share in sorted(report.observed.addresses.items())
        )
        shares = f'<p class="note" style="margin:12px 0 0">Where requests ended (the last attempt of each, after the baseline): {told}</p>'
    return _section("Validity checks", "", _table(["check", "", "detail"], rows) + shares if rows else "")


def _assumptions(report: Report) -> str:
    model = report.predicted
    if model is None:
        return ""
    assumed = "".join(f"<li>{escape(text)}</li>" for text in model.assumptions)
    rows = [
        [
            f"<code>{escape(each.name)}</code>",
            escape(each.word) or f"{say.number(each.value)}{'' if each.high is None else ' to ' + say.number(each.high)}",
            escape(each.unit),
            escape(say.origin(each)),
        ]
        for each in model.parameters
    ]
    table = _table(["parameter", "value", "unit", "source"], rows, numbers=(1,))
    return _section(
        "What the prediction assumes",
        "",
        f"<details><summary>Assumptions and parameters, each with its origin</summary><ul>{assumed}</ul>{table}</details>",
    )


def _again(report: Report) -> str:
    versions = " · ".join(f"{escape(name)} {escape(version)}" for name, version in report.versions.items())
    inside = (
        f"<pre>{escape(tell.reproduce(report))}</pre><pre>nines judge {escape(report.folder)}</pre>"
        f"<footer>{versions} · run {escape(report.run)}</footer>"
    )
    return _section(
        "How to reproduce",
        "The first command repeats the run, with the same times and draws. The second judges it again from its files.",
        inside,
    )
