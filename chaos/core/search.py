"""The least number for which something holds that goes on holding above it: how many faults, how many runs."""

from __future__ import annotations

from collections.abc import Callable


def least_count(holds: Callable[[int], bool], start: int, most: int) -> int | None:
    """The least count from ``start`` on for which it holds, by doubling and halving; None if that is above ``most``."""
    high = start
    while not holds(high):
        high *= 2
        if high > most:
            return None
    low = start - 1 if high == start else high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
