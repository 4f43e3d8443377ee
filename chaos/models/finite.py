"""What a window of T seconds shows of a service that fails at random while it is up: the distribution of its up time.

Failures come at rate l of *up* time, outages are independent of any law. The up time in (0, T), started up, is at most x exactly if
the outages of the first x seconds of up time fill the rest (Takacs 1957; Tijms 2003, 8.3.2):

    P(uptime <= x) = sum over j >= 1 of Pois(j; l x) P(X_1 + ... + X_j >= T - x)        and an atom exp(-l T) at x = T

The normal approximation is not usable here: in an hour with an outage every ten minutes its upper end is above 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chaos.models.laws import Law

    Floats = NDArray[np.float64]

GRID: Final = 1 << 14


class FiniteRun:
    """The up time of a window, for outages given by their law (``distributions``) or by draws of them, on a grid of 1 / 16384 of the
    window, or of what can be down in it if that is far less."""

    def __init__(self, failures_per_s: float, outages: Law | Floats, window_s: float) -> None:
        for name, value in (("failure rate", failures_per_s), ("window", window_s)):
            if not (value > 0 and math.isfinite(value)):
                raise BadInput(f"a {name} of {value}", right="above 0 and finite")
        self.failures_per_s = failures_per_s
        self.window_s = window_s
        self._reach_s = min(window_s, _reach_s(outages, failures_per_s * window_s))
        self._step_s = self._reach_s / GRID
        self._spectrum = np.fft.rfft(_masses(outages, self._step_s), 4 * GRID)

    def up_at_most(self, up_s: float) -> float:
        """P(uptime <= ``up_s``): the Poisson mixture of sums, by one transform (a compound Poisson law)."""
        if up_s >= self.window_s:
            return 1.0
        if up_s < 0 or self.window_s - up_s > self._reach_s:
            return 0.0
        transform = np.exp(self.failures_per_s * up_s * (self._spectrum - 1.0))
        mass = np.fft.irfft(transform, 4 * GRID)
        below = max(1, math.ceil((self.window_s - up_s) / self._step_s - 1e-6))
        return float(min(1.0, max(0.0, 1.0 - mass[:below].sum())))

    def availability_quantile(self, share: float) -> float:
        """The availability that so large a share of windows does not exceed (1 above the atom of windows without an outage)."""
        if not 0 < share < 1:
            raise BadInput(f"a quantile of {share}", right="between 0 and 1")
        low_s, high_s = 0.0, self.window_s
        if share > 1.0 - self.no_outage:
            return 1.0
        for _ in range(60):
            middle_s = (low_s + high_s) / 2
            low_s, high_s = (low_s, middle_s) if self.up_at_most(middle_s) >= share else (middle_s, high_s)
        return high_s / self.window_s

    @property
    def no_outage(self) -> float:
        """The atom at full up time: the share of windows without any failure."""
        return math.exp(-self.failures_per_s * self.window_s)


def _reach_s(outages: Law | Floats, expected: float) -> float:
    """More downtime than this has no chance worth counting: twelve deviations of the sum beyond its mean, and two of the longest."""
    if isinstance(outages, np.ndarray | list | tuple):
        draws_s = _times(outages)
        mean_s, square_s2, longest_s = float(draws_s.mean()), float((draws_s**2).mean()), float(draws_s.max())
    else:
        mean_s, square_s2, longest_s = outages.mean_s, outages.variance_s2 + outages.mean_s**2, outages.quantile(1 - 1e-9)
    return max(expected * mean_s + 12 * math.sqrt(expected * square_s2) + 2 * longest_s, 1e-9)


def _times(outages: Floats) -> Floats:
    draws_s = np.asarray(outages, dtype=np.float64)
    if not len(draws_s) or not np.all(np.isfinite(draws_s)) or np.any(draws_s < 0):
        raise BadInput("the outages are not all times", right="at least one, all finite and >= 0")
    return draws_s


def _masses(outages: Law | Floats, step_s: float) -> Floats:
    """The outage's law on the grid; what is longer than it is as long as the grid."""
    if not isinstance(outages, np.ndarray | list | tuple):
        return outages.masses(step_s, GRID + 1)
    draws_s = _times(outages)
    places = np.minimum(np.rint(draws_s / step_s), GRID).astype(np.int64)
    return np.asarray(np.bincount(places, minlength=GRID + 1) / len(places), dtype=np.float64)


def mean_uptime_s(failures_per_s: float, repairs_per_s: float, window_s: float) -> float:
    """Started up, exponential repairs: A T + (1 - A)(1 - exp(-(l + m) T)) / (l + m), which is above A T."""
    both = failures_per_s + repairs_per_s
    if not (failures_per_s > 0 and repairs_per_s > 0 and window_s >= 0 and math.isfinite(both) and math.isfinite(window_s)):
        raise BadInput("rates must be above 0 and the window a time")
    availability = repairs_per_s / both
    return availability * window_s + (1 - availability) * -math.expm1(-both * window_s) / both
