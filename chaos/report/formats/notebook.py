"""The page of a report in a frame, for the cell of a notebook: neither's style reaches the other."""

from __future__ import annotations

from chaos.core import plugins
from chaos.report import page
from chaos.results.report import Report


def render(report: Report) -> str:
    """An inline frame that holds the whole page."""
    return page.render("notebook.html.j2", page=page.Whole(plugins.find("reports", "html")(report)), name=report.experiment)
