"""How many faults a claim about a mean takes, by the intervals that judge it: outages of gamma shape, power 80 %.

    python -m bench.claims [--runs 100] [--quick] [--json]

Rows: the spread of outages (coefficient of variation); columns: by what factor the true mean is below the limit. Prints the table of
docs/deciding.md. Above ``MANY`` faults the interval has a formula, and so has the number.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from tabulate import tabulate

from chaos.core.search import least_count
from chaos.measure.means import MANY, interval_of_mean
from chaos.predict.sample_size import faults_needed

SPREADS = (0.2, 0.5, 1.0, 1.5)
FACTORS = (1.1, 1.25, 1.5, 2.0, 3.0)
POWER = 0.8


def needed(cv: float, factor: float, runs: int) -> int | None:
    """The least number of which four samples in five pass."""
    roughly = faults_needed(cv, factor, 0.99)
    if roughly is None or roughly > MANY:
        return roughly
    rng = np.random.default_rng(1)

    def passes(count: int) -> bool:
        samples = rng.gamma(1 / cv**2, cv**2, (runs, count))
        highs = [interval_of_mean(values, 1)[1] for values in samples]
        return sum(high is not None and high <= factor for high in highs) >= POWER * runs

    return least_count(passes, 2, 4 * MANY)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    runs = 20 if arguments.quick else arguments.runs
    rows = [[f"{cv:g}", *(str(needed(cv, factor, runs)) for factor in FACTORS)] for cv in SPREADS]
    if arguments.json:
        print(json.dumps([
            {"figure": f"faults that decide a claim, spread {row[0]}, limit {factor:g} x the mean", "reach": "", "got": got,
             "beside": "", "ok": None}
            for row in rows for factor, got in zip(FACTORS, row[1:], strict=True)
        ]))  # fmt: skip
        return 0
    print(tabulate(rows, headers=["spread \\ factor", *(f"{factor:g}" for factor in FACTORS)], tablefmt="github", disable_numparse=True))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
