"""Laws of times: of repairs, of outages, of delay blocks. Each has an exact mean, variance and distribution function. Times in s.

Repairs are rarely exponential: failovers scatter little (a sum of blocks), human repairs a lot (lognormal; Schroeder & Gibson 2006).
``masses`` puts a law on a grid, so that sums of any of them, and windows with random faults (``finite``), need no sampling.

>>> from tests.reference.distributions import Between, Constant, Lognormal, Sum
>>> failover = Sum((Between(0.15, 0.3), Constant(0.02)))
>>> f"{failover.mean_s:.3f} s, cv {failover.cv:.2f}; beyond 0.3 s: {1 - failover.cdf(0.3):.2f}"
'0.245 s, cv 0.18; beyond 0.3 s: 0.13'
>>> f"{Lognormal(30.0, 1.5).quantile(0.95):.0f} s"
'99 s'
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import numpy as np

from chaos.core.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUM_GRID: Final = 1 << 15
"""Points on which a sum is worked out, over its reach."""


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


class Exponential(Described, frozen=True):
    """Memoryless, of this mean."""

    mean: float

    def __post_init__(self) -> None:
        _positive("mean", self.mean)

    @property
    def mean_s(self) -> float:
        return self.mean

    @property
    def variance_s2(self) -> float:
        return self.mean**2

    def cdf(self, at_s: float) -> float:
        return -math.expm1(-max(at_s, 0.0) / self.mean)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        return rng.exponential(self.mean, size)

    def beyond(self, hidden_s: float) -> float:
        """m exp(-W / m)."""
        return self.mean * math.exp(-max(hidden_s, 0.0) / self.mean)


class Lognormal(Described, frozen=True):
    """The logarithm is normal; by mean and coefficient of variation."""

    mean: float
    spread: float

    def __post_init__(self) -> None:
        _positive("mean", self.mean)
        _positive("cv", self.spread)

    @property
    def _sigma(self) -> float:
        return math.sqrt(math.log1p(self.spread**2))

    @property
    def _mu(self) -> float:
        return math.log(self.mean) - self._sigma**2 / 2

    @property
    def mean_s(self) -> float:
        return self.mean

    @property
    def variance_s2(self) -> float:
        return (self.spread * self.mean) ** 2

    def cdf(self, at_s: float) -> float:
        return _phi((math.log(at_s) - self._mu) / self._sigma) if at_s > 0 else 0.0

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        return rng.lognormal(self._mu, self._sigma, size)

    def beyond(self, hidden_s: float) -> float:
        """e^(mu + s^2/2) Phi((mu + s^2 - ln W)/s) - W Phi((mu - ln W)/s)."""
        if hidden_s <= 0:
            return self.mean
        away = (self._mu - math.log(hidden_s)) / self._sigma
        return max(0.0, self.mean * _phi(away + self._sigma) - hidden_s * _phi(away))


class Weibull(Described, frozen=True):
    """By scale (63 % are below it) and shape: below 1 the hazard falls, above 1 it rises."""

    scale: float
    shape: float

    def __post_init__(self) -> None:
        _positive("scale", self.scale)
        _positive("shape", self.shape)

    @property
    def mean_s(self) -> float:
        return self.scale * math.gamma(1 + 1 / self.shape)

    @property
    def variance_s2(self) -> float:
        return self.scale**2 * math.gamma(1 + 2 / self.shape) - self.mean_s**2

    def cdf(self, at_s: float) -> float:
        return -math.expm1(-((max(at_s, 0.0) / self.scale) ** self.shape))

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        return self.scale * rng.weibull(self.shape, size)


class Gamma(Described, frozen=True):
    """By mean and coefficient of variation; shape 1 / cv^2."""

    mean: float
    spread: float

    def __post_init__(self) -> None:
        _positive("mean", self.mean)
        _positive("cv", self.spread)

    @property
    def mean_s(self) -> float:
        return self.mean

    @property
    def variance_s2(self) -> float:
        return (self.spread * self.mean) ** 2

    def cdf(self, at_s: float) -> float:
        from scipy.special import gammainc

        shape = 1 / self.spread**2
        return float(gammainc(shape, max(at_s, 0.0) * shape / self.mean))

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        shape = 1 / self.spread**2
        return rng.gamma(shape, self.mean / shape, size)


class Constant(Described, frozen=True):
    """Always the same."""

    value: float

    def __post_init__(self) -> None:
        _time("time", self.value)

    @property
    def mean_s(self) -> float:
        return self.value

    @property
    def variance_s2(self) -> float:
        return 0.0

    def cdf(self, at_s: float) -> float:
        return float(at_s >= self.value)

    def sample(self, _rng: np.random.Generator, size: int) -> Floats:
        """``size`` times the value."""
        return np.full(size, self.value)


class Between(Described, frozen=True):
    """Somewhere between ``low`` and ``high``, evenly."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _time("time", self.low)
        _time("time", self.high)
        if self.high <= self.low:
            raise BadInput(f"a range from {self.low} s to {self.high} s", right="low below high; a Constant for one value")

    @property
    def mean_s(self) -> float:
        return (self.low + self.high) / 2

    @property
    def variance_s2(self) -> float:
        return (self.high - self.low) ** 2 / 12

    def cdf(self, at_s: float) -> float:
        return min(1.0, max(0.0, (at_s - self.low) / (self.high - self.low)))

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        return rng.uniform(self.low, self.high, size)


