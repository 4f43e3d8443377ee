"""The summary for a CI job's page, in Markdown (GitHub's and GitLab's flavour)."""

from __future__ import annotations

from typing import Final

from chaos.core.escaping import markdown, markdown_code
from chaos.report import format as say
from chaos.report import headline as top
from chaos.report import story as tell
from chaos.report import table, tables
from chaos.report.answers import answers
from chaos.results.report import Report

SHOWN: Final = ("objectives", "data", "violation", "figures", "classes", "demand", "bad_requests", "agreement")
"""What a reviewer needs; the HTML report has the rest."""


def render(report: Report) -> str:
    """Verdict first, then the tables a reviewer needs."""
    lines = [f"## {top.state(report).emoji} {top.verdict(report)}: {markdown(report.experiment)}", ""]
    if report.question:
        lines += [f"*{markdown(report.question)}*", ""]
    lines += [f"**{markdown(top.headline(report))}**", ""]
    lines += [f"- **{markdown(answer.question)}**: {markdown(answer.text)}" for answer in answers(report)] + [""]
    lines += [f"{markdown(sentence)}" + "  " for sentence in tell.story(report)]
    lines.append("")
    noted = [markdown(reason) for reason in top.notes(report)]
    lines += [f"- {line}" for line in noted] + ([""] if noted else [])
    made = tables.of(report, 0)
    for name in SHOWN:
        lines += table.markdown_lines(made[name]) if name in made else []
    lines += _checks(report)
    lines += ["Again: " + markdown_code(tell.reproduce(report)), ""]
    return "\n".join(lines)


def refused(name: str, message: str, status: int) -> str:
    """What could not be run at all."""
    return f"## ❌ Not run: {markdown(name)}\n\n{markdown(message)}\n\nExit status {status}.\n"


def _checks(report: Report) -> list[str]:
    bad = tables.checks(report, held=False)
    if not bad.rows:
        held = len(report.checks)
        return [f"All {say.count(held, 'validity check')} passed.", ""] if held else []
    return table.markdown_lines(bad)
