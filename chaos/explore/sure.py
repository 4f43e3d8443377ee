"""Is it sure that a schedule fails? Wald's sequential test on repeated runs, for systems that do not do the same twice.

The test decides between "fails in at least ``high`` of its runs" and "in at most ``low``". Each run adds the logarithm of its likelihood
ratio; the sum ends the test where it crosses ``log((1 - beta) / alpha)`` or ``log(beta / (1 - alpha))`` (Wald, Sequential Analysis, 1947).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import msgspec

ALPHA: Final = 0.05
"""Chance that a schedule which fails in at most ``low`` of its runs is taken for one that fails."""
BETA: Final = 0.05
"""Chance that a schedule which fails in at least ``high`` of its runs is taken for one that holds."""
MOST_RUNS: Final = 30
"""A share between the two is never decided; it counts as not sure."""


class Rates(msgspec.Struct, frozen=True):
    """The two shares that are told apart."""

    low: float = 0.2
    high: float = 0.6


class Seen(msgspec.Struct, frozen=True):
    """Runs of one schedule, and whether it is sure that the schedule fails."""

    failed: int
    runs: int
    fails: bool

    def __str__(self) -> str:
        return f"{self.failed} of {self.runs} runs failed"


def repeat(run: Callable[[int], bool | None], rates: Rates, deterministic: bool = False) -> Seen:
    """Run until sure. ``run(number)``: whether run ``number`` failed; None for a run that tells nothing, which counts as one that held.

    ``deterministic``: run 0 alone decides, since every other would be the same.
    """
    failed = runs = 0
    likelihood = 0.0
    to_fail, to_hold = math.log((1 - BETA) / ALPHA), math.log(BETA / (1 - ALPHA))
    while runs < MOST_RUNS:
        has_failed = bool(run(runs))
        runs += 1
        failed += has_failed
        if deterministic:
            return Seen(failed, runs, has_failed)
        odds = rates.high / rates.low if has_failed else (1 - rates.high) / (1 - rates.low)
        likelihood += math.log(odds)
        if likelihood >= to_fail:
            return Seen(failed, runs, True)
        if likelihood <= to_hold:
            return Seen(failed, runs, False)
    return Seen(failed, runs, False)


def scaled(seen: Seen) -> Rates:
    """For a schedule that fails only now and then: its parts are held to about its own share, by the half of it at least.

    ``seen``: of the schedule that the search found. A part counts as failing where it fails about as often as the whole.
    """
    share = seen.failed / seen.runs
    high = min(0.6, max(0.3, 0.75 * share))
    return Rates(high / 3, high)


def upper_share(held: int, confidence: float = 0.95) -> float:
    """With no failure in ``held`` schedules: fewer than this share of all such schedules fail (Clopper and Pearson, one-sided)."""
    return 1 - (1 - confidence) ** (1 / held) if held else 1.0
