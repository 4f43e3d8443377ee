"""Agreement on synthetic runs that the model itself made: how often each test errs, and how often it sees a difference.

    python -m bench.agreement [--json] [--quick]

To reach, with 10,000 runs: the downtime test with size 4 to 6 % and a power of at least 88 % at +20 % (20 faults of cv 0.25); the shape
test, ties of slots and all, with size at most 6 %; the composite agreement `inconsistent` in at most 6 %; three exponential outages
inconclusive. Beside the power of the shape test: the chance by which Kolmogorov's test, as scipy has it, refuses a right prediction.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kstest

from bench.models import SLOT_S, outages_s
from bench.servers import runs as table
from chaos.judge.agreement import compare
from chaos.judge.downtime_sums import SumDistribution
from chaos.judge.shape_test import shape

DRAWS = 20_000


@dataclass
class Drawn:
    """Predicted faults of one class."""

    downtime_s: NDArray[np.float64]
    faults: tuple[int, ...]
    stratum: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.stratum = np.zeros(len(self.downtime_s), dtype=np.int64)

    @property
    def noticed(self) -> NDArray[np.bool_]:
        """Which of them clients notice."""
        return self.downtime_s > 0


def downtime(runs: int) -> list[table.Row]:
    """The test on total downtime."""
    rng = np.random.default_rng(11)
    sums = SumDistribution([(outages_s(rng, 200_000), 20)], SLOT_S)
    rows = []
    for factor, name, reach, low, high in (
        (1.0, "size of the downtime test", "4 to 6 %", 0.04, 0.06),
        (1.1, "its power at +10 %, 20 faults", "", 0.0, 1.0),
        (1.2, "its power at +20 %, 20 faults", "at least 88 %", 0.88, 1.0),
    ):
        totals_s = outages_s(rng, runs * 20, factor).reshape(runs, 20).sum(axis=1)
        share = float(np.mean([sums.p_value(float(total_s)) < 0.05 for total_s in totals_s]))
        rows.append(table.Row(f"{name} ({runs:,} runs)", reach, f"{share:.2%}", "", low <= share <= high))
    return rows


def shapes(runs: int) -> list[table.Row]:
    """The test on the shape: right predictions, and outages of the right mean that are exponential."""
    rng = np.random.default_rng(12)
    law = outages_s(rng, DRAWS)
    refused, plain, seen = 0, 0, 0
    for _ in range(runs):
        sample = outages_s(rng, 12)
        found = shape(list(sample), [law], [12], SLOT_S, 1)
        refused += found is not None and found.p_value < 0.05
        plain += kstest(sample, law).pvalue < 0.05
        other = shape(list(np.round(rng.exponential(law.mean(), 12), 2)), [law], [12], SLOT_S, 1)
        seen += other is not None and other.p_value < 0.05
    beside = f"{plain / runs:.2%} (scipy's kstest against the draws)"
    return [
        table.Row(
            f"size of the shape test, 12 faults ({runs:,} runs)", "at most 6 %", f"{refused / runs:.2%}", beside, refused / runs <= 0.06
        ),
        table.Row("its power against exponential outages of that mean", "", f"{seen / runs:.1%}", "", True),
    ]


def composite(runs: int) -> list[table.Row]:
    """Two classes that clients notice, in part, and one that they do not: what a run is called whose model is right."""
    rng = np.random.default_rng(13)
    kills, pauses = outages_s(rng, DRAWS), np.round(rng.gamma(2.0, 1.0, DRAWS) * (rng.uniform(size=DRAWS) < 0.7), 2)
    drawn = {"kill/leader": Drawn(kills, (8,)), "pause/leader": Drawn(pauses, (6,)), "latency/leader": Drawn(np.zeros(100), (1,))}
    overall: list[str] = []
    rows_refused = 0
    for _ in range(runs):
        pause_s = np.round(rng.gamma(2.0, 1.0, 6) * (rng.uniform(size=6) < 0.7), 2)
        seen = {"kill/leader": list(outages_s(rng, 8)), "pause/leader": list(pause_s), "latency/leader": [0.0]}
        found, verdict = compare("write", seen, drawn, 1.5, SLOT_S)
        overall.append(verdict)
        rows_refused += any(each.verdict == "inconsistent" for each in found[1:])
    share, rows_share = overall.count("inconsistent") / runs, rows_refused / runs
    shown = f"{share:.2%}; consistent {overall.count('consistent') / runs:.1%}"
    return [
        table.Row(f"composite agreement inconsistent, model right ({runs:,} runs)", "at most 6 %", shown, "", share <= 0.06),
        table.Row("any of its 5 class rows inconsistent (Holm)", "at most 6 %", f"{rows_share:.2%}", "", rows_share <= 0.06),
    ]


def few(runs: int) -> list[table.Row]:
    """Three exponential outages decide nothing."""
    rng = np.random.default_rng(14)
    drawn = {"kill/leader": Drawn(np.round(rng.exponential(1.0, DRAWS), 2), (3,))}
    found = [compare("write", {"kill/leader": list(np.round(rng.exponential(1.0, 3), 2))}, drawn, 1.5, SLOT_S)[1] for _ in range(runs)]
    share, wrong = found.count("inconclusive") / runs, found.count("consistent")
    shown = f"{share:.1%} inconclusive, {wrong} consistent"
    return [table.Row(f"three exponential outages ({runs:,} runs)", "inconclusive", shown, "", share >= 0.93 and not wrong)]


def main(argv: list[str] | None = None) -> int:
    """Print the rows."""
    chosen = table.arguments(str(__doc__), argv)
    runs = 1_000 if chosen.quick else 10_000
    rows = downtime(max(runs, 10_000)) + shapes(runs // 5) + composite(runs) + few(runs // 10)
    return table.show(rows, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
