"""The quickstart over several seeds, as a user runs it: exit status, agreement, time over the plan, and the anatomy of every outage.

    python -m bench.quickstart [--seeds 10] [--runtime local] [--json] [--quick]

Nothing is read from inside the program: each run is a process, its figures come from the ``report.json`` it prints.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILE = Path(__file__).parent.parent / "experiments" / "quickstart.yaml"


def one(seed: int, runtime: str, folder: Path) -> dict[str, object]:
    """Run it once; the report, with the wall time and exit status of the whole process beside it."""
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "run", str(FILE), "--seed", str(seed), "--runtime", runtime, "--json", "--folder", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    took_s = time.monotonic() - began_s
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        return {"seed": seed, "exit": done.returncode, "took_s": took_s, "stderr": done.stderr[-2000:]}
    return {"seed": seed, "exit": done.returncode, "took_s": took_s, "report": report}


def summary(run: dict) -> dict[str, object]:
    """What the table shows of one run."""
    report = run.get("report")
    if report is None:
        return {"seed": run["seed"], "exit": run["exit"], "agreement": "-", "over_s": None, "worst_sum_s": None, "named": None, "stderr": run["stderr"]}
    slot_s = report["observed"]["rule"]["slot_s"]
    worst_s, named_s, total_s = 0.0, 0.0, 0.0
    for outage in report["observed"]["outages"]:
        if outage["duration_s"] is None:
            continue
        parts = {name: phase["observed_s"] or 0.0 for name, phase in outage["phases"].items()}
        worst_s = max(worst_s, abs(sum(parts.values()) - outage["duration_s"]))
        total_s += outage["duration_s"]
        named_s += outage["duration_s"] - parts.get("unnamed", 0.0)
    return {
        "seed": run["seed"],
        "exit": run["exit"],
        "agreement": report["agreement_overall"],
        "over_s": run["took_s"] - report["duration_s"],
        "mttr_s": report["observed"]["mttr_s"]["value"],
        "predicted_mttr_s": report["predicted"]["mttr_s"]["value"],
        "outages": len(report["observed"]["outages"]),
        "worst_sum_slots": worst_s / slot_s,
        "named": named_s / total_s if total_s else None,
        "reasons": report["reasons"],
    }


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--runtime", default="local")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one seed")
    arguments = parser.parse_args(argv)
    count = 1 if arguments.quick else arguments.seeds
    runs = []
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as scratch:
        for seed in range(arguments.first, arguments.first + count):
            runs.append(summary(one(seed, arguments.runtime, Path(scratch) / f"run-{seed}")))
            print(runs[-1], file=sys.stderr)
    overs = [run["over_s"] for run in runs if run["over_s"] is not None]
    sums = [run["worst_sum_slots"] for run in runs if run.get("worst_sum_slots") is not None]
    named = [run["named"] for run in runs if run["named"] is not None]
    limit_s = 12 if arguments.runtime == "docker" else 3
    enough = -(-9 * count // 10) if arguments.runtime == "local" else -(-4 * count // 5)
    consistent = sum(run["agreement"] == "consistent" for run in runs)
    inconsistent = sum(run["agreement"] == "inconsistent" for run in runs)
    zeros = sum(run["exit"] == 0 for run in runs)
    rows = [
        ("quickstart, exit 0", f"{count} of {count}", f"{zeros}", zeros == count),
        ("quickstart, consistent / inconsistent", f"at least {enough} / 0", f"{consistent} / {inconsistent}", consistent >= enough and not inconsistent),
        ("time over the planned duration", f"<= {limit_s} s", f"{max(overs, default=float('nan')):.2f} s at worst", bool(overs) and max(overs) <= limit_s),
        ("sum of phases against the outage", "<= 2 slots", f"{max(sums, default=float('nan')):.2f} slots at worst", bool(sums) and max(sums) <= 2),
        ("time in outages that is named", ">= 90 %", f"{min(named, default=float('nan')):.1%} at worst", bool(named) and min(named) >= 0.9),
    ]
    table = [{"figure": figure, "reach": reach, "got": got, "beside": "", "ok": ok} for figure, reach, got, ok in rows]
    print(json.dumps(table) if arguments.json else "\n".join(f"{row['figure']:45} {row['reach']:22} {row['got']:30} {row['ok']}" for row in table))
    return 0 if all(row["ok"] for row in table) else 1


if __name__ == "__main__":
    raise SystemExit(main())
