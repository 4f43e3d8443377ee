"""The mathematics: exact solves beside ``numpy.linalg.solve``, the verdict's distribution, its size and power, a prediction.

    python -m bench.models [--json] [--quick]

To reach: the chain of n = 5 (27 states) in about 0.3 ms and of n = 25 (442 states) in about 40 ms; 10,000 chains of 13 states in 5 s; the
distribution of a run's downtime from 200,000 draws in 0.5 s; the downtime test with size 4 to 6 % on its own model, and with a power of at
least 88 % at +20 % with 20 faults of cv 0.25.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.servers import runs as table
from chaos.judge.downtime_sums import SumDistribution
from chaos.predict.markov import solve as gth
from chaos.predict.markov.chain import ClusterChain, majority, solvable

SLOT_S = 0.01
DRAWS = 200_000


def took_s(work: Callable[[], object], times: int) -> float:
    """The median time of one call."""
    spent = []
    for _ in range(times):
        began_s = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began_s)
    return float(np.median(spent))


def cluster(nodes: int, crash_per_s: float = 1 / 7200) -> ClusterChain:
    """The worked example's parameters."""
    return ClusterChain(nodes, majority(nodes), crash_per_s, 1 / 30, 1 / 20, 1 / 4)


def by_elimination(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same vector by LU: what most would write, with fewer digits."""
    system = (rates - np.diag(rates.sum(axis=1))).T
    system[-1] = 1.0
    right = np.zeros(len(rates))
    right[-1] = 1.0
    return np.asarray(np.linalg.solve(system, right), dtype=np.float64)


def solves(times: int) -> list[table.Row]:
    """Exact solves."""
    rows: list[table.Row] = []
    for nodes, reach_s in ((5, 0.3e-3), (25, 40e-3)):
        rates = solvable(cluster(nodes)).rates
        ours_s, theirs_s = took_s(lambda r=rates: gth.stationary(r), times), took_s(lambda r=rates: by_elimination(r), times)  # type: ignore[misc]
        figure = f"exact solve, n = {nodes} ({len(rates)} states)"
        beside = f"{theirs_s * 1e3:.2f} ms (numpy.linalg.solve)"
        rows.append(table.Row(figure, f"{reach_s * 1e3:g} ms", f"{ours_s * 1e3:.2f} ms", beside, ours_s <= 1.5 * reach_s))
    chains = np.stack([solvable(cluster(3, rate)).rates for rate in np.geomspace(1e-9, 1e-3, 10_000)])
    ours_s = took_s(lambda: [gth.stationary(part) for part in np.array_split(chains, 20)], 1)
    rows.append(table.Row("sweep of 10,000 chains (13 states)", "5 s", f"{ours_s:.2f} s", "", ours_s <= 5))
    return rows


def outages_s(rng: np.random.Generator, size: int, factor: float = 1.0) -> NDArray[np.float64]:
    """Heartbeat detection less a retry window, cv 0.25, in whole slots."""
    exact_s = factor * (rng.uniform(0.0, 1.0, size) + 0.6547)
    measured: NDArray[np.float64] = np.floor(exact_s / SLOT_S + rng.uniform(0.0, 1.0, size)) * SLOT_S
    return measured


def verdicts(runs: int) -> list[table.Row]:
    """The downtime test."""
    rng = np.random.default_rng(1)
    draws = outages_s(rng, DRAWS)
    simulated_s = took_s(lambda: rng.choice(draws, (DRAWS, 20)).sum(axis=1), 1)
    ours_s = took_s(lambda: SumDistribution([(draws, 20)], SLOT_S), 5)
    beside = f"{simulated_s:.2f} s (2e5 simulated sums)"
    rows = [table.Row("verdict distribution, 200,000 draws, 20 faults", "0.5 s", f"{ours_s * 1e3:.1f} ms", beside, ours_s <= 0.5)]
    sums = SumDistribution([(draws, 20)], SLOT_S)
    for factor, reach, low, high in ((1.0, "4 to 6 %", 0.04, 0.06), (1.2, "at least 88 %", 0.88, 1.0)):
        totals_s = outages_s(rng, runs * 20, factor).reshape(runs, 20).sum(axis=1)
        share = float(np.mean([sums.p_value(float(total_s)) < 0.05 for total_s in totals_s]))
        name = "size of the downtime test on its own model" if factor == 1.0 else "its power at +20 %, 20 faults"
        rows.append(table.Row(f"{name} ({runs:,} runs)", reach, f"{share:.2%}", "", low <= share <= high))
    return rows


def main(argv: list[str] | None = None) -> int:
    """Print the rows."""
    chosen = table.arguments(str(__doc__), argv)
    rows = solves(3 if chosen.quick else 20) + verdicts(2_000 if chosen.quick else 10_000)
    return table.show(rows, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
