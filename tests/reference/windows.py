"""What a chain shows over a window, from the matrices of ``transient.over`` and by closed forms. Times in s."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from chaos.core.errors import BadInput
from chaos.predict.markov.chain import ClusterChain, Solvable, solvable
from chaos.predict.markov.measures import TINY, long_run
from chaos.predict.markov.transient import over


def point_availability(model: Solvable, at_s: float, start: int = 0) -> float:
    """P(up at ``at_s`` | in state ``start`` at 0)."""
    return float(over(model, at_s)[0][start, model.up].sum())


def unreliability(model: Solvable, until_s: float, start: int = 0) -> float:
    """P(a failure by ``until_s``), summed by itself: where it is 1e-20 it still has its digits, which 1 - reliability has not."""
    stays = np.where(model.up[:, None], model.rates, 0.0)
    return float(over(msgspec.structs.replace(model, rates=stays), until_s)[0][start, ~model.up].sum())


def expected_downtime_s(model: Solvable, until_s: float, start: int = 0) -> float:
    """The mean time spent down in (0, ``until_s``), from state ``start``."""
    return float(over(model, until_s)[1][start, ~model.up].sum())


def interval_availability(model: Solvable, until_s: float, start: int = 0) -> float:
    """The mean share of (0, ``until_s``) that is up. Started healthy it is above the long run's value."""
    if until_s == 0:
        return 1.0 if model.up[start] else 0.0
    return 1.0 - expected_downtime_s(model, until_s, start) / until_s


def mean_uptime_s(failures_per_s: float, repairs_per_s: float, window_s: float) -> float:
    """Started up, exponential repairs: A T + (1 - A)(1 - exp(-(l + m) T)) / (l + m), which is above A T."""
    both = failures_per_s + repairs_per_s
    if not (failures_per_s > 0 and repairs_per_s > 0 and window_s >= 0 and math.isfinite(both) and math.isfinite(window_s)):
        raise BadInput("rates must be above 0 and the window a time")
    availability = repairs_per_s / both
    return availability * window_s + (1 - availability) * -math.expm1(-both * window_s) / both


def second_order(chain: ClusterChain) -> float:
    """The part of U that isolated crashes do not explain: a second one inside the recovery of a first, common causes, lost coverage.

    Never found by scaling an accelerated run back: at K times the rate it is K^2 times as large.
    """
    whole = long_run(solvable(chain)).unavailability
    slow = msgspec.structs.replace(chain, crash_per_s=chain.crash_per_s * TINY, common_cause=0.0, coverage=1.0)
    return whole - long_run(solvable(slow)).unavailability / TINY
