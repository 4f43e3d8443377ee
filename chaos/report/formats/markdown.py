"""The summary for a CI job's page, in Markdown (GitHub's and GitLab's flavour)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.core.escaping import markdown, markdown_code
from chaos.report import format as say
from chaos.report import story as tell
from chaos.results.report import Report

MARKS: Final = {"pass": "✅", "fail": "❌", "unknown": "❔", "consistent": "✅", "inconsistent": "❌", "inconclusive": "❔"}


def render(report: Report) -> str:
    """Verdict first, then the tables a reviewer needs; the rest is in the HTML report."""
    lines = [f"## {MARKS.get(report.verdict, '')} {tell.verdict(report)}: {markdown(report.experiment)}", ""]
    if report.question:
        lines += [f"*{markdown(report.question)}*", ""]
    lines += [f"**{markdown(tell.headline(report))}**", ""]
    lines += [f"{markdown(sentence)}" + "  " for sentence in tell.story(report)]
    lines.append("")
    if tell.notes(report):
        lines += [f"- {markdown(reason)}" for reason in tell.notes(report)] + [""]
    if tell.next_steps(report):
        lines += [f"- Next: {markdown(step)}" for step in tell.next_steps(report)] + [""]
    lines += _objectives(report) + _figures(report) + _classes(report) + _bad(report) + _agreement(report) + _checks(report)
    lines += ["Again: " + markdown_code(tell.reproduce(report)), ""]
    return "\n".join(lines)


def refused(name: str, message: str, status: int) -> str:
    """What could not be run at all."""
    return f"## ❌ Not run: {markdown(name)}\n\n{markdown(message)}\n\nExit status {status}.\n"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    out = [f"### {markdown(title)}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return out + [f"| {' | '.join(markdown(cell) for cell in row)} |" for row in rows] + [""]


def _objectives(report: Report) -> list[str]:
    rows = [
        [f"{MARKS.get(row.verdict, '')} {row.name}", row.want, row.basis, say.estimate(row.observed, say.measure(row.name)), row.verdict]
        for row in report.objectives
    ]
    return _table("Objectives", ["objective", "want", "basis", "observed", "verdict"], rows)


def _figures(report: Report) -> list[str]:
    seen, model = report.observed, report.predicted
    if seen is None:
        return []
    rows = [
        ["availability", say.estimate(seen.availability, say.percent), say.expected(model.availability if model else None, say.percent)],
        ["MTTR", say.estimate(seen.mttr_s, say.seconds), say.expected(model.mttr_s if model else None, say.seconds)],
        ["MTTF", say.estimate(seen.mttf_s, say.seconds), say.expected(model.mttf_s if model else None, say.seconds)],
        [
            f"MTBF ({seen.mtbf_basis})",
            say.estimate(seen.mtbf_s, say.seconds),
            say.expected(model.mtbf_s if model else None, say.seconds),
        ],
        ["success ratio", say.estimate(seen.success_ratio, say.percent), ""],
    ]
    return _table(f"Observed beside predicted: {report.judged}", ["figure", "observed", "predicted"], rows)


def _classes(report: Report) -> list[str]:
    seen = report.observed
    rows = []
    for name, row in (seen.by_fault if seen is not None else {}).items():
        model = report.predicted.by_fault.get(name) if report.predicted is not None else None
        rows.append([name, f"{row.effective}/{row.injected}", say.noticed(row), say.estimate(row.recovery_s, say.seconds),
                     say.expected(model.recovery_s, say.seconds) if model else "", say.estimate(row.outage_s, say.seconds),
                     say.expected(model.outage_s, say.seconds) if model else ""])  # fmt: skip
    head = ["fault class", "took effect", "noticed", "recovery", "predicted", "outage", "predicted"]
    return _table("By fault class", head, rows)


def _bad(report: Report) -> list[str]:
    told = say.way_out(report)
    return _table("Bad requests by reason", say.BAD_HEAD, say.bad_rows(report)) + ([markdown(told), ""] if told else [])


def _agreement(report: Report) -> list[str]:
    rows = [
        [row.service, row.fault_class or "all", row.measure, say.number(row.predicted), say.number(row.observed), say.chance(row.p_value),
         f"{MARKS.get(row.verdict, '')} {row.verdict}"]
        for row in report.agreement
    ]  # fmt: skip
    head = ["service", "class", "measure", "predicted", "observed", "p", "verdict"]
    return _table(f"Prediction check: {report.agreement_overall}", head, rows)


def _checks(report: Report) -> list[str]:
    bad = [row for row in report.checks if row.verdict != "pass"]
    if not bad:
        held = len(report.checks)
        return [f"All {say.count(held, 'validity check')} passed.", ""] if held else []
    rows = [[f"{MARKS.get(row.verdict, '')} {row.heading}", row.verdict, row.detail] for row in bad]
    return _table("Validity checks that failed or could not be made", ["check", "verdict", "detail"], rows)
