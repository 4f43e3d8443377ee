"""Maintainability as it is meant: the distribution of repairs, M(t) = P(an outage is over within t). Never downtime over uptime.

By Kaplan and Meier's product limit: an outage whose end was not seen counts as under repair for as long as it was seen, and then
leaves the sample. Quantiles are the least times at which M reaches them; where censoring keeps M below, there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.measure.means import CONFIDENCE, clopper_pearson, few
from chaos.results.observed import Estimate, Maintainability


def maintainability(lengths_s: Sequence[float], over: Sequence[bool], objective_s: float | None) -> Maintainability | None:
    """From the outages' lengths as far as seen, and whether the end of each was seen; None without an outage."""
    if not lengths_s:
        return None
    steps = _product_limit(lengths_s, over)
    completed = sum(over)
    reasons = [few(completed)] if few(completed) else []
    if completed < len(lengths_s):
        reasons.append(f"{len(lengths_s) - completed} not seen from begin to end, counted as long as seen")
    return Maintainability(
        n=len(lengths_s),
        completed=completed,
        median_s=_quantile(steps, 0.5),
        p95_s=_quantile(steps, 0.95),
        objective_s=objective_s,
        within=_within(lengths_s, over, objective_s),
        reason="; ".join(reasons),
    )


def _product_limit(lengths_s: Sequence[float], over: Sequence[bool]) -> list[tuple[float, float]]:
    """(time, M there), at each time at which an outage ended."""
    open_share, left, steps = 1.0, len(lengths_s), []
    for at_s in sorted(set(lengths_s)):
        ended = sum(length_s == at_s and is_over for length_s, is_over in zip(lengths_s, over, strict=True))
        if ended:
            open_share *= 1 - ended / left
            steps.append((at_s, 1 - open_share))
        left -= sum(length_s == at_s for length_s in lengths_s)
    return steps


def _quantile(steps: Sequence[tuple[float, float]], share: float) -> float | None:
    return next((at_s for at_s, done in steps if done >= share - 1e-12), None)


def _within(lengths_s: Sequence[float], over: Sequence[bool], objective_s: float | None) -> Estimate:
    """M(objective) with Clopper and Pearson's interval, over those outages of which it is known."""
    if objective_s is None:
        return Estimate(value=None, reason="the experiment sets no limit on repairs")
    known = [length_s <= objective_s for length_s, is_over in zip(lengths_s, over, strict=True) if is_over or length_s > objective_s]
    if not known:
        return Estimate(value=None, confidence=CONFIDENCE, reason="no outage was seen long enough to tell")
    low, high = clopper_pearson(sum(known), len(known))
    return Estimate(sum(known) / len(known), low, high, CONFIDENCE, len(known), "Clopper-Pearson", few(len(known)))
