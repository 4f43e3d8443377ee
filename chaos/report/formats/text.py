"""The report for a terminal: the verdict in plain words, then the tables."""

from __future__ import annotations

from typing import Final

from chaos.core.escaping import every, terminal
from chaos.report import headline as top
from chaos.report import story as tell
from chaos.report import table, tables
from chaos.results.report import Report

OUTAGES_SHOWN: Final = 12
"""The longest ones; report.json has all."""


def render(report: Report) -> str:
    """All of it, ready to print."""
    report = every(report, terminal)
    blocks = [_verdict(report), *(table.text(each) for each in tables.of(report, OUTAGES_SHOWN).values()), _end(report)]
    return "\n\n".join(blocks) + "\n"


def _verdict(report: Report) -> str:
    lines = [top.line(report)]
    if report.question:
        lines += [f"  {report.question}"]
    lines += [""] + [f"  {sentence}" for sentence in tell.story(report)]
    lines += [f"  Note: {reason}" for reason in top.notes(report)]
    lines += [f"  Next: {step}" for step in top.next_steps(report)]
    return "\n".join(lines)


def _end(report: Report) -> str:
    return f"Report   {report.folder}/report.html  (also report.json)\nAgain    {tell.reproduce(report)}"
