"""May the faults of several runs be taken together? Anderson and Darling's test that k samples are of one law (Scholz & Stephens 1987).

The statistic is theirs for ties (midranks), A2akN, here by prefix sums in O(N log N) for any number of runs. Small samples are judged by
permutation (exact, ties or not); large ones by a gamma law with three moments: their mean k - 1 and variance, the skewness of the limit.

Whoever pools runs that differ takes faults for independent that are not, and calls a noisy machine a regression. So where the test rejects,
a run counts as one piece of evidence.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LEVEL: Final = 0.01
"""Runs are called different below this."""
PERMUTED: Final = 199
SMALL: Final = 40
"""Up to so many values p is found by permutation."""
_SEED: Final = 20


def p_value(values: Floats, groups: Ints) -> float | None:
    """The chance of samples that differ so much, if all are of one law. ``groups``: which sample each value is of.

    None where there is nothing to tell apart: fewer than two samples, or no two that hold together more than their number of values.
    """
    names, labels, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2 or len(values) < len(names) + 2 or values.min() == values.max():
        return None
    mine = _statistic(values, labels, sizes)
    if len(values) > SMALL:
        return _by_moments(mine, sizes)
    rng = np.random.default_rng(_SEED)
    seen = sum(_statistic(values, rng.permutation(labels), sizes) >= mine * (1 - 1e-9) for _ in range(PERMUTED))
    return (1 + seen) / (1 + PERMUTED)


def _statistic(values: Floats, labels: Ints, sizes: Ints) -> float:
    """(N-1)/N sum_i 1/n_i sum_j l_j/N (N Ma_ij - n_i Ba_j)^2 / (Ba_j (N - Ba_j) - N l_j / 4)."""
    total = len(values)
    steps, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    below = middle * (total - middle) - total * counts / 4
    weights = np.where(below > 0, counts / total / np.where(below > 0, below, 1.0), 0.0)
    # Of each sample only the steps at which it grows are visited; between them it is constant.
    pairs, times = np.unique(labels * len(steps) + places, return_counts=True)
    sample, step = pairs // len(steps), pairs % len(steps)
    firsts = np.searchsorted(sample, np.arange(len(sizes)))
    grown = np.cumsum(times)
    before = grown - times - np.concatenate(([0], grown))[firsts][sample]
    last = np.append(sample[1:] != sample[:-1], True)
    until = np.where(last, len(steps), np.append(step[1:], 0))
    total_w, total_wb = _sums(weights), _sums(weights * middle)
    at, after = before + times / 2, before + times
    squares = weights[step] * at**2 + (total_w[until] - total_w[step + 1]) * after**2
    cross = weights[step] * middle[step] * at + (total_wb[until] - total_wb[step + 1]) * after
    whole = float((weights * middle**2).sum())
    share = np.bincount(sample, total**2 * squares - 2 * total * sizes[sample] * cross, minlength=len(sizes)) + sizes**2 * whole
    return float((total - 1) / total * (share / sizes).sum())


def _sums(values: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values)))


def _by_moments(statistic: float, sizes: Ints) -> float:
    """A shifted gamma law; its upper tail by Wilson and Hilferty's cube root."""
    mean = len(sizes) - 1.0
    deviation = math.sqrt(_variance(sizes))
    skewness = 8 * mean * (10 - math.pi**2) / (2 * mean * (math.pi**2 / 3 - 3)) ** 1.5
    shape = 4 / skewness**2
    scaled = shape + (statistic - mean) / deviation * math.sqrt(shape)
    if scaled <= 0:
        return 1.0
    deviate = ((scaled / shape) ** (1 / 3) - (1 - 1 / (9 * shape))) * math.sqrt(9 * shape)
    return NormalDist().cdf(-deviate)


def _variance(sizes: Ints) -> float:
    """Scholz and Stephens (1987), equation 4, of the statistic for k samples with no ties."""
    total, k = int(sizes.sum()), len(sizes)
    inverse = np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, total))))  # sums of 1/i up to i
    harmonic, shares = float(inverse[total - 1]), float((1.0 / sizes).sum())
    # g = sum over i < j of 1 / ((N - i) j)
    i = np.arange(1, total - 1)
    g = float(((harmonic - inverse[i]) / (total - i)).sum())
    a = (4 * g - 6) * (k - 1) + (10 - 6 * g) * shares
    b = (2 * g - 4) * k**2 + 8 * harmonic * k + (2 * g - 14 * harmonic - 4) * shares - 8 * harmonic + 4 * g - 6
    c = (6 * harmonic + 2 * g - 2) * k**2 + (4 * harmonic - 4 * g + 6) * k + (2 * harmonic - 6) * shares + 4 * harmonic
    d = (2 * harmonic + 6) * k**2 - 4 * harmonic * k
    return (a * total**3 + b * total**2 + c * total + d) / ((total - 1.0) * (total - 2.0) * (total - 3.0))
