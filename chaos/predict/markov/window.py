"""What a window of T seconds shows of a service that fails at random while it is up: the distribution of its up time.

Failures come at rate l of *up* time, outages are independent of any law. The up time in (0, T), started up, is at most x exactly if
the outages of the first x seconds of up time fill the rest (Takacs 1957; Tijms 2003, 8.3.2):

    P(uptime <= x) = sum over j >= 1 of Pois(j; l x) P(X_1 + ... + X_j >= T - x)        and an atom exp(-l T) at x = T

A window cut out of a long life begins in an outage with probability U = l m / (1 + l m), m the mean outage, and what is left of that one
has the density P(X > r) / m (Tijms 2003, 8.3.3): ``stationary``. The normal approximation is not usable here: in an hour with an outage
every ten minutes its upper end is above 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import numpy as np

from chaos.core.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GRID: Final = 1 << 14
SHORT: Final = 8
"""Outages of fewer steps of the grid keep their variance on it as well as their mean: sums of many of them depend on it."""


class Law(Protocol):
    """A law of times that are never negative. Times in s."""

    @property
    def mean_s(self) -> float: ...

    @property
    def variance_s2(self) -> float: ...

    def quantile(self, share: float) -> float:
        """The least time that so large a share does not exceed."""
        ...

    def beyond(self, hidden_s: float) -> float:
        """E[(X - W)+]."""
        ...

    def masses(self, step_s: float, size: int) -> Floats:
        """The probabilities of 0, 1, 2, ... steps; what lies beyond is in the last one."""
        ...


class Mixture(msgspec.Struct, frozen=True):
    """Outages of several causes: ``times_s`` and how much each weighs (weights need not sum to 1)."""

    times_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    weights: np.ndarray[tuple[int, ...], np.dtype[np.float64]]


class FiniteRun:
    """The up time of a window, for outages given by their law, by draws, or by a ``Mixture``, on a grid of 1 / 16384
    of the window, or of what can be down in it if that is far less. The mean of the outages is kept exactly, however short they are."""

    def __init__(self, failures_per_s: float, outages: Law | Floats | Mixture, window_s: float, stationary: bool = False) -> None:
        for name, value in (("failure rate", failures_per_s), ("window", window_s)):
            if not (value > 0 and math.isfinite(value)):
                raise BadInput(f"a {name} of {value}", right="above 0 and finite")
        self.failures_per_s = failures_per_s
        self.window_s = window_s
        law = _mixture(outages) if isinstance(outages, np.ndarray | list | tuple | Mixture) else outages
        mean_s, square_s2, longest_s = _extent(law)
        self._reach_s = min(window_s, _reach_s(failures_per_s * window_s, mean_s, square_s2, longest_s))
        self._step_s = self._reach_s / GRID
        masses = _of_mixture(law, self._step_s) if isinstance(law, Mixture) else _of_law(law, self._step_s)
        self._spectrum = np.fft.rfft(masses, 4 * GRID)
        odds = failures_per_s * mean_s if stationary else 0.0
        self._down_at_start = odds / (1.0 + odds)
        self._left = np.fft.rfft(_left_of(masses, mean_s / self._step_s), 4 * GRID) if stationary else None

    def up_at_most(self, up_s: float) -> float:
        """P(uptime <= ``up_s``): the Poisson mixture of sums, by one transform (a compound Poisson law)."""
        if up_s >= self.window_s:
            return 1.0
        if up_s < 0 or self.window_s - up_s > self._reach_s:
            return 0.0
        transform = np.exp(self.failures_per_s * up_s * (self._spectrum - 1.0))
        down_s = self.window_s - up_s
        found = (1.0 - self._down_at_start) * self._at_least(transform, down_s, -math.expm1(-self.failures_per_s * up_s))
        if self._left is not None:
            found += self._down_at_start * self._at_least(transform * self._left, down_s, 1.0)
        return float(min(1.0, max(0.0, found)))

    def _at_least(self, transform: NDArray[np.complex128], down_s: float, any_at_all: float) -> float:
        """P(S >= ``down_s``) of the sum with that transform; ``any_at_all`` = P(S > 0).

        A mass at k steps stands for all within half a step, so the tail is read at the edges between and drawn straight in between.
        """
        mass = np.fft.irfft(transform, 4 * GRID)
        place = down_s / self._step_s - 0.5
        if place <= 0:
            return any_at_all + (place + 0.5) * 2.0 * (1.0 - float(mass[0]) - any_at_all)
        index = int(place)
        above = 1.0 - float(mass[: index + 1].sum())
        return above - (place - index) * float(mass[index + 1])

    def availability_quantile(self, share: float) -> float:
        """The availability that so large a share of windows does not exceed (1 above the atom of windows without an outage)."""
        if not 0 < share < 1:
            raise BadInput(f"a quantile of {share}", right="between 0 and 1")
        low_s, high_s = max(0.0, self.window_s - self._reach_s), self.window_s
        if share > 1.0 - self.no_outage:
            return 1.0
        for _ in range(40):
            middle_s = (low_s + high_s) / 2
            low_s, high_s = (low_s, middle_s) if self.up_at_most(middle_s) >= share else (middle_s, high_s)
        return high_s / self.window_s

    @property
    def no_outage(self) -> float:
        """The atom at full up time: the share of windows without any failure."""
        return (1.0 - self._down_at_start) * math.exp(-self.failures_per_s * self.window_s)

    @property
    def some_outage(self) -> float:
        """The share of windows with one: 1 - ``no_outage``, with all its digits where that is near 1."""
        return self._down_at_start - (1.0 - self._down_at_start) * math.expm1(-self.failures_per_s * self.window_s)


def _mixture(outages: Floats | Mixture) -> Mixture:
    given = outages if isinstance(outages, Mixture) else Mixture(np.asarray(outages, dtype=np.float64), np.ones(len(outages)))
    times_s, weights = given.times_s, given.weights
    if not len(times_s) or not np.all(np.isfinite(times_s)) or np.any(times_s < 0):
        raise BadInput("the outages are not all times", right="at least one, all finite and >= 0")
    if len(weights) != len(times_s) or np.any(weights < 0) or not 0 < float(weights.sum()) < math.inf:
        raise BadInput("the weights of the outages are not all shares", right="one for each, >= 0, some above 0")
    return Mixture(times_s, weights / weights.sum())


def _extent(law: Law | Mixture) -> tuple[float, float, float]:
    """Mean, mean square, and the longest that matters."""
    if isinstance(law, Mixture):
        return float(law.weights @ law.times_s), float(law.weights @ law.times_s**2), float(law.times_s.max())
    return law.mean_s, law.variance_s2 + law.mean_s**2, law.quantile(1 - 1e-9)


def _reach_s(expected: float, mean_s: float, square_s2: float, longest_s: float) -> float:
    """More downtime than this has no chance worth counting: twelve deviations of the sum beyond its mean, and two of the longest."""
    return max(expected * mean_s + 12 * math.sqrt(expected * square_s2) + 2 * longest_s, 1e-9)


def _of_law(law: Law, step_s: float) -> Floats:
    """The law on the grid; what is longer than it is as long as the grid. Rounding would lose outages far shorter than a step."""
    masses = law.masses(step_s, GRID + 1)
    missing = (law.mean_s - law.beyond(GRID * step_s)) / step_s - float(masses @ np.arange(GRID + 1))
    shift = min(max(missing, -float(masses[1])), float(masses[0]))
    masses[0] -= shift
    masses[1] += shift
    return masses


def _of_mixture(outages: Mixture, step_s: float) -> Floats:
    """Each time split over the neighbouring points of the grid, so that its mean is kept; of a short one over three, its square as well."""
    places = np.minimum(outages.times_s / step_s, GRID)
    masses = np.zeros(GRID + 2)
    short = places < SHORT
    lower = np.floor(places[~short]).astype(np.int64)
    part, weights = places[~short] - lower, outages.weights[~short]
    np.add.at(masses, lower, weights * (1.0 - part))
    np.add.at(masses, lower + 1, weights * part)
    # Lagrange's weights of the three points nearest: some are below 0, sums of many are what they must be.
    middle = np.maximum(np.rint(places[short]), 1.0).astype(np.int64)
    part, weights = places[short] - middle, outages.weights[short]
    for offset, share in ((-1, (part**2 - part) / 2), (0, 1.0 - part**2), (1, (part**2 + part) / 2)):
        np.add.at(masses, middle + offset, weights * share)
    masses[GRID] += masses[GRID + 1]
    return masses[: GRID + 1]


def _left_of(masses: Floats, mean: float) -> Floats:
    """What is left of an outage that a window begins in, on the grid: P(X > r) / m, each cell's share split over its two ends.

    ``mean`` is in steps. What lasts longer than the grid is as long as the grid here too.
    """
    cells = np.maximum(masses[::-1].cumsum()[::-1], 0.0)[1:] / mean  # P(X >= k steps) is P(X > r) in the cell below k
    cells /= max(float(cells.sum()), 1.0)
    left = np.zeros(GRID + 1)
    left[:-1] += cells / 2
    left[1:] += cells / 2
    left[GRID] += 1.0 - float(cells.sum())
    return left
