"""``report.json``: the contract of the report, as it is. Keys are added, never renamed; no data is ``null`` with a reason."""

from __future__ import annotations

import msgspec

from chaos.results import Report


def render(report: Report) -> str:
    """The whole report as indented JSON; infinities and NaN cannot occur in JSON and become ``null``."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
