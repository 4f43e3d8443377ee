"""How often the 95 % interval of a mean holds the truth: the one default rule, beside the log-scale bootstrap-t, over shapes and sizes.

    python -m bench.coverage [--runs 2000] [--quick] [--markdown] [--json]

To reach: in each cell at most 0.02 below the log-scale bootstrap-t. ``--markdown`` prints the table of docs/measuring.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from tabulate import tabulate

from bench.sequential import SHAPES
from chaos import stats_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SIZES = (5, 10, 20, 50)
SHORT = 0.02
PROMISED = 0.95


def bootstrap_t(values: Floats, seed: int) -> tuple[float, float]:
    """The log-scale bootstrap-t whatever the size, by itself: the yardstick. An end that it leaves open is open."""
    count = len(values)
    picks = np.random.default_rng(seed).integers(0, count, (stats_means.RESAMPLES, count))
    drawn = values[picks]
    middle = float(values.mean())
    error = float(values.std(ddof=1)) / middle / math.sqrt(count)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.log(drawn.mean(axis=1) / middle) / (drawn.std(axis=1, ddof=1) / drawn.mean(axis=1) / math.sqrt(count))
    t = t[np.isfinite(t)]
    low, high = np.quantile(t, [(1 - PROMISED) / 2, (1 + PROMISED) / 2])
    return middle * math.exp(-high * error), middle * math.exp(min(-low * error, 700.0))


def cell(shape: str, size: int, runs: int) -> tuple[float, float]:
    """The coverage of the default rule and of the bootstrap-t, on the same samples."""
    rng = np.random.default_rng(size)
    truth = float(SHAPES[shape](np.random.default_rng(1), 2_000_000).mean())
    ours = theirs = 0
    for run in range(runs):
        values = SHAPES[shape](rng, size)
        low, high, _ = stats_means.interval_of_mean(values, run)
        ours += (low is None or low <= truth) and (high is None or truth <= high)
        bottom, top = bootstrap_t(values, run)
        theirs += bottom <= truth <= top
    return ours / runs, theirs / runs


def main() -> int:
    """Print the table; 1 if a cell falls short of its yardstick."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    runs = 200 if arguments.quick else arguments.runs
    began_s = time.perf_counter()
    rows: list[list[str]] = []
    cells: list[dict[str, str | bool]] = []
    noise = 2 * math.sqrt(0.1 * 0.9 / runs)
    for shape in SHAPES:
        found = [cell(shape, size, runs) for size in SIZES]
        cells += [
            {"figure": f"95 % interval of a mean, {shape}, m = {size}", "reach": f"at least {theirs - SHORT:.1%}", "got": f"{ours:.1%}",
             "beside": f"{theirs:.1%} (log-scale bootstrap-t)", "ok": ours >= theirs - SHORT - noise}
            for size, (ours, theirs) in zip(SIZES, found, strict=True)
        ]  # fmt: skip
        shown = [
            f"{ours:.1%}" if size >= stats_means.FEW else f"{ours:.1%} ({theirs:.1%})"
            for size, (ours, theirs) in zip(SIZES, found, strict=True)
        ]
        worst = min(ours for ours, _ in found)
        rows.append([shape, *shown, f"{PROMISED - worst:.1%}" if worst < PROMISED else "no"])
        print(f"{shape}: {found}", file=sys.stderr, flush=True)
    is_reached = all(each["ok"] for each in cells)
    if arguments.json:
        print(json.dumps(cells))
        return 0 if is_reached else 1
    head = ["outages", *(f"m = {size}" for size in SIZES), "falls short by up to"]
    print(tabulate(rows, headers=head, tablefmt="github" if arguments.markdown else "simple", disable_numparse=True))
    if not arguments.markdown:
        print(
            f"{runs} runs a cell, {time.perf_counter() - began_s:.0f} s; in brackets the log-scale bootstrap-t where another rule is used"
        )
    return 0 if is_reached else 1


if __name__ == "__main__":
    sys.exit(main())
