"""How often stopping early decides wrongly, over synthetic sequences: the agreement and the claims of ``--until-decided``.

    python -m bench.sequential [--sequences 2000] [--quick] [--json]

Agreement: outages in the predicted shape (a leader's election by heartbeats, and exponential ones), true means of 1, d and 1/d times
the prediction. Wrong is ``inconsistent`` at 1, and ``consistent`` at d and at 1/d. Claims: the true mean lies on the limit itself,
where every decision is wrong on one of its two sides, and below it, where the claim should pass; the laws of ``bench.laws``. Looks
come every four faults up to 64 for the agreement, after 24, 44, 64 and 96 faults for claims.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from tabulate import tabulate

from bench.laws import SHAPES
from chaos.judge import sequential
from chaos.measure.means import interval_of_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EVERY, MOST, MARGIN, SLOT_S = 4, 64, 1.5, 0.01
LIMIT = 0.05
CLAIM_LOOKS, CLAIM_MOST, CLAIM_LIMIT = (24, 44, 64, 96), 96, 0.025
MARGINS = (1.5, 2.0, 3.0)
"""How far above the true mean the limit of a claim lies that should pass."""


def agreements(shape: str, scale: float, sequences: int) -> dict[str, float]:
    """Share of each verdict, and the faults it took, where outages really are ``scale`` times as long as predicted."""
    draw = SHAPES[shape]
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


def claims(shape: str, sequences: int, margin: float = 1.0) -> dict[str, float]:
    """Shares of ``pass`` and ``fail`` of a claim that the mean is at most ``margin`` times what it truly is, and the faults it took."""
    rng = np.random.default_rng(12)
    open_ = [SHAPES[shape](rng, CLAIM_MOST) for _ in range(sequences)]
    ends = {"pass": 0, "fail": 0, "unknown": 0}
    faults = 0
    for count, confidence in zip(CLAIM_LOOKS, sequential.claim_confidences(CLAIM_LOOKS, CLAIM_MOST), strict=True):
        left = []
        for values in open_ if confidence is not None else []:
            low, high, _ = interval_of_mean(values[:count], 1, confidence=confidence)
            word = "pass" if high is not None and high <= margin else "fail" if low is not None and low > margin else ""
            if word:
                ends[word] += 1
                faults += count
            else:
                left.append(values)
        open_ = left if confidence is not None else open_
    ends["unknown"] = len(open_)
    faults += len(open_) * CLAIM_MOST
    return {word: count / sequences for word, count in ends.items()} | {"faults": faults / sequences}


def measure(sequences: int) -> list[dict[str, object]]:
    """The rows of the table."""
    rows: list[dict[str, object]] = []
    for shape in ("election", "exponential"):
        for scale, wrong in ((1.0, "inconsistent"), (MARGIN, "consistent"), (1 / MARGIN, "consistent")):
            found = agreements(shape, scale, sequences)
            rows.append(
                {"figure": f"agreement, {shape}, truth {scale:.3g} x prediction: {wrong}", "reach": f"at most {LIMIT:.0%}",
                 "got": f"{found[wrong]:.1%}", "ok": found[wrong] <= LIMIT + 2 * (LIMIT * 0.95 / sequences) ** 0.5,
                 "beside": ", ".join(f"{word} {found[word]:.0%}" for word in ("consistent", "inconsistent", "inconclusive"))
                 + f"; {found['faults']:.0f} faults on average"}
            )  # fmt: skip
    few = max(sequences // 5, 20)
    for shape in SHAPES:
        found = claims(shape, few)
        for wrong in ("pass", "fail"):
            rows.append(
                {"figure": f"claim at its limit, {shape}: wrongly {wrong}", "reach": f"at most {CLAIM_LIMIT:.1%}",
                 "got": f"{found[wrong]:.1%}",
                 "ok": found[wrong] <= CLAIM_LIMIT + 2 * (CLAIM_LIMIT / few) ** 0.5, "beside": f"{few} sequences"}
            )  # fmt: skip
        for margin in MARGINS:
            found = claims(shape, max(few // 4, 20), margin)
            rows.append(
                {"figure": f"claim, limit {margin:g} x the mean, {shape}: passed", "reach": "", "got": f"{found['pass']:.0%}", "ok": True,
                 "beside": f"{found['faults']:.0f} faults on average"}
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
