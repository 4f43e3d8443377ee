"""Reference cases kept aside: every node by itself, no lumping, solved by other means; compared on the unavailability, relatively."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from scipy.linalg import expm

from chaos.predict.markov.chain import ClusterChain, majority, solvable
from chaos.predict.markov.measures import client_view, first_failure_s, long_run
from chaos.predict.markov.transient import reliability
from chaos.predict.markov.wide import WideChain
from chaos.predict.overlaps import Rates, beyond_isolated, failover_s
from chaos.predict.scenarios.delays import Uniform
from chaos.predict.system import System
from tests.reference.windows import expected_downtime_s

World = tuple[tuple[str, ...], int]
"""Each node's state (up, down, syncing, dark), and which one leads (-1: none)."""
WHOLE_STATES = "uds"


class Apart:
    """A cluster as a list of nodes with names: the same system, written down without any shortcut."""

    def __init__(self, zones: tuple[int, ...], crash: float, restart: float, resync: float, failover: float,
                 zone: float = 0.0, back: float = 0.0, shared: float = 0.0) -> None:  # fmt: skip
        self.zone_of = [place for place, size in enumerate(zones) for _ in range(size)]
        self.nodes, self.quorum = len(self.zone_of), majority(len(self.zone_of))
        self.crash, self.restart, self.resync, self.failover = (1 - shared) * crash, restart, resync, failover
        self.zone, self.back, self.shock = zone, back, shared * crash

    def moves(self, world: World) -> list[tuple[World, float]]:
        """Where it may go."""
        nodes, leader = world
        found: list[tuple[World, float]] = []
        for index, state in enumerate(nodes):
            if state in "us":
                found.append((self.after(nodes, leader, {index: "d"}), self.crash))
            if state == "d":
                found.append((self.after(nodes, leader, {index: "s"}), self.restart))
            if state == "s":
                found.append((self.after(nodes, leader, {index: "u"}), self.resync))
        for place in set(self.zone_of):
            members = [index for index in range(self.nodes) if self.zone_of[index] == place]
            if self.zone and nodes[members[0]] != "x":
                found.append((self.after(nodes, leader, dict.fromkeys(members, "x")), self.zone))
            if self.zone and nodes[members[0]] == "x":
                found.append((self.after(nodes, leader, dict.fromkeys(members, "d")), self.back))
        if self.shock:
            found.append((self.after(nodes, leader, {index: "d" for index in range(self.nodes) if nodes[index] != "x"}), self.shock))
        voters = [index for index, state in enumerate(nodes) if state == "u"]
        if leader < 0 and len(voters) >= self.quorum:
            found += [((nodes, voter), self.failover / len(voters)) for voter in voters]
        return found

    def after(self, nodes: tuple[str, ...], leader: int, changed: dict[int, str]) -> World:
        """Without its leader or its quorum nobody leads."""
        new = tuple(changed.get(index, state) for index, state in enumerate(nodes))
        keeps = leader >= 0 and new[leader] == "u" and sum(state == "u" for state in new) >= self.quorum
        return new, leader if keeps else -1

    def matrix(self) -> tuple[list[World], np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
        """All worlds that are reached, and the generator."""
        worlds: list[World] = [(("u",) * self.nodes, 0)]
        place = {worlds[0]: 0}
        entries: list[tuple[int, int, float]] = []
        for here in worlds:
            for target, rate in self.moves(here):
                if target not in place:
                    place[target] = len(worlds)
                    worlds.append(target)
                if target != here:
                    entries.append((place[here], place[target], rate))
        generator = np.zeros((len(worlds), len(worlds)))
        for source, target_index, rate in entries:
            generator[source, target_index] += rate
        return worlds, generator - np.diag(generator.sum(axis=1))


def by_lu(generator: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The stationary vector by numpy's LU: another road than the elimination that is tested."""
    system = generator.T.copy()
    system[-1] = 1.0
    right = np.zeros(len(generator))
    right[-1] = 1.0
    return np.asarray(np.linalg.solve(system, right))


@pytest.mark.parametrize(
    ("zones", "shocks"),
    [((1, 1, 1), {}), ((2, 1), {"zone": 2e-4, "back": 1 / 90}), ((1, 1, 1), {"zone": 3e-4, "back": 1 / 200, "shared": 0.1}),
     ((2, 2), {"zone": 1e-4, "back": 1 / 50, "shared": 0.02})],
)  # fmt: skip
def test_zones_and_shocks_node_by_node(zones: tuple[int, ...], shocks: dict[str, float]) -> None:
    """Lumping nodes and zones that are alike changes nothing."""
    worlds, generator = Apart(zones, 1e-3, 1 / 30, 1 / 20, 1 / 4, **shocks).matrix()
    pi = by_lu(generator)
    lost = float(sum(share for share, world in zip(pi, worlds, strict=True) if world[1] < 0))
    chain = WideChain(zones, majority(sum(zones)), 1e-3, 1 / 30, 1 / 20, 1 / 4, zone_per_s=shocks.get("zone", 0.0),
                      zone_back_per_s=shocks.get("back")).with_common_cause(shocks.get("shared", 0.0))  # fmt: skip
    assert long_run(chain.solvable()).unavailability == pytest.approx(lost, rel=1e-9)
    silent = float(sum(share for share, world in zip(pi, worlds, strict=True) if not set(world[0]) & {"u", "s"}))
    assert long_run(chain.solvable(reads=True)).unavailability == pytest.approx(silent, rel=1e-9)


def test_a_tiny_unavailability_with_fifty_digits() -> None:
    """Two nodes of which one is enough to read, at production rates: some 1e-12, where LU in double precision has few digits left."""
    crash, restart, resync = 1 / (45 * 86400), 1.0, 1 / 5
    _, generator = Apart((1, 1), crash, restart, resync, 2.0).matrix()
    worlds, _ = Apart((1, 1), crash, restart, resync, 2.0).matrix()
    with mpmath.workdps(50):
        system = mpmath.matrix(generator.T.tolist())
        size = system.rows
        for column in range(size):  # sums of rows in double precision are not exact: the diagonal anew, from the rates
            system[column, column] = -mpmath.fsum(mpmath.mpf(generator[column, row]) for row in range(size) if row != column)
        for column in range(size):
            system[size - 1, column] = mpmath.mpf(1)
        pi = mpmath.lu_solve(system, mpmath.matrix([0] * (size - 1) + [1]))
        lost = float(mpmath.fsum(pi[index] for index, world in enumerate(worlds) if not set(world[0]) & {"u", "s"}))
    model = solvable(ClusterChain(2, 2, crash, restart, resync, 2.0), reads=True)
    assert 1e-14 < lost < 1e-10
    assert long_run(model).unavailability == pytest.approx(lost, rel=1e-12)


def moments(generator: np.ndarray[tuple[int, ...], np.dtype[np.float64]], up: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    """Mean time to the first failure by a linear system, -Q_UU t = 1."""
    inside = generator[np.ix_(up, up)]
    return float(np.linalg.solve(-inside, np.ones(len(inside)))[0])


@pytest.mark.parametrize("nodes", [1, 3, 5])
def test_times_to_failure_and_windows(nodes: int) -> None:
    """First failures, reliability, downtime in a window, and what retries leave, by linear systems and matrix exponentials."""
    chain = ClusterChain(nodes, majority(nodes), 1 / 7200, 1 / 30, 1 / 20, 1 / 4, crews=2)
    model = solvable(chain)
    generator = model.rates - np.diag(model.rates.sum(axis=1))
    up = model.up
    assert first_failure_s(model) == pytest.approx(moments(generator, up), rel=1e-9)
    start = np.zeros(len(up))
    start[0] = 1.0
    inside = generator[np.ix_(up, up)]
    alive = start[up] @ expm(inside * 1800.0)
    assert 1 - reliability(model, 1800.0) == pytest.approx(1 - float(alive.sum()), rel=1e-9)
    # The downtime in a window as one more dimension of the exponential: d/dt of what was spent is the state itself.
    size = len(up)
    wide = np.zeros((size + 1, size + 1))
    wide[:size, :size] = generator
    wide[:size, size] = ~up
    assert expected_downtime_s(model, 1800.0) == pytest.approx(float(expm(wide * 1800.0)[0, size]), rel=1e-9)
    pi = by_lu(generator)
    entry = pi[up] @ model.rates[np.ix_(up, ~up)]
    down = generator[np.ix_(~up, ~up)]
    still = entry @ expm(down * 5.0)
    left = float(still @ np.linalg.solve(-down, np.ones(len(down))))
    assert client_view(model, 5.0).unavailability == pytest.approx(left, rel=1e-8)


@pytest.mark.parametrize("servers", [1, 2, 5])
def test_hot_spares_by_the_binomial(servers: int) -> None:
    """With instant failover and resync, a crew each: k-of-n of independent units, whose sum is written down by hand."""
    needed, rho = majority(servers), 0.02
    lost = 1 / (1 + 1 / rho)
    by_hand = sum(
        np.prod([lost if is_down else 1 - lost for is_down in each])
        for each in itertools.product([True, False], repeat=servers)
        if servers - sum(each) < needed
    )
    chain = ClusterChain(servers, needed, rho, 1.0, 1e9, 1e9)
    assert long_run(solvable(chain)).unavailability == pytest.approx(float(by_hand), rel=1e-6)


def a_system(**given: float) -> System:
    """Three nodes with beats and time-outs like those of the embedded target."""
    values = {"heartbeat_s": 0.1, "restart_s": 30.0, "resync_s": 20.0, **given}
    ranges = {name: Uniform(value, value) for name, value in values.items()}
    return System(3, True, {**ranges, "election_timeout_s": Uniform(0.5, 1.0)}, zones=(1, 1, 1))


def test_overlaps_are_what_the_chain_has_beyond_isolated_crashes() -> None:
    """U less its own slope at no crashes at all, that slope being the failover alone: crash x (failover) for one leader."""
    known, crash = a_system(), 1e-6
    detection_s = failover_s(known, "write")
    whole = long_run(solvable(ClusterChain(3, 2, crash, 1 / 30, 1 / 20, 1 / detection_s))).unavailability
    assert beyond_isolated(known, Rates(crash), "write") == pytest.approx(whole - crash * detection_s, rel=1e-3)


def _zone(known: System) -> float:
    return beyond_isolated(known, Rates(1e-6, 1e-7), "write")


def _covered(known: System) -> float:
    return beyond_isolated(known, Rates(1e-6), "write")


@pytest.mark.parametrize(
    ("ask", "less", "more", "about"),
    [
        # While a zone of one is dark (1 h, three of them) either of two crashes costs a restart and a resync; and two may be dark at once.
        (_zone, {"zone_outage_s": 0.01}, {"zone_outage_s": 3600.0}, 3e-7 * 3600 * 2e-6 * 50 + 3 * (1e-7 * 3600) ** 2),
        # One leader crash in a hundred is not covered, and costs a reset.
        (_covered, {}, {"coverage": 0.99, "reset_s": 300.0}, 1e-6 * 0.01 * 300),
    ],
)
def test_what_zones_and_lost_coverage_add(
    ask: Callable[[System], float], less: dict[str, float], more: dict[str, float], about: float
) -> None:
    """To first order, by hand."""
    assert ask(a_system(**more)) - ask(a_system(**less)) == pytest.approx(about, rel=0.05)
