"""The screen of ``nines try``: the verdict, a line for each kind of fault, what to fix, where the rest is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.report import table
from chaos.report.format import estimate, seconds
from chaos.report.headline import line
from chaos.report.story import story
from chaos.results.report import Report
from chaos.tryout.first import KINDS
from chaos.tryout.fixes import Seen, by_kind

_WHAT: Final = {"kill": "killed", "pause": "frozen", "isolate": "cut off"}
_NOTHING: Final = "–"


def page(report: Report, seen: Seen, advice: Sequence[str], again: str) -> str:
    """Plain text."""
    parts = [line(report), *[f"  {sentence}" for sentence in story(report)[:1]], ""]
    parts.append(
        table.text(table.make("", [table.Column(title) for title in ("one container", "took effect", "noticed", "MTTR")], _rows(report)))
    )
    parts += ["", *told("What to fix", advice), "", f"Report   {report.folder}/report.html", again]
    del seen
    return "\n".join(parts)


def told(title: str, advice: Sequence[str]) -> list[str]:
    """Numbered, or a word that there is nothing."""
    if not advice:
        return [f"{title}: nothing was found."]
    return [title, *[f"  {number}. {text}" for number, text in enumerate(advice, 1)]]


def _rows(report: Report) -> list[list[str]]:
    classes = by_kind(report)
    rows = []
    for kind in KINDS:
        each = classes.get(kind)
        asked = [fault for fault in report.faults if fault.name == kind]
        if each is None:
            reasons = {fault.reason for fault in asked if fault.reason}
            rows.append([_WHAT[kind], f"0 of {len(asked)}", "; ".join(sorted(reasons)) or _NOTHING, _NOTHING])
            continue
        noticed = "cannot be told" if each.noticed is None else f"{each.noticed} of {each.effective}"
        mttr = estimate(each.outage_s, seconds) if each.noticed else _NOTHING
        rows.append([_WHAT[kind], f"{each.effective} of {each.injected}", noticed, mttr])
    return rows
