"""The interpreter of plans, on the virtual cluster: what it does when, and what it writes down."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest

from chaos.clock import ManualClock, to_ns
from chaos.events import (
    Aborting,
    FaultAsked,
    FaultEffective,
    FaultGone,
    FaultHealed,
    FaultSkipped,
    NodeChanged,
    PhaseBegun,
    Row,
    RunEnded,
    TrafficEnded,
    TrafficStarted,
)
from chaos.history import RunFolder
from chaos.plan import Plan
from chaos.run import run_plan
from chaos.runtimes.fake import FakeRuntime
from tests.unit.samples import sample_plan, sample_target

KILLS = """\
  - name: kill-leader
    kill: {recovery: restart}
    target: leader
    every: 8s
    for: 2s
    times: 3
"""


def run(plan: Plan, folder: Path, **more: object) -> list[Row]:
    """Run it in virtual time; the rows it wrote."""
    run_plan(plan, sample_target(), "experiment: sample\n", RunFolder(folder), FakeRuntime(), ManualClock(), **more)  # type: ignore[arg-type]
    return RunFolder(folder).rows()


Kind = TypeVar("Kind")


def of(rows: list[Row], kind: type[Kind]) -> list[Kind]:
    """The rows of one kind."""
    return [row for row in rows if isinstance(row, kind)]


def test_each_fault_goes_from_asked_to_gone_in_its_window(tmp_path: Path) -> None:
    """Asked, effective, healed ``for`` later, proven gone; the victim is whoever led then."""
    plan = sample_plan(KILLS, runtime="fake")
    rows = run(plan, tmp_path)
    start_ns = of(rows, TrafficStarted)[0].start_ns
    effective = of(rows, FaultEffective)
    healed = of(rows, FaultHealed)
    assert [row.id for row in effective] == ["kill-leader.1", "kill-leader.2", "kill-leader.3"]
    assert [row.id for row in healed] == [row.id for row in of(rows, FaultGone)] == [row.id for row in effective]
    for window, on, off in zip(plan.windows, effective, healed, strict=True):
        assert on.at_ns >= start_ns + to_ns(window.start_s)
        assert off.at_ns - on.at_ns == pytest.approx(to_ns(2.0), abs=to_ns(0.2))
    assert {row.fault_class for row in of(rows, FaultAsked)} == {"kill/leader"}


def test_node_changes_carry_the_fault_that_caused_them(tmp_path: Path) -> None:
    """Deaths and restarts that we command are the fault's; nothing died by itself."""
    rows = run(sample_plan(KILLS, runtime="fake"), tmp_path)
    causes = {row.cause for row in of(rows, NodeChanged) if row.at_ns < of(rows, TrafficEnded)[0].at_ns and row.cause}
    assert causes == {"kill-leader.1", "kill-leader.2", "kill-leader.3"}


def test_the_run_ends_when_the_plan_says_and_leaves_nothing_to_undo(tmp_path: Path) -> None:
    """The last row says so."""
    plan = sample_plan(KILLS, runtime="fake")
    rows = run(plan, tmp_path)
    ended = rows[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.left, ended.aborted, ended.signal, ended.bug) == ([], "", None, "")
    start_ns = of(rows, TrafficStarted)[0].start_ns
    assert of(rows, TrafficEnded)[0].end_ns - start_ns == pytest.approx(to_ns(plan.duration_s), abs=to_ns(0.02))
    assert [row.phase for row in of(rows, PhaseBegun)] == ["starting", "baseline", "faults", "stopping"]


def test_a_fault_waits_for_the_cluster_to_settle_and_is_skipped_in_the_end(tmp_path: Path) -> None:
    """A node that stays dead must not hold up others; one that never votes again must."""
    faults = KILLS.replace("times: 3", "times: 1") + "  - {name: second, pause: {}, target: followers, at: 11s, for: 1s}\n"
    rows = run(sample_plan(faults, "settle: 1s\n".replace("settle: 1s\n", ""), runtime="fake"), tmp_path)
    asked = {row.fault: row.at_ns for row in of(rows, FaultAsked)}
    gone = {row.id: row.at_ns for row in of(rows, FaultGone)}
    assert asked["second"] >= gone["kill-leader.1"]
    assert not of(rows, FaultSkipped)


def test_limits_hold_a_fault_back(tmp_path: Path) -> None:
    """Two nodes at once are refused by ``limits.nodes_down: 1`` while the run goes on."""
    faults = (
        "  - {name: one, kill: {recovery: none}, target: n1, at: 5s}\n"
        "  - {name: two, pause: {}, target: {any: 1}, at: 10s, for: 1s, overlap: true}\n"
    )
    plan = sample_plan(faults, runtime="fake")
    import msgspec

    tight = msgspec.structs.replace(plan.experiment, limits=msgspec.structs.replace(plan.experiment.limits, nodes_down=1))
    rows = run(msgspec.structs.replace(plan, experiment=tight), tmp_path)
    skipped = of(rows, FaultSkipped)
    assert [row.fault for row in skipped] == ["two"]
    assert "limits.nodes_down is 1" in skipped[0].reason


def test_an_abort_condition_heals_and_ends_the_run(tmp_path: Path) -> None:
    """Unavailable for longer than allowed: the fault in force is taken back, the traffic stopped, the reason written."""
    faults = "  - {name: all, kill: {}, target: {any: 3}, at: 3s, for: 25s}\n"
    rows = run(sample_plan(faults, "abort_if: {unavailable_for: 2s}\n", runtime="fake"), tmp_path)
    aborting = of(rows, Aborting)
    assert "unavailable for" in aborting[0].condition
    assert [row.id for row in of(rows, FaultHealed)] == ["all.1"]
    ended = rows[-1]
    assert isinstance(ended, RunEnded)
    assert "unavailable for" in ended.aborted
    assert not ended.left
    start_ns = of(rows, TrafficStarted)[0].start_ns
    assert of(rows, TrafficEnded)[0].end_ns - start_ns < to_ns(20)


def test_the_same_seed_gives_the_same_history(tmp_path: Path) -> None:
    """In virtual time two runs of one plan are equal to the byte, but for the wall clock and the folder's name."""
    plan = sample_plan(KILLS, runtime="fake")
    first, second = run(plan, tmp_path / "a"), run(plan, tmp_path / "b")
    assert first[1:] == second[1:]
    assert (tmp_path / "a" / "observations.bin").read_bytes() == (tmp_path / "b" / "observations.bin").read_bytes()


def test_live_is_shown_every_row(tmp_path: Path) -> None:
    """The progress line sees what the history holds."""
    shown: list[Row] = []
    rows = run(sample_plan(KILLS, runtime="fake"), tmp_path, live=shown.append)
    assert shown == rows
