"""The shape of outages: do those that clients noticed look like draws from the predicted law? By Anderson and Darling, its p by drawing.

Durations are whole slots, so values tie, and no table of critical values holds. Instead as many outages are drawn from the predicted
ones (which went through the same slots and the same outage rule) as were seen, some thousand times, and the statistic of what was
seen is ranked among theirs: p = (1 + how many are as extreme) / (1 + how many were drawn). That is exact for any law and any ties.

Equivalence is on Kolmogorov's distance, the largest difference of the two distribution functions: with 95 % confidence it is below
distance + sqrt(ln 20 / 2m) (Dvoretzky, Kiefer & Wolfowitz 1956, with Massart's constant). Below 1 - 1/margin, the part of a law that
the margin allows to be elsewhere, the shapes are the same for practical purposes: some 40 outages for a margin of 1.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST: Final = 5
"""With fewer noticed outages a shape is not looked at."""
DRAWN: Final = 1999
LEVEL: Final = 0.05


class Shape(msgspec.Struct, frozen=True):
    """Kolmogorov's distance of what was seen, its mean in runs of the model, the p-value of Anderson and Darling's statistic."""

    outages: int
    distance: float
    expected: float
    p_value: float
    highest: float
    """The distance is below this with 95 % confidence."""


def shape(seen_s: Sequence[float], predicted_s: Sequence[Floats], counts: Sequence[int], slot_s: float, seed: int) -> Shape | None:
    """The noticed outages ``seen_s`` against predicted draws, one array a duration of fault, each of which stands for so many faults.

    None where fewer than ``LEAST`` were noticed, or none is predicted.
    """
    seen = np.array([value for value in seen_s if value > 0])
    noticed = [draws[draws > 0] for draws in predicted_s]
    shares = np.array([len(kept) / len(draws) * count for kept, draws, count in zip(noticed, predicted_s, counts, strict=True)])
    if len(seen) < LEAST or shares.sum() <= 0:
        return None
    rng = np.random.default_rng(seed)
    law = _Law([np.rint(draws / slot_s * 64) for draws in noticed], shares / shares.sum())
    places = law.places(np.rint(seen / slot_s * 64))[None, :]
    simulated = law.draw(rng, _fixed(noticed, predicted_s, counts, len(seen)), len(seen))
    statistics = _anderson_darling(np.sort(simulated, axis=1), law)
    mine = float(_anderson_darling(np.sort(places, axis=1), law)[0])
    distance = float(_distance(np.sort(places, axis=1), law)[0])
    return Shape(
        outages=len(seen),
        distance=distance,
        expected=float(_distance(np.sort(simulated[:60], axis=1), law).mean()),
        p_value=(1 + int(np.count_nonzero(statistics >= mine * (1 - 1e-12)))) / (1 + len(statistics)),
        highest=distance + math.sqrt(math.log(1 / LEVEL) / (2 * len(seen))),
    )


def _fixed(noticed: Sequence[Floats], predicted: Sequence[Floats], counts: Sequence[int], seen: int) -> list[int] | None:
    """How many of each duration to draw, where that is certain: every one is noticed."""
    always = all(len(kept) == len(draws) for kept, draws in zip(noticed, predicted, strict=True))
    return list(counts) if always and sum(counts) == seen else None


class _Law:
    """A mixture of predicted outages as one law on the values that occur in it, in 64ths of a slot; values by their place."""

    def __init__(self, parts: Sequence[Floats], shares: Floats) -> None:
        self._parts, self._shares = [part for part in parts if len(part)], shares[[len(part) > 0 for part in parts]]
        self.values = np.unique(np.concatenate(self._parts))
        mass = np.zeros(len(self.values))
        for part, share in zip(self._parts, self._shares, strict=True):
            found, times = np.unique(part, return_counts=True)
            mass[np.searchsorted(self.values, found)] += share * times / len(part)
        self.below = np.concatenate(([0.0], np.cumsum(mass)))
        self.below[-1] = 1.0

    def places(self, values: Floats) -> Floats:
        """A value's place among those that occur: 1/2 off where it lies between two of them."""
        left, right = np.searchsorted(self.values, values, "left"), np.searchsorted(self.values, values, "right")
        return np.where(right > left, left.astype(np.float64), left - 0.5)

    def draw(self, rng: np.random.Generator, fixed: Sequence[int] | None, size: int) -> Floats:
        """Places of ``size`` outages, ``DRAWN`` times."""
        if fixed is None:
            drawn = np.searchsorted(self.below[1:], rng.uniform(0.0, 1.0, (DRAWN, size)), "right")
            return np.minimum(drawn, len(self.values) - 1).astype(np.float64)
        columns = [rng.choice(part, (DRAWN, count)) for part, count in zip(self._parts, [count for count in fixed if count], strict=True)]
        return self.places(np.concatenate(columns, axis=1))

    def middle(self, places: Floats) -> Floats:
        """P(X < x) + P(X = x) / 2, kept off 0 and 1: what lies outside all that was predicted is as extreme as one draw in a million."""
        low, high = self.below[np.maximum(np.ceil(places), 0).astype(np.int64)], self.below[(np.floor(places) + 1).astype(np.int64)]
        return np.clip((low + high) / 2, 1e-6, 1 - 1e-6)


def _anderson_darling(ordered: Floats, law: _Law) -> Floats:
    """-n - sum (2i - 1) [ln u_i + ln(1 - u_(n+1-i))] / n of each row, ties at their middle."""
    size = ordered.shape[1]
    middles = law.middle(ordered)
    weights = 2 * np.arange(1, size + 1) - 1
    return np.asarray(-size - ((np.log(middles) + np.log1p(-middles[:, ::-1])) @ weights) / size, dtype=np.float64)


def _distance(ordered: Floats, law: _Law) -> Floats:
    """The largest difference of the two distribution functions, of each row."""
    size = ordered.shape[1]
    found = np.zeros(len(ordered))
    for index, row in enumerate(ordered):
        steps, first = np.unique(row, return_index=True)
        last = np.append(first[1:], size)
        at_most = law.below[(np.floor(steps) + 1).astype(np.int64)]
        under = law.below[np.maximum(np.ceil(steps), 0).astype(np.int64)]
        found[index] = max(float(np.abs(last / size - at_most).max()), float(np.abs(first / size - under).max()))
    return found
