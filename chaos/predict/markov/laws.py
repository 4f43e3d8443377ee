"""What a law of times is, and what follows from its mean, variance and distribution function alone (``distributions`` has the laws)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from chaos.core.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Law(Protocol):
    """A law of times that are never negative. Times in s."""

    @property
    def mean_s(self) -> float: ...

    @property
    def variance_s2(self) -> float: ...

    def cdf(self, at_s: float) -> float: ...

    def sample(self, rng: np.random.Generator, size: int) -> Floats: ...

    def masses(self, step_s: float, size: int) -> Floats: ...

    def quantile(self, share: float) -> float: ...

    def beyond(self, hidden_s: float) -> float: ...


class Described(msgspec.Struct, frozen=True):
    """What follows from a law's mean, variance and distribution function alone; each law below has its own of these three."""

    @property
    def cv(self: Law) -> float:
        """Standard deviation over mean."""
        return math.sqrt(self.variance_s2) / self.mean_s if self.mean_s > 0 else 0.0

    def quantile(self: Law, share: float) -> float:
        """The least time that so large a share does not exceed, by bisection of ``cdf``."""
        if not 0.0 < share < 1.0:
            raise BadInput(f"a quantile of {share}", right="between 0 and 1")
        high_s = max(self.mean_s, 1e-9)
        while self.cdf(high_s) < share:
            high_s *= 2.0
        low_s = 0.0
        for _ in range(100):
            middle_s = (low_s + high_s) / 2
            low_s, high_s = (low_s, middle_s) if self.cdf(middle_s) >= share else (middle_s, high_s)
        return high_s

    def beyond(self: Law, hidden_s: float) -> float:
        """E[(X - W)+]: what is left on average if the first ``hidden_s`` of each are hidden (by clients that try again)."""
        if hidden_s <= 0:
            return self.mean_s
        # E[(X - W)+] = mean - integral of P(X > x) over (0, W): bounded, so no tail has to be cut off.
        points = np.linspace(0.0, hidden_s, 4097)
        above = np.array([1.0 - self.cdf(float(point)) for point in points])
        return max(0.0, self.mean_s - float((above[1:] + above[:-1]) @ np.diff(points)) / 2)

    def masses(self: Law, step_s: float, size: int) -> Floats:
        """The probabilities of 0, 1, 2, ... steps, each rounded to the nearest; what lies beyond is in the last one."""
        edges = (np.arange(size) + 0.5) * step_s
        below = np.array([self.cdf(float(edge)) for edge in edges])
        below[-1] = 1.0
        return np.diff(below, prepend=0.0)
