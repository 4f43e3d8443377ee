"""``make ledger``: is every mistake that ``replicated_kv`` can make on purpose caught? Writes docs/ledger.md.

    python -m tools.ledger [--seeds 10] [--controls 2] [--only stale-lease,...] [--keep DIR] [--page FILE]

Each experiment of experiments/wrong runs once for each seed with its mistake, which a check of data must find; and again without it
(``wrong: none``), when none may find anything. A run that left its report in ``--keep`` is not run again; one that never began is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "experiments" / "wrong"
VIOLATED, UNKNOWN = "violated", "unknown"
RIGHT = ("--set", "cluster.settings.wrong=none", "--set", "expect_verdict=pass")
ENOUGH = 0.9
INTRO = """\
# Ledger: is every mistake caught?

A check of data that never fails proves nothing. `replicated_kv` can make each of [eight mistakes](replicated-kv/wrong.md) on purpose.
For each there is an experiment that must catch it (`expect_verdict: fail`).
`make ledger` runs every one of them with several seeds, and again without the mistake.

Processes that are killed keep what the kernel has of their files.
So `ack-before-log` and `checkpoint-torn` make the disks slow (`disk_delay`): what is lost is what a node still held in its own memory.
A loss of power, which takes the kernel's memory too, is not shown here.
"""


@dataclass(frozen=True)
class Run:
    """What one run came to."""

    verdict: str
    """Of the run; empty: it left no report."""
    violated: tuple[str, ...] = ()
    """Names of the checks of data that found something."""
    said: str = ""
    unknown: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0

    @property
    def caught(self) -> bool:
        """A check of data found it."""
        return bool(self.violated)


def run(file: Path, seed: int, keep: Path, right: bool) -> Run:
    """As a user would start it."""
    folder = keep / f"{file.stem}-{'right' if right else 'wrong'}-{seed}"
    left = folder / "report.json"
    if not left.exists():
        shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "chaos", "run", str(file), "--seed", str(seed), "--folder", str(folder), "--quiet"]
        done = subprocess.run([*command, *(RIGHT if right else ())], capture_output=True, text=True, check=False, cwd=ROOT)
        if not left.exists():
            return Run("", reason=" ".join((done.stderr or done.stdout).split())[:200])
    return read(json.loads(left.read_text(encoding="utf-8")))


def read(report: dict[str, Any]) -> Run:
    """What its report says of its data."""
    checks = (report.get("data") or {}).get("checks", [])
    found = [check for check in checks if check["verdict"] == VIOLATED]
    told = next((check["first"]["said"] for check in found if check.get("first")), "")
    return Run(
        verdict=report["verdict"],
        violated=tuple(check["name"] for check in found),
        said=told,
        unknown=tuple(check["name"] for check in checks if check["verdict"] == UNKNOWN),
        reason="; ".join(report["reasons"][:1]),
        seconds=report["duration_s"],
    )


def row(file: Path, wrong: list[Run], right: list[Run]) -> str:
    """One line of the table."""
    caught = [each for each in wrong if each.caught]
    by = sorted({name for each in caught for name in each.violated})
    first = caught[0].said if caught else "; ".join(sorted({each.reason for each in wrong if each.reason})) or "nothing"
    alarms = sum(bool(each.violated) for each in right)
    longest_s = max((each.seconds for each in wrong), default=0.0)
    shown = first.replace("|", "/").replace("\n", " ")
    link = f"[{file.stem}](../experiments/wrong/{file.name})"
    failed = sum(each.verdict == "fail" for each in caught)
    found = f"{len(caught)} of {len(wrong)} | {failed}"
    return f"| {link} | {found} | {', '.join(by) or '–'} | {shown} | {alarms} of {len(right)} | {longest_s:.0f} s |"


def page(results: list[tuple[Path, list[Run], list[Run]]]) -> str:
    """The whole of it."""
    few = [file.stem for file, wrong, _ in results if sum(each.caught for each in wrong) < ENOUGH * len(wrong)]
    alarms = sum(bool(each.violated) for _, _, right in results for each in right)
    runs = sum(len(right) for _, _, right in results)
    missed = [file.stem for file, wrong, _ in results for each in wrong if not each.caught]
    spoilt = Counter(each.reason.partition(":")[0] for _, wrong, _ in results for each in wrong if each.caught and each.verdict != "fail")
    lines = [INTRO, f"Conditions: {os.cpu_count()} cores, a load average of {os.getloadavg()[0]:.0f} at the end, runtime local.", ""]
    lines += ["| mistake | caught | verdict *fail* | by | the first violation of one run | false alarms without it | length of a run |"]
    lines += ["|---|---|---|---|---|---|---|"]
    lines += [row(*each) for each in results]
    sure = sum(bool(each.verdict) and not each.violated and not each.unknown for _, _, right in results for each in right)
    lines += [
        "",
        f"Without the mistakes, under the same faults: {alarms} false alarms in {runs} runs; every check ended as *ok* in {sure} of them.",
    ]
    if few:
        lines += ["", f"Caught in fewer than nine of ten seeds: {', '.join(few)}."]
    if missed:
        lines += ["", f"Runs in which no check found anything: {', '.join(f'{name} {count}' for name, count in Counter(missed).items())}."]
    if spoilt:
        words = ", ".join(f"{reason} ({count})" for reason, count in spoilt.most_common())
        lines += [
            "",
            f"Where a check found the mistake and the verdict was another one, the run itself was invalid on a busy machine: {words}.",
        ]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """1 if a mistake is caught in fewer than nine of ten seeds, or anything is found where nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--controls", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time; more than one only where there are cores for it")
    parser.add_argument("--keep", type=Path, default=ROOT / "runs" / "ledger")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "ledger.md")
    told = parser.parse_args(argv)
    only = set(filter(None, told.only.split(",")))
    files = [file for file in sorted(EXPERIMENTS.glob("*.yaml")) if not only or file.stem in only]
    results = []
    with ThreadPoolExecutor(told.jobs) as pool:
        for file in files:
            wrong = list(pool.map(lambda seed, file=file: run(file, seed, told.keep, False), range(1, told.seeds + 1)))  # type: ignore[misc]
            right = list(pool.map(lambda seed, file=file: run(file, seed, told.keep, True), range(1, told.controls + 1)))  # type: ignore[misc]
            results.append((file, wrong, right))
            print(row(*results[-1]), file=sys.stderr, flush=True)
    told.page.write_text(page(results), encoding="utf-8")
    missed = any(
        sum(each.caught for each in wrong) < ENOUGH * len(wrong) or any(each.violated for each in right) for _, wrong, right in results
    )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
