"""Around the cluster's chain: block diagrams, transients, and windows with random faults, against closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.predict import formulas as article
from chaos.predict.formulas import one_unit_availability
from chaos.predict.markov import solve as gth
from chaos.predict.markov.chain import ClusterChain, solvable
from chaos.predict.markov.measures import first_failure_s, long_run
from chaos.predict.markov.transient import reliability
from chaos.predict.markov.window import FiniteRun
from chaos.predict.rbd import Bridge, Diagram, Parallel, Series, Unit, Vote, importance, unavailability
from tests.reference import sparse
from tests.reference import standby as closed_forms
from tests.reference.standby import birth_death, hot_spares_crew_each
from tests.reference.windows import expected_downtime_s, interval_availability, mean_uptime_s, point_availability

A, B, C, D, T = (Unit(name) for name in "abcdt")
DOWN = {"a": 0.1, "b": 0.2, "c": 0.05, "d": 0.3, "t": 0.15}


def is_up(diagram: Diagram, up: dict[str, bool]) -> bool:
    """The diagram's structure function."""
    match diagram:
        case Unit():
            return up[diagram.name]
        case Series():
            return all(is_up(part, up) for part in diagram.parts)
        case Parallel():
            return any(is_up(part, up) for part in diagram.parts)
        case Vote():
            return sum(is_up(part, up) for part in diagram.parts) >= diagram.needed
        case Bridge():
            a, b, c, d, tie = (is_up(part, up) for part in (diagram.a, diagram.b, diagram.c, diagram.d, diagram.tie))
            return (a and b) or (c and d) or (a and tie and d) or (c and tie and b)


def by_enumeration(diagram: Diagram, down: dict[str, float]) -> float:
    """All states of all blocks, one by one."""
    total = 0.0
    for states in itertools.product([True, False], repeat=len(down)):
        up = dict(zip(down, states, strict=True))
        if not is_up(diagram, up):
            total += math.prod(1 - down[name] if ok else down[name] for name, ok in up.items())
    return total


@pytest.mark.parametrize(
    "diagram",
    [
        Series((A, B, C)),
        Parallel((A, B)),
        Vote(2, (A, B, C)),
        Bridge(A, B, C, D, T),
        Series((Parallel((A, B)), Vote(2, (C, D, T)))),
        Parallel((Series((A, B)), Series((A, C)))),  # one block in two places
        Bridge(A, B, A, D, Series((T, B))),
    ],
)
def test_diagrams(diagram: Diagram) -> None:
    """Each diagram is down with the probability that enumerating all states gives, and so is each importance."""
    assert unavailability(diagram, DOWN) == pytest.approx(by_enumeration(diagram, DOWN), rel=1e-12)
    for name, found in importance(diagram, DOWN).items():
        never, always = (by_enumeration(diagram, {**DOWN, name: share}) for share in (0.0, 1.0))
        assert found.birnbaum == pytest.approx(always - never, rel=1e-9, abs=1e-15)
        assert found.reduction == pytest.approx(by_enumeration(diagram, DOWN) - never, rel=1e-9, abs=1e-15)


def test_many_nines_keep_their_digits() -> None:
    """Three blocks of 1e-18 in series are down 3e-18 of the time, which 1 - A would not show."""
    assert unavailability(Series((A, B, C)), dict.fromkeys("abc", 1e-18)) == pytest.approx(3e-18, rel=1e-12)


@pytest.mark.parametrize(
    ("diagram", "down", "said"),
    [
        (A, {}, "'a' is not given"),
        (A, {"a": 1.1}, "0 to 1"),
        (A, {"a": math.nan}, "0 to 1"),
        (Vote(3, (A, B)), DOWN, "3 of 2"),
        (Series(()), DOWN, "without parts"),
    ],
)
def test_bad_diagrams_are_refused(diagram: Diagram, down: dict[str, float], said: str) -> None:
    """A block without a value, a value that is no probability, a vote that nobody can win."""
    with pytest.raises(BadInput, match=said):
        unavailability(diagram, down)


