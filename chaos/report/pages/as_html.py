"""A page of ours in Markdown as one HTML file with the style of the reports: for runbooks and reviews."""

from __future__ import annotations

from chaos.report.page import render


def html(title: str, markdown: str) -> str:
    """Raw HTML in it stays text. Boxes to tick become boxes."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    boxes = body.replace("<li>[ ] ", '<li class="box">☐ ')
    return render("plain.html.j2", title=title, body=Markup(boxes))  # noqa: S704 (the renderer has escaped it)
