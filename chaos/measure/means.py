"""Intervals for a mean of few, skewed, positive times (outages, recoveries), and for rates and shares. Pure and seeded.

The rule for a mean of n values is one, and depends on n alone:

    n >= 8        log-scale bootstrap-t       the default
    2 <= n < 8    t on the log scale          the bootstrap is wild there; "too few" is said beside the interval
    n = 1         no interval

Log-scale bootstrap-t (Efron & Tibshirani 1993, section 12.5, on ln of the mean, whose standard error is cv / sqrt(n) by the delta
method): t* = ln(m*/m) / (cv*/sqrt(n)) over resamples; the interval is m exp(-t*_hi cv/sqrt(n)) .. m exp(-t*_lo cv/sqrt(n)). It is
positive and follows the skew. Few skewed values look less skewed than their law: the upper end at a tail of 2.5 % is passed by the
truth in 4 to 8 % of samples. So the upper end takes 0.4 of its tail (``UPPER``), which simulation shows to be about right.

No resampling finds a kind of outage that the sample does not hold. Of n faults the chance to miss a kind that has a share p of them
is (1-p)^n, so with 99 % confidence a kind not seen has a share of at most u = 1 - 0.01^(1/n). As long as u is above a tenth (n < 44)
the upper end allows for one: a share u of the outages may last ``LONGER`` times the mean of those seen. So intervals hold for
mixtures in which the rare kind is at least one outage in ten and at most twelve times as long as the mean of the others; from 44
outages on such a kind has been seen. Of a rarer kind nothing is promised. Likewise a share u of faults may go unnoticed though none
of the sample did. Coverage, simulated: docs/measuring.md and ``bench.coverage``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.measure import student
from chaos.results.observed import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CONFIDENCE: Final = 0.95
FEW: Final = 8
"""Below so many values an interval of their mean is given, and called too few."""
MANY: Final = 400
"""Above so many the resamples would cost time and change nothing: t on the log scale is used."""
RESAMPLES: Final = 1999
WILD: Final = 1000.0
"""An upper bound of so many times the mean says nothing: it is given as none."""
UPPER: Final = 0.4
"""The part of its tail that the upper end takes."""
RARE: Final = 0.1
"""The share of a rare kind of outage that intervals must stand."""
MISSED: Final = 0.01
"""The chance to have missed a kind that rare."""
LONGER: Final = 12.0
"""How many times as long as those seen the outages of a kind not seen may be."""

BOOTSTRAP: Final = "log-scale bootstrap-t"
T_ON_LOG: Final = "t on the log scale"
UNSEEN: Final = "upper end allowing for a kind of outage not seen"


def mean(
    values: Sequence[float],
    seed: int,
    resolution_s: float = 0.0,
    at_least: int = 0,
    parts: Sequence[int] | None = None,
    confidence: float = CONFIDENCE,
    zeros: bool = False,
) -> Estimate:
    """The mean of independent times, in s. ``resolution_s`` is the slot width that they were measured with: spread below it is not
    believed. ``at_least`` of the values are only known to be at least so long (censored): then the mean has no upper bound.

    ``parts``: how many times each value is the sum of. The mean is then per part, but only the values are independent: outages
    that flap after one fault are one piece of evidence, not many. ``zeros``: a value may be 0, see ``interval_of_mean``.
    """
    count = len(values)
    if not count:
        return Estimate(value=None, confidence=confidence, n=0, reason="nothing to take a mean of")
    sums = np.asarray(values, dtype=np.float64)
    sizes = np.ones(count) if parts is None else np.asarray(parts, dtype=np.float64)
    middle = math.fsum(values) / float(sizes.sum())
    low, high, method = interval_of_mean(sums, seed, resolution_s, sizes, confidence, zeros)
    reasons = [few(count)] if count < FEW else []
    if count > 1 and high is None:
        reasons.append("too uneven for an upper bound" if middle else "all are zero: no bound on what was not seen")
    if at_least:
        high = None
        reasons.append(f"{at_least} not over at the end of the run, counted as long as seen")
    return Estimate(middle, low, high, confidence, count, method, "; ".join(reasons))


def few(count: int) -> str:
    """The words beside an interval of so few values; empty from ``FEW`` on."""
    return f"too few: {count} of at least {FEW}" if count < FEW else ""


def unseen_share(count: int) -> float:
    """The share of all faults that a kind of outage may have of which so many faults showed none: 1 - 0.01^(1/n).

    0 once that is at most ``RARE``: a rarer kind is not promised for.
    """
    most = -math.expm1(math.log(MISSED) / max(count, 1))
    return most if most > RARE else 0.0


def interval_of_mean(
    values: Floats,
    seed: int,
    resolution_s: float = 0.0,
    parts: Floats | None = None,
    confidence: float = CONFIDENCE,
    zeros: bool = False,
) -> tuple[float | None, float | None, str]:
    """Low, high and the method. Zeros are values like others; a bound that they leave open is None.

    ``zeros``: a value may be 0 (a fault that comes to nothing) even if none of the sample is: the lower end allows for so many."""
    count = len(values)
    sizes = np.ones(count) if parts is None else parts
    if count < 2:
        return None, None, "one value has no interval"
    middle, error = _log_mean(values, sizes)
    if middle <= 0:
        return 0.0, None, T_ON_LOG
    tail = (1 - confidence) / 2
    # Two edges, each uniform within half a slot: the mean square error of a duration is slot^2 / 6, whatever the values show.
    floor = resolution_s / math.sqrt(6) / (middle * float(sizes.mean()) * math.sqrt(count))
    width = max(error, floor)
    low = middle * math.exp(-student.quantile(count - 1, 1 - tail) * width)
    high = _finite(middle, student.quantile(count - 1, 1 - (tail if count < FEW else UPPER * tail)) * width)
    method = T_ON_LOG
    if FEW <= count <= MANY and error > floor:
        # Where one value makes the mean too many resamples lack it to say anything: t does.
        bottom, top = _bootstrap_t(values, sizes, seed, confidence)
        low, high, method = low if bottom is None else bottom, high if top is None else top, BOOTSTRAP
    noticed = int(np.count_nonzero(values))
    allowed = middle * (1 + unseen_share(noticed) * (LONGER - 1))
    if high is not None and high < allowed:
        high, method = allowed, f"{method}, {UNSEEN}"
    if zeros and noticed == count:
        low = min(low, middle * (1 - unseen_share(count)))
    return low, high, method


def possible_means(values: Floats, seed: int, ranks: Floats, resolution_s: float = 0.0) -> Floats:
    """What the true mean may be: its confidence distribution at these ranks (each in (0, 1)), infinite where nothing bounds it.

    Its 2.5 % and 97.5 % points are the ends of ``interval_of_mean``, zeros allowed for. One value is taken as exponential: B / Gamma(1).
    Not of zeros only.
    """
    from scipy.special import stdtrit

    count = len(values)
    middle = float(values.mean())
    if count == 1:
        return np.asarray(middle / -np.log(ranks), dtype=np.float64)
    low, high, _ = interval_of_mean(values, seed, resolution_s, zeros=True)
    _, error = _log_mean(values, np.ones(count))
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    scores = stdtrit(count - 1, (np.arange(RESAMPLES) + 0.5) / RESAMPLES)
    if FEW <= count <= MANY and error > 0:
        found = -_scores(values, np.ones(count), seed, RESAMPLES)[::-1]
        if np.isfinite(found[[int(tail * RESAMPLES) for tail in tails]]).all():
            scores = found
    at = [float(scores[int(tail * RESAMPLES)]) for tail in tails]
    drawn = scores[(ranks * RESAMPLES).astype(np.int64)]
    # Each side is stretched to its end.
    down = math.log(middle / low) / -at[0] if low and at[0] < 0 else error
    up = math.log(high / middle) / at[1] if high is not None and at[1] > 0 else math.inf
    with np.errstate(over="ignore", invalid="ignore"):
        means = middle * np.exp(np.where(drawn < 0, drawn * down, np.where(drawn > 0, drawn * up, 0.0)))
    return np.where(means > WILD * middle, math.inf, means)


def _log_mean(sums: Floats, sizes: Floats) -> tuple[float, float]:
    """Sum over parts, and the standard error of its logarithm (delta method; cv / sqrt(n) where each value is one part)."""
    count = len(sums)
    middle = float(sums.sum() / sizes.sum())
    if middle <= 0:
        return middle, 0.0
    rests = sums - middle * sizes
    spread = math.sqrt(float(rests @ rests) / (count - 1))
    return middle, spread / (middle * float(sizes.mean()) * math.sqrt(count))


@lru_cache(maxsize=4)
def _picks(count: int, resamples: int, seed: int) -> Floats:
    """How often each value is in each resample: one row a resample."""
    drawn = np.random.default_rng(seed).integers(0, count, size=(resamples, count))
    drawn += np.arange(resamples)[:, None] * count
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count).astype(np.float64)


def _scores(values: Floats, sizes: Floats, seed: int, resamples: int) -> Floats:
    """t* of each resample, ascending; infinite where it is as extreme as can be."""
    count = len(values)
    middle = float(values.sum() / sizes.sum())
    picks = _picks(count, resamples, seed)
    rests = values - middle * sizes  # about 0, so that squares lose no digits
    parts = picks @ np.column_stack((sizes, rests, rests * rests, rests * sizes, sizes * sizes, values != 0))
    wholes, off, squares, cross, wide, noticed = parts.T
    shift = off / wholes
    middles = np.where(noticed > 0, middle + shift, 0.0)
    spreads = np.sqrt(np.maximum(squares - 2 * shift * cross + shift * shift * wide, 0.0) / (count - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = spreads * math.sqrt(count) / (middles * wholes)
        # A resample of one value repeated has no spread, one of zeros has no logarithm: both are as extreme as can be.
        t = np.log(middles / middle) / np.where(errors > 1e-9, errors, 0.0)
    t = np.where((middles <= 0) | (np.isnan(t) & (middles < middle)), -np.inf, np.where(np.isnan(t), np.inf, t))
    t.sort()
    return np.asarray(t, dtype=np.float64)


def _bootstrap_t(values: Floats, sizes: Floats, seed: int, confidence: float) -> tuple[float | None, float | None]:
    # A stricter confidence needs more resamples: some beyond each of its quantiles.
    resamples = max(RESAMPLES, math.ceil(40 / (1 - confidence)) - 1)
    middle, error = _log_mean(values, sizes)
    t = _scores(values, sizes, seed, resamples)
    tail = (1 - confidence) / 2 * (resamples + 1) + 1e-9
    t_low, t_high = float(t[max(int(UPPER * tail), 1) - 1]), float(t[resamples - max(int(tail), 1)])
    low = None if math.isinf(t_high) else middle * math.exp(-t_high * error)
    return low, None if math.isinf(t_low) else _finite(middle, -t_low * error)


def _finite(middle: float, exponent: float) -> float | None:
    return middle * math.exp(exponent) if exponent < math.log(WILD) else None


def share(hits: int, trials: int) -> Estimate:
    """A share of independent trials, with the exact interval of Clopper and Pearson (1934)."""
    if not trials:
        return Estimate(value=None, confidence=CONFIDENCE, n=0, reason="no fault took effect")
    low, high = clopper_pearson(hits, trials)
    return Estimate(hits / trials, low, high, CONFIDENCE, trials, "Clopper-Pearson", few(trials))


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
