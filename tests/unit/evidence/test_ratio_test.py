"""The permutation test of a ratio: exact chances by hand, level and power by simulation, intervals that hold the truth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import anderson_ksamp, t

from chaos.evidence import k_samples, needed
from chaos.evidence.ratio_test import Values, ratio
from chaos.measure import student


def values(sums: list[float]) -> Values:
    """Each over 1."""
    return Values(np.array(sums), np.ones(len(sums)))


def test_the_chance_is_that_of_all_ways_to_choose() -> None:
    """Of the 56 ways to choose 3 of 8 values, by hand."""
    old, new = [1.0, 1.1, 1.3, 1.2, 0.9], [1.25, 1.4, 1.15]
    every = old + new
    exact = sum(sum(chosen) >= sum(new) - 1e-9 for chosen in itertools.combinations(every, 3)) / math.comb(8, 3)
    found = ratio(values(old), values(new), 1.3)
    assert found.value == pytest.approx(np.mean(new) / np.mean(old))
    assert found.p_worse == pytest.approx(exact, abs=0.02)


def test_few_values_prove_nothing() -> None:
    """One value against three has four ways: p is never below a quarter, and no factor can be refused."""
    found = ratio(values([1.0, 1.1, 1.2]), values([9.0]), 1.3)
    assert found.p_worse == pytest.approx(0.25, abs=0.03)
    assert (found.low, found.high) == (None, None)


def test_zeros_and_no_downtime_at_all() -> None:
    """Nothing lost before and something now: no ratio, and a chance all the same."""
    found = ratio(values([0.0] * 20), values([0.5] * 5), 1.3)
    assert found.value is None
    assert found.p_worse < 0.01
    assert ratio(values([0.0] * 5), values([0.0] * 5), 1.3).p_worse == 1.0


def test_the_interval_holds_the_truth_nine_times_in_ten() -> None:
    """Skewed values, a true factor of 1.4: 90 % of intervals hold it, 5 % miss on each side; so for very many on one side."""
    rng = np.random.default_rng(5)
    for olds, news, times in ((25, 8, 120), (5000, 8, 60)):
        missed = np.zeros(2)
        for _ in range(times):
            old, new = rng.gamma(4, 0.2, olds), 1.4 * rng.gamma(4, 0.2, news)
            found = ratio(Values(old, np.ones(olds)), Values(new, np.ones(news)), 1.3)
            assert found.low is not None and found.high is not None
            missed += [found.low > 1.4, found.high < 1.4]
        assert (missed <= times * 0.05 + 3 * math.sqrt(times * 0.05 * 0.95)).all()


def test_many_on_both_sides() -> None:
    """The normal law, against the t interval of logarithms on an independent way."""
    rng = np.random.default_rng(6)
    old, new = rng.gamma(20, 0.04, 4000), rng.gamma(20, 0.04, 300) * 1.1
    found = ratio(Values(old, np.ones(4000)), Values(new, np.ones(300)), 1.3)
    error = math.hypot(old.std() / old.mean() / math.sqrt(4000), new.std() / new.mean() / math.sqrt(300))
    assert found.low == pytest.approx(found.value * math.exp(-1.645 * error), rel=1e-3)
    assert found.p_margin < 1e-6


def test_as_many_as_needed_find_it() -> None:
    """The power at the promised number, by a simulation of its own: at least 80 %, with its error."""
    rng = np.random.default_rng(7)
    law = rng.gamma(6, 0.1, 400)
    count = needed.to_find(needed.Design(law, 40, 0.05), 1.5)
    assert count is not None
    found = 0
    for _ in range(200):
        old, new = rng.gamma(6, 0.1, 40), 1.5 * rng.gamma(6, 0.1, count)
        found += ratio(Values(old, np.ones(40)), Values(new, np.ones(count)), 1.3).p_worse <= 0.05
    assert found >= 200 * 0.8 - 2 * math.sqrt(200 * 0.16)


def test_what_no_number_finds() -> None:
    """Three old values: however many new ones there are, the old mean is not known well enough."""
    law = np.random.default_rng(8).exponential(1.0, 400)
    assert needed.to_find(needed.Design(law, 3), 1.1) is None


# --- may runs be pooled ------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sizes", [(5, 5, 5), (8, 3, 20), (60, 80, 40)])
def test_anderson_and_darling_as_scipy_has_it(sizes: tuple[int, ...]) -> None:
    """The standardized statistic of k samples with ties."""
    rng = np.random.default_rng(sum(sizes))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    drawn = np.round(rng.gamma(20, 0.04, len(groups)), 2)
    theirs = anderson_ksamp([drawn[groups == group] for group in range(len(sizes))]).statistic
    counts = np.array(sizes)
    mine = (k_samples._statistic(drawn, groups, counts) - (len(sizes) - 1)) / math.sqrt(k_samples._variance(counts))
    assert mine == pytest.approx(theirs, rel=1e-9)


def test_pooling_is_refused_where_runs_differ_and_rarely_where_they_do_not() -> None:
    """Alike: 5 % at 5 %. One slow machine among ten: refused."""
    rng = np.random.default_rng(9)
    groups = np.repeat(np.arange(20), 5)
    refused = sum((k_samples.p_value(rng.gamma(20, 0.04, 100), groups) or 1.0) < 0.05 for _ in range(200))
    assert refused <= 200 * 0.05 + 3 * math.sqrt(200 * 0.05 * 0.95)
    slow = np.where(groups >= 10, 1.4, 1.0)
    assert (k_samples.p_value(rng.gamma(20, 0.04, 100) * slow, groups) or 1.0) < k_samples.LEVEL
    assert k_samples.p_value(np.ones(100), groups) is None
    assert k_samples.p_value(rng.gamma(20, 0.04, 5), np.zeros(5, dtype=np.int64)) is None


@pytest.mark.parametrize("freedom", [1, 2, 3, 6, 7, 50, 399])
def test_quantiles_of_student_s_law(freedom: int) -> None:
    """As scipy has them."""
    for share in (0.025, 0.6, 0.975, 0.999):
        assert student.quantile(freedom, share) == pytest.approx(t.ppf(share, freedom), rel=1e-9)
