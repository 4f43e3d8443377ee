"""The whole page, with its scripts, in English: see ``chaos.report.pages.report``."""

from __future__ import annotations

from chaos.report.pages import report as page
from chaos.results.report import Report


def render(report: Report) -> str:
    """One self-contained file."""
    return page.render(report)
