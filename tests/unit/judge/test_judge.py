"""From a run folder to a verdict: the priority of exit codes, partial runs, and the same answer every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from chaos.core.errors import HistoryUnreadable
from chaos.experiment.objectives import Bound, ObjectiveSpec
from chaos.history.events import HARNESS_DIED, Aborting, FaultGone, Row, RunEnded, RunStarted
from chaos.history.folder import RunFolder
from chaos.judge.judge import judge
from chaos.plan.plan import Plan
from tests.support import synthetic
from tests.support.synthetic import Records, Rows, at_ns, fault_rows, frame, kills, make_plan, mark, write_run

TIMES_S = [5.0 + 6.0 * number for number in range(8)]


def kill_run(objectives: Sequence[ObjectiveSpec] = (), down_s: float = 0.4, **options: Any) -> tuple[Plan, Rows, Records]:  # noqa: ANN401 - handed on
    """Eight leader kills as the model of these parameters expects them, each with an election."""
    spec, windows = kills(TIMES_S, for_s=2.0)
    plan = make_plan(duration_s=55.0, faults=[spec], windows=windows, objectives=objectives, **options)
    rows, down = frame(plan), []
    lengths_s = down_s + np.random.default_rng(1).uniform(-0.08, 0.08, len(windows))
    for window, length_s in zip(windows, lengths_s.tolist(), strict=True):
        rows += fault_rows(window, settled_s=window.start_s + 5.9)
        rows += [mark(window.start_s + length_s - 0.01, "n2", "election_started"), mark(window.start_s + length_s, "n2", "leader_elected")]
        down.append((window.start_s + 0.003, window.start_s + length_s))
    return plan, rows, synthetic.slots(plan, down)


def without(rows: Rows, kind: type[Row]) -> list[Row]:
    """The rows of all other kinds."""
    return [row for row in rows if not isinstance(row, kind)]


MET = ObjectiveSpec("mttr", Bound("<=", 2.0), text="<= 2s")
MISSED = ObjectiveSpec("mttr", Bound("<=", 0.1), text="<= 100ms")
UNTOLD = ObjectiveSpec("lost_writes", Bound("<=", 0), text="0")


@pytest.mark.parametrize(
    ("specs", "change", "code", "verdict"),
    [
        ([MET], None, 0, "pass"),
        ([], None, 0, "pass"),
        ([MET, MISSED, UNTOLD], None, 1, "fail"),
        ([MET, UNTOLD], None, 3, "unknown"),
        ([MISSED], "node died", 3, "unknown"),
        ([MISSED], "aborted", 4, "unknown"),
        ([MISSED], "interrupted", 130, "unknown"),
        ([MISSED], "interrupted and aborted", 130, "unknown"),
        ([MISSED], "terminated", 143, "unknown"),
        ([MISSED], "bug", 70, "unknown"),
        ([MISSED], "crashed", 3, "unknown"),
        ([MISSED], "crashed and healed", 3, "unknown"),
        ([MET], "prober died", 3, "unknown"),
        ([MET], "leftover and bug", 6, "unknown"),
    ],
)
def test_the_most_urgent_thing_is_the_exit_code(
    tmp_path: Path, specs: list[ObjectiveSpec], change: str | None, code: int, verdict: str
) -> None:
    """6, 70, 130/143, 4, a failed check, a missed objective, one that cannot be told."""
    plan, rows, records = kill_run(specs)
    end = {
        "interrupted": RunEnded(at_ns=at_ns(56), left=[], signal=2),
        "interrupted and aborted": RunEnded(at_ns=at_ns(56), left=[], signal=2, aborted="error ratio"),
        "terminated": RunEnded(at_ns=at_ns(56), left=[], signal=15),
        "bug": RunEnded(at_ns=at_ns(56), left=[], bug="ValueError: x", signal=2),
        "crashed and healed": RunEnded(at_ns=at_ns(56), left=[], aborted=f"the {HARNESS_DIED}; healed afterwards"),
        "leftover and bug": RunEnded(at_ns=at_ns(56), left=["start n1"], bug="ValueError: x"),
    }.get(change)
    if end is not None:
        rows = [*without(rows, RunEnded), end]
    if change == "crashed":
        rows = without(rows, RunEnded)
    if change == "aborted":
        rows.append(Aborting(at_ns=at_ns(50), condition="write unavailable for 30 s"))
    if change == "prober died":
        rows.append(Aborting(at_ns=at_ns(50), condition=f"part of the {HARNESS_DIED}: prober"))
    if change == "node died":
        rows.append(synthetic.NodeChanged(at_ns=at_ns(52), node="n3", status="down", cause="by-itself"))
    judged = judge(write_run(tmp_path, plan, rows, records))
    assert (judged.exit_code, judged.verdict) == (code, verdict)
    assert judged.reasons or code == 0


def test_the_prediction_stands_beside_the_measurement(tmp_path: Path) -> None:
    """As the model expects it: consistent, with the model's mean beside each phase."""
    judged = judge(write_run(tmp_path, *kill_run([ObjectiveSpec("agreement", word="consistent", text="consistent")])))
    assert judged.agreement_overall == "consistent"
    assert judged.exit_code == 0
    assert judged.predicted is not None
    assert judged.observed is not None
    (phases,) = {frozenset(outage.phases) for outage in judged.observed.outages}
    assert {"detection", "election"} <= phases
    detection = judged.observed.outages[0].phases["detection"]
    assert detection.predicted_s == judged.predicted.by_fault["kill/leader"].phases["detection"]
    assert judged.observed.services["write"].outages == judged.observed.outages


