"""``report.json``: the contract of the report, as it is. Keys are added, never renamed; no data is ``null`` with a reason."""

from __future__ import annotations

import msgspec

from chaos.core.escaping import every, terminal
from chaos.results.report import Report


def render(report: Report) -> str:
    """The whole report as indented JSON; infinities and NaN cannot occur in JSON and become ``null``."""
    try:
        text = msgspec.json.encode(report)
    except UnicodeEncodeError:  # half a surrogate pair, as from a path that is no UTF-8: JSON cannot say it
        text = msgspec.json.encode(every(report, terminal))
    return msgspec.json.format(text, indent=2).decode()
