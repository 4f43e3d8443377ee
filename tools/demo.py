"""``make demo``: one experiment with the report on the terminal; what a busy machine does to it is told in one sentence.

    python -m tools.demo [EXPERIMENT.yaml]

A demonstration shows what Nines does. That this machine was too busy to tell is an honest answer and no failure of anything, so it is
exit status 0 here; ``nines run`` gives 3 for it. Every other status is that of ``nines run``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos.api import new_folder
from chaos.cli import main as cli
from chaos.core.units import show_share
from chaos.experiment.source import parse, read_text, table_of, text
from chaos.history.events import TrafficEnded
from chaos.history.folder import RunFolder

EXPERIMENT: Final = "experiments/quickstart.yaml"
UNKNOWN: Final = 3
BUSY_SHARE: Final = 0.001
"""Of the requests: on a quiet machine not one in a thousand leaves later than half the time between two."""


def late_share(folder: RunFolder) -> float:
    """Which share of the requests left later than half the time between two of them."""
    operations = folder.read_plan().experiment.traffic.operations.values()
    half_ns = min(0.5e9 / operation.rate_per_s for operation in operations)
    seen = folder.read_observations()
    return float((seen["sent"] - seen["due"] > half_ns).mean()) if len(seen) else 0.0


def load(folder: RunFolder) -> tuple[float, int]:
    """The machine's load while the requests were sent, and its processors; (0, 1) of a run that did not come so far."""
    ended = next((row for row in folder.read_history().rows if isinstance(row, TrafficEnded)), None)
    return (ended.load_1m or 0.0, ended.cpus) if ended is not None else (0.0, 1)


def told(status: int, late: float, busy: tuple[float, int]) -> str:
    """The sentence for a run that a busy machine spoilt; empty for any other."""
    at, cores = busy
    if status != UNKNOWN or (late < BUSY_SHARE and at <= cores):
        return ""
    machine = f"load {at:.1f} on {cores} core{'s' * (cores > 1)}"
    return (
        f"This machine was too busy to tell ({machine}; {show_share(late)} of the requests left too late): "
        "close what keeps it busy, and run 'make demo' again."
    )


def main(arguments: Sequence[str]) -> int:
    """Run it; the exit status of ``make demo``."""
    file = arguments[0] if arguments else EXPERIMENT
    name = text(table_of(parse(read_text(Path(file)), file)).need("experiment"))
    folder = new_folder(name)
    status = cli.main(["run", file, "--runtime", "local", "--folder", str(folder.path)])
    sentence = told(status, late_share(folder), load(folder)) if folder.plan.exists() else ""
    if sentence:
        print(f"\n{sentence}")
    return 0 if sentence else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
