"""What each kind of fault achieves in containers: asked, measured from outside, how soon, how often of so many tries.

    python -m bench.faults_docker [--json] [--quick]

Needs a Docker engine. ``faults_achieved`` says what is done and what is to be reached.
"""

from __future__ import annotations

from bench import faults_achieved
from bench.servers import runs


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    tries = 2 if chosen.quick else 5
    rows = [faults_achieved.row(tried, tries) for tried in faults_achieved.measure("docker", tries)]
    return runs.show([*rows, runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
