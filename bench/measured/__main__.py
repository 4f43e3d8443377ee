"""docs/measured.md, and each leader kill in three seeds.

    python -m bench.measured                  run all that has no run folder yet, then write the page
    python -m bench.measured --leader-kills   each leader kill alone, and one table of them on standard output; writes no page
    python -m bench.measured --runs DIR       where run folders are kept (default: runs/measured)
    python -m bench.measured --only redis     experiments whose name holds this text; the others' run folders are used as they are
    python -m bench.measured --page-only      run nothing

What has no run folder keeps its lines of the page. An experiment that was run already is not run again: delete its folder, or name it
with ``--again``. Runs in containers use the Docker engine that answers, else a private one that ends with this command.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.measured import keeping, page
from bench.measured.rows import ROOT, Row, read_rows, run

PAGE = ROOT / "docs" / "measured.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, write the page; 1 if a run did not come to the verdict that its experiment expects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "measured")
    parser.add_argument("--only", default="")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--page-only", action="store_true")
    parser.add_argument("--leader-kills", action="store_true")
    asked = parser.parse_args(arguments)
    rows = [row for row in read_rows() if row.seeds or not asked.leader_kills]
    due = [] if asked.page_only else [row for row in rows if asked.only in row.run]
    with engine(due):
        for row in due:
            for seed in row.each_seed:
                if asked.again or not row.done(asked.runs, seed):
                    run(row, seed, asked.runs)
    table = page.leader_kills(rows, asked.runs)
    failed = [name for row in rows for name in page.not_as_expected(row, asked.runs)]
    if asked.leader_kills:
        print("\n".join(table))
    else:
        before = PAGE.read_text(encoding="utf-8").splitlines()
        lines = keeping.merged(list(page.page(rows, asked.runs)), before)
        PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
    if failed:
        print(f"not as expected: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


@contextlib.contextmanager
def engine(due: list[Row]) -> Iterator[None]:
    """A Docker engine for rows that need one; ``EnvironmentUnusable`` if there is none and none can be started."""
    from chaos.core.errors import EnvironmentUnusable
    from chaos.engine import private
    from chaos.engine.connection import connect

    with contextlib.ExitStack() as stack:
        if any(row.runtime == "docker" for row in due):
            try:
                stack.enter_context(connect())
            except EnvironmentUnusable:
                if not private.may():
                    raise
                host = stack.enter_context(private.private_engine(private.folder_of(), lambda text: print(text, file=sys.stderr)))
                stack.enter_context(_named(host))
        yield


@contextlib.contextmanager
def _named(host: str) -> Iterator[None]:
    import os

    os.environ["DOCKER_HOST"] = host
    try:
        yield
    finally:
        del os.environ["DOCKER_HOST"]


if __name__ == "__main__":
    sys.exit(main())
