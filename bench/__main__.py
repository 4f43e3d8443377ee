"""``make bench``: every benchmark of this folder, one after the other, in one table.

    python -m bench [--quick] [--json] [NAME...]

A benchmark is a module with ``main()`` that takes ``--json``. It prints a list of rows, ``{"figure", "reach", "got", "beside", "ok"}``:
what is measured, what it should reach, what it reached, and the same figure of a public tool or the raw call in the same run, since
machines differ. Each runs in a process of its own, alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

HERE = Path(__file__).parent
TIMEOUT_S = 3600.0
MACHINE = "machine"
"""The row that says how busy it was."""


def names() -> list[str]:
    """The modules here that can be run with ``--json``."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.py")) if not path.stem.startswith("_")}
    return [name for name, text in texts.items() if "\ndef main(" in text and "--json" in text]


def usual() -> list[str]:
    """Those that are run when none is named: all but the ones that take the better part of an hour, which say so."""
    return [name for name in names() if "\nBY_NAME_ONLY = True" not in (HERE / f"{name}.py").read_text(encoding="utf-8")]


def run(name: str, quick: bool) -> list[dict[str, Any]]:
    """One benchmark's rows; a crash is a row too."""
    command = [sys.executable, "-m", f"bench.{name}", "--json"]
    source = (HERE / f"{name}.py").read_text(encoding="utf-8")
    if quick and ("--quick" in source or "runs.options" in source):
        command.append("--quick")
    began_s = time.monotonic()
    try:
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
        rows = _rows(done.stdout)
        if not rows:
            said = (done.stderr or done.stdout).strip().splitlines()
            rows = [_broken(name, f"exit {done.returncode}: {said[-1] if said else 'no output'}")]
    except subprocess.TimeoutExpired:
        rows = [_broken(name, f"not done after {TIMEOUT_S:.0f} s")]
    print(f"{name}: {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    return [{"bench": name, **row} for row in rows]


def _broken(name: str, why: str) -> dict[str, Any]:
    return {"figure": name, "reach": "", "got": why, "beside": "", "ok": False}


def _rows(text: str) -> list[dict[str, Any]]:
    """The rows it printed; none if it printed something else."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return []
    return [row for row in found if isinstance(row, dict) and row.keys() >= {"figure", "got"}] if isinstance(found, list) else []


def main() -> int:
    """Run them and print the table; 1 if any figure misses what it should reach."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="All benchmarks in one table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; figures are rough")
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(names()))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    rows = [row for name in arguments.names or usual() for row in run(name, arguments.quick)]
    if arguments.json:
        print(json.dumps(rows, indent=1))
    else:
        mark = {True: "ok", False: "MISSED", None: ""}
        table = [
            [row["figure"], row.get("reach", ""), row.get("got", ""), row.get("beside", ""), mark[row.get("ok")]]
            for row in rows
            if row["figure"] != MACHINE
        ]
        headers = ["figure", "to reach", "got", "beside", ""]
        print(tabulate(table, headers=headers, tablefmt="simple", disable_numparse=True, maxcolwidths=[40, 36, 40, 44, None]))
        print("\n" + "; ".join(f"{row['bench']}: {row['got']}" for row in rows if row["figure"] == MACHINE))
    return 1 if any(row.get("ok") is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
