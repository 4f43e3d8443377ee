"""Rates that change: when each request is due, read from the file to the sender."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from chaos.core.clock import NS_PER_S
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.experiment.demand import Change, Demand, Piece
from chaos.experiment.document import parse_experiment
from chaos.experiment.traffic import ClientPolicy
from chaos.history.observations import Outcome
from chaos.judge.checks_demand import sent
from chaos.measure import demand as measured
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan
from chaos.predict.run import facts_from_plan, predict
from chaos.traffic.grids import Grid
from chaos.traffic.spec import OperationOrder, ProberSpec, orders_beyond
from chaos.traffic.uneven import Uneven
from tests.support.samples import EXPERIMENT, sample_plan, sample_target

STEPS = "{first: 50/s, then: [{at: 10s, to: 200/s}, {at: 20s, to: 100/s, over: 5s}]}"
DEMAND = Demand(50.0, (Change(10.0, 200.0), Change(20.0, 100.0, 5.0)))
BASELINE_S = 5.0


def plan_of(rate: str, runtime: str = "local") -> Plan:
    text = EXPERIMENT.replace("FAULTS", "  - {kill: {}, target: leader, at: 2s, for: 1s}\nduration: 40s\n").replace(
        "write: 100/s", f"write: {{rate: {rate}}}"
    )
    return make_plan(parse_experiment(text, "sample.yaml"), sample_target(), seed=1, runtime=runtime)


def rate_at(at_s: float) -> float:
    """The rate of STEPS, by hand; t = 0 is the first request."""
    if at_s < 15:
        return 50.0
    if at_s < 25:
        return 200.0
    return 200.0 - 20.0 * (at_s - 25) if at_s < 30 else 100.0


def test_due_times_are_those_of_the_rate() -> None:
    """In every half second as many are due as the integral of the rate says, within one; none comes before the one before it."""
    uneven = Uneven(DEMAND.pieces(BASELINE_S, 40.0))
    due_s = np.array([uneven.due_s(index) for index in range(uneven.count)])
    assert (np.diff(due_s) > 0).all()
    for begin_s in np.arange(0.0, 40.0, 0.5):
        times_s = np.linspace(begin_s, begin_s + 0.5, 501)
        wanted = float(np.mean([rate_at(at_s) for at_s in (times_s[1:] + times_s[:-1]) / 2])) * 0.5
        assert abs(int(((due_s >= begin_s) & (due_s < begin_s + 0.5)).sum()) - wanted) <= 1.0


def test_even_requests_and_those_beyond_make_the_whole_rate() -> None:
    """The even grid has the lowest rate; what is beyond begins where the rate rises, and ends with the run."""
    beyond = Uneven(DEMAND.beyond(BASELINE_S, 40.0))
    assert DEMAND.least_per_s == 50.0
    assert beyond.due_s(0) > 15.0
    assert beyond.due_s(beyond.count - 1) < 40.0
    assert beyond.count == Uneven(DEMAND.pieces(BASELINE_S, 40.0)).count - 40 * 50
    assert not Uneven(DEMAND.beyond(BASELINE_S, 12.0)).count


def test_the_grid_of_the_prober_follows(tmp_path: Path) -> None:
    """Its seconds hold as many as are due, and ending early leaves out what is due later."""
    order = OperationOrder("write", "http", "write", 150.0, {}, pieces=DEMAND.beyond(BASELINE_S, 40.0))
    spec = ProberSpec("r", 1, NS_PER_S, 40.0, str(tmp_path / "x"), (order,), ClientPolicy(), {}, "web")
    grid = Grid(0, order, spec, SimpleNamespace(host=None))  # type: ignore[arg-type]
    assert grid.due_between(17 * NS_PER_S, 18 * NS_PER_S) == 150
    assert grid.due_between(2 * NS_PER_S, 16 * NS_PER_S) == 0
    grid.stop(18 * NS_PER_S)
    assert grid.left == 300


def test_a_rate_that_changes_is_read_planned_and_told(tmp_path: Path) -> None:
    """The plan has the lowest rate as that of the even requests; the prediction says that it leaves the load out."""
    del tmp_path
    plan = plan_of(STEPS)
    spec = plan.experiment.traffic.operations["write"]
    assert (spec.rate_per_s, spec.most_per_s, spec.demand) == (50.0, 200.0, DEMAND)
    assert spec.rate_text == "50/s, 200/s from 10 s, to 100/s from 20 s over 5 s"
    (order,) = orders_beyond(plan.experiment.traffic.operations, plan.operations, BASELINE_S, 40.0)
    assert order.pieces == DEMAND.beyond(BASELINE_S, 40.0)
    assert not orders_beyond(sample_plan().experiment.traffic.operations, sample_plan().operations, BASELINE_S, 40.0)
    assert any("changing rate" in said for said in predict(plan, facts_from_plan(plan)).predicted.assumptions)


@pytest.mark.parametrize(
    ("rate", "wrong"),
    [
        ("{first: 50/s, then: [{at: 10s, to: 200/s, over: 5s}, {at: 12s, to: 100/s}]}", "at 12s begins before that at 10s is over"),
        ("{first: 50/s, then: [{at: 10s, to: 50/s}]}", "never changes"),
        ("{first: 50/s, then: [{at: 10s, to: 0/s}]}", "out of range"),
        ("{first: 50/s, then: []}", "then"),
        ("{then: [{at: 10s, to: 0.5/s}]}", "first"),
    ],
)
def test_what_no_sender_could_send_is_refused(rate: str, wrong: str) -> None:
    """With its line and path."""
    with pytest.raises(BadInput, match=rf"sample\.yaml:4: traffic\.operations\.write\.rate.*{re.escape(wrong)}"):
        plan_of(rate)


def test_virtual_nodes_feel_no_load() -> None:
    """So a rate that changes says nothing there."""
    with pytest.raises(CapabilityMissing, match="slowed by any load"):
        plan_of(STEPS, "fake")


def test_each_level_has_its_own_figures() -> None:
    """Of the even requests and those beyond together; a level that was not sent in time fails the check."""
    plan = plan_of(STEPS)
    even_s = np.arange(0.0, 40.0, 0.02)
    beyond = Uneven(DEMAND.beyond(BASELINE_S, 40.0))
    due_s = np.array([beyond.due_s(index) for index in range(beyond.count)])
    kinds = [("due", "i8"), ("sent", "i8"), ("done", "i8"), ("operation", "u1"), ("outcome", "u1")]
    records = np.zeros(len(due_s), dtype=kinds)
    records["due"] = np.rint(due_s * NS_PER_S)
    records["sent"] = records["due"] + 1000
    records["done"] = records["due"] + np.where(due_s < 25, 0.03, 0.001) * NS_PER_S
    records["outcome"] = np.where(due_s >= 30, Outcome.FAIL, Outcome.OK)
    slots = SimpleNamespace(due_s=even_s, done_s=even_s + 0.001, state=np.zeros(len(even_s), dtype=np.int8))
    seen = SimpleNamespace(start_ns=0, end_s=40.0, services={"write": SimpleNamespace(slots=slots)})
    levels = measured.levels(plan, seen, records)  # type: ignore[arg-type]
    assert [(each.begin_s, each.end_s, each.due) for each in levels] == [(0, 15, 750), (15, 25, 2000), (25, 30, 750), (30, 40, 1000)]
    assert [round(each.good / each.sent, 2) for each in levels] == [1.0, 1.0, 1.0, 0.5]
    assert levels[1].p99_s == pytest.approx(0.03)
    assert sent(levels).verdict == "pass"
    records["sent"][due_s < 25] += NS_PER_S
    late = sent(measured.levels(plan, seen, records))  # type: ignore[arg-type]
    assert late.verdict == "fail"
    assert "at 200/s 25 % of 2,000 requests" in late.detail.replace("%", " %").replace("  ", " ")


def test_a_piece_that_the_end_cuts_keeps_its_slope() -> None:
    """Halfway up a ramp the rate is halfway."""
    pieces = Demand(10.0, (Change(0.0, 30.0, 10.0),)).pieces(0.0, 5.0)
    assert pieces == (Piece(0.0, 5.0, 10.0, 20.0),)
