"""Intervals for ratios in time: availability, and shares of slots that are anything but independent.

A slot in an outage is bad because its neighbours are, so a binomial interval on slots is far too narrow (with outages of 200 slots
it covers the truth in 7 % of runs). Here the slots are cut into blocks longer than the longest outage; the spread of the block
means gives the *effective* number of independent slots, and that goes into Wilson's interval (1927) with Student's t in place of
the normal quantile, for the few blocks there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.errors import BadInput
from chaos.results import Estimate
from chaos.stats_means import CONFIDENCE, FEW, interval_of_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCKS: Final = 64
"""As many blocks as this if outages are short enough; never fewer than ``FEWEST``."""
FEWEST: Final = 5


def slot_ratio(
    hits: NDArray[np.bool_], counted: NDArray[np.bool_], slot_s: float, longest_s: float, confidence: float = CONFIDENCE
) -> Estimate:
    """The share of ``hits`` among the ``counted`` slots of a grid, in order of due time. ``longest_s``: the longest outage."""
    total = int(np.count_nonzero(counted))
    if not total:
        return Estimate(value=None, confidence=confidence, n=0, reason="no slot was sent in time")
    value = int(np.count_nonzero(hits & counted)) / total
    blocks = min(BLOCKS, int(len(hits) * slot_s / max(1.5 * longest_s, slot_s)))
    if blocks < FEWEST:
        reason = f"the run is too short for an interval: outages of up to {longest_s:.3g} s"
        return Estimate(value, None, None, confidence, total, "", reason)
    method = f"Wilson on effective slots, {blocks} blocks of {len(hits) * slot_s / blocks:.3g} s"
    starts = np.linspace(0, len(hits), blocks, endpoint=False).astype(np.int64)
    sizes = np.add.reduceat(counted.astype(np.int64), starts)
    sums = np.add.reduceat((hits & counted).astype(np.int64), starts)
    # Ratio estimator: blocks may hold different numbers of slots that count.
    variance = float(np.sum((sums - value * sizes) ** 2)) / total**2 * blocks / (blocks - 1)
    if value in (0.0, 1.0) or variance <= 0:
        reason = "every slot was alike: how independent they are cannot be told"
        low, high = (None, 1.0) if value == 1.0 else (0.0, None) if value == 0.0 else (None, None)
        return Estimate(value, low, high, confidence, total, method, reason)
    effective = min(value * (1 - value) / variance, float(total))
    low, high = _wilson(value, effective, _quantile(blocks - 1, confidence))
    return Estimate(value, low, high, confidence, max(round(effective), 1), method)


def _wilson(value: float, count: float, z: float) -> tuple[float, float]:
    middle = (value + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(value * (1 - value) / count + z * z / (4 * count * count))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _quantile(freedom: int, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def scheduled_availability(
    downs_s: Sequence[float], downtime_s: float, span_s: float, seed: int, slot_s: float, confidence: float = CONFIDENCE
) -> Estimate:
    """Up time over time, where the number of outages is the schedule's doing: only their mean is uncertain.
    ``downs_s``: how much was seen of the outages of each fault that had any, and of each outage that came by itself."""
    value = 1 - downtime_s / span_s
    count = len(downs_s)
    if not count:
        return Estimate(value, None, 1.0, confidence, 0, "", "no outage was seen: no bound below")
    low_s, high_s, method = interval_of_mean(np.asarray(downs_s, dtype=np.float64), seed, slot_s, confidence=confidence)
    if low_s is None:
        return Estimate(value, None, None, confidence, count, "", "one outage has no interval")
    low = 0.0 if high_s is None else max(1 - count * high_s / span_s, 0.0)
    return Estimate(value, low, 1 - count * low_s / span_s, confidence, count, f"of the mean outage: {method}", _few(count))


def natural_availability(
    ups_s: Sequence[float], downs_s: Sequence[float], downtime_s: float, span_s: float, confidence: float = CONFIDENCE
) -> Estimate:
    """Up time over time, where outages came by themselves: log-odds of the down share with the spread of both up and down times."""
    value = 1 - downtime_s / span_s
    count = len(downs_s)
    if not count:
        return Estimate(value, None, 1.0, confidence, 0, "", "no outage was seen: no bound below")
    if count < 2 or len(ups_s) < 2 or downtime_s <= 0 or value <= 0:
        return Estimate(value, None, None, confidence, count, "", "one outage has no interval")
    error = _quantile(count - 1, confidence) * math.sqrt((_cv(ups_s) ** 2 + _cv(downs_s) ** 2) / count)
    odds = math.log((1 - value) / value)
    low, high = (1 / (1 + math.exp(min(odds + sign * error, 700.0))) for sign in (1, -1))
    return Estimate(value, low, high, confidence, count, "log-odds, spread of up and down times", _few(count))


def _few(count: int) -> str:
    return f"too few: {count} of at least {FEW}" if count < FEW else ""


def _cv(values: Sequence[float]) -> float:
    many = np.asarray(values, dtype=np.float64)
    middle = float(many.mean())
    return float(many.std(ddof=1)) / middle if middle > 0 else 0.0


def f_interval(cycles: int, up_s: float, down_s: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of an availability from so many complete cycles, where up and down times are *known* to be exponential
    (Trivedi 2001, example 10.27): 1 / (1 + g F) with g = down / up and quantiles of F with 2n and 2n degrees of freedom.

    The default is ``natural_availability``, which does not need to know that.
    """
    from scipy.special import fdtri

    if cycles < 1 or not (up_s > 0 and down_s > 0 and math.isfinite(up_s + down_s)):
        raise BadInput(f"{cycles} cycles of {up_s} s up and {down_s} s down", right="at least one, with times above 0")
    tail, odds = (1 - confidence) / 2, down_s / up_s
    low, high = (1 / (1 + odds * float(fdtri(2 * cycles, 2 * cycles, share))) for share in (1 - tail, tail))
    return low, high