@pytest.mark.parametrize("spares", [0, 1, 2, 5])
def test_standby(spares: int) -> None:
    """Cold with one crew, cold with a crew each, hot with a crew each: the three textbook formulas out of one chain."""
    failures, repairs = 0.05, 1.0
    cold_one = closed_forms.standby_unavailability(failures, repairs, spares, crews=1)
    cold_each = closed_forms.standby_unavailability(failures, repairs, spares)
    hot_each = closed_forms.standby_unavailability(failures, repairs, spares, dormant=1.0)
    warm = closed_forms.standby_unavailability(failures, repairs, spares, dormant=0.5)
    assert cold_one == pytest.approx(article.cold_spares_one_crew(failures, repairs, spares), rel=1e-12)
    assert cold_each == pytest.approx(closed_forms.erlang_b(spares + 1, failures / repairs), rel=1e-12)
    assert hot_each == pytest.approx(hot_spares_crew_each(failures, repairs, spares), rel=1e-12)
    assert cold_each * (1 - 1e-12) <= warm <= hot_each * (1 + 1e-12)


def test_standby_without_repair() -> None:
    """The worked survivals at lt = 0.2 and one spare, warm between; the means (s + 1) / l and the harmonic sum."""
    cold, warm, hot = (closed_forms.standby_survival(0.1, 1, 2.0, dormant=dormant) for dormant in (0.0, 0.5, 1.0))
    assert cold == pytest.approx(0.982477, abs=5e-7)
    assert hot == pytest.approx(0.967141, abs=5e-7)
    assert hot < warm < cold
    assert closed_forms.standby_mttf(0.1, 2) == pytest.approx(30.0)
    assert closed_forms.standby_mttf(0.1, 2, dormant=1.0) == pytest.approx(10 * (1 + 1 / 2 + 1 / 3))


def test_sparse_solves_agree_with_exact_ones() -> None:
    """A cluster of nine nodes and a birth-death chain of 3,000 states: the same vector."""
    from scipy.sparse import csr_matrix

    rates = solvable(ClusterChain(9, 5, 1 / 7200, 1 / 30, 1 / 20, 1 / 4)).rates
    np.testing.assert_allclose(sparse.stationary(csr_matrix(rates)), gth.stationary(rates), atol=1e-13)
    up, down, here = np.full(2999, 0.9), np.ones(2999), np.arange(2999)
    places = (np.concatenate((here, here + 1)), np.concatenate((here + 1, here)))
    long = csr_matrix((np.concatenate((up, down)), places), shape=(3000, 3000))
    np.testing.assert_allclose(sparse.stationary(long), birth_death(up, down), atol=1e-13)


def test_sparse_refuses_absorbing_chains() -> None:
    """A state without a way back is refused here too, as are negative rates."""
    from scipy.sparse import csr_matrix

    with pytest.raises(BadInput, match="absorbing"):
        sparse.stationary(csr_matrix(np.array([[0.0, 1.0], [0.0, 0.0]])))
    with pytest.raises(BadInput, match="negative"):
        sparse.stationary(csr_matrix(np.array([[0.0, -1.0], [1.0, 0.0]])))


def two_states() -> ClusterChain:
    """A single node whose resync and failover take no time to speak of."""
    return ClusterChain(1, 1, 0.02, 0.4, 1e6, 1e6)


@pytest.mark.parametrize("at_s", [0.0, 0.001, 0.002])
def test_point_availability_of_one_unit(at_s: float) -> None:
    """The closed form of one unit; so short a time since resync and failover are a million times faster than crashes."""
    assert point_availability(solvable(two_states()), at_s) == pytest.approx(one_unit_availability(0.02, 0.4, at_s), abs=1e-7)


@pytest.mark.parametrize("at_s", [2.0, 50.0])
def test_stiff_chains_are_squared_up(at_s: float) -> None:
    """The same where a million jumps a second would have to be summed."""
    assert point_availability(solvable(two_states()), at_s) == pytest.approx(one_unit_availability(0.02, 0.4, at_s), rel=1e-5)


