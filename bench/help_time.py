"""How long ``nines --help`` takes, beside an interpreter that does nothing at all.

    python -m bench.help_time [--json] [--quick]

They take turns, so that a busy machine touches both alike. To reach: the median at most 100 ms above that of ``python -c pass``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

MORE_MS = 100.0


def took_ms(command: list[str]) -> float:
    """Wall time of one call."""
    began_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began_s) * 1000


def main() -> int:
    """Print the figure; 1 if it is missed."""
    parser = argparse.ArgumentParser(description="Time of nines --help.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    program = Path(sys.executable).with_name("nines")
    ours = [str(program), "--help"] if program.exists() else [sys.executable, "-m", "chaos", "--help"]
    bare = [sys.executable, "-c", "pass"]
    took_ms(ours)  # the first call compiles
    pairs = [(took_ms(bare), took_ms(ours)) for _ in range(8 if arguments.quick else 30)]
    base_ms, help_ms = (statistics.median(times) for times in zip(*pairs, strict=True))
    more_ms = help_ms - base_ms
    row = {
        "figure": "nines --help", "reach": f"<= {MORE_MS:.0f} ms more", "got": f"{more_ms:.0f} ms more ({help_ms:.0f} ms)",
        "beside": f"python -c pass: {base_ms:.0f} ms", "ok": more_ms <= MORE_MS,
    }  # fmt: skip
    print(json.dumps([row]) if arguments.json else "\n".join(f"{key:8} {value}" for key, value in row.items()))
    return 0 if row["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