class Empirical(Described, frozen=True):
    """One of these measured times, each as likely."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise BadInput("a law of no times at all", right="at least one")
        for value in self.values:
            _time("time", value)

    @property
    def mean_s(self) -> float:
        return math.fsum(self.values) / len(self.values)

    @property
    def variance_s2(self) -> float:
        return float(np.var(self.values))

    def cdf(self, at_s: float) -> float:
        return sum(value <= at_s for value in self.values) / len(self.values)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws, with replacement."""
        return rng.choice(np.asarray(self.values, dtype=np.float64), size)


class Sum(Described, frozen=True):
    """One after the other: independent delays in a row (detection, then election, then the client's cache)."""

    parts: tuple[Exponential | Lognormal | Weibull | Gamma | Constant | Between | Empirical | Sum, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise BadInput("a sum of no delays", right="at least one part")

    @property
    def mean_s(self) -> float:
        return math.fsum(part.mean_s for part in self.parts)

    @property
    def variance_s2(self) -> float:
        return math.fsum(part.variance_s2 for part in self.parts)

    def cdf(self, at_s: float) -> float:
        """By convolution on a grid of the sum's reach / 32,768; interpolated between its points."""
        step_s, below = _on_grid(self)
        place = at_s / step_s
        if place < 0:
            return 0.0
        # A mass at k steps stands for all within half a step: the distribution function is read at the upper edges.
        index = int(place - 0.5)
        if index + 1 >= len(below):
            return 1.0
        part = max(place - 0.5 - index, 0.0)
        return float(below[index] * (1 - part) + below[index + 1] * part)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        return np.asarray(sum((part.sample(rng, size) for part in self.parts), np.zeros(size)), dtype=np.float64)


@functools.lru_cache(maxsize=32)
def _on_grid(law: Sum) -> tuple[float, Floats]:
    reach_s = math.fsum(_reach_s(part) for part in law.parts)
    step_s = max(reach_s, 1e-9) / SUM_GRID
    spectrum = np.ones(SUM_GRID + 1, dtype=np.complex128)
    for part in law.parts:
        spectrum *= np.fft.rfft(part.masses(step_s, SUM_GRID), 2 * SUM_GRID)
    return step_s, np.minimum(np.cumsum(np.maximum(np.fft.irfft(spectrum, 2 * SUM_GRID), 0.0)), 1.0)


def _reach_s(law: Law) -> float:
    """Nearly all of the law lies below."""
    return law.mean_s if isinstance(law, Constant) else law.quantile(1 - 1e-7)


def _phi(value: float) -> float:
    return math.erfc(-value / math.sqrt(2)) / 2


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise BadInput(f"a {name} of {value}", right="above 0 and finite")


def _time(name: str, value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise BadInput(f"a {name} of {value} s", right="0 or more, and finite")
