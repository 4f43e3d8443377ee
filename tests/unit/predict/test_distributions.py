"""Laws of times: moments, quantiles and draws agree, sums are convolutions, windows take any of them; what is no law is refused."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from scipy import stats

import tests.reference.distributions
from chaos.core.errors import BadInput
from chaos.predict.markov.window import FiniteRun
from tests.reference.distributions import Between, Constant, Empirical, Exponential, Gamma, Lognormal, Sum, Weibull
from tests.reference.standby import standby_unavailability

LAWS = [
    Exponential(30.0), Lognormal(30.0, 1.5), Lognormal(3.0, 0.2), Weibull(10.0, 0.7), Weibull(10.0, 3.0), Gamma(5.0, 0.5), Constant(4.0),
    Between(1.0, 3.0), Empirical((1.0, 2.0, 2.0, 7.0)), Sum((Constant(1.0), Exponential(2.0), Between(0.0, 1.0))),
]  # fmt: skip


def named(law: object) -> str:
    """For the test's name."""
    return type(law).__name__


@pytest.mark.parametrize("law", LAWS, ids=named)
def test_moments_and_quantiles_are_those_of_the_draws(law: Exponential) -> None:
    """Mean, spread, three quantiles and what lies beyond a time, against 200,000 draws."""
    drawn = law.sample(np.random.default_rng(1), 200_000)
    assert drawn.mean() == pytest.approx(law.mean_s, rel=0.03)
    assert drawn.var() == pytest.approx(law.variance_s2, rel=0.25, abs=1e-12)
    for share in (0.1, 0.5, 0.95):
        quantile = law.quantile(share)
        assert np.mean(drawn <= quantile * (1 + 1e-9)) >= share - 0.01
        assert np.mean(drawn < quantile * (1 - 1e-9) - 1e-3) <= share + 0.01
    hidden_s = law.mean_s / 2
    assert np.maximum(drawn - hidden_s, 0).mean() == pytest.approx(law.beyond(hidden_s), rel=0.03)


@pytest.mark.parametrize("law", LAWS, ids=named)
def test_masses_are_a_law_on_the_grid(law: Exponential) -> None:
    """They sum to one, and their mean is the law's, as far as the grid reaches."""
    masses = law.masses(law.mean_s / 200, 20_000)
    assert masses.sum() == pytest.approx(1.0)
    assert np.all(masses >= -1e-12)
    assert masses @ np.arange(20_000) / 200 == pytest.approx(1.0, rel=2e-3)


def test_sum_of_exponentials_is_erlang() -> None:
    """Three in a row have a gamma law, to five digits; and cv 1 / sqrt(3)."""
    law = Sum((Exponential(2.0),) * 3)
    for at_s in (1.0, 6.0, 15.0):
        assert law.cdf(at_s) == pytest.approx(stats.gamma.cdf(at_s, 3, scale=2.0), abs=2e-5)
    assert law.cv == pytest.approx(1 / math.sqrt(3))


def test_lognormal_against_scipy() -> None:
    """By mean and cv; the closed form of what lies beyond a time against the integral."""
    law, sigma = Lognormal(30.0, 1.5), math.sqrt(math.log1p(1.5**2))
    other = stats.lognorm(sigma, scale=math.exp(math.log(30.0) - sigma**2 / 2))
    for at_s in (1.0, 30.0, 200.0):
        assert law.cdf(at_s) == pytest.approx(other.cdf(at_s), rel=1e-9)
    assert law.beyond(10.0) == pytest.approx(other.expect(lambda x: x - 10.0, lb=10.0), rel=1e-5)


@pytest.mark.parametrize(("share", "exponential", "lognormal"), [(0.025, 0.891, 0.870), (0.975, 0.993, 0.994)])
def test_windows_take_any_law(share: float, exponential: float, lognormal: float) -> None:
    """An hour with an outage of 30 s every 600 s: the worked quantiles, without a single draw."""
    assert FiniteRun(1 / 600, Exponential(30.0), 3600.0).availability_quantile(share) == pytest.approx(exponential, abs=1.5e-3)
    assert FiniteRun(1 / 600, Lognormal(30.0, 1.5), 3600.0).availability_quantile(share) == pytest.approx(lognormal, abs=1.5e-3)


def test_short_outages_in_a_long_window_keep_their_digits() -> None:
    """Half a second twice a month: the grid follows the downtime, not the window."""
    month_s = 30 * 86400.0
    run = FiniteRun(2 / month_s, Constant(0.5), month_s)
    assert 1 - run.availability_quantile(0.5) == pytest.approx(1.0 / month_s, rel=1e-3)
    assert run.availability_quantile(0.99) == 1.0
    assert run.no_outage == pytest.approx(math.exp(-2))


def test_the_long_run_does_not_depend_on_the_law() -> None:
    """The mean availability of a long window is that of means alone: renewal reward."""
    for law in (Exponential(30.0), Constant(30.0), Lognormal(30.0, 1.5)):
        run = FiniteRun(1 / 600, law, 600_000.0)
        assert run.availability_quantile(0.5) == pytest.approx(600 / 630, abs=2e-3)
    assert standby_unavailability(1 / 600, 1 / 30, 0) == pytest.approx(30 / 630)


def test_worked_examples() -> None:
    """The examples in the module's documentation give what they show."""
    failed, tried = doctest.testmod(tests.reference.distributions)
    assert (failed, tried > 2) == (0, True)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_law_is_refused(bad: float) -> None:
    """Means, scales, shapes and spreads are above zero and finite."""
    for make in (Exponential, lambda x: Lognormal(x, 1.0), lambda x: Lognormal(1.0, x), lambda x: Weibull(x, 1.0),
                 lambda x: Weibull(1.0, x), lambda x: Gamma(x, 1.0), lambda x: Gamma(1.0, x)):  # fmt: skip
        with pytest.raises(BadInput):
            make(bad)


def test_times_and_ranges_that_are_none_are_refused() -> None:
    """Negative times, empty samples and sums, ranges that do not rise, quantiles outside (0, 1)."""
    for make in (lambda: Constant(-1.0), lambda: Between(2.0, 2.0), lambda: Between(-1.0, 2.0), lambda: Empirical(()), lambda: Sum(()),
                 lambda: Empirical((1.0, math.nan)), lambda: Exponential(1.0).quantile(1.0)):  # fmt: skip
        with pytest.raises(BadInput):
            make()
