"""How long judging takes: a run of a million slots, from the folder on disk to the verdict, beside merely reading its bytes.

    python -m bench.judge [--slots 1000000] [--json] [--quick]

The run is made by hand: two services, leader kills with their elections, kept as a run folder. Imports are done beforehand and
timed by themselves.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.servers import runs
from tests.support import synthetic

REACH_S = 0.5
"""For a million slots."""
RATE_PER_S = 500.0
EVERY_S = 15.0


def make(folder: Path, slots: int) -> None:
    """A run of so many slots with a kill every ``EVERY_S``, each with an outage of 0.3 to 0.6 s and three shorter flaps of reads."""
    duration_s = slots / RATE_PER_S / 2
    times_s = np.arange(10.0, duration_s - 10.0, EVERY_S).tolist()
    spec, windows = synthetic.kills(times_s, for_s=3.0)
    plan = synthetic.make_plan(
        duration_s=duration_s, rate_per_s=RATE_PER_S, baseline_s=5.0, operations=("write", "read"), faults=[spec], windows=windows
    )
    rows, down = synthetic.frame(plan), []
    for window, length_s in zip(windows, np.random.default_rng(1).uniform(0.3, 0.6, len(windows)).tolist(), strict=True):
        rows += synthetic.fault_rows(window, settled_s=window.start_s + EVERY_S - 0.1)
        rows.append(synthetic.mark(window.start_s + length_s - 0.01, "n2", "election_started"))
        rows.append(synthetic.mark(window.start_s + length_s, "n2", "leader_elected"))
        down.append((window.start_s + 0.003, window.start_s + length_s))
    flaps = [(from_s + shift_s, from_s + shift_s + 0.05) for from_s, _ in down for shift_s in (0.0, 1.0, 2.0)]
    records = np.concatenate([synthetic.slots(plan, down), synthetic.slots(plan, flaps, operation=1)])
    synthetic.write_run(folder, plan, rows, records[np.argsort(records["done"], kind="stable")])


def measure(slots: int, rounds: int = 5) -> dict[str, float]:
    """Seconds: to import, to read the bytes, to judge; the best of several rounds, since other work shares the machine."""
    began_s = time.perf_counter()
    import scipy.special  # noqa: F401 - the agreement test loads it when first used

    from chaos.history.folder import RunFolder
    from chaos.judge.judge import judge

    imported_s = time.perf_counter() - began_s
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        make(folder.path, slots)
        read_s, judged_s = [], []
        faults = 0
        for _ in range(rounds):
            began_s = time.perf_counter()
            folder.observations.read_bytes()
            read_s.append(time.perf_counter() - began_s)
            began_s = time.perf_counter()
            faults = len(judge(folder).timeline.trials)
            judged_s.append(time.perf_counter() - began_s)
    return {
        "slots": slots,
        "faults": faults,
        "import_s": imported_s,
        "read_bytes_s": min(read_s),
        "judge_s": min(judged_s),
        "judge_first_s": judged_s[0],
    }


def main() -> int:
    """Rows on stdout; exits 1 if the figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    arguments = parser.parse_args()
    found = measure(arguments.slots, 2 if arguments.quick else 5)
    row = runs.Row(
        f"judging a run of {arguments.slots:,} slots, {found['faults']:.0f} faults",
        f"<= {REACH_S * arguments.slots / 1e6:g} s",
        f"{found['judge_s']:.2f} s (the first time {found['judge_first_s']:.2f} s; imports {found['import_s']:.2f} s)",
        f"reading its bytes: {found['read_bytes_s']:.3f} s",
        found["judge_s"] <= REACH_S * arguments.slots / 1e6,
    )
    return runs.show([row, runs.machine()], arguments.json)


if __name__ == "__main__":
    sys.exit(main())
