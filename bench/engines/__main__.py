"""docs/engines.md's table of runs: quickstart, a partition experiment and outage edges, on every engine that this machine can have.

    python -m bench.engines                        run what has no outcome yet, then print the table
    python -m bench.engines --only rootless,ssh    these environments alone
    python -m bench.engines --seeds 1              fewer runs of each
    python -m bench.engines --through 'nice -n -5' start each run by this command
    python -m bench.engines --table-only           run nothing

Run folders are kept in runs/engines. ``--again`` carries out those anew in which the machine was too busy (``unknown``), others if their
folders are deleted. It needs root, and an hour and a half for all. Exit
status 1 if anything was not as on the plain engine. An environment that this machine cannot have is left out, and named.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.engines import table
from bench.engines.carried_out import EDGES, Outcome, carry_out, warm
from bench.engines.environments import ENVIRONMENTS
from tests.support.paths import ROOT


def main(arguments: Sequence[str] | None = None) -> int:
    """Seed by seed, so that a table of what there is can be made at any time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "engines")
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--through", type=shlex.split, default=[])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--table-only", action="store_true")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # engines end with their blocks
    runs = asked.runs.resolve()
    wanted = set(asked.only.split(",")) if asked.only else {each.name for each in ENVIRONMENTS}
    chosen = [each for each in ENVIRONMENTS if each.name in wanted]
    for seed in [] if asked.table_only else range(1, asked.seeds + 1):
        for environment in chosen:
            names = (*table.EXPERIMENTS, EDGES) if seed == 1 else table.EXPERIMENTS
            due = [name for name in names if is_due(table.outcome(runs, environment.name, name, seed), again=asked.again)]
            if not due or not environment.may():
                continue
            with environment.start() as shell:
                warm(shell)
                for name in due:
                    outcome = carry_out(shell, name, seed, runs / environment.name / f"{name}-{seed}", asked.through)
                    print(f"{environment.name} {name} {seed}: {table.in_short(outcome)}", file=sys.stderr, flush=True)
    lines, wrong = table.made(chosen, runs, asked.seeds)
    print("\n".join(lines))
    for each in (*wrong, *(f"{each.name}: this machine cannot have it" for each in chosen if not each.may())):
        print(each, file=sys.stderr)
    return 1 if wrong else 0


def is_due(kept: Outcome | None, *, again: bool) -> bool:
    """Whether a run is still to be carried out."""
    return kept is None or (again and kept.verdict == "unknown")


if __name__ == "__main__":
    sys.exit(main())
