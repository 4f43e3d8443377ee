"""The quickstart over several seeds, as a user runs it: exit status, agreement, time over the plan, and the anatomy of every outage.

    python -m bench.quickstart [--seeds 10] [--first 1] [--runtime local] [--json] [--quick]

Nothing is read from inside the program: each run is a process, its figures come from the ``report.json`` it prints. To reach: exit 0
every time; agreement consistent in nine of ten and never inconsistent; start, stop and judging at most 3 s over the planned duration;
the phases of each outage add up to its length within 2 slots, and at least 90 % of the time is named; judging a run folder again takes
at most 1 s of processor time.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.servers import runs

FILE = Path(__file__).parent.parent / "experiments" / "quickstart.yaml"
OVER_S = {"local": 3.0, "docker": 12.0}
JUDGED_S = 1.0
CONSISTENT = {"local": 0.9, "docker": 0.8}
"""Share of the runs whose agreement must be consistent."""


@dataclass
class Run:
    """What the table needs of one run."""

    seed: int
    status: int
    agreement: str = "no report"
    over_s: float = math.inf
    """Wall time of the process less the planned duration."""
    worst_sum_slots: float = 0.0
    """The largest distance between the length of an outage and the sum of its phases."""
    judged_s: float = 0.0
    """Processor time of ``nines judge``, user and system."""
    down_s: float = 0.0
    named_s: float = 0.0
    reasons: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        named = f"{self.named_s / self.down_s:.1%} named" if self.down_s else "no outage"
        said = f"seed {self.seed}: exit {self.status}, {self.agreement}, {self.over_s:.2f} s over, {named}"
        return said + "".join(f"\n  {reason}" for reason in self.reasons)


def one(seed: int, runtime: str, folder: Path) -> Run:
    """Run it once, as a process."""
    command = [
        sys.executable,
        "-m",
        "chaos",
        "run",
        str(FILE),
        "--seed",
        str(seed),
        "--runtime",
        runtime,
        "--json",
        "--folder",
        str(folder),
    ]
    began_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took_s = time.monotonic() - began_s
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        return Run(seed, done.returncode, reasons=done.stderr.strip().splitlines()[-5:])
    planned_s = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["duration_s"]
    run = Run(seed, done.returncode, report["agreement_overall"], took_s - planned_s, reasons=report["reasons"])
    run.judged_s = judged_s(folder)
    return anatomy(run, report)


def judged_s(folder: Path) -> float:
    """What it takes to judge the folder again, as a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "chaos", "judge", str(folder)], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def anatomy(run: Run, report: dict[str, Any]) -> Run:
    """Fill in what the phases of its outages add up to."""
    observed = report["observed"]
    for outage in observed["outages"] if observed else []:
        if outage["duration_s"] is None:
            continue
        parts = {name: phase["observed_s"] or 0.0 for name, phase in outage["phases"].items()}
        apart_s = abs(sum(parts.values()) - outage["duration_s"])
        run.worst_sum_slots = max(run.worst_sum_slots, apart_s / observed["rule"]["slot_s"])
        run.down_s += outage["duration_s"]
        run.named_s += outage["duration_s"] - parts.get("unnamed", 0.0)
    return run


def rows(found: list[Run], runtime: str) -> list[runs.Row]:
    """One row for each of the figures."""
    count = len(found)
    words = [run.agreement for run in found]
    zeros, consistent, inconsistent = sum(run.status == 0 for run in found), words.count("consistent"), words.count("inconsistent")
    enough, limit_s = math.ceil(CONSISTENT[runtime] * count - 1e-9), OVER_S[runtime]
    overs_s = sorted(run.over_s for run in found)
    judged = sorted(run.judged_s for run in found)
    sums = max(run.worst_sum_slots for run in found)
    named = min((run.named_s / run.down_s for run in found if run.down_s), default=0.0)
    return [
        runs.Row(
            f"quickstart over {count} seeds ({runtime})",
            f"exit 0 in {count}; consistent in {enough}, inconsistent in none",
            f"exit 0 in {zeros}; consistent in {consistent}, inconsistent in {inconsistent}",
            "",
            zeros == count and consistent >= enough and inconsistent == 0,
        ),
        runs.Row(
            "time over the planned duration (start, stop, judge), 3 nodes",
            f"<= {limit_s:g} s",
            f"{overs_s[-1]:.2f} s at worst",
            f"{overs_s[count // 2]:.2f} s in the middle",
            overs_s[-1] <= limit_s,
        ),
        runs.Row(
            "sum of the phases of every outage against its length",
            "<= 2 slots; >= 90 % of the time named",
            f"{sums:.2f} slots, {named:.1%} named, at worst",
            "",
            sums <= 2 and named >= 0.9,
        ),
        runs.Row(
            "processor time of 'nines judge' of such a run's folder",
            f"<= {JUDGED_S:g} s",
            f"{judged[count // 2]:.2f} s in the middle",
            f"{judged[-1]:.2f} s at worst",
            judged[count // 2] <= JUDGED_S,
        ),
    ]


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--runtime", default="local", choices=sorted(OVER_S))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one seed")
    arguments = parser.parse_args(argv)
    found = []
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as scratch:
        for seed in range(arguments.first, arguments.first + (1 if arguments.quick else arguments.seeds)):
            found.append(one(seed, arguments.runtime, Path(scratch) / f"run-{seed}"))
            print(found[-1], file=sys.stderr)
    return runs.show([*rows(found, arguments.runtime), runs.machine()], arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
