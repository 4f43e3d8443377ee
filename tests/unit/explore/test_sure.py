"""The sequential test errs as seldom as it says, and the bound on what was not found is the binomial one."""

from __future__ import annotations

import random

import pytest
from scipy.special import betaincinv

from chaos.explore.sure import ALPHA, BETA, MOST_RUNS, Rates, Seen, repeat, scaled, upper_share


@pytest.mark.parametrize(("share", "expected"), [(1.0, True), (0.6, True), (0.2, False), (0.0, False)])
def test_errors_are_within_what_is_promised(share: float, expected: bool) -> None:
    """Shares at the two limits and beyond: 2,000 tests each. Wald's bound holds for the test that is not cut off; that adds a little."""
    random_ = random.Random(7)
    rates = Rates(0.2, 0.6)
    wrong = sum(repeat(lambda _: random_.random() < share, rates).fails is not expected for _ in range(2_000))
    assert wrong / 2_000 <= max(ALPHA, BETA) * 1.2


def test_few_runs_are_enough_where_it_is_clear() -> None:
    """Three failures in a row, or five runs that held."""
    assert repeat(lambda _: True, Rates()) == Seen(3, 3, True)
    assert repeat(lambda _: False, Rates()) == Seen(0, 5, False)


def test_a_run_that_tells_nothing_is_no_failure() -> None:
    """The schedule is taken for one that holds sooner than for one that fails."""
    assert not repeat(lambda _: None, Rates()).fails


def test_it_ends() -> None:
    """A share in the middle is cut off, as not sure."""
    answers = [letter == "f" for letter in "fhhfhfhhfhfhh"]
    seen = repeat(lambda number: answers[number % len(answers)], Rates())
    assert seen.runs <= MOST_RUNS
    assert not seen.fails


def test_parts_of_what_fails_seldom_may_fail_as_seldom() -> None:
    """A schedule that fails in four of ten runs could never be shrunk if its parts were to fail in six."""
    rates = scaled(Seen(4, 10, True))
    assert rates.high <= 0.4
    assert rates.low < rates.high
    assert scaled(Seen(10, 10, True)).high == 0.6


@pytest.mark.parametrize("held", [1, 59, 300])
def test_the_bound_is_clopper_pearson_s(held: int) -> None:
    """No failure in n: the upper limit of the one-sided 95 % interval, by the quantile of the beta distribution."""
    assert upper_share(held) == pytest.approx(betaincinv(1, held, 0.95))
    assert upper_share(0) == 1.0
