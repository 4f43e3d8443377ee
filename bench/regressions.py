"""How often a gate calls a version worse: one that is 1.5 times as slow, and one that is not, over histories drawn from known laws.

    python -m bench.regressions [--histories 200] [--quick] [--json]

Each history has 40 faults of one class in runs of five, and a new version with as many faults as ``needed`` asks for at a power of 80 %
(what ``nines plan`` prints). Both go through ``evidence.compare``: pooling, permutation test, Holm over MTTR and availability. The laws are
those of ``bench.laws``, in slots of 20 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

import numpy as np
from tabulate import tabulate

from bench.laws import SHAPES
from chaos.evidence import needed
from chaos.evidence.compare import AVAILABILITY, MTTR, REGRESSION, compare, overall
from chaos.evidence.ratio_test import LEVEL
from chaos.evidence.rows import Trials

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OLD, A_RUN, SLOT_S, CYCLE_S = 40, 5, 0.02, 10.0
MEASURES = (MTTR, AVAILABILITY)
LAWS = ("election", "lognormal cv 0.5")


def trials(outages_s: Floats) -> Trials:
    """Columns of runs of five faults each."""
    count = len(outages_s)
    runs, downs_s, waits_s = [place // A_RUN for place in range(count)], outages_s.tolist(), [0.004] * count
    return Trials(runs, ["v"] * count, ["kill/leader"] * count, downs_s, [0] * count, [CYCLE_S] * count, downs_s, waits_s, waits_s)


def measure(law: str, histories: int) -> dict[str, float | str | None]:
    """Shares of histories whose new version is called worse."""
    rng = np.random.default_rng(17)
    draw = SHAPES[law]
    count = needed.to_find(needed.Design(draw(rng, 20_000), OLD, LEVEL / len(MEASURES)), REGRESSION)
    if count is None:
        return {"law": law, "faults": None, "found": None, "alarms": None}
    found = alarms = 0
    for _ in range(histories):
        old = trials(np.rint(draw(rng, OLD) / SLOT_S) * SLOT_S)
        found += overall(compare(old, trials(np.rint(REGRESSION * draw(rng, count) / SLOT_S) * SLOT_S), measures=MEASURES)) == "worse"
        alarms += overall(compare(old, trials(np.rint(draw(rng, count) / SLOT_S) * SLOT_S), measures=MEASURES)) == "worse"
    return {"law": law, "faults": count, "found": found / histories, "alarms": alarms / histories}


def main(argv: list[str] | None = None) -> int:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="20 histories")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(argv)
    rows = [measure(law, 20 if chosen.quick else chosen.histories) for law in LAWS]
    if chosen.json:
        print(json.dumps(rows))
    else:
        print(
            tabulate(
                [list(row.values()) for row in rows], headers=["outages", "faults", "1.5 times: called worse", "unchanged: called worse"]
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