def test_outages_three_times_as_long_as_predicted_are_inconsistent(tmp_path: Path) -> None:
    """And an objective that asks for agreement is missed."""
    judged = judge(write_run(tmp_path, *kill_run([ObjectiveSpec("agreement", word="consistent", text="consistent")], down_s=1.2)))
    assert judged.agreement_overall == "inconsistent"
    assert (judged.exit_code, judged.verdict) == (1, "fail")


def test_judging_again_changes_nothing(tmp_path: Path) -> None:
    """Same folder, same judgement, to the last digit."""
    folder = write_run(tmp_path, *kill_run([MET]))
    one, two = judge(folder), judge(folder)
    for field in ("observed", "predicted", "agreement", "checks", "objectives", "verdict", "exit_code", "reasons"):
        assert getattr(one, field) == getattr(two, field)


def test_a_target_that_declares_nothing_is_judged_without_a_prediction(tmp_path: Path) -> None:
    """The run is measured all the same; the lack is told."""
    judged = judge(write_run(tmp_path, *kill_run([MET], parameters=())))
    assert judged.predicted is None
    assert judged.exit_code == 0
    assert any(check.name == "prediction possible" and check.verdict == "unknown" for check in judged.checks)


def test_a_fault_never_proven_gone_is_the_most_urgent(tmp_path: Path) -> None:
    """Exit 6, and it is named."""
    plan, rows, records = kill_run([MET])
    rows = [row for row in rows if not (isinstance(row, FaultGone) and row.id == "kill-8")]
    judged = judge(write_run(tmp_path, plan, rows, records))
    assert judged.exit_code == 6
    assert any("kill-8" in reason for reason in judged.reasons)


def test_a_crash_at_any_byte_is_judged(tmp_path: Path) -> None:
    """Whatever is left of history and records gives a judgement, never a figure that is not a number, never a pass."""
    folder = write_run(tmp_path, *kill_run([MET]))
    history, records = folder.history.read_bytes(), folder.observations.read_bytes()
    for share in np.linspace(0.0, 0.99, 23):
        folder.history.write_bytes(history[: int(len(history) * share)])
        folder.observations.write_bytes(records[: int(len(records) * share)])
        judged = judge(folder)
        assert judged.exit_code in (3, 6)
        assert all(
            math.isfinite(value)
            for value in numbers(msgspec.to_builtins([judged.observed, judged.predicted, judged.agreement, judged.objectives]))
        )


def numbers(value: object) -> list[float]:
    """All numbers in a document."""
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [value] if isinstance(value, float) else []


def test_a_run_that_could_not_start_is_the_environments(tmp_path: Path) -> None:
    """Exit 5, as the run itself gave."""
    plan = make_plan()
    rows = [row for row in frame(plan, ended=False) if isinstance(row, RunStarted)]
    rows.append(RunEnded(at_ns=at_ns(0), left=[], bug="did not start: no toxiproxy-server"))
    judged = judge(write_run(tmp_path, plan, rows, synthetic.slots(plan)[:0]))
    assert (judged.exit_code, judged.observed) == (5, None)


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    """It is no run folder."""
    with pytest.raises(HistoryUnreadable):
        judge(RunFolder(tmp_path))
