"""``csv``: one line a run, for a table of runs."""

from __future__ import annotations

from chaos.plugin import Report


def render(report: Report) -> str:
    """What is there; nothing is computed."""
    mttr_s = report.observed.mttr_s.value if report.observed else None
    return f"{report.experiment},{report.verdict},{'' if mttr_s is None else f'{mttr_s:.6g}'}\n"
