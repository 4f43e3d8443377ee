"""The game-day page."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.api import order_text
from chaos.core import plugins as tables
from chaos.core.plugins import FAULTS
from chaos.plan.plan import Plan
from chaos.predict.run import facts_from_plan, predict
from chaos.report.pages.runbook import render
from chaos.results.predicted import Range
from tests.support.quick import QUICK


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Of the short experiment."""
    return order_text(QUICK, Path("quick.yaml")).plan


def test_says_all_that_people_need(plan: Plan) -> None:
    """Question, roles of people, steady state, abort conditions, steps, manual rollback, afterwards: in this order."""
    page = render(plan)
    heads = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    promised = [
        "The question",
        "Roles",
        "Steady state",
        "When to abort",
        "Before",
        "Communication",
        "Steps",
        "Manual rollback",
        "Afterwards",
    ]
    assert heads == promised
    assert plan.experiment.question in page
    assert "`write` unavailable for 15 s" in page


def test_one_step_a_window(plan: Plan) -> None:
    """Each fault of the plan is a row, at its time, with what the model expects and room for what people saw."""
    page = render(plan, predict(plan, facts_from_plan(plan)).predicted)
    rows = [line for line in page.splitlines() if "(kill-leader)" in line]
    assert len(rows) == len(plan.windows) == 2
    assert f"| 0:0{plan.windows[0].start_s:.1f} |" in rows[0]
    assert all("recovered after" in row and row.endswith("| |") for row in rows)


def test_expected_not_to_be_noticed(plan: Plan) -> None:
    """A fault that clients should not feel is announced as such."""
    predicted = predict(plan, facts_from_plan(plan)).predicted
    row = predicted.by_fault["kill/leader"]
    calm = msgspec.structs.replace(predicted, by_fault={"kill/leader": msgspec.structs.replace(row, share=Range(0.0))})
    assert "clients notice nothing" in render(plan, calm)


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_every_shipped_fault_can_be_healed_by_hand(kind: str) -> None:
    """A new fault must come with words for those who have to take it back without us."""
    assert tables.find("faults", kind).by_hand


def test_what_is_done_to_nobody_in_particular_is_said(tmp_path: Path) -> None:
    """A shape and the name service have a place in the column of victims, and only their own class is expected of them."""
    faults = "faults:\n  - {partition: {shape: halves}, at: 1s, for: 2s}\n  - {partition: {shape: ring}, at: 15s, for: 2s}\n"
    faults += "  - {dns: {mode: stale}, at: 30s, for: 2s}\n"
    begin, end = QUICK.index("faults:"), QUICK.index("settle:")
    plan = order_text(QUICK[:begin] + faults + QUICK[end:].replace("production: {kill: 1 per 45d per node}", ""), tmp_path / "x.yaml").plan
    page = render(plan, predict(plan, facts_from_plan(plan)).predicted)
    halves, ring, stale = [line for line in page.splitlines() if line.startswith("| ") and line[2:3].isdigit()]
    assert "| all nodes |" in halves
    assert "'partition/ring'" not in halves
    assert "'partition/ring'" in ring
    assert "| the name server |" in stale
