"""Quantiles of Student's t law for whole degrees of freedom, by its finite sums (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4).

scipy has them too, for the half second of CPU that loading it takes: more than listing a thousand runs.
"""

from __future__ import annotations

import math
from functools import lru_cache


def within(t: float, freedom: int) -> float:
    """P(\\|T\\| < t) for t >= 0."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = cosine if odd else 1.0, 0.0
    for step in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (step + 1) / (step + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


@lru_cache(maxsize=256)
def quantile(freedom: int, share: float) -> float:
    """The t below which that share of the law lies."""
    if share < 0.5:
        return -quantile(freedom, 1 - share)
    wanted, low, high = 2 * share - 1, 0.0, 1.0
    while within(high, freedom) < wanted:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, freedom) < wanted else (low, middle)
    return (low + high) / 2
