"""The exact distribution of the total downtime of m predicted faults: what an observed total is held against.

By the Fourier transform on a grid of slots, zeros of faults that nobody notices included. Times in s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GRID: Final = 1 << 18
"""Points of a sum's grid where the draws do not lie on slots, or the slots are too many."""
NODES: Final = 33
"""Values that the common factor of an uncertain prediction takes."""


def fast_length(size: int) -> int:
    """The least length, ``size`` or more, with no prime factor above 5: such transforms are fast. (scipy.fft has this too, and its loading
    takes longer than all the transforms of a plan.)"""
    best = 1 << (size - 1).bit_length()
    fives = 1
    while fives < best:
        odd = fives
        while odd < best:
            best = min(best, odd << max(0, (-(-size // odd) - 1).bit_length()))
            odd *= 3
        fives *= 5
    return best


class SumDistribution:
    """The exact distribution of a sum of independent outages, given draws of each kind of them and how many of it there are.

    ``spread``: the prediction itself is known only so well, because its parameters were measured: all outages of the run are longer
    or shorter by one common lognormal factor of mean 1 with this coefficient of variation (to first order). The sum of many faults
    narrows down everything but that.
    """

    def __init__(self, kinds: Sequence[tuple[Floats, int]], slot_s: float, spread: float = 0.0) -> None:
        import numpy as np

        kinds = [(draws, count) for draws, count in kinds if count > 0]
        factors = common_factors(spread)
        longest = max(factor for _, factor in factors)
        reach_s = longest * sum(float(draws.max(initial=0.0)) * count for draws, count in kinds)
        on_slots = len(factors) == 1 and all(np.allclose(draws / slot_s, np.rint(draws / slot_s), atol=1e-6, rtol=0) for draws, _ in kinds)
        fine_s = reach_s / GRID if reach_s > 0 else slot_s
        self.step_s = slot_s if on_slots and reach_s / slot_s <= GRID else max(fine_s, 1e-12)
        size = round(reach_s / self.step_s) + sum(count for _, count in kinds) + 2
        length = fast_length(size)
        mass = np.zeros(length)
        for weight, factor in factors:
            spectrum = np.ones(length // 2 + 1, dtype=np.complex128)
            for draws, count in kinds:
                places = np.rint(draws * (factor / self.step_s)).astype(np.int64)
                spectrum *= np.fft.rfft(np.bincount(places, minlength=length) / len(draws)) ** count
            mass += weight * np.maximum(np.fft.irfft(spectrum, length), 0.0)
        mass[mass < 1e-15] = 0.0  # below the rounding of the transform
        self.mass = mass / mass.sum()
        self._below = np.cumsum(self.mass)
        self._above = np.cumsum(self.mass[::-1])[::-1]
        self.mean_s = float(self.mass @ np.arange(length)) * self.step_s

    def p_value(self, value_s: float) -> float:
        """2 min(P(S <= value), P(S >= value)), at most 1; equal within a thousandth of a grid step is equal."""
        place = value_s / self.step_s
        at_most, at_least = math.floor(place + 1e-3), math.ceil(place - 1e-3)
        lower = float(self._below[min(at_most, len(self._below) - 1)]) if at_most >= 0 else 0.0
        upper = float(self._above[max(at_least, 0)]) if at_least < len(self._above) else 0.0
        return min(1.0, 2.0 * min(lower, upper))

    def quantile_s(self, share: float) -> float:
        """The least value that so large a share does not exceed."""
        import numpy as np

        return int(np.searchsorted(self._below, share * (1 - 1e-12))) * self.step_s


def common_factors(spread: float) -> list[tuple[float, float]]:
    """Weights and values of the common factor: a lognormal of mean 1 on an even grid of its logarithm; one of value 1 without a spread."""
    if spread <= 0:
        return [(1.0, 1.0)]
    import numpy as np

    nodes = np.linspace(-4.0, 4.0, NODES)
    weights = np.exp(-(nodes**2) / 2)
    weights /= weights.sum()
    values = np.exp(math.sqrt(math.log1p(spread * spread)) * nodes)
    values /= float(weights @ values)
    return list(zip(weights.tolist(), values.tolist(), strict=True))
