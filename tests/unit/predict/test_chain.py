"""The cluster's chain against figures computed elsewhere: published tables, closed forms, and arithmetic of many digits."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.predict.markov import solve as gth
from chaos.predict.markov.chain import RESET, ClusterChain, majority, solvable, states
from chaos.predict.markov.measures import client_view, elasticities, first_failure_s, long_run, sensitivities
from tests.reference.standby import birth_death
from tests.reference.windows import second_order

CRASH, RESTART, RESYNC, FAILOVER = 1 / 7200, 1 / 30, 1 / 20, 1 / 4


def chain(nodes: int, quorum: int, **changes: float) -> ClusterChain:
    """The worked example's cluster."""
    made = ClusterChain(nodes, quorum, CRASH, RESTART, RESYNC, FAILOVER)
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize(
    ("nodes", "quorum", "unavailability", "mean_up_s", "mean_down_s"),
    [
        (1, 1, 7.459e-3, 7200, 54.1),
        (2, 2, 1.486e-2, 3600, 54.3),
        (3, 2, 7.087e-4, 7060, 5.01),
        (5, 3, 5.590e-4, 7194, 4.02),
        (7, 4, 5.553e-4, 7200, 4.00),
    ],
)
def test_worked_table(nodes: int, quorum: int, unavailability: float, mean_up_s: float, mean_down_s: float) -> None:
    """The table of the specification, to the digits printed there."""
    seen = long_run(solvable(chain(nodes, quorum)))
    assert seen.unavailability == pytest.approx(unavailability, rel=2e-4)
    assert seen.mean_up_s == pytest.approx(mean_up_s, rel=2e-4)
    assert seen.mean_down_s == pytest.approx(mean_down_s, rel=2e-3)
    assert seen.cycle_s == pytest.approx(seen.mean_up_s + seen.mean_down_s, rel=1e-12)


@pytest.mark.parametrize(("nodes", "count"), [(3, 13), (5, 27), (7, 46), (9, 70), (25, 442)])
def test_number_of_states(nodes: int, count: int) -> None:
    """As many states as the specification counts."""
    assert len(states(nodes, majority(nodes))) == count


def test_time_to_first_failure_is_not_the_mean_up_time() -> None:
    """From all up the first failure takes 7104 s; the mean up time starts where repairs end and is 7060 s."""
    model = solvable(chain(3, 2))
    assert first_failure_s(model) == pytest.approx(7104, abs=0.6)
    assert first_failure_s(model) > long_run(model).mean_up_s


def test_elasticities() -> None:
    """The four worked elasticities; they sum to zero, since the unavailability has no unit."""
    found = elasticities(chain(3, 2))
    wanted = {"crash_per_s": 1.213, "failover_per_s": -0.798, "restart_per_s": -0.249, "resync_per_s": -0.166}
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=6e-4)
    assert sum(found[name] for name in wanted) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("name", "left"), [("failover_per_s", 0.60), ("restart_per_s", 0.89), ("resync_per_s", 0.92)])
def test_halving_a_time(name: str, left: float) -> None:
    """What is left of the unavailability if one time is halved."""
    slow, fast = chain(3, 2), chain(3, 2, **{name: 2 * getattr(chain(3, 2), name)})
    before, after = (long_run(solvable(each)).unavailability for each in (slow, fast))
    assert after / before == pytest.approx(left, abs=6e-3)


def test_accelerated_runs_must_not_be_scaled_back() -> None:
    """540 times faster and divided by 540 overstates the unavailability by 27.5 %."""
    fast, slow = (long_run(solvable(chain(3, 2, crash_per_s=rate))).unavailability for rate in (CRASH, CRASH / 540))
    assert fast / 540 / slow - 1 == pytest.approx(0.275, abs=5e-4)


def test_second_order_grows_with_the_square() -> None:
    """Twice the crash rate makes four times as much of what two overlapping crashes cost, at small rates."""
    once, twice = (second_order(chain(3, 2, crash_per_s=rate)) for rate in (1e-7, 2e-7))
    assert twice / once == pytest.approx(4.0, rel=1e-3)
    assert once > 0


@pytest.mark.parametrize("nodes", [2, 3, 5, 8])
def test_instant_failover_and_resync_leave_the_binomial(nodes: int) -> None:
    """With failover and resync at once, up is simply having a quorum of independent nodes."""
    quorum = majority(nodes)
    model = solvable(chain(nodes, quorum, failover_per_s=1e9, resync_per_s=1e9))
    down = CRASH / (CRASH + RESTART)
    wanted = sum(math.comb(nodes, dead) * down**dead * (1 - down) ** (nodes - dead) for dead in range(nodes - quorum + 1, nodes + 1))
    assert long_run(model).unavailability == pytest.approx(wanted, rel=1e-4)


def test_one_node_is_the_two_state_formula() -> None:
    """n = 1 with nothing but repair left is l / (l + m), to ten digits."""
    model = solvable(chain(1, 1, failover_per_s=1e15, resync_per_s=1e15))
    assert long_run(model).unavailability == pytest.approx(CRASH / (CRASH + RESTART), rel=1e-9)


def test_all_needed_is_a_series_system() -> None:
    """k = n with everything but repair instant: up only while all are."""
    model = solvable(chain(4, 4, failover_per_s=1e12, resync_per_s=1e12))
    up = (RESTART / (CRASH + RESTART)) ** 4
    assert long_run(model).unavailability == pytest.approx(1 - up, rel=1e-7)


