"""Writes docs/achieved.md anew: what faults achieve on both runtimes, measured on this machine.

    python -m bench.achieved [--tries 5]

Takes some minutes, and a quiet machine: what a busy one achieves says nothing of the faults. Needs a Docker engine.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from pathlib import Path

from bench import faults_achieved
from bench.faults_achieved import Tried
from chaos.engine.connection import connect

PAGE = Path(__file__).resolve().parents[1] / "docs" / "achieved.md"
HEAD = """\
# What faults achieve

*This page is made by a run: `.venv/bin/python -m bench.achieved`. Do not edit it.*

Each fault measures its effect from outside. This is what it measured: {tries} tries of each on `replicated_kv` with three nodes, toxics
on a link from the clients and on one between nodes. `took` counts the tries that proved their effect and, once taken back, that it is
gone; `after` is the median from the command to the effect, the look before it included. To be reached: delays within 0.5 ms + 2 %,
rates within 10 %, losses within the range that chance leaves them (binomial, 99 %).

Measured with {engine}, Linux {kernel}, {cores} cores, load average {load:.1f} at the end.
"""


def table(found: list[Tried], tries: int) -> str:
    """In Markdown."""
    lines = ["| asked | achieved, median | from | to | took | after | by |", "|---|---|---|---|---|---|---|"]
    for tried in found:
        unit, values = tried.case.unit, tried.figures
        figures = [f"{value:.4g} {unit}" for value in (statistics.median(values), min(values), max(values))] if values else ["", "", ""]
        after = f"{statistics.median(tried.onsets_s) * 1e3:.1f} ms" if tried.onsets_s else ""
        missed = "" if tried.reached else " **missed**"
        cells = [tried.case.what, figures[0] + missed, *figures[1:], f"{len(tried.onsets_s)} of {tries}", after, tried.mechanism]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and write; 1 if anything was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=5)
    tries = parser.parse_args().tries
    parts, missed = [], 0
    with connect() as engine:
        version = f"Docker {engine.facts.version}"
    for runtime in ("local", "docker"):
        found = faults_achieved.measure(runtime, tries)
        missed += sum(not tried.reached for tried in found)
        parts.append(f"\n## Runtime {runtime}\n\n{table(found, tries)}")
        print(f"{runtime}: {sum(tried.reached for tried in found)} of {len(found)} as asked", file=sys.stderr)
    head = HEAD.format(tries=tries, engine=version, kernel=platform.release(), cores=os.cpu_count(), load=os.getloadavg()[0])
    PAGE.write_text(head + "".join(parts), encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
