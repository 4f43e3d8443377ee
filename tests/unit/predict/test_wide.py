"""The cluster's chain with zones, common causes, stages and planned restarts; any chain from a rule, and by drawing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.predict.markov.chain import ClusterChain, solvable
from chaos.predict.markov.explore import explore
from chaos.predict.markov.maintenance import planned_restarts
from chaos.predict.markov.measures import elasticities, first_failure_s, long_run
from chaos.predict.markov.transient import reliability
from chaos.predict.markov.wide import WideChain, stages_for
from tests.reference import sparse
from tests.reference.simulate import windows
from tests.reference.windows import expected_downtime_s

PLAIN = ClusterChain(3, 2, 1 / 7200, 1 / 30, 1 / 20, 1 / 4)


def wide(zones: tuple[int, ...] = (3,), **changed: float | int | None) -> WideChain:
    """The worked example's rates in zones."""
    given = {"crash_per_s": 1 / 7200, "restart_per_s": 1 / 30, "resync_per_s": 1 / 20, "failover_per_s": 1 / 4} | changed
    return WideChain(zones, sum(zones) // 2 + 1, **given)  # type: ignore[arg-type]


def lost(chain: WideChain, reads: bool = False) -> float:
    """Its unavailability."""
    return long_run(chain.solvable(reads)).unavailability


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
@pytest.mark.parametrize("crews", [None, 1])
def test_one_zone_is_the_plain_chain(nodes: int, crews: int | None) -> None:
    """Without shocks and stages: the same unavailability, by another construction."""
    plain = ClusterChain(nodes, nodes // 2 + 1, 1 / 7200, 1 / 30, 1 / 20, 1 / 4, crews)
    assert lost(wide((nodes,), crews=crews)) == pytest.approx(long_run(solvable(plain)).unavailability, rel=1e-12)


@pytest.mark.parametrize("zones", [(1, 1, 1), (2, 1), (1, 2)])
def test_zones_without_shocks_do_not_matter(zones: tuple[int, ...]) -> None:
    """Where nodes stand is nothing by itself."""
    assert lost(wide(zones)) == pytest.approx(lost(wide()), rel=1e-12)


def test_a_zone_of_one_node_is_one_more_crash() -> None:
    """A shock that takes one node is a crash of it."""
    assert lost(wide((1, 1, 1), zone_per_s=1e-4)) == pytest.approx(lost(wide(crash_per_s=1 / 7200 + 1e-4)), rel=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.05, 0.5])
def test_common_cause_in_both_chains(beta: float) -> None:
    """The beta model, by the plain chain's own term and as a shock of all zones."""
    one = ClusterChain(3, 2, 1 / 7200, 1 / 30, 1 / 20, 1 / 4, common_cause=beta)
    assert lost(wide((2, 1)).with_common_cause(beta)) == pytest.approx(long_run(solvable(one)).unavailability, rel=1e-12)


def test_common_cause_hurts_and_has_an_exact_slope() -> None:
    """More of it is worse, and its sensitivity is that of finite differences; a single node does not care."""

    def at(beta: float, nodes: int = 3) -> float:
        chain = ClusterChain(nodes, nodes // 2 + 1, 1 / 7200, 1 / 30, 1 / 20, 1 / 4, common_cause=beta)
        return long_run(solvable(chain)).unavailability

    assert at(0.0) < at(0.05) < at(0.2)
    assert at(0.3, nodes=1) == pytest.approx(at(0.0, nodes=1), rel=1e-12)
    chain = ClusterChain(3, 2, 1 / 7200, 1 / 30, 1 / 20, 1 / 4, common_cause=0.1)
    found = elasticities(chain)
    slope = math.log(at(0.101) / at(0.099)) / math.log(0.101 / 0.099)
    assert found["common_cause"] == pytest.approx(slope, rel=1e-4)
    assert sum(value for name, value in found.items() if name.endswith("_per_s")) == pytest.approx(0.0, abs=1e-9)


def test_spreading_over_zones_pays_only_if_zones_fail() -> None:
    """Three zones of one survive the loss of a zone, one zone of three does not."""
    shock = {"zone_per_s": 1e-6}
    assert lost(wide((1, 1, 1), **shock)) < 0.95 * lost(wide((3,), **shock, all_per_s=1e-6))
    assert lost(wide((2, 1), **shock)) < lost(wide((3,), zone_per_s=1e-4))


def test_stages_leave_the_long_run_and_sharpen_the_outage() -> None:
    """With twenty stages of failover the unavailability moves by little, and outages scatter less: fewer outlast twice their mean."""
    from chaos.predict import client_view

    smooth, sharp = wide(failover_stages=1), wide(failover_stages=20)
    assert lost(sharp) == pytest.approx(lost(smooth), rel=0.02)
    assert client_view(sharp.solvable(), 8.0).visible_share < 0.6 * client_view(smooth.solvable(), 8.0).visible_share


def test_restart_stages_keep_their_crew() -> None:
    """One crew and ten stages: the long run is near that of one stage, and there is never more than one restart begun."""
    chain = wide(restart_stages=3, crews=1)
    begun = [sum(sum(zone[1][1:]) for zone in state[0]) for state in chain.explored().states]
    assert max(begun) == 1
    assert lost(chain) == pytest.approx(lost(wide(crews=1)), rel=0.1)


def test_reads_fail_less_often_than_writes() -> None:
    """A read needs one node that runs; writes need a leader and a quorum. Down together only with all nodes: about (l / sigma)^3."""
    assert lost(wide(), reads=True) < 1e-3 * lost(wide())
    assert lost(wide(), reads=True) == pytest.approx(long_run(solvable(PLAIN, reads=True)).unavailability, rel=1e-12)


@pytest.mark.parametrize(("cv", "stages"), [(1.0, 1), (0.5, 4), (0.25, 16), (0.01, 50), (3.0, 1)])
def test_stages_for_a_spread(cv: float, stages: int) -> None:
    """m stages have a cv of 1 / sqrt(m)."""
    assert stages_for(cv) == stages


BAD = [
    ({"crash_per_s": 0.0}, "crash_per_s"), ({"restart_per_s": -1.0}, "restart_per_s"), ({"failover_per_s": math.nan}, "failover_per_s"),
    ({"resync_per_s": math.inf}, "resync_per_s"), ({"zone_per_s": -1.0}, "zone_per_s"), ({"all_per_s": math.nan}, "all_per_s"),
    ({"crews": 0}, "crews"), ({"failover_stages": 0}, "stage"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "word"), BAD)
def test_bad_parameters_are_refused(changed: dict[str, float], word: str) -> None:
    """Each by its name."""
    with pytest.raises(BadInput, match=word):
        wide(**changed).solvable()


def test_bad_shapes_are_refused() -> None:
    """Empty zones, a quorum above n, shares that are none, more states than can be solved."""
    for chain in (WideChain((), 1, 1, 1, 1, 1), WideChain((0, 3), 2, 1, 1, 1, 1), WideChain((3,), 4, 1, 1, 1, 1)):
        with pytest.raises(BadInput):
            chain.solvable()
    with pytest.raises(BadInput, match="common-cause"):
        wide().with_common_cause(1.0)
    with pytest.raises(BadInput, match="common-cause"):
        solvable(ClusterChain(3, 2, 1, 1, 1, 1, common_cause=-0.1))
    with pytest.raises(BadInput, match="cv"):
        stages_for(0.0)
    with pytest.raises(BadInput, match="too many"):
        explore(0, lambda state: [((state + 1) % 3000, 1.0)]).solvable(lambda state: state > 0)


# --- any chain ---------------------------------------------------------------------------------------------------------


def test_explore_finds_what_can_be_reached() -> None:
    """A ring of four, moves to itself and of rate 0 left out; wrong rates and endless chains are refused."""
    found = explore(0, lambda state: [((state + 1) % 4, 2.0), (state, 5.0), (9, 0.0)])
    assert sorted(found.states) == [0, 1, 2, 3]
    assert len(found.values) == 4
    assert long_run(found.solvable(lambda state: state != 3)).unavailability == pytest.approx(0.25)
    for rate in (-1.0, math.nan, math.inf):
        with pytest.raises(BadInput, match="rate"):
            explore(0, lambda state, rate=rate: [(state + 1, rate)])
    with pytest.raises(BadInput, match="more than 50 states"):
        explore(0, lambda state: [(state + 1, 1.0)], most=50)


def test_an_absorbing_chain_is_refused() -> None:
    """What never returns has no long run: dense and sparse say so."""
    found = explore(0, lambda state: [(1, 1.0)] if state == 0 else [])
    with pytest.raises(BadInput, match="absorbing"):
        long_run(found.solvable(lambda state: state == 0))
    with pytest.raises(BadInput, match="absorbing"):
        sparse.long_run(found.sparse(), found.where(lambda state: state == 0))
    assert sparse.first_failure_s(found.sparse(), found.where(lambda state: state == 0)) == pytest.approx(1.0)


def test_a_chain_that_never_fails_from_here() -> None:
    """Sparse: there is no time to a failure that cannot come."""
    found = explore(0, lambda state: [((state + 1) % 3, 1.0)])
    with pytest.raises(BadInput, match="never fails"):
        sparse.first_failure_s(found.sparse(), found.where(lambda state: state >= 0))


# --- planned restarts --------------------------------------------------------------------------------------------------


def test_a_planned_restart_without_handover_costs_a_failover_in_n() -> None:
    """The leader's turn comes once in n, and costs 1 / failover; beside it, the risk of a crash while one is away."""
    with_it, without = planned_restarts(PLAIN, 86400.0), planned_restarts(PLAIN, 86400.0, handover=False)
    assert without.lost_s_per_restart - with_it.lost_s_per_restart == pytest.approx(4.0 / 3, rel=5e-3)
    # For some 50 s a second crash stops writes, by a quorum lost: 2/7200 per s, and about 30 s or less until one is back.
    assert 0.2 < with_it.lost_s_per_restart < 0.8
    assert with_it.without_restarts == pytest.approx(long_run(solvable(PLAIN)).unavailability, rel=1e-12)


def test_planned_restarts_as_simulated() -> None:
    """Windows of ten minutes, each begun by a restart: the exact mean lies within the error of drawn ones."""
    period_s = 600.0
    model = solvable(PLAIN)
    exact = planned_restarts(PLAIN, period_s, handover=False)
    rng = np.random.default_rng(3)
    at = {state: index for index, state in enumerate(model.states)}
    down_s, runs, state = [], 6000, np.full(6000, at[3, 0, 0, 1])
    exits = model.rates.sum(axis=1)
    shares = np.cumsum(model.rates / exits[:, None], axis=1)
    for period in range(4):
        whole = state == at[3, 0, 0, 1]
        leads = rng.uniform(size=runs) < 1 / 3
        state = np.where(whole & leads, at[2, 1, 0, 0], np.where(whole, at[2, 1, 0, 1], state))
        now_s, lost_s, going = np.zeros(runs), np.zeros(runs), np.arange(runs)
        while len(going):
            until_s = np.minimum(now_s[going] + rng.exponential(1.0, len(going)) / exits[state[going]], period_s)
            lost_s[going] += np.where(model.up[state[going]], 0.0, until_s - now_s[going])
            now_s[going] = until_s
            going = going[until_s < period_s]
            state[going] = (shares[state[going]] <= rng.uniform(size=len(going))[:, None]).sum(axis=1)
        down_s.append(lost_s)
        assert len(down_s) == period + 1
    late = np.concatenate(down_s[1:])
    assert exact.unavailability == pytest.approx(late.mean() / period_s, abs=5 * late.std() / math.sqrt(len(late)) / period_s)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_planned_restarts_need_a_period(bad: float) -> None:
    """Above zero and finite."""
    with pytest.raises(BadInput, match="planned restart"):
        planned_restarts(PLAIN, bad)


# --- by drawing --------------------------------------------------------------------------------------------------------


def test_drawn_windows_agree_with_the_exact_measures() -> None:
    """Downtime, reliability and the first failure of ten-hour windows, from all up."""
    model, window_s, runs = solvable(PLAIN), 36_000.0, 4_000
    drawn = windows(model, window_s, runs, seed=1)
    assert drawn.down_s.mean() == pytest.approx(expected_downtime_s(model, window_s), abs=5 * drawn.down_s.std() / math.sqrt(runs))
    share = reliability(model, 7200.0)
    assert np.mean(drawn.first_s > 7200.0) == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / runs))
    assert np.all((drawn.failures > 0) == np.isfinite(drawn.first_s))
    assert first_failure_s(model) > drawn.first_s[np.isfinite(drawn.first_s)].mean()


def test_what_cannot_be_drawn_is_refused() -> None:
    """No window, no run, or more jumps than any patience."""
    model = solvable(PLAIN)
    for window_s, runs in ((0.0, 1), (math.nan, 1), (1.0, 0), (1e12, 10_000)):
        with pytest.raises(BadInput):
            windows(model, window_s, runs, seed=1)
