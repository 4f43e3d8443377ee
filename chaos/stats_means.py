"""Intervals for a mean of few, skewed, positive times (outages, recoveries), and for rates and shares. Pure and seeded.

The rule for a mean of n values is one, and depends on n alone:

    n >= 8        log-scale bootstrap-t       the default
    5 <= n < 8    the wider of that and t     each alone is too sure of a mixture's mean; "too few" is said beside the interval
    2 <= n < 5    t on the log scale          the bootstrap is wild there; "too few" likewise
    n = 1         no interval

Log-scale bootstrap-t (Efron & Tibshirani 1993, section 12.5, on ln of the mean, whose standard error is cv / sqrt(n) by the delta
method): t* = ln(m*/m) / (cv*/sqrt(n)) over resamples; the interval is m exp(-t*_hi cv/sqrt(n)) .. m exp(-t*_lo cv/sqrt(n)). It is
positive and follows the skew. Its simulated 95 % coverage is stated, and tested, for exponential, lognormal and mixed times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.results import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE: Final = 0.95
FEW: Final = 8
"""Below so many values an interval of their mean is given, and called too few."""
RESAMPLED: Final = 5
"""Below so many values resamples repeat one value too often to say anything."""
MANY: Final = 400
"""Above so many the resamples would cost time and change nothing: t on the log scale is used."""
RESAMPLES: Final = 1999
WILD: Final = 1000.0
"""An upper bound of so many times the mean says nothing: it is given as none."""

BOOTSTRAP: Final = "log-scale bootstrap-t"
T_ON_LOG: Final = "t on the log scale"
WIDER: Final = "the wider of t and bootstrap-t on the log scale"

Interval = tuple[float | None, float | None]
"""Low and high; None where there is no such bound."""


def mean(
    values: Sequence[float],
    seed: int,
    resolution_s: float = 0.0,
    at_least: int = 0,
    parts: Sequence[int] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The mean of independent times, in s. ``resolution_s`` is the slot width that they were measured with: spread below it is not
    believed. ``at_least`` of the values are only known to be at least so long (censored): then the mean has no upper bound.

    ``parts``: how many times each value is the sum of. The mean is then per part, but only the values are independent: outages
    that flap after one fault are one piece of evidence, not many.
    """
    count = len(values)
    if not count:
        return Estimate(value=None, confidence=confidence, n=0, reason="nothing to take a mean of")
    sums = np.asarray(values, dtype=np.float64)
    sizes = np.ones(count) if parts is None else np.asarray(parts, dtype=np.float64)
    middle = math.fsum(values) / float(sizes.sum())
    low, high, method = interval_of_mean(sums, seed, resolution_s, sizes, confidence)
    reasons = [f"too few: {count} of at least {FEW}"] if count < FEW else []
    if count > 1 and high is None:
        reasons.append("too uneven for an upper bound" if middle else "all are zero: no bound on what was not seen")
    if at_least:
        high = None
        reasons.append(f"{at_least} not over at the end of the run, counted as long as seen")
    return Estimate(middle, low, high, confidence, count, method, "; ".join(reasons))


def interval_of_mean(
    values: NDArray[np.float64],
    seed: int,
    resolution_s: float = 0.0,
    parts: NDArray[np.float64] | None = None,
    confidence: float = CONFIDENCE,
) -> tuple[float | None, float | None, str]:
    """Low, high and the method. Zeros are values like others; a bound that they leave open is None."""
    count = len(values)
    sizes = np.ones(count) if parts is None else parts
    if count < 2:
        return None, None, "one value has no interval"
    middle, error = (float(each[0]) for each in _log_mean(values[None, :], sizes[None, :]))
    if middle <= 0:
        return 0.0, None, T_ON_LOG
    # Two edges, each uniform within half a slot: the mean square error of a duration is slot^2 / 6, whatever the values show.
    floor = resolution_s / math.sqrt(6) / (middle * float(sizes.mean()) * math.sqrt(count))
    reach = _t_quantile(count - 1, confidence) * max(error, floor)
    low, high = middle * math.exp(-reach), _finite(middle, reach)
    if not (RESAMPLED <= count <= MANY and error > floor):
        return low, high, T_ON_LOG
    bottom, top = _bootstrap_t(values, sizes, seed, middle, error, confidence)
    if count >= FEW:
        return bottom, top, BOOTSTRAP
    return min(low, bottom or 0.0), None if high is None or top is None else max(high, top), WIDER


def _log_mean(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each row: sum over parts, and the standard error of its logarithm (delta method; cv / sqrt(n) where each value is one part)."""
    count = sums.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        middles = sums.sum(axis=1) / sizes.sum(axis=1)
        rests = sums - middles[:, None] * sizes
        spreads = np.sqrt(np.einsum("ij,ij->i", rests, rests) / (count - 1))
        return middles, spreads / (middles * sizes.mean(axis=1) * math.sqrt(count))


def _bootstrap_t(
    values: NDArray[np.float64], sizes: NDArray[np.float64], seed: int, middle: float, error: float, confidence: float
) -> Interval:
    count = len(values)
    # A stricter confidence needs more resamples: ten or more beyond each of its quantiles.
    resamples = max(RESAMPLES, math.ceil(20 / (1 - confidence)) - 1)
    drawn = np.random.default_rng(seed).integers(0, count, size=(resamples, count))
    middles, errors = _log_mean(values[drawn], sizes[drawn])
    with np.errstate(divide="ignore", invalid="ignore"):
        # A resample of one value repeated has no spread, one of zeros has no logarithm: both are as extreme as can be.
        t = np.log(middles / middle) / errors
    t = np.where((middles == 0) | (np.isnan(t) & (middles < middle)), -np.inf, np.where(np.isnan(t), np.inf, t))
    t.sort()
    cut = int((1 - confidence) / 2 * (resamples + 1) + 1e-9)
    t_low, t_high = float(t[cut - 1]), float(t[resamples - cut])
    low = 0.0 if math.isinf(t_high) else middle * math.exp(-t_high * error)
    return low, None if math.isinf(t_low) else _finite(middle, -t_low * error)


def _finite(middle: float, exponent: float) -> float | None:
    return middle * math.exp(exponent) if exponent < math.log(WILD) else None


def _t_quantile(freedom: int, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def share(hits: int, trials: int) -> Estimate:
    """A share of independent trials, with the exact interval of Clopper and Pearson (1934)."""
    if not trials:
        return Estimate(value=None, confidence=CONFIDENCE, n=0, reason="no fault took effect")
    low, high = clopper_pearson(hits, trials)
    reason = f"too few: {trials} of at least {FEW}" if trials < FEW else ""
    return Estimate(hits / trials, low, high, CONFIDENCE, trials, "Clopper-Pearson", reason)


def clopper_pearson(hits: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a share, 95 % unless told."""
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, trials - hits + 1, tail))
    high = 1.0 if hits == trials else float(betaincinv(hits + 1, trials - hits, 1 - tail))
    return low, high


def poisson_rate(events: int, exposure_s: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval, 95 % unless told, (1/s) of the rate of events that came by themselves in a time fixed beforehand: chi-square with 2r
    and 2r + 2 degrees of freedom (NIST/SEMATECH e-Handbook 8.4.5.1)."""
    from scipy.special import gammaincinv

    tail = (1 - confidence) / 2
    low = float(gammaincinv(events, tail)) if events else 0.0
    return low / exposure_s, float(gammaincinv(events + 1, 1 - tail)) / exposure_s
