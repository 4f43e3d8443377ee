"""The worst windows: one long outage and many short ones with the same downtime are told apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from chaos.measure import estimates as stats
from chaos.measure.timeline import build
from chaos.measure.windows import lost_seconds, worst_windows
from tests.support import synthetic

SLOT_S = 0.1
DUE_S = np.arange(1200) * SLOT_S
ALL = np.ones(1200, dtype=bool)


def ratios(good: NDArray[np.bool_], counted: NDArray[np.bool_] = ALL) -> dict[float, float]:
    """Length -> the worst share."""
    return {each.window_s: each.ratio for each in worst_windows(good, counted, DUE_S, SLOT_S)}


def test_one_long_outage_and_many_short_ones_differ() -> None:
    """12 s at once empty a window of 10 s; one slot in ten empties none."""
    long, short = ALL.copy(), ALL.copy()
    long[300:420] = False
    short[::10] = False
    assert lost_seconds(long, ALL, SLOT_S) == lost_seconds(short, ALL, SLOT_S) == pytest.approx(12.0)
    assert ratios(long) == pytest.approx({1.0: 0.0, 10.0: 0.0, 60.0: 0.8})
    assert ratios(short) == pytest.approx({1.0: 0.9, 10.0: 0.9, 60.0: 0.9})


def test_it_says_when_the_worst_one_began() -> None:
    """The first window that holds all of the bad slots."""
    good = ALL.copy()
    good[500:505] = False
    (second, *_) = worst_windows(good, ALL, DUE_S, SLOT_S)
    assert (second.ratio, second.start_s) == (0.5, pytest.approx(49.5))


def test_missing_slots_are_neither_good_nor_bad() -> None:
    """A window of which less than half was sent is passed over, not called bad or good."""
    good, counted = ALL.copy(), ALL.copy()
    good[600:610] = False
    counted[600:607] = False
    assert ratios(good, counted)[1.0] == pytest.approx(1 - 3 / 5)
    assert lost_seconds(good, counted, SLOT_S) == pytest.approx(0.3)


def test_a_window_longer_than_the_run_is_left_out() -> None:
    """Ten minutes do not fit into two; nothing fits into nothing."""
    assert set(ratios(ALL)) == {1.0, 10.0, 60.0}
    assert worst_windows(ALL[:0], ALL[:0], DUE_S[:0], SLOT_S) == []


def test_the_least_of_a_length_never_exceeds_the_whole() -> None:
    """Some window is at most as good as the mean, whatever the pattern."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        good = rng.random(1200) < rng.uniform(0.5, 1)
        assert all(ratio <= good.mean() + 0.02 for ratio in ratios(good).values())


def test_a_run_reports_them() -> None:
    """The observation of a service has its windows, the baseline left out."""
    plan = synthetic.make_plan()
    timeline = build(plan, synthetic.frame(plan), synthetic.slots(plan, [(0.5, 1.0), (10.005, 10.505)]))
    seen = stats.observe(plan, timeline)
    assert seen is not None
    assert {each.window_s: each.ratio for each in seen.windows} == pytest.approx({1.0: 0.5, 10.0: 0.95})
    assert seen.lost_s == pytest.approx(0.5)
