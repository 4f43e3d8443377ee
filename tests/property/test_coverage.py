"""Intervals are judged by what they promise: how often they hold the truth, by simulation with fixed seeds.

The data come from generators of this file, which knows nothing of how intervals are made. One seed for all resamples keeps it quick;
``bench.coverage`` does the same at length.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from chaos.judge import sequential
from chaos.judge.extrapolation import YEAR_S, Share, combine
from chaos.measure.means import clopper_pearson, interval_of_mean, poisson_rate
from chaos.measure.ratios import natural_availability, scheduled_availability, slot_ratio

Floats = NDArray[np.float64]

LEAST = 0.92
RUNS = 250
"""The coverage found has a standard deviation of about 0.014."""
NOISE = 0.028


def lognormal(rng: np.random.Generator, mean: float, cv: float, size: int) -> Floats:
    """Lognormal draws of this mean and coefficient of variation."""
    variance = math.log(1 + cv * cv)
    return mean * rng.lognormal(-variance / 2, math.sqrt(variance), size)


def mixture(rng: np.random.Generator, rare: float, size: int) -> Floats:
    """Fast failovers and a share of slow restarts, mean 1."""
    drawn = np.where(rng.random(size) < rare, lognormal(rng, 30.0, 0.25, size), lognormal(rng, 4.0, 0.25, size))
    return drawn / (4.0 + 26.0 * rare)


SHAPES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "alike": lambda rng, size: rng.uniform(0.6, 1.4, size),
    "exponential": lambda rng, size: rng.exponential(1.0, size),
    "lognormal 0.5": lambda rng, size: lognormal(rng, 1.0, 0.5, size),
    "lognormal 1.5": lambda rng, size: lognormal(rng, 1.0, 1.5, size),
    "80/20": lambda rng, size: mixture(rng, 0.2, size),
    "90/10": lambda rng, size: mixture(rng, 0.1, size),
}
"""All of mean 1."""


def holds(low: float | None, truth: float, high: float | None) -> bool:
    """Whether the truth is inside; an end that is not given cannot be wrong."""
    return (low is None or low <= truth) and (high is None or truth <= high)


@pytest.mark.parametrize("count", [3, 8, 10, 20, 50])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_mean_interval_covers_as_often_as_it_promises(shape: str, count: int) -> None:
    """Whatever the shape; with both ends in nearly all samples, so that it says something."""
    rng = np.random.default_rng(20_26)
    held = given = 0
    for _ in range(RUNS):
        low, high, _ = interval_of_mean(SHAPES[shape](rng, count), seed=1)
        held += holds(low, 1.0, high)
        given += low is not None and high is not None
    assert held / RUNS >= LEAST - NOISE
    assert given / RUNS >= (0.95 if count >= 8 else 0.8)


@pytest.mark.parametrize("count", [2, 5, 8, 12, 20, 30, 43])
@pytest.mark.parametrize("rare", [0.1, 0.2])
def test_a_claim_never_rests_on_the_rare_kind_not_having_come(count: int, rare: float) -> None:
    """Only fast failovers came: the upper end still holds the mean of the mixture, as long as that is likely to happen."""
    values = lognormal(np.random.default_rng(count), 4.0, 0.25, count)
    _, high, _ = interval_of_mean(values, seed=1)
    if (1 - rare) ** count > 0.01:
        assert high is not None and high >= 4.0 + 26.0 * rare
    assert (1 - 0.1) ** 44 < 0.01


def test_looks_at_claims_never_let_one_pass_that_rests_on_that() -> None:
    """At each look, with its stricter confidence, up to forty fast failovers."""
    counts = list(range(4, 65, 4))
    values = lognormal(np.random.default_rng(3), 4.0, 0.25, 64)
    confidences = sequential.claim_confidences(counts, 64)
    for count, confidence in zip(counts, confidences, strict=True):
        if confidence is not None and count < 44:
            _, high, _ = interval_of_mean(values[:count], seed=1, confidence=confidence)
            assert high is not None and high > 6.6
    assert any(confidence is not None for count, confidence in zip(counts, confidences, strict=True) if count < 44)


@pytest.mark.parametrize(("share", "trials"), [(0.5, 10), (0.9, 20), (0.99, 8)])
def test_clopper_pearson_never_covers_too_seldom(share: float, trials: int) -> None:
    """Exact: at least 95 % whatever the truth."""
    hits = np.random.default_rng(1).binomial(trials, share, 4000)
    inside = [low <= share <= high for low, high in (clopper_pearson(int(hit), trials) for hit in hits)]
    assert np.mean(inside) >= 0.945


def test_the_rate_interval_covers() -> None:
    """Poisson events in a fixed time, the truth inside at least 95 % of the time."""
    counts = np.random.default_rng(2).poisson(6.0, 4000)
    inside = [low <= 0.1 <= high for low, high in (poisson_rate(int(count), 60.0) for count in counts)]
    assert np.mean(inside) >= 0.945


# --- ratios in time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["alike", "exponential", "lognormal 1.5", "90/10"])
@pytest.mark.parametrize(("faults", "noticed"), [(8, 0.8), (24, 0.8), (24, 0.3), (50, 0.5)])
def test_scheduled_availability_takes_noticing_as_random(shape: str, faults: int, noticed: float) -> None:
    """Faults of which clients notice a share: the truth is inside, and a claim at its very limit passes or fails in 2.5 % at most."""
    rng = np.random.default_rng(4)
    truth = 1 - noticed / 30
    held = passed = failed = 0
    for _ in range(RUNS):
        downs_s = SHAPES[shape](rng, faults) * (rng.random(faults) < noticed)
        found = scheduled_availability(downs_s.tolist(), float(downs_s.sum()), 30.0 * faults, 1, 0.001)
        held += holds(found.low, truth, found.high)
        passed += found.low is not None and found.low > truth
        failed += found.high is not None and found.high < truth
    assert held / RUNS >= LEAST - NOISE
    assert passed / RUNS <= 0.025 + 0.02
    assert failed / RUNS <= 0.025 + 0.02


@pytest.mark.parametrize("shape", ["exponential", "lognormal 1.5"])
@pytest.mark.parametrize(("span_s", "rate"), [(600.0, 10.0), (600.0, 100.0), (3000.0, 10.0)])
def test_slots_are_not_taken_for_independent(shape: str, span_s: float, rate: float) -> None:
    """Two-state process, mean up 60 s and down 3 s: the interval holds the truth, a binomial one would not."""
    rng = np.random.default_rng(3)
    truth = 60 / 63
    many = int(span_s / 20)
    held = naive = 0
    runs = 150
    for _ in range(runs):
        edges = np.cumsum(np.column_stack((rng.exponential(60, many), 3 * SHAPES[shape](rng, many))).ravel()) - 600.0
        slots = round(span_s * rate)
        is_up = np.searchsorted(edges, np.arange(slots) / rate, side="right") % 2 == 0
        downs_s = edges[1::2] - edges[::2]
        found = slot_ratio(is_up, np.ones(slots, dtype=bool), 1 / rate, float(downs_s[(edges[::2] > 0) & (edges[::2] < span_s)].max()))
        held += holds(found.low, truth, found.high)
        assert found.value is not None
        naive += abs(found.value - truth) <= 1.96 * math.sqrt(max(found.value * (1 - found.value), 1e-9) / slots)
    assert held / runs >= LEAST - 2 * 0.015
    assert naive / runs <= 0.5


@pytest.mark.parametrize("shape", ["alike", "lognormal 1.5", "80/20"])
@pytest.mark.parametrize("faults", [8, 20])
def test_the_ratio_of_a_run_with_faults_has_an_interval_by_fault(shape: str, faults: int) -> None:
    """Faults every 20 s, of which four in five are noticed, 50 requests a second at any phase."""
    rng = np.random.default_rng(5)
    truth = 1 - 0.8 / 20
    held = 0
    for _ in range(150):
        starts_s = 20.0 * np.arange(faults) + rng.uniform(0, 2, faults)
        downs_s = SHAPES[shape](rng, faults) * (rng.random(faults) < 0.8)
        due_s = (np.arange(1000 * faults) + rng.random()) / 50
        cycle = np.maximum(np.searchsorted(starts_s, due_s, side="right") - 1, 0)
        since_s = due_s - starts_s[cycle]
        hits = ~((since_s >= 0) & (since_s < downs_s[cycle]))
        begins = np.searchsorted(due_s, starts_s).tolist()
        found = slot_ratio(hits, np.ones(len(hits), dtype=bool), 0.02, float(downs_s.max()), begins=begins)
        held += holds(found.low, truth, found.high)
    assert held / 150 >= LEAST - 2 * 0.015


def test_errors_that_come_singly_are_as_good_as_independent() -> None:
    """One request in fifty fails, each for itself: about as wide as a binomial interval, and it covers."""
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(150):
        hits = rng.random(10_000) >= 0.02
        found = slot_ratio(hits, np.ones(len(hits), dtype=bool), 0.01, 0.0)
        held += holds(found.low, 0.98, found.high)
        assert found.low is not None and found.high is not None
        assert found.high - found.low < 2 * 3.92 * math.sqrt(0.02 * 0.98 / 10_000)
    assert held / 150 >= LEAST - 2 * 0.015


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cycles", [8, 20, 50])
def test_natural_availability_covers(shape: str, cycles: int) -> None:
    """Cycles of exponential up times and any down times: odds hold the long-run value."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(RUNS):
        ups, downs = rng.exponential(20.0, cycles), SHAPES[shape](rng, cycles)
        found = natural_availability(ups.tolist(), downs.tolist(), float(downs.sum()), float(ups.sum() + downs.sum()))
        held += holds(found.low, 20 / 21, found.high)
    assert held / RUNS >= LEAST - NOISE


