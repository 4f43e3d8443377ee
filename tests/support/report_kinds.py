"""A report of every kind, for what looks at pages: from one kept report, and of runs made by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from chaos.history.events import Row
from chaos.report.build import from_folder
from chaos.results import check_names, states
from chaos.results.report import Report
from chaos.results.verdict import Check
from tests.support import synthetic as by_hand
from tests.support.paths import GOLDEN

HOUR_S = 3600.0
FAULTS = 171


def kept() -> Report:
    """The kept one, of nine faults, that passed."""
    return msgspec.json.decode((GOLDEN / "quickstart.report.json").read_bytes(), type=Report)


def of_state(state: states.State) -> Report:
    """The kept one as if it had come to this."""
    report = kept()
    beside = ["simulated"] * (state is states.SIMULATED) + ["baseline"] * (state is states.BASELINE)
    if state is states.SIMULATED:
        return msgspec.structs.replace(report, state="pass", qualifiers=beside)
    code = next((code for code, each in states.BY_CODE.items() if each is state), 3)
    verdict = {0: "pass", 1: "fail"}.get(code, "unknown")
    checks = report.checks
    if state in (states.INVALID, states.ABORTED, states.INTERRUPTED, states.LEFT_OVER):
        checks = [Check(check_names.ON_TIME, "fail", "write: 1.15 % of the requests are missing (limit 1 %)", "run it again"), *checks[1:]]
    return msgspec.structs.replace(
        report, state=state.name, verdict=verdict, exit_code=code, qualifiers=beside, checks=checks, reasons=["write: so it is"]
    )


def hour(folder: Path) -> Report:
    """A run of an hour at 100 requests/s with a leader killed every 20 s: its folder is written, and judged."""
    return _kills(folder, HOUR_S, FAULTS, 3)


def nine(folder: Path) -> Report:
    """The same for three minutes on nine nodes."""
    return _kills(folder, 180.0, 7, 9)


def _kills(folder: Path, duration_s: float, faults: int, count: int) -> Report:
    times_s = [30.0 + 20.0 * number for number in range(faults)]
    spec, windows = by_hand.kills(times_s, 3.0)
    plan = by_hand.make_plan(duration_s=duration_s, nodes=count, faults=[spec], windows=windows, operations=("write", "read"))
    rows: list[Row] = [*by_hand.frame(plan)]
    nodes = [node.name for node in plan.nodes]
    for number, window in enumerate(windows):
        node, heir = nodes[number % count], nodes[(number + 1) % count]
        rows += by_hand.fault_rows(window, node=node)
        rows += [by_hand.role(window.start_s, node, "leader", holds=False), by_hand.role(window.start_s + 0.6, heir, "leader")]
        rows += [
            by_hand.name_set(window.start_s + 0.3, [each for each in nodes if each != node]),
            by_hand.name_set(window.start_s + 3.4, nodes),
        ]
    rows.sort(key=lambda row: row.at_ns)
    downs = [(at_s + 0.01, at_s + 0.55 + 0.02 * (number % 9)) for number, at_s in enumerate(times_s)]
    records = [by_hand.slots(plan, downs, operation=place, latency_s=0.003 + 0.001 * place) for place in range(2)]
    return from_folder(by_hand.write_run(folder, plan, rows, np.concatenate(records)))
