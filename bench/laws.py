"""Laws of outages with a known mean, drawn by numpy alone: what intervals and claims are held to. All means are 1 s."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Law = Callable[[np.random.Generator, int], "Floats"]


def lognormal(cv: float, mean: float = 1.0) -> Law:
    """Of this mean and coefficient of variation."""
    variance = math.log1p(cv * cv)
    return lambda rng, size: mean * rng.lognormal(-variance / 2, math.sqrt(variance), size)


def mixture(share: float, short: float = 4.0, long: float = 30.0) -> Law:
    """Fast failovers and, this share of them, slow restarts; each kind spreads by a quarter of its mean."""
    whole = (1 - share) * short + share * long
    fast, slow = lognormal(0.25, short / whole), lognormal(0.25, long / whole)
    return lambda rng, size: np.where(rng.random(size) < share, slow(rng, size), fast(rng, size))


def heartbeats(rng: np.random.Generator, size: int) -> Floats:
    """2.5 to 3.5 s to detect and elect, of which two seconds of retries hide the first: evenly spread, a cv of a quarter."""
    hidden: Floats = rng.uniform(0.65, 1.5, size) / 1.075
    return hidden


SHAPES: dict[str, Law] = {
    "election": heartbeats,
    "exponential": lambda rng, size: rng.exponential(1.0, size),
    "lognormal cv 0.5": lognormal(0.5),
    "lognormal cv 1.5": lognormal(1.5),
    "mixture 80/20": mixture(0.2),
    "mixture 90/10": mixture(0.1),
}
