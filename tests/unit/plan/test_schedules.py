"""When faults are due."""

from __future__ import annotations

import math
import random
import statistics
from itertools import pairwise

import pytest

from chaos.core.errors import BadInput
from chaos.experiment.schedules import At, Every, Poisson, Renewal
from chaos.plan.schedules import MAX_WINDOWS, gaps, problem, starts_s


def starts(schedule, *, for_s=2.0, times=None, horizon_s=None, jitter_s=1.0, seed=1):
    """Start times with usual values."""
    return starts_s(schedule, for_s=for_s, times=times, horizon_s=horizon_s, jitter_s=jitter_s, rng=random.Random(seed))


def test_at_is_as_written_in_order():
    """No jitter, sorted."""
    assert starts(At((20.0, 10.0))) == (10.0, 20.0)


def test_every_exact_is_a_grid_that_begins_after_one_period():
    """k periods."""
    assert starts(Every(15.0, exact=True), times=3) == (15.0, 30.0, 45.0)


def test_every_is_late_by_less_than_the_jitter_and_evenly_so():
    """U(0, TTL) on top of the grid, independent of each other: mean TTL/2, cv as of a uniform."""
    late = [start - 15.0 * (i + 1) for i, start in enumerate(starts(Every(15.0), times=4000, jitter_s=2.0))]
    assert min(late) >= 0.0
    assert max(late) <= 2.0
    assert statistics.mean(late) == pytest.approx(1.0, abs=0.05)
    assert statistics.stdev(late) == pytest.approx(2.0 / math.sqrt(12), abs=0.03)


@pytest.mark.parametrize(("horizon_s", "count"), [(31.9, 1), (32.0, 2), (61.0, 3), (10.0, 0)])
def test_without_times_as_many_as_begin_and_end_before_the_horizon(horizon_s, count):
    """Each lasts 2 s and must be over by then."""
    assert len(starts(Every(15.0, exact=True), horizon_s=horizon_s)) == count


def test_neither_times_nor_horizon_is_refused():
    """Nothing would end it."""
    with pytest.raises(BadInput, match="nothing says how often"):
        starts(Every(15.0))


def test_a_flood_is_refused():
    """A slip in the unit must not plan a million faults."""
    with pytest.raises(BadInput, match=f"more than {MAX_WINDOWS:,} faults"):
        starts(Every(0.001, exact=True), for_s=0.0, horizon_s=1e6)


@pytest.mark.parametrize(
    ("schedule", "cv"),
    [
        (Poisson(10.0), 1.0),
        (Renewal("weibull", 10.0, shape=2.0), 0.5227),
        (Renewal("lognormal", 10.0, cv=0.7), 0.7),
        (Renewal("uniform", 10.0, cv=0.3), 0.3),
    ],
)
def test_random_gaps_have_the_mean_and_spread_that_were_asked_for(schedule, cv):
    """20,000 draws: mean within 3 standard errors, cv within 5 % (Weibull of shape 2: sqrt(4/pi - 1))."""
    draw = gaps(schedule, random.Random(5))
    found = [draw() for _ in range(20_000)]
    mean = statistics.mean(found)
    assert mean == pytest.approx(10.0, abs=3 * 10.0 * cv / math.sqrt(len(found)))
    assert statistics.stdev(found) / mean == pytest.approx(cv, rel=0.05)


def test_random_windows_of_one_fault_never_overlap():
    """A gap runs from the end of one to the start of the next."""
    found = starts(Poisson(1.0), for_s=5.0, times=200)
    assert all(later - earlier >= 5.0 for earlier, later in pairwise(found))


def test_the_same_generator_gives_the_same_times():
    """Pure: times are a function of schedule and seed."""
    assert starts(Poisson(3.0), times=20, seed=9) == starts(Poisson(3.0), times=20, seed=9)
    assert starts(Poisson(3.0), times=20, seed=9) != starts(Poisson(3.0), times=20, seed=10)


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        (Every(2.5), "would overlap the next"),
        (Every(1.0, exact=True), "would overlap the next"),
        (At((5.0, 6.0)), "would begin before"),
        (At((5.0, 5.0)), "would begin before"),
        (Poisson(0.0), "no schedule"),
        (Renewal("weibull", 5.0, shape=0.0), "shape must be positive"),
        (Renewal("uniform", 5.0, cv=0.6), "cannot have a cv"),
    ],
)
def test_an_impossible_schedule_is_told(schedule, says):
    """Each with what would be right."""
    found = problem(schedule, 2.0, 1.0)
    assert found is not None
    message, right = found
    assert says in message
    assert right


@pytest.mark.parametrize("schedule", [Every(3.0), Every(2.0, exact=True), At((5.0, 7.0)), Poisson(0.5), Renewal("uniform", 5.0, cv=0.5)])
def test_a_possible_schedule_has_no_problem(schedule):
    """Back to back is allowed: nothing overlaps."""
    assert problem(schedule, 2.0, 1.0) is None
