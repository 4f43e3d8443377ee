"""Lives of fleets against what is known without simulation: exact chains, written down by other code, and each other."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from chaos.experiment.fleet import Fleet, parse_fleet
from chaos.predict.fleet import native, replicate
from chaos.predict.fleet.estimates import simulated
from chaos.predict.markov.chain import ClusterChain, solvable
from chaos.predict.markov.explore import explore
from chaos.predict.markov.maintenance import planned_restarts
from chaos.predict.markov.measures import LongRun, client_view, long_run
from chaos.predict.markov.wide import WideChain

EVERYTHING = """\
fleet: shop
regions: {east: [a, b, c], west: [a, b]}
outages: {zone: {rate: 1 per 9d per zone, for: {exponential: 1h}}, region: {rate: 1 per 30d per region, for: {lognormal: 4h, cv: 1}}}
crews: 2 per zone
slo: {availability: 99%, window: 5d}
services:
  orders:
    {groups: 4, nodes: 5, in: east, crash: 1 per 5d per node, repair: {lognormal: 2h, cv: 1.5}, resync: 5m, restart: [1m, 2m],
     takeover: [1s, 3s], common_cause: 5%, retries: 2s, failover: {to: west, after: 30s, takes: 2m, back: 1h},
     maintenance: {every: 3d, takes: 5m}}
  carts: {groups: 3, nodes: 3, in: west, crash: 1 per 5d per node, repair: 1h, maintenance: {every: 2d, takes: 5m, handover: false}}
