"""Looking at a run while it goes on, and stopping when it is decided, without looking inflating the chance to be wrong.

Errors are *spent* over the looks (Lan & DeMets 1983): after m of at most M faults a share s(m/M) of the allowed error may be used up,
s(t) = ln(1 + (e - 1) t), which lets a clear case stop early (like Pocock's boundaries). Neither the number of looks nor their times
need be fixed; they must only not depend on what was seen, and a look comes after every round of the plan's faults.

* **Agreement.** The predicted law of the total downtime after each look is known exactly, so the boundaries are computed, not
  bounded: the mass that has crossed no boundary yet is carried from look to look (convolved with the law of the faults in
  between), and each boundary takes just what the spending allows. ``inconsistent``: the total leaves the band of error 0.04 under
  the prediction. ``consistent``: the total B keeps the interval [B/upper, B/lower] of true over predicted, each side of error
  0.05, inside [1/d, d]. So a right prediction is called inconsistent in at most 5 % of sequences, and one that is off by the
  margin d (in the predicted shape) is called consistent in at most 5 %.
* **Claims** know no law. Look k is given an interval at confidence 1 - 0.02 (s(t_k) - s(t_k-1)): by the union bound all looks
  together err as seldom as each interval keeps its promise. That of a skewed law is broken too often while few are seen, so nothing
  is claimed of fewer than twenty faults. And a rare kind of outage may not have come yet: before 44 outages every look's interval
  allows for one (``measure.means``). Its 0.01 is not spent over the looks and need not be: that none of the first n was of that kind
  can only become less likely with n, so looking often adds nothing to it.

A prediction whose parameters were measured has a common uncertain factor; the bands are then those of the mixture over it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.judge.downtime_sums import common_factors, fast_length

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVEL: Final = 0.05
"""Each side of the interval of true over predicted."""
DIFFERENT: Final = 0.04
"""Both sides of ``inconsistent`` together: the boundaries take all that they may, so this leaves the promised 0.05 some room."""
CLAIMED: Final = 0.02
"""Both sides of a claim: intervals from a few dozen heavy-tailed values err more often than they say, and 0.05 is what is promised."""
CLAIM_LEAST: Final = 20
"""Fewer faults than this and a look claims nothing."""
GRID: Final = 1 << 16
"""Points of a sum's grid at most: the whole is computed once a look."""


def spent(share: float) -> float:
    """The part of the allowed error that may be used up by this share of all faults: from 0 at 0 to 1 at 1."""
    return math.log1p((math.e - 1.0) * min(max(share, 0.0), 1.0))


def spending(faults: Sequence[int], most: int) -> list[float]:
    """The part of the allowed error that each look may use, given how many faults there were by then; they sum to at most 1."""
    gone = [spent(count / max(most, 1)) for count in faults]
    return [max(0.0, now - before) for before, now in zip([0.0, *gone[:-1]], gone, strict=True)]


class Band(msgspec.Struct, frozen=True):
    """At one look, the totals between which nothing is decided: below ``low_s`` or above ``high_s`` the boundary is crossed."""

    low_s: float
    high_s: float


def bands(increments: Sequence[Sequence[tuple[Floats, int]]], most: int, error: float, slot_s: float, spread: float = 0.0) -> list[Band]:
    """The band of each look for the total downtime under the prediction; each *side* is left with chance ``error`` in all.

    ``increments``: for each look, what came since the one before, as (draws of one fault's downtime in s, how many such faults).
    ``spread``: coefficient of variation of the factor that all outages share (``downtime_sums.common_factors``).
    """
    import numpy as np

    factors = common_factors(spread)
    step_s = _step_s(increments, slot_s, [factor for _, factor in factors])
    counts = [sum(count for _, count in kinds) for kinds in increments]
    parts = spending(list(np.cumsum(counts)), most)
    # Two walks, one for each side: a side's promise must not lean on the other side having stopped the run.
    below = [np.ones(1) for _ in factors]
    above = [np.ones(1) for _ in factors]
    found = []
    for kinds, part in zip(increments, parts, strict=True):
        laws = [_law(kinds, step_s / factor) for _, factor in factors]
        below, above = ([_convolved(mass, law) for mass, law in zip(side, laws, strict=True)] for side in (below, above))
        allowed = error * part
        under = np.cumsum(_mixed(below, factors))
        low = int(np.searchsorted(under, allowed, side="right"))
        over = np.cumsum(_mixed(above, factors)[::-1])
        high = len(over) - 1 - int(np.searchsorted(over, allowed, side="right"))
        for mass in below:
            mass[:low] = 0.0
        for mass in above:
            mass[high + 1 :] = 0.0
        found.append(Band(low * step_s, high * step_s))
    return found


