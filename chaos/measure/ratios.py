"""Intervals for ratios in time: availability, and shares of slots that are anything but independent.

A slot in an outage is bad because its neighbours are, so a binomial interval on slots is far too narrow (with outages of 200 slots
it covers the truth in 7 % of runs). What is independent are the cycles: from one fault taking effect to the next, or, where nothing
was injected, from one outage to the next. Each cycle has so much downtime (or so many bad slots), and the interval is that of their
mean, by the one rule of ``means``:

    scheduled faults    how many there are is known, whether clients notice one is not: the mean over all of them, zeros included
    by themselves       up times are as random as down times: the mean odds, downtime over up time, of all cycles (ratio estimator)

So a fault that comes to nothing counts, the value stays inside [0, 1], and an outage is never cut in two. What comes by itself in a
run with faults counts to the cycle in which it began.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.measure.means import CONFIDENCE, few, interval_of_mean
from chaos.results.observed import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CALM: Final = 20
"""Bad slots with fewer good ones than this between them belong to one disturbance."""
ONE: Final = "one outage has no interval"


def slot_ratio(
    hits: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    slot_s: float,
    longest_s: float,
    confidence: float = CONFIDENCE,
    begins: Sequence[int] | None = None,
    seed: int = 0,
) -> Estimate:
    """The share of ``hits`` among the ``counted`` slots of a grid, in order of due time.

    ``begins``: the slots at which scheduled faults took effect, ascending; None without faults: cycles then begin where bad slots do.
    ``longest_s``: the longest outage; good slots for less than half of it, between bad ones, do not make two disturbances of one.
    """
    total = int(np.count_nonzero(counted))
    if not total:
        return Estimate(value=None, confidence=confidence, n=0, reason="no slot was sent in time")
    value = int(np.count_nonzero(hits & counted)) / total
    if value in (0.0, 1.0):
        reason = "every slot was alike: how independent they are cannot be told"
        low, high = (None, 1.0) if value == 1.0 else (0.0, None)
        return Estimate(value, low, high, confidence, len(begins or ()), "", reason)
    bad = counted & ~hits
    if begins is not None:
        sums = _sums(bad, np.asarray(begins, dtype=np.int64))
        return _scheduled(value, sums, total / len(sums), seed, 1.0, confidence, "bad slots")
    disturbed = _disturbances(bad, max(CALM, round(longest_s / slot_s / 2)))
    return _natural(value, _sums(bad, disturbed), _sums(counted & hits, disturbed), seed, 1.0, confidence)


def _disturbances(bad: NDArray[np.bool_], calm: int) -> NDArray[np.int64]:
    """The first slot of each: a bad one after so many that were not."""
    places = np.flatnonzero(bad)
    found: NDArray[np.int64] = places[np.diff(places, prepend=-calm - 1) > calm]
    return found


def _sums(flags: NDArray[np.bool_], begins: NDArray[np.int64]) -> Floats:
    """How many are set in each cycle. What comes before the first belongs to the last: both are cut off by the run."""
    if not len(begins):
        return np.zeros(0)
    running = np.concatenate(([0], np.cumsum(flags)))
    edges = running[np.append(np.minimum(begins, len(flags)), len(flags))]
    sums: Floats = np.diff(edges).astype(np.float64)
    sums[-1] += edges[0]
    return sums


def scheduled_availability(
    downs_s: Sequence[float],
    downtime_s: float,
    span_s: float,
    seed: int,
    slot_s: float,
    confidence: float = CONFIDENCE,
    faults: int | None = None,
) -> Estimate:
    """Up time over time, where the number of faults is the schedule's doing: their mean downtime is uncertain, zeros included.
    ``downs_s``: how much was seen in the cycle of each effective fault, 0 for one that clients did not notice.
    ``faults``: how many there were, if of some it cannot be told what clients saw."""
    sums = np.asarray(downs_s, dtype=np.float64)
    return _scheduled(1 - downtime_s / span_s, sums, span_s / max(faults or len(sums), 1), seed, slot_s, confidence, "downtime")


def _scheduled(value: float, sums: Floats, cycle: float, seed: int, resolution: float, confidence: float, what: str) -> Estimate:
    """``cycle``: how long one is on average, in the unit of the sums."""
    count = len(sums)
    if not sums.any():
        return Estimate(value, None, 1.0, confidence, count, "", "no outage was seen: no bound below")
    low, high, method = interval_of_mean(sums, seed, resolution, confidence=confidence, zeros=True)
    if low is None:
        return Estimate(value, None, None, confidence, count, "", "one fault has no interval")
    least = None if high is None else max(1 - high / cycle, 0.0)
    reasons = [few(count), "" if high is not None else "too uneven for a bound below"]
    reason = "; ".join(each for each in reasons if each)
    return Estimate(value, least, max(1 - low / cycle, 0.0), confidence, count, f"of the mean {what} of all faults: {method}", reason)


def natural_availability(
    ups_s: Sequence[float],
    downs_s: Sequence[float],
    downtime_s: float,
    span_s: float,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    slot_s: float = 0.0,
) -> Estimate:
    """Up time over time, where outages came by themselves: odds of being down, with the spread of both up and down times.
    The up times before the first outage and after the last, both cut off by the run, make one."""
    value = 1 - downtime_s / span_s
    count = len(downs_s)
    if not count:
        return Estimate(value, None, 1.0, confidence, 0, "", "no outage was seen: no bound below")
    ups = np.zeros(count)
    ups[: min(count, len(ups_s))] = ups_s[:count]
    ups[0] += math.fsum(ups_s[count:])
    return _natural(value, np.asarray(downs_s, dtype=np.float64), ups, seed, slot_s, confidence)


def _natural(value: float, downs: Floats, ups: Floats, seed: int, resolution: float, confidence: float) -> Estimate:
    count = len(downs)
    if count < 2 or not (downs.any() and ups.any()):
        return Estimate(value, None, None, confidence, count, "", ONE)
    least, most, method = interval_of_mean(downs, seed, resolution, ups, confidence)
    low = None if most is None else 1 / (1 + most)
    high = 1.0 if least is None else 1 / (1 + least)
    reasons = [few(count), "" if low is not None else "too uneven for a bound below"]
    return Estimate(
        value, low, high, confidence, count, f"odds of outages and the times between: {method}", "; ".join(each for each in reasons if each)
    )
