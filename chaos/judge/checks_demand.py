"""Whether a rate that changes was sent as planned: a load generator that is late shows its own limit, not the system's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.core.units import show_share
from chaos.results.check_names import DEMAND
from chaos.results.observed import DemandLevel
from chaos.results.verdict import Check

LEAST: Final = 0.95
"""Of a level's requests so many are sent in time, or its figures are those of another rate."""


def sent(levels: Sequence[DemandLevel]) -> Check:
    """Fails where a level's requests were sent late or not at all. Levels that were never reached are left out."""
    reached = [each for each in levels if each.due]
    short = [each for each in reached if each.sent < LEAST * each.due]
    if short:
        worst = min(short, key=lambda each: each.sent / each.due)
        share = show_share(worst.sent / worst.due)
        told = f"{worst.service}: at {worst.to_per_s:g}/s {share} of {worst.due:,} requests were sent in time (limit {show_share(LEAST)})"
        return Check(DEMAND, "fail", told, next_step="run it again on an idle machine, or with a lower rate")
    least = min((each.sent / each.due for each in reached), default=1.0)
    return Check(DEMAND, "pass", f"at least {show_share(least)} of each level's requests were sent in time")