years: 0.3
replications: 3
"""
RATES = {"crash_per_s": 1 / 7200, "restart_per_s": 1 / 30, "resync_per_s": 1 / 20, "failover_per_s": 1 / 4}
TIMES = "repair: {exponential: 30s}, restart: {exponential: 30s}, resync: {exponential: 20s}, takeover: {exponential: 4s}"
NODE = f"crash: 1 per 2h per node, {TIMES}"


def one(service: str, more: str = "", years: float = 10.0) -> Fleet:
    text = f"regions: {{east: [a, b, c], west: [a]}}\nservices: {{one: {{in: east, {service}}}}}\nyears: {years}\nreplications: 16\n"
    return parse_fleet(f"fleet: one\n{text}{more}", "fleet.yaml")


def agrees(fleet: Fleet, unavailability: float, outages_per_s: float | None = None) -> None:
    """Within four standard errors, which are known to 3 % or better: a right loop fails one check in ten thousand."""
    found = simulated(fleet, replicate.all_lives(fleet)).services["one"]
    pairs = [(found.unavailability, unavailability)]
    if outages_per_s is not None:
        pairs.append((found.outages_per_year, outages_per_s * 365 * 86400))
    for figure, truth in pairs:
        assert figure.value is not None
        assert figure.high is not None
        error = (figure.high - figure.value) / 2.131  # Student, 15 degrees of freedom
        assert error < 0.03 * truth, "too few outages to see anything"
        assert abs(figure.value - truth) < 4 * error, (figure, truth)


def test_python_and_the_compiled_loop_live_the_same_life() -> None:
    fleet = parse_fleet(EVERYTHING, "fleet.yaml")
    assert replicate.why_slow() == "", "no C compiler: apt-get install gcc"
    slow, fast = replicate.lives(fleet, range(3), python=True), replicate.lives(fleet, range(3))
    assert slow == fast
    struck = np.array([each.events for each in fast]).sum(axis=0)
    assert (struck > 0).all(), "something never happened, so nothing is shown of it"
    assert all(sum(row) > 0 for each in fast for row in each.outages)
    assert 0 < sum(sum(each.windows_met) for each in fast) < sum(sum(each.windows) for each in fast)


@pytest.mark.parametrize("nodes", [1, 3, 5])
def test_a_group_is_the_exact_chain(nodes: int) -> None:
    quorum = nodes // 2 + 1
    truth = long_run(solvable(ClusterChain(nodes, quorum, **RATES)))
    agrees(one(f"nodes: {nodes}, {NODE}"), truth.unavailability, truth.outages_per_s)


def test_crews_common_causes_and_retries_are_those_of_the_chain() -> None:
    truth = client_view(solvable(ClusterChain(5, 3, **(RATES | {"restart_per_s": 1 / 600}), crews=1, common_cause=0.05)), 3.0)
    service = f"nodes: 5, retries: 3s, common_cause: 5%, {NODE.replace('repair: {exponential: 30s}', 'repair: {exponential: 10m}')}"
    agrees(one(service, "crews: 1 per region\n"), truth.unavailability, 1 / truth.cycle_s)


def test_zones_that_go_dark_are_those_of_the_wide_chain() -> None:
    truth = long_run(WideChain((2, 2, 1), 3, **RATES, zone_per_s=1 / 86400, zone_back_per_s=1 / 600).solvable())
    agrees(one(f"nodes: 5, {NODE}", "outages: {zone: {rate: 1 per 1d per zone, for: {exponential: 10m}}}\n"), truth.unavailability)


def test_planned_restarts_are_those_of_the_chain() -> None:
    truth = planned_restarts(ClusterChain(3, 2, **RATES), 3600.0)
    agrees(one(f"nodes: 3, {NODE}, maintenance: {{every: 3h, takes: {{exponential: 30s}}}}"), truth.unavailability)


def _two_regions() -> LongRun:
    """Written down by hand: (home works, other works, active, mode), a node each; 0 normal, 1 detecting, 2 wanting, 3 switching."""
    crash, repair, detect, switch, back = 1 / 7200, 1 / 300, 1 / 60, 1 / 30, 1 / 1200

    def moves(state: tuple[int, int, int, int]) -> list[tuple[tuple[int, int, int, int], float]]:
        sides, active, mode = state[:2], state[2], state[3]
        found = []
        for side in (0, 1):
            after = list(sides)
            after[side] = 1 - sides[side]
            rate = crash if sides[side] else repair
            then = mode
            if mode != 3 and side == active:
                then = 0 if after[side] else 1
            elif mode == 2 and after[side]:
                then = 3
            found.append(((after[0], after[1], active, then), rate))
        if mode == 1:
            found.append(((*sides, active, 3 if sides[1 - active] else 2), detect))
        if mode == 3:
            found.append(((*sides, 1 - active, 0 if sides[1 - active] else 1), switch))
        if active == 1 and mode == 0 and sides[0]:
            found.append(((*sides, 0, 0), back))
        return found

    return long_run(explore((1, 1, 0, 0), moves).solvable(lambda state: state[3] == 0))


def test_failover_to_another_region_is_a_chain_written_down_by_hand() -> None:
    truth = _two_regions()
    law = "failover: {to: west, after: {exponential: 1m}, takes: {exponential: 30s}, back: {exponential: 20m}}"
    agrees(one(f"nodes: 1, crash: 1 per 2h per node, repair: {{exponential: 5m}}, {law}"), truth.unavailability, truth.outages_per_s)


def test_lengths_have_the_mean_and_the_spread_that_the_file_says() -> None:
    """A node that is never repaired twice at once: its outages are the repairs, and their sum of squares is not needed for the mean."""
    for law, mean_s in (("90s", 90.0), ("[1m, 2m]", 90.0), ("{lognormal: 90s, cv: 1.5}", 90.0)):
        agrees(one(f"nodes: 1, crash: 1 per 2h per node, repair: {law}"), mean_s / (7200 + mean_s))


def test_the_same_lives_wherever_they_are_lived() -> None:
    fleet = parse_fleet(EVERYTHING, "fleet.yaml")
    with ThreadPoolExecutor(3) as pool:
        assert replicate.all_lives(fleet, pool, 3) == replicate.all_lives(fleet)


def test_without_any_outage_there_is_a_bound_and_no_figure() -> None:
    fleet = one("nodes: 5, crash: 1 per 900d per node, repair: 1s", years=1)
    found = simulated(fleet, replicate.all_lives(fleet)).services["one"]
    assert found.unavailability.value is None
    assert found.unavailability.reason == "none in any replication"
    assert found.outages_per_year.high == pytest.approx(3.0 / 16, rel=0.01)


def test_a_machine_without_a_compiler_takes_pythons_loop(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    native.load.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "false")
    try:
        assert "life.c" in replicate.why_slow()
        fleet = one(f"nodes: 1, {NODE}", years=0.01)
        assert replicate.lives(fleet, [0]) == replicate.lives(fleet, [0], python=True)
    finally:
        native.load.cache_clear()


def test_an_interval_holds_the_truth_in_most_of_many_simulations() -> None:
    """Of 60 intervals of 95 % at least 52: fewer has a chance of 0.3 %."""
    truth = long_run(solvable(ClusterChain(3, 2, **RATES))).unavailability
    inside = 0
    for seed in range(60):
        fleet = one(f"nodes: 3, {NODE}", f"seed: {seed}\n", years=0.2)
        figure = simulated(fleet, replicate.all_lives(fleet)).services["one"].unavailability
        assert figure.low is not None
        assert figure.high is not None
        inside += figure.low <= truth <= figure.high
    assert inside >= 52
    assert math.isfinite(truth)