# --- a year of production ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["exponential", "lognormal 1.5", "90/10"])
@pytest.mark.parametrize("faults", [8, 20, 50])
def test_the_yearly_interval_covers(shape: str, faults: int) -> None:
    """At a chosen rate, one fault in five unnoticed."""
    rng = np.random.default_rng(7)
    runs, held = 100, 0
    for _ in range(runs):
        downs_s = SHAPES[shape](rng, faults) * (rng.random(faults) < 0.8)
        found = combine([Share("kill/leader", 1e-6, tuple(downs_s.tolist()), 30.0, "r")], 1).downtime_s_per_year
        held += holds(found.low, 0.8e-6 * YEAR_S, found.high)
    assert held / runs >= LEAST - 2 * 0.022


def test_the_yearly_interval_covers_with_counted_rates_and_several_classes() -> None:
    """Two classes, each counted in production about four times, ten outages of each measured."""
    rng = np.random.default_rng(8)
    runs, held = 100, 0
    for _ in range(runs):
        shares = []
        for name in ("kill/leader", "pause/leader"):
            seen = int(rng.poisson(4.0))
            downs_s = tuple(rng.exponential(1.0, 10).tolist())
            shares.append(Share(name, max(seen, 0.5) / 4e6, downs_s, 10.0, name, seen, 4e6))
        found = combine(shares, 1).downtime_s_per_year
        held += holds(found.low, 2e-6 * YEAR_S, found.high)
    assert held / runs >= LEAST - 2 * 0.018
