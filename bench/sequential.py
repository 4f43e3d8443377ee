"""How often stopping early decides wrongly, over synthetic sequences: the agreement and the claims of ``--until-decided``.

    python -m bench.sequential [--sequences 2000] [--quick] [--json]

Agreement: outages in the predicted shape (a leader's election by heartbeats, and exponential ones), true means of 1, d and 1/d times
the prediction. Wrong is ``inconsistent`` at 1, and ``consistent`` at d and at 1/d. Claims: the true mean lies on the limit itself,
where every decision is wrong on one of its two sides; exponential, lognormal and mixed outages. Looks come every four faults, up to 64.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from tabulate import tabulate

from chaos import sequential
from chaos.stats_means import interval_of_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EVERY, MOST, MARGIN, SLOT_S = 4, 64, 1.5, 0.01
LIMIT = 0.05


def heartbeats(rng: np.random.Generator, size: int) -> Floats:
    """2.5 to 3.5 s to detect and elect, of which two seconds of retries hide the first: a cv of a quarter."""
    hidden: Floats = rng.uniform(0.65, 1.5, size)
    return hidden


def lognormal(cv: float) -> Callable[[np.random.Generator, int], Floats]:
    """Lognormal outages of mean 1 s."""
    variance = np.log1p(cv * cv)
    return lambda rng, size: rng.lognormal(-variance / 2, np.sqrt(variance), size)


def mixture(rng: np.random.Generator, size: int) -> Floats:
    """Four fast failovers to one slow restart, mean 1 s."""
    drawn: Floats = np.where(rng.random(size) < 0.8, rng.normal(4.0, 1.0, size), rng.normal(30.0, 7.0, size)) / 9.2
    return np.maximum(drawn, 0.01)


SHAPES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "exponential": lambda rng, size: rng.exponential(1.0, size),
    "lognormal cv 0.5": lognormal(0.5),
    "lognormal cv 1.5": lognormal(1.5),
    "mixture": mixture,
}


def agreements(shape: str, scale: float, sequences: int) -> dict[str, float]:
    """Share of each verdict, and the faults it took, where outages really are ``scale`` times as long as predicted."""
    draw = heartbeats if shape == "heartbeats" else SHAPES[shape]
    rng = np.random.default_rng(11)
    law = np.rint(draw(rng, 100_000) / SLOT_S) * SLOT_S
    increments = [[(law, EVERY)] for _ in range(MOST // EVERY)]
    ends: dict[str, int] = {"consistent": 0, "inconsistent": 0, "inconclusive": 0}
    same = sequential.bands(increments, MOST, sequential.LEVEL, SLOT_S)
    other = sequential.bands(increments, MOST, sequential.DIFFERENT / 2, SLOT_S)
    faults = 0
    for _ in range(sequences):
        totals_s = np.cumsum(scale * rng.choice(law, MOST))[EVERY - 1 :: EVERY]
        looks = sequential.walk(same, other, [EVERY] * len(same), totals_s.tolist(), MARGIN, SLOT_S)
        ends[looks[-1].verdict] += 1
        faults += looks[-1].faults
    return {word: count / sequences for word, count in ends.items()} | {"faults": faults / sequences}


def claims(shape: str, sequences: int) -> dict[str, float]:
    """Shares of ``pass`` and ``fail`` of a claim that the mean is at most its true value."""
    rng = np.random.default_rng(12)
    truth = float(SHAPES[shape](np.random.default_rng(1), 2_000_000).mean())
    counts = list(range(EVERY, MOST + 1, EVERY))
    confidences = sequential.claim_confidences(counts, MOST)
    ends = {"pass": 0, "fail": 0, "unknown": 0}
    for sequence in range(sequences):
        values = SHAPES[shape](rng, MOST)
        word = "unknown"
        for count, confidence in zip(counts, confidences, strict=True):
            if confidence is None:
                continue
            low, high, _ = interval_of_mean(values[:count], sequence, confidence=confidence)
            word = "pass" if high is not None and high <= truth else "fail" if low is not None and low > truth else word
            if word != "unknown":
                break
        ends[word] += 1
    return {word: count / sequences for word, count in ends.items()}


def measure(sequences: int) -> list[dict[str, object]]:
    """The rows of the table."""
    rows: list[dict[str, object]] = []
    for shape in ("heartbeats", "exponential"):
        for scale, wrong in ((1.0, "inconsistent"), (MARGIN, "consistent"), (1 / MARGIN, "consistent")):
            found = agreements(shape, scale, sequences)
            rows.append(
                {"figure": f"agreement, {shape}, truth {scale:.3g} x prediction: {wrong}", "reach": f"at most {LIMIT:.0%}",
                 "got": f"{found[wrong]:.1%}", "ok": found[wrong] <= LIMIT + 2 * (LIMIT * 0.95 / sequences) ** 0.5,
                 "beside": ", ".join(f"{word} {found[word]:.0%}" for word in ("consistent", "inconsistent", "inconclusive"))
                 + f"; {found['faults']:.0f} faults on average"}
            )  # fmt: skip
    for shape in SHAPES:
        found = claims(shape, sequences)
        for wrong in ("pass", "fail"):
            rows.append(
                {"figure": f"claim at its limit, {shape}: wrongly {wrong}", "reach": f"at most {LIMIT:.0%}", "got": f"{found[wrong]:.1%}",
                 "ok": found[wrong] <= LIMIT + 2 * (LIMIT * 0.95 / sequences) ** 0.5, "beside": ""}
            )  # fmt: skip
    return rows


def main() -> int:
    """Print the table; 1 if a figure misses what it should reach."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    began_s = time.perf_counter()
    rows = measure(200 if arguments.quick else arguments.sequences)
    if arguments.json:
        print(json.dumps(rows))
    else:
        print(tabulate([[row[key] for key in ("figure", "reach", "got", "beside")] for row in rows], tablefmt="simple"))
        print(f"{time.perf_counter() - began_s:.1f} s")
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