def _convolved(mass: Floats, law: Floats) -> Floats:
    """The mass of the sum of two independent totals on one grid."""
    import numpy as np

    size = len(mass) + len(law) - 1
    length = fast_length(size)
    found: Floats = np.maximum(np.fft.irfft(np.fft.rfft(mass, length) * np.fft.rfft(law, length), length)[:size], 0.0)
    return found


def _mixed(sides: Sequence[Floats], factors: Sequence[tuple[float, float]]) -> Floats:
    """The weighted sum of masses on one grid, of different lengths."""
    import numpy as np

    total = np.zeros(max(len(each) for each in sides))
    for mass, (weight, _) in zip(sides, factors, strict=True):
        total[: len(mass)] += weight * mass
    return total


def _step_s(increments: Sequence[Sequence[tuple[Floats, int]]], slot_s: float, factors: Sequence[float]) -> float:
    import numpy as np

    draws = [each for kinds in increments for each, _ in kinds]
    reach_s = max(factors) * sum(float(each.max(initial=0.0)) * count for kinds in increments for each, count in kinds)
    on_slots = len(factors) == 1 and all(np.allclose(each / slot_s, np.rint(each / slot_s), atol=1e-6, rtol=0) for each in draws)
    return slot_s if on_slots and reach_s / slot_s <= GRID else max(reach_s / GRID, 1e-9)


def _law(kinds: Sequence[tuple[Floats, int]], step_s: float) -> Floats:
    """Probabilities of the sum of these faults, on the grid."""
    import numpy as np

    places = [(np.rint(draws / step_s).astype(np.int64), count) for draws, count in kinds if count > 0]
    size = sum(int(each.max(initial=0)) * count for each, count in places) + 1
    length = fast_length(size)
    spectrum = np.ones(length // 2 + 1, dtype=np.complex128)
    for each, count in places:
        spectrum *= np.fft.rfft(np.bincount(each, minlength=length) / len(each)) ** count
    mass = np.maximum(np.fft.irfft(spectrum, length)[:size], 0.0)
    result: Floats = mass / mass.sum()
    return result


class Look(msgspec.Struct, frozen=True):
    """What was said of the agreement at one look; ``low`` and ``high``: the interval of true over predicted."""

    faults: int
    total_s: float
    verdict: str
    low: float | None
    high: float | None


def agree(
    increments: Sequence[Sequence[tuple[Floats, int]]],
    totals_s: Sequence[float],
    most: int,
    margin: float,
    slot_s: float,
    spread: float = 0.0,
) -> list[Look]:
    """The verdict at each look up to the first that decides. ``totals_s``: all downtime up to each look."""
    same = bands(increments, most, LEVEL, slot_s, spread)
    other = bands(increments, most, DIFFERENT / 2, slot_s, spread)
    return walk(same, other, [sum(count for _, count in kinds) for kinds in increments], totals_s, margin, slot_s)


def walk(
    same: Sequence[Band], other: Sequence[Band], counts: Sequence[int], totals_s: Sequence[float], margin: float, slot_s: float
) -> list[Look]:
    """The same with the bands known: ``same`` of error 0.05 a side, ``other`` those of ``inconsistent``.

    ``counts``: how many new faults each look had.
    """
    looks, faults = [], 0
    hair_s = slot_s * 1e-3
    for count, total_s, inner, outer in zip(counts, totals_s, same, other, strict=True):
        faults += count
        low = total_s / inner.high_s if inner.high_s > 0 else None
        high = total_s / inner.low_s if inner.low_s > 0 else None
        if low is not None and high is not None and low > 1 / margin and high < margin:
            verdict = "consistent"
        elif total_s < outer.low_s - hair_s or total_s > outer.high_s + hair_s:
            verdict = "inconsistent"
        else:
            verdict = "inconclusive"
        looks.append(Look(faults, total_s, verdict, low, high))
        if verdict != "inconclusive":
            break
    return looks


def claim_confidences(faults: Sequence[int], most: int) -> list[float | None]:
    """The confidence of each look's interval: all looks together are wrong with chance ``CLAIMED`` at most, if each keeps its word.

    None for a look at too few faults; what it might have spent is left to the first that has enough.
    """
    enough = [count for count in faults if count >= CLAIM_LEAST]
    parts = spending(enough, max(most, *enough)) if enough else []
    few = len(faults) - len(enough)
    return [*([None] * few), *(1.0 - CLAIMED * part if part > 0 else None for part in parts)]
