"""Kinds of faults in whole runs on the virtual cluster: those that go on in steps, those of a shape, those without a victim."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.history.events import DnsChanged, FaultAsked, FaultEffective, FaultFailed, FaultGone, FaultHealed, NodeChanged
from chaos.history.folder import RunFolder
from chaos.judge.judge import judge
from tests.support.samples import sample_plan
from tests.support.virtual_run import of, run

ROLL = """\
  - restart: {{order: rolling, gap: 500ms}}
    target: {{any: 3}}
    at: 1s
    for: {lasts}
"""


def test_a_rolling_restart_is_healed_when_it_is_through(tmp_path: Path) -> None:
    """Long before ``for`` is over; each node was down once, none beside another."""
    rows = run(sample_plan(ROLL.format(lasts="30s"), "limits: {nodes_down: 1}\n", runtime="fake"), tmp_path)
    effective, healed = of(rows, FaultEffective), of(rows, FaultHealed)
    assert len(effective) == len(healed) == len(of(rows, FaultGone)) == 1
    assert healed[0].at_ns - effective[0].at_ns < 15e9
    changes = [(row.node, str(row.status), row.cause) for row in of(rows, NodeChanged)][3:]
    assert [status for _, status, _ in changes] == ["down", "up"] * 3
    assert len({node for node, _, _ in changes}) == 3
    assert {cause for _, _, cause in changes} == {"restart-1.1"}


def test_a_rolling_restart_that_is_not_through_in_time_failed(tmp_path: Path) -> None:
    """It is no leftover (all run), and no pass either: the run is unknown, with the reason."""
    plan = sample_plan(ROLL.format(lasts="2s"), runtime="fake")
    rows = run(plan, tmp_path)
    (failed,) = of(rows, FaultFailed)
    assert "nodes were restarted within 'for'" in failed.reason
    assert not failed.left_over
    assert of(rows, FaultGone) == []
    report = judge(RunFolder(tmp_path))
    assert (report.verdict, report.exit_code) == ("unknown", 3)


def test_the_class_of_a_shape_is_its_own(tmp_path: Path) -> None:
    """And history has the groups or the links, which is what the thinking side reads."""
    faults = "".join(
        f"  - partition: {{shape: {shape}}}\n    {target}at: {at}\n    for: 2s\n"
        for shape, target, at in (
            ("halves", "", "1s"),
            ("bridge", "", "20s"),
            ("ring", "", "40s"),
            ("minority", "target: leader\n    ", "60s"),
        )
    )
    asked = of(run(sample_plan(faults, runtime="fake"), tmp_path), FaultAsked)
    assert [row.fault_class for row in asked] == [
        "partition/halves", "partition/bridge", "partition/ring", "partition/minority:leader",
    ]  # fmt: skip
    assert [sorted(len(group.split(",")) for group in row.target) for row in (asked[0], asked[3])] == [[1, 2], [1, 2]]
    assert [len(row.target) for row in asked[1:3]] == [2, 3]
    assert all(" -> " in entry for row in asked[1:3] for entry in row.target)


@pytest.mark.parametrize("mode", ["missing, record: n2", "stale"])
def test_the_name_service_needs_no_victim(mode: str, tmp_path: Path) -> None:
    """Its class is the mode; what clients get is in the history."""
    rows = run(sample_plan(f"  - dns: {{mode: {mode}}}\n    at: 1s\n    for: 2s\n", runtime="fake"), tmp_path)
    word = mode.partition(",")[0]
    assert [row.fault_class for row in of(rows, FaultAsked)] == [f"dns/{word}"]
    assert len(of(rows, FaultGone)) == 1
    assert [row.nodes for row in of(rows, DnsChanged)] == [
        ["n1", "n2", "n3"], *([["n1", "n3"], ["n1", "n2", "n3"]] if word == "missing" else []),
    ]  # fmt: skip


@pytest.mark.parametrize("fault", ["timeout: {}", "reset_peer: {}", "down: {}"])
def test_what_a_round_trip_shows_can_be_done_in_virtual_time(fault: str, tmp_path: Path) -> None:
    """Effective, healed, gone."""
    rows = run(sample_plan(f'  - {fault}\n    target: {{link: "clients -> n2"}}\n    at: 1s\n    for: 2s\n', runtime="fake"), tmp_path)
    assert [len(of(rows, kind)) for kind in (FaultEffective, FaultHealed, FaultGone, FaultFailed)] == [1, 1, 1, 0]
