"""How often each 95 % interval holds the truth: data of an independent generator, laws by sizes, one table for each figure.

    python -m bench.coverage [--runs 400] [--only mean,yearly] [--quick] [--markdown] [--json]

To reach: at least 92 % in each cell. Where a sample gives no end on one side that side cannot be wrong; how often both ends were given
stands in brackets if it was not always. ``--markdown`` prints the tables of docs/measuring.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from tabulate import tabulate

from bench.laws import SHAPES, Law
from chaos.judge import extrapolation
from chaos.measure import means as stats_means
from chaos.measure import ratios as stats_ratios
from chaos.results.observed import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SIZES = (5, 8, 10, 20, 50)
LEAST = 0.92
PROMISED = 0.95
CYCLE_S = 30.0
"""From one scheduled fault to the next."""
UP_S = 30.0
"""The mean up time between outages that come by themselves."""

Answer = tuple[float, "float | None", "float | None"]
"""The truth, and the two ends."""


def _ends(truth: float, found: Estimate) -> Answer:
    return truth, found.low, found.high


# --- one sample of each figure -----------------------------------------------------------------------------------------


def mean(law: Law, rng: np.random.Generator, size: int) -> Answer:
    """The mean of so many outages."""
    return _ends(1.0, stats_means.mean(law(rng, size).tolist(), 1, 0.002))


def availability(law: Law, rng: np.random.Generator, size: int, noticed: float) -> Answer:
    """Of so many scheduled faults, of which clients notice a share."""
    downs_s = law(rng, size) * (rng.random(size) < noticed)
    span_s = CYCLE_S * size
    found = stats_ratios.scheduled_availability(downs_s.tolist(), float(downs_s.sum()), span_s, 1, 0.002)
    return _ends(1 - noticed / CYCLE_S, found)


def scheduled_ratio(law: Law, rng: np.random.Generator, size: int, rate: float, noticed: float) -> Answer:
    """Share of good requests at so many a second, scheduled faults of which a share is noticed, at a random phase of the slots."""
    slots = round(CYCLE_S * size * rate)
    is_up = np.ones(slots, dtype=bool)
    # Outages of a law without a longest one would reach into the next cycle: they are cut there, and so is the truth.
    downs_s = np.minimum(law(rng, size) * (rng.random(size) < noticed), CYCLE_S * 0.8)
    starts_s = CYCLE_S * np.arange(size) + rng.uniform(0, 3, size)
    due_s = (np.arange(slots) + rng.random()) / rate
    for start_s, down_s in zip(starts_s, downs_s, strict=True):
        is_up[np.searchsorted(due_s, start_s) : np.searchsorted(due_s, start_s + down_s)] = False
    begins = np.searchsorted(due_s, starts_s).tolist()
    longest_s = float(downs_s.max())
    found = stats_ratios.slot_ratio(is_up, np.ones(slots, dtype=bool), 1 / rate, longest_s, 0.95, begins, 1)
    return _ends(1 - noticed / CYCLE_S, found)


def _two_states(law: Law, rng: np.random.Generator, span_s: float) -> Floats:
    """Edges of a two-state process from a stationary start: up at even places."""
    many = int(3 * span_s / (UP_S + 1)) + 20
    # Long before the window opens nothing is left of how it began.
    ahead_s = 20 * UP_S
    edges: Floats = np.cumsum(np.column_stack((rng.exponential(UP_S, many), law(rng, many))).ravel())
    return edges - ahead_s


def natural_ratio(law: Law, rng: np.random.Generator, size: int, rate: float) -> Answer:
    """Share of good requests over a time in which so many outages are expected, which come by themselves."""
    span_s = size * (UP_S + 1)
    edges = _two_states(law, rng, span_s)
    due_s = np.arange(round(span_s * rate)) / rate
    is_up = np.searchsorted(edges, due_s, side="right") % 2 == 0
    inside = edges[1::2] - edges[::2]
    found = stats_ratios.slot_ratio(
        is_up, np.ones(len(due_s), dtype=bool), 1 / rate, float(inside[(edges[::2] > 0) & (edges[1::2] < span_s)].max(initial=0))
    )
    return _ends(UP_S / (UP_S + 1), found)


def natural(law: Law, rng: np.random.Generator, size: int) -> Answer:
    """The availability over so many outages that come by themselves."""
    ups_s, downs_s = rng.exponential(UP_S, size), law(rng, size)
    found = stats_ratios.natural_availability(ups_s.tolist(), downs_s.tolist(), float(downs_s.sum()), float(ups_s.sum() + downs_s.sum()))
    return _ends(UP_S / (UP_S + 1), found)


def yearly(law: Law, rng: np.random.Generator, size: int, noticed: float = 1.0, counted: float = 0.0, classes: int = 1) -> Answer:
    """Downtime a year at a chosen rate, or at one that was counted (so many faults expected) in production."""
    per_s, shares = 1e-6, []
    exposure_s = counted / per_s if counted else 0.0
    for number in range(classes):
        downs_s = law(rng, size) * (rng.random(size) < noticed)
        seen = int(rng.poisson(counted)) if counted else None
        rate = per_s if seen is None else (seen or 0.5) / exposure_s
        shares.append(extrapolation.Share(f"kill/{number}", rate, tuple(downs_s.tolist()), 10.0, f"{number}", seen, exposure_s))
    found = extrapolation.combine(shares, 1)
    return _ends(per_s * noticed * classes * extrapolation.YEAR_S, found.downtime_s_per_year)


Sample = Callable[[Law, np.random.Generator, int], Answer]
FIGURES: Mapping[str, Sample] = {
    "mean": mean,
    "availability, all noticed": lambda law, rng, size: availability(law, rng, size, 1.0),
    "availability, 80 % noticed": lambda law, rng, size: availability(law, rng, size, 0.8),
    "availability, 30 % noticed": lambda law, rng, size: availability(law, rng, size, 0.3),
    "success ratio, scheduled, 10/s, 80 % noticed": lambda law, rng, size: scheduled_ratio(law, rng, size, 10.0, 0.8),
    "success ratio, scheduled, 100/s, 80 % noticed": lambda law, rng, size: scheduled_ratio(law, rng, size, 100.0, 0.8),
    "success ratio, by themselves, 10/s": lambda law, rng, size: natural_ratio(law, rng, size, 10.0),
    "success ratio, by themselves, 100/s": lambda law, rng, size: natural_ratio(law, rng, size, 100.0),
    "availability, by themselves": natural,
    "yearly, chosen rate": yearly,
    "yearly, chosen rate, 80 % noticed": lambda law, rng, size: yearly(law, rng, size, 0.8),
    "yearly, three counted": lambda law, rng, size: yearly(law, rng, size, counted=3.0),
    "yearly, three classes": lambda law, rng, size: yearly(law, rng, size, classes=3),
}


def cell(sample: Sample, law: Law, size: int, runs: int) -> tuple[float, float]:
    """How often the truth is inside, and how often both ends were given."""
    rng = np.random.default_rng(size)
    inside = given = 0
    for _ in range(runs):
        truth, low, high = sample(law, rng, size)
        inside += (low is None or low <= truth) and (high is None or truth <= high)
        given += low is not None and high is not None
    return inside / runs, given / runs


def main() -> int:
    """Print the tables; 1 if a cell falls short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--only", default="", help="figures whose name begins so, comma-separated")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    runs = 100 if arguments.quick else arguments.runs
    error = math.sqrt(PROMISED * (1 - PROMISED) / runs)
    began_s = time.perf_counter()
    cells: list[dict[str, str | bool]] = []
    for figure, sample in FIGURES.items():
        if arguments.only and not figure.startswith(tuple(arguments.only.split(","))):
            continue
        rows = []
        for shape, law in SHAPES.items():
            found = [cell(sample, law, size, runs) for size in SIZES]
            rows.append([shape, *(f"{inside:.1%}" + (f" ({given:.0%})" if given < 1 else "") for inside, given in found)])
            cells += [
                {"figure": f"95 % interval, {figure}, {shape}, n = {size}", "reach": f"at least {LEAST:.0%}",
                 "got": f"{inside:.1%} +- {error:.1%}", "beside": f"both ends in {given:.0%}", "ok": inside >= LEAST - 2 * error}
                for size, (inside, given) in zip(SIZES, found, strict=True)
            ]  # fmt: skip
        if not arguments.json:
            head = [figure, *(f"n = {size}" for size in SIZES)]
            print(
                tabulate(rows, headers=head, tablefmt="github" if arguments.markdown else "simple", disable_numparse=True), "\n", flush=True
            )
    is_reached = all(each["ok"] for each in cells)
    if arguments.json:
        print(json.dumps(cells))
    elif not arguments.markdown:
        print(f"{runs} runs a cell (Monte Carlo error {error:.1%}), {time.perf_counter() - began_s:.0f} s")
    return 0 if is_reached else 1


if __name__ == "__main__":
    sys.exit(main())