def test_expected_downtime_of_one_unit() -> None:
    """Started up, the mean up time of a window is the closed form: above its long-run share."""
    up_s = 50.0 - expected_downtime_s(solvable(two_states()), 50.0)
    assert up_s == pytest.approx(mean_uptime_s(0.02, 0.4, 50.0), rel=1e-5)
    assert up_s > 50.0 * 0.4 / 0.42


@pytest.mark.parametrize("until_s", [10.0, 4000.0, 1e6])
def test_transients_of_the_worked_cluster(until_s: float) -> None:
    """Summed term by term or squared up, they agree with the exponential of the matrix, and with the long run in the end."""
    from scipy.linalg import expm

    model = solvable(ClusterChain(3, 2, 1 / 7200, 1 / 30, 1 / 20, 1 / 4))
    generator = model.rates - np.diag(model.rates.sum(axis=1))
    assert point_availability(model, until_s) == pytest.approx(float(expm(generator * until_s)[0][model.up].sum()), rel=1e-9)
    alive = generator[np.ix_(model.up, model.up)]
    assert reliability(model, until_s) == pytest.approx(float(expm(alive * until_s)[0].sum()), rel=1e-7)
    if until_s == 1e6:
        assert 1 - interval_availability(model, until_s) == pytest.approx(long_run(model).unavailability, rel=1e-3)


def test_reliability_integrates_to_the_first_failure() -> None:
    """The mean time to the first failure is the area under R(t)."""
    model = solvable(ClusterChain(3, 2, 1 / 7200, 1 / 30, 1 / 20, 1 / 4))
    times_s = np.linspace(0, 120_000, 400)
    area_s = np.trapezoid([reliability(model, float(at_s)) for at_s in times_s], times_s)
    assert area_s == pytest.approx(first_failure_s(model), rel=2e-3)


def test_window_with_lognormal_outages() -> None:
    """An hour with an outage of 30 s (cv 1.5) every 600 s of up time: the distribution is that of simulated hours."""
    rng = np.random.default_rng(1)
    sigma = math.sqrt(math.log(1 + 1.5**2))
    draws_s = rng.lognormal(math.log(30) - sigma**2 / 2, sigma, 100_000)
    run = FiniteRun(1 / 600, draws_s, 3600.0)
    up_s = []
    for _ in range(4_000):
        at_s = up = 0.0
        while at_s < 3600:
            good_s = min(rng.exponential(600.0), 3600 - at_s)
            up, at_s = up + good_s, at_s + good_s + rng.choice(draws_s)
        up_s.append(up)
    simulated = np.array(up_s) / 3600
    for share in (0.025, 0.25, 0.5, 0.9):
        quantile = run.availability_quantile(share)
        assert np.mean(simulated <= quantile) == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / 4_000))
    assert run.availability_quantile(0.999) == 1.0
    assert run.no_outage == pytest.approx(math.exp(-6))


def test_worked_window() -> None:
    """The specification's quantiles of that hour: 0.870 and 0.994."""
    sigma = math.sqrt(math.log(1 + 1.5**2))
    draws_s = np.random.default_rng(2).lognormal(math.log(30) - sigma**2 / 2, sigma, 400_000)
    run = FiniteRun(1 / 600, draws_s, 3600.0)
    assert run.availability_quantile(0.025) == pytest.approx(0.870, abs=3e-3)
    assert run.availability_quantile(0.975) == pytest.approx(0.994, abs=2e-3)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_bad_windows_are_refused(bad: float) -> None:
    """Rates and windows above zero, outages that are times."""
    with pytest.raises(BadInput):
        FiniteRun(bad, np.ones(3), 10.0)
    with pytest.raises(BadInput):
        FiniteRun(1.0, np.ones(3), bad)
    with pytest.raises(BadInput):
        FiniteRun(1.0, np.array([math.nan]), 10.0)
    with pytest.raises(BadInput):
        point_availability(solvable(two_states()), -abs(bad) - 1)
