"""The page of a report in a frame, for the cell of a notebook: neither's style reaches the other."""

from __future__ import annotations

from chaos.report import page
from chaos.report.pages import report as whole
from chaos.results.report import Report


def render(report: Report) -> str:
    """An inline frame that holds the whole page; it may run no scripts there, so it has none."""
    return page.render("notebook.html.j2", page=page.Whole(whole.render(report, scripts=False)), name=report.experiment)
