"""By what factor is a mean longer now than it was? A permutation test, and its interval.

Suppose values are k times as long now, in the same shape. For a given k, divide the new ones by it: then new and old ones are of one law,
and which of them are the new ones is chance. So the share of all ways to choose them in which the difference of means is at least as large
is exactly the chance of what was seen, whatever the law, however skewed, with zeros and ties. The k that are not refused at 5 % on either
side are the 90 % interval; "no worse than 1.3 times" is shown where its upper end is below 1.3.

What is permuted is what is independent: faults, or whole runs where runs differ. ``sizes`` are what a value is a mean over: 1 for the
length of an outage, the seconds of a cycle for downtime. They are not divided by k. How many values a test needs: ``needed``.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVEL: Final = 0.05
"""Of each side: the interval holds 90 %."""
WAYS: Final = 1999
MANY: Final = 100
"""Where both sides have more values, the law of large numbers is as good, and cheaper."""
THINNED: Final = 400
"""Where one side is small, so many values of the other one are as good as all: the small one makes the error."""
WIDEST: Final = 1000.0
"""A factor above this, or below its inverse, is given as none."""
HALVINGS: Final = 40
_SEED: Final = 7


class Values(NamedTuple):
    """Independent pieces: sums, and what each is a sum over."""

    sums: Floats
    sizes: Floats

    @property
    def mean(self) -> float:
        """Sum over size."""
        return float(self.sums.sum() / self.sizes.sum())

    def __len__(self) -> int:
        """How many pieces."""
        return len(self.sums)


class Ratio(msgspec.Struct, frozen=True):
    """New over old: 90 % interval; the chances of so large (``p_worse``) and so small (``p_better``) a value if nothing changed."""

    value: float | None
    low: float | None
    high: float | None
    p_worse: float
    p_better: float
    p_margin: float
    """The chance of so small a value if it were ``margin`` times as long."""


class Permutations:
    """The ways to choose the new values among all, drawn once: each question costs a line of arithmetic then."""

    def __init__(self, old: Values, new: Values) -> None:
        self._old, self._new = old, new
        total, count = len(old) + len(new), len(new)
        rng = np.random.default_rng(_SEED)
        picks = np.sort(rng.random((WAYS, total)).argpartition(count - 1, axis=1)[:, :count], axis=1)
        is_new = picks >= len(old)
        sums, sizes = np.concatenate([old.sums, new.sums])[picks], np.concatenate([old.sizes, new.sizes])[picks]
        self._from_new, self._from_old = (sums * is_new).sum(axis=1), (sums * ~is_new).sum(axis=1)
        self._sizes = sizes.sum(axis=1)

    def chances(self, factor: float) -> tuple[float, float]:
        """If the true factor is this: the chance of so large a ratio, and of so small a one."""
        old, new = self._old, self._new
        new_sum = float(new.sums.sum()) / factor
        whole, size = float(old.sums.sum()) + new_sum, float(old.sizes.sum() + new.sizes.sum())
        chosen = self._from_old + self._from_new / factor
        differences = chosen / self._sizes - (whole - chosen) / (size - self._sizes)
        mine = new_sum / float(new.sizes.sum()) - float(old.sums.sum() / old.sizes.sum())
        slack = 1e-9 * max(abs(whole) / size, 1e-300)
        above, below = np.count_nonzero(differences >= mine - slack), np.count_nonzero(differences <= mine + slack)
        return (1 + int(above)) / (1 + WAYS), (1 + int(below)) / (1 + WAYS)


class Normal:
    """The same for many values: the logarithm of a mean is as good as normal, with the error of the delta method."""

    def __init__(self, old: Values, new: Values) -> None:
        self._log = math.log(new.mean / old.mean)
        self._error = math.hypot(log_error(old), log_error(new))

    def chances(self, factor: float) -> tuple[float, float]:
        """See ``Permutations``."""
        if self._error < 1e-9:
            return (
                (1.0, 1.0)
                if math.isclose(self._log, math.log(factor), abs_tol=1e-9)
                else (0.0, 1.0)
                if self._log > math.log(factor)
                else (1.0, 0.0)
            )
        deviate = (self._log - math.log(factor)) / self._error
        return NormalDist().cdf(-deviate), NormalDist().cdf(deviate)


def ratio(old: Values, new: Values, margin: float) -> Ratio:
    """New over old. Both have values; a mean of 0 leaves the ratio open, and the test holds all the same."""
    test = Normal(old, new) if min(len(old), len(new)) > MANY and old.mean > 0 and new.mean > 0 else Permutations(_thin(old), _thin(new))
    value = new.mean / old.mean if old.mean > 0 else None
    worse, better = test.chances(1.0)
    low = high = None
    if value:
        low = _bound(test, value, upper=False)
        high = _bound(test, value, upper=True)
    return Ratio(value, low, high, worse, better, test.chances(margin)[1])


def _thin(values: Values) -> Values:
    """Some of very many values, drawn without an eye on them, with the mean of all."""
    if len(values) <= THINNED:
        return values
    kept = np.random.default_rng(_SEED).choice(len(values), THINNED, replace=False)
    some = Values(values.sums[kept], values.sizes[kept])
    return Values(some.sums * (values.mean / some.mean), some.sizes) if some.mean > 0 else some


def _bound(test: Permutations | Normal, value: float, *, upper: bool) -> float | None:
    """The factor at which the chance becomes 5 %, by halving on a logarithmic scale; None where no factor is refused."""
    side = 1 if upper else 0
    refused, kept = math.log(WIDEST if upper else 1 / WIDEST), 0.0
    if test.chances(value * math.exp(refused))[side] > LEVEL:
        return None
    for _ in range(HALVINGS):
        middle = (refused + kept) / 2
        if test.chances(value * math.exp(middle))[side] <= LEVEL:
            refused = middle
        else:
            kept = middle
        if abs(refused - kept) < 1e-4:
            break
    return value * math.exp(kept)


def log_error(values: Values) -> float:
    """The standard error of the logarithm of a mean (delta method)."""
    count, middle = len(values), values.mean
    if count < 2 or middle <= 0:
        return math.inf
    rests = values.sums - middle * values.sizes
    return math.sqrt(float(rests @ rests) / (count - 1)) / (middle * float(values.sizes.mean()) * math.sqrt(count))
