"""The check for a trend: Laplace's and Kendall's statistics against known values, and runs that grow worse."""

from __future__ import annotations

import numpy as np
import pytest

from chaos.judge import trend as checks_trend
from chaos.judge.trend import kendall, laplace, two_sided
from chaos.measure.timeline import build
from chaos.results.verdict import Check
from tests.support import synthetic
from tests.support.synthetic import fault_rows, frame, kills, make_plan


def after_kills(lengths_s: list[float]) -> Check:
    """The check on a run with a kill every five seconds and an outage of each of these lengths after it."""
    times_s = [5.0 + 5.0 * index for index in range(len(lengths_s))]
    spec, windows = kills(times_s)
    plan = make_plan(faults=[spec], windows=windows, duration_s=times_s[-1] + 10.0)
    rows = [*frame(plan), *(row for window in windows for row in fault_rows(window))]
    downs = [(at_s + 0.015, at_s + 0.015 + length_s) for at_s, length_s in zip(times_s, lengths_s, strict=True)]
    return checks_trend.check(build(plan, rows, synthetic.slots(plan, downs)))


def test_outages_that_grow_fail() -> None:
    """Twelve outages, each longer than the one before."""
    check = after_kills([0.2 + 0.1 * index for index in range(12)])
    assert check.verdict == "fail"
    assert "grow longer" in check.detail


def test_outages_that_scatter_pass() -> None:
    """The same lengths in a random order; and outages that differ by less than a slot."""
    lengths_s = [0.2 + 0.1 * index for index in range(12)]
    assert after_kills(list(np.random.default_rng(3).permutation(lengths_s))).verdict == "pass"
    assert after_kills([0.5] * 12).verdict == "pass"


def test_few_outages_show_no_trend() -> None:
    """Five in order may be chance."""
    check = after_kills([0.2, 0.4, 0.6, 0.8, 1.0])
    assert (check.verdict, check.detail) == ("pass", "too few outages of a kind to show one")


@pytest.mark.parametrize(("late", "verdict"), [(True, "fail"), (False, "pass")])
def test_outages_by_themselves(late: bool, verdict: str) -> None:
    """Eight in the last fifth of a run, or spread over it."""
    plan = make_plan(duration_s=100.0)
    starts_s = [80.0 + 2.0 * index for index in range(8)] if late else [5.0 + 12.0 * index for index in range(8)]
    downs = [(at_s, at_s + 0.3) for at_s in starts_s]
    check = checks_trend.check(build(plan, frame(plan), synthetic.slots(plan, downs)))
    assert check.verdict == verdict
    assert ("ever more often" in check.detail) == late


def test_laplace_by_hand() -> None:
    """NIST's formula: events at 5, 10 and 15 of 20 have no trend; at 20, 20 and 20 they have u = 3."""
    assert laplace([5.0, 10.0, 15.0], 20.0) == pytest.approx(0.0)
    assert laplace([20.0] * 3, 20.0) == pytest.approx(3.0)


def test_kendall_by_hand() -> None:
    """Six in order: 15 pairs, variance 6 x 5 x 17 / 18; the other way round the sign turns, all alike are no trend."""
    assert kendall([1, 2, 3, 4, 5, 6]) == pytest.approx(14 / (6 * 5 * 17 / 18) ** 0.5)
    assert kendall([6, 5, 4, 3, 2, 1]) == pytest.approx(-14 / (6 * 5 * 17 / 18) ** 0.5)
    assert kendall([2, 2, 2]) == 0.0
    assert two_sided(1.959964) == pytest.approx(0.05, abs=1e-6)


def test_sound_runs_are_rarely_failed() -> None:
    """Of 3000 samples of ten outages at random, at most a few are called a trend at one in a thousand."""
    rng = np.random.default_rng(5)
    called = sum(two_sided(kendall(list(rng.exponential(1.0, 10)))) < checks_trend.FAILS for _ in range(3000))
    assert called <= 9
