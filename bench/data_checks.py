"""How long the checks of data take: 100,000 operations over 100 keys, beside Porcupine on the same histories.

    python -m bench.data_checks [--json]

Three clients at each key at the same time, which is more than eight sessions bring to one of 100 keys; none of their operations is left
without an answer. Porcupine takes exponential time for those, and for eight clients at one key. To reach: all checks together, with the
reading of the journal, within 5 s; linearizability alone within 20 times Porcupine's time, on one core each.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

from chaos.core import plugins
from chaos.data.check import carried_out
from chaos.data.operations import DataHistory, Operation
from chaos.history import journal
from chaos.history.journal import Begun, Called, Ended, JournalRow, NodeRead, Returned
from tests.support.histories import random_history
from tests.support.porcupine import build, judged, why_not

KEYS = 100
EACH = 1000
TOGETHER = 3
REACH_S = 5.0
REACH_TIMES = 20.0
LIMIT_S = 300.0
WORKLOADS = ("register", "list", "set", "counter")
NOT_THESE = ("one_leader",)
"""It looks at no operation."""


def histories(workload: str, each: int) -> list[list[Operation]]:
    """One for each key, all operations answered."""
    return [
        [op for op in random_history(seed, workload, each, sessions=TOGETHER, trouble=0.0).operations if op.outcome != journal.FAIL]
        for seed in range(KEYS)
    ]


def written(path: Path, found: list[list[Operation]]) -> int:
    """As the journal of a run; how many operations."""
    rows: list[tuple[int, JournalRow]] = []
    for number, operations in enumerate(found):
        for op in operations:
            n, key = len(rows), f"d{number}"
            rows.append((op.call_ns, Called(n, op.call_ns, op.session, op.does, op.does, key, op.value)))
            text = ",".join(op.found) if isinstance(op.found, tuple) else None if op.found is None else str(op.found)
            rows.append((op.return_ns, Returned(n, op.return_ns, op.outcome, text, "127.0.0.1")))
    last_ns = max(at_ns for at_ns, _ in rows) + 1
    nodes: list[JournalRow] = [NodeRead(last_ns, node, "d0", "ok", "x") for node in ("n1", "n2")]
    ordered = [row for _, row in sorted(rows, key=lambda row: row[0])]
    all_rows = [Begun(0, 1, "bench", "register", KEYS, 8), *ordered, *nodes, Ended(last_ns, len(rows) // 2, True)]
    path.write_bytes(b"".join(journal.encoded(row) for row in all_rows))
    return len(rows) // 2


def measured(workload: str, each: int, folder: Path) -> dict[str, float]:
    """Seconds: of the reading, of every check, of Porcupine; and the number of operations."""
    found = histories(workload, each)
    path = folder / f"{workload}.jsonl"
    figures = {"operations": float(written(path, found))}
    began_s = time.perf_counter()
    history = DataHistory(workload, journal.read(path))
    keys = len(history.keys)
    figures["reading"] = time.perf_counter() - began_s
    assert keys == KEYS
    for name in plugins.names("checks"):
        check = plugins.find("checks", name)()
        if workload in check.workloads and name not in NOT_THESE:
            began_s = time.perf_counter()
            finding = carried_out(check, history, LIMIT_S)
            figures[name] = time.perf_counter() - began_s
            assert name != "linearizable" or finding.count == 0, finding
    if not why_not():
        os.environ["GOMAXPROCS"] = "1"
        program = build(folder)
        told = judged(program, [(str(number), workload, operations) for number, operations in enumerate(found)])
        assert all(each.ok for each in told)
        figures["porcupine"] = sum(each.seconds for each in told)
    return figures


def main() -> int:
    """Measure, and print; 1 if it takes too long."""
    parser = argparse.ArgumentParser(prog="python -m bench.data_checks", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    parser.add_argument("--each", type=int, default=EACH, help="operations of each key")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for workload in WORKLOADS:
            each = arguments.each if workload == "register" else min(arguments.each, 200)
            figures = measured(workload, each, Path(folder))
            count, porcupine = int(figures.pop("operations")), figures.pop("porcupine", None)
            all_s, alone_s = sum(figures.values()), figures["linearizable"]
            times = f"{alone_s / porcupine:.1f} times Porcupine's {porcupine:.2f} s" if porcupine else "Porcupine cannot be built here"
            rows += [
                {"figure": f"all checks of {count:,} operations on {KEYS} {workload}s", "reach": f"{REACH_S:g} s", "got": f"{all_s:.2f} s",
                 "beside": f"reading {figures['reading']:.2f} s", "ok": all_s <= REACH_S},
                {"figure": f"linearizability alone, {workload}", "reach": f"{REACH_TIMES:g} times Porcupine", "got": f"{alone_s:.2f} s",
                 "beside": times, "ok": porcupine is None or alone_s <= REACH_TIMES * max(porcupine, 0.01)},
            ]  # fmt: skip
    print(json.dumps(rows) if arguments.json else tabulate(rows, headers="keys"))
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
