"""``make what-each-buys``: run every variant of every mechanism, and write docs/what-each-buys.md with its pictures.

    python -m bench.what_each_buys [--only replicas,dns...] [--keep DIR] [--page DIR]

Some 25 minutes on plain processes. What lies in ``--keep`` (runs/what-each-buys) from an earlier call is not run again. With ``--only`` the
page is written of all that lies there, and nothing else is run.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

from bench.what_each_buys import page
from bench.what_each_buys.measure import Found, found
from bench.what_each_buys.mechanisms import MECHANISMS, Mechanism

ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str] | None = None) -> int:
    """0 when all that could be run here was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of mechanisms, separated by commas")
    parser.add_argument("--keep", type=Path, default=ROOT / "runs" / "what-each-buys")
    parser.add_argument("--page", type=Path, default=ROOT / "docs")
    told = parser.parse_args(argv)
    only = set(filter(None, told.only.split(",")))
    unknown = only - {each.key for each in MECHANISMS}
    if unknown:
        parser.error(f"there is no mechanism {', '.join(sorted(unknown))}; there are {', '.join(each.key for each in MECHANISMS)}")
    results = []
    for mechanism in MECHANISMS:
        left = _left(told.keep, mechanism)
        if only and mechanism.key not in only and not left:
            continue
        each = [found(mechanism, variant, told.keep, lacks="" if left else _lacks(mechanism)) for variant in mechanism.variants]
        for one in each:
            print(f"{mechanism.key}, {one.variant}: {_said(mechanism, one)}", file=sys.stderr, flush=True)
        results.append((mechanism, each))
    page.write(results, _conditions(), told.page)
    return 0


def _left(keep: Path, mechanism: Mechanism) -> bool:
    """Has an earlier call run all of it?"""
    names = [
        f"{mechanism.key}-{place}-{seed}" for place, variant in enumerate(mechanism.variants, 1) for seed in range(1, variant.seeds + 1)
    ]
    return all((keep / name / "run" / "report.json").exists() for name in names)


def _said(mechanism: Mechanism, one: Found) -> str:
    return one.why or f"predicted {page.shown(mechanism, one.predicted)}, seen {page.shown(mechanism, one.mean)}, {one.agreement or '-'}"


def _lacks(mechanism: Mechanism) -> str:
    """Why it cannot be run here; empty if it can."""
    if "docker" in mechanism.needs:
        from chaos.engine.connection import answers

        return "" if answers() else "no Docker engine answers here"
    return ""


def _conditions() -> str:
    """What the figures depend on beside the product."""
    load = os.getloadavg()[0]
    return (
        f"on {platform.system()} with {os.cpu_count()} cores and a load average of {load:.0f} at the end, the target "
        "`replicated_kv` on plain processes, if nothing else is said"
    )


if __name__ == "__main__":
    sys.exit(main())