def test_reads_of_any_replica() -> None:
    """Reads are down only with every replica down, so far less often; crews matter there."""
    writes, reads = (long_run(solvable(chain(3, 2), reads=each)).unavailability for each in (False, True))
    one_crew = long_run(solvable(chain(3, 2, crews=1), reads=True)).unavailability
    assert reads < 1e-3 * writes
    assert one_crew > reads


def test_coverage_adds_the_reset() -> None:
    """An uncovered crash in twenty costs about its rate times the time of a reset more."""
    covered = long_run(solvable(chain(3, 2))).unavailability
    partly = long_run(solvable(chain(3, 2, coverage=0.95, reset_per_s=1 / 60))).unavailability
    assert partly - covered == pytest.approx(0.05 * CRASH * (60 - 4), rel=0.05)
    assert RESET in states(3, 2, with_reset=True)


def test_sensitivities_are_the_slopes() -> None:
    """The exact derivative is what a small step shows, for every parameter, coverage too."""
    base = chain(3, 2, coverage=0.9, reset_per_s=1 / 60)
    for name, slope in sensitivities(solvable(base)).items():
        step = 1e-5 * getattr(base, name)
        ends = (msgspec.structs.replace(base, **{name: getattr(base, name) + sign * step}) for sign in (1, -1))
        high, low = (long_run(solvable(each)).unavailability for each in ends)
        assert slope == pytest.approx((high - low) / (2 * step), rel=1e-4)


def test_clients_that_hide_nothing_see_the_chain() -> None:
    """W = 0 gives back the chain; a longer window hides more and leaves fewer, rarer outages."""
    model = solvable(chain(3, 2))
    seen = long_run(model)
    naked = client_view(model, 0.0)
    assert naked.visible_share == pytest.approx(1.0, rel=1e-12)
    assert naked.unavailability == pytest.approx(seen.unavailability, rel=1e-9)
    assert naked.mean_outage_s == pytest.approx(seen.mean_down_s, rel=1e-9)
    hidden = client_view(model, 4.0)
    assert hidden.visible_share == pytest.approx(math.exp(-1), abs=0.03)  # most outages are exponential failovers of 4 s
    assert hidden.unavailability < naked.unavailability
    assert hidden.cycle_s > naked.cycle_s


def test_relative_accuracy_of_tiny_probabilities() -> None:
    """A probability of 1e-40 has all its digits: checked against rational arithmetic of a birth-death chain."""
    from fractions import Fraction

    rates = [Fraction(1, 10**10), Fraction(3, 10**11), Fraction(7, 10**12), Fraction(1, 10**13)]
    weights = [Fraction(1)]
    for rate in rates:
        weights.append(weights[-1] * rate)
    wanted = [weight / sum(weights) for weight in weights]
    matrix = np.zeros((5, 5))
    for index, rate in enumerate(rates):
        matrix[index, index + 1], matrix[index + 1, index] = float(rate), 1.0
    for found in (gth.stationary(matrix), birth_death(np.array([float(rate) for rate in rates]), np.ones(4))):
        assert float(wanted[-1]) < 1e-40
        for value, exact in zip(found, wanted, strict=True):
            assert value == pytest.approx(float(exact), rel=1e-13)


def test_a_stack_of_chains_is_solved_like_each() -> None:
    """A sweep solves many chains in one call, with the same result."""
    rates = np.array([solvable(chain(3, 2, crash_per_s=rate)).rates for rate in (1e-6, 1e-4, 1e-2)])
    together = gth.stationary(rates)
    for stacked, alone in zip(together, rates, strict=True):
        np.testing.assert_allclose(stacked, gth.stationary(alone), rtol=1e-13)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"crash_per_s": 0.0}, "crash_per_s"),
        ({"restart_per_s": -1.0}, "restart_per_s"),
        ({"failover_per_s": math.nan}, "failover_per_s"),
        ({"resync_per_s": math.inf}, "resync_per_s"),
        ({"quorum": 4}, "quorum of 4"),
        ({"nodes": 0}, "nodes"),
        ({"crews": 0}, "crews"),
        ({"coverage": 1.5}, "probability"),
        ({"coverage": 0.5}, "reset_per_s"),
    ],
)
def test_bad_parameters_are_refused(changes: dict[str, float], said: str) -> None:
    """Outside its domain, a parameter is refused by name."""
    with pytest.raises(BadInput, match=said):
        solvable(msgspec.structs.replace(chain(3, 2), **changes))


def test_an_absorbing_chain_is_refused() -> None:
    """Where some state never returns there is no long run."""
    with pytest.raises(BadInput, match="absorbing"):
        gth.stationary(np.array([[0.0, 1.0], [0.0, 0.0]]))


def test_not_a_number_is_refused() -> None:
    """NaN never becomes an availability."""
    with pytest.raises(BadInput, match="not a number"):
        gth.stationary(np.array([[0.0, np.nan], [1.0, 0.0]]))


def test_mean_times_agree_with_a_solve_and_survive_where_it_fails() -> None:
    """The elimination is the plain solve where that works, and has the known answer where that finds a singular matrix."""
    rng = np.random.default_rng(1)
    for size in (1, 2, 5, 9):
        rates = rng.random((size, size)) * (rng.random((size, size)) < 0.6)
        np.fill_diagonal(rates, 0.0)
        exits = rng.random(size) + 1e-3
        plain = np.linalg.solve(np.diag(rates.sum(axis=1) + exits) - rates, np.ones(size))
        assert gth.mean_times(rates, exits) == pytest.approx(plain, rel=1e-10)
    # Two states that exchange at rate 1 and leave at 1e-18 from one of them only: the mean stay is 2e18 s from either.
    slow = gth.mean_times(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1e-18, 0.0]))
    assert slow == pytest.approx([2e18, 2e18], rel=1e-12)
