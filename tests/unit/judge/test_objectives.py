"""Three answers, under both bases, with and without outages that were seen to end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaos.experiment.objectives import Bound, ObjectiveSpec
from chaos.history.events import FaultEffective
from chaos.judge import objectives
from chaos.judge.objectives import held
from chaos.measure import estimates as stats
from chaos.measure.timeline import build
from chaos.results.observed import Estimate
from chaos.results.verdict import Objective
from tests.support import synthetic
from tests.support.synthetic import Down, fault_rows, frame, kills, make_plan


def verdict(
    spec: ObjectiveSpec, down: Down, *, times_s: Sequence[float] = (5.0, 15.0), drop_effect: bool = False, overall: str = "inconclusive"
) -> tuple[str, Objective]:
    """The verdict of one objective on a run with kills at these times."""
    fault, windows = kills(list(times_s))
    plan = make_plan(faults=[fault], windows=windows, objectives=[spec])
    rows = [*frame(plan), *(row for window in windows for row in fault_rows(window))]
    if drop_effect:
        rows = [row for row in rows if not isinstance(row, FaultEffective)]
    timeline = build(plan, rows, synthetic.slots(plan, down))
    (objective,) = objectives.evaluate(plan, timeline, stats.observe(plan, timeline), overall)
    return objective.verdict, objective


def limit(measure: str, op: str, value: float, basis: str = "run", fault: str | None = None) -> ObjectiveSpec:
    """One objective."""
    return ObjectiveSpec(measure=measure, bound=Bound(op, value), basis=basis, fault=fault, text=f"{op} {value}")


SHORT = [(5.005, 5.505), (15.005, 15.505)]
OPEN = [(5.005, 5.505), (29.005, 99.0)]


@pytest.mark.parametrize(
    ("measure", "op", "value", "down", "expected"),
    [
        ("availability", ">=", 0.95, SHORT, "pass"),
        ("availability", ">=", 0.99, SHORT, "fail"),
        ("success_ratio", ">", 0.95, SHORT, "pass"),
        ("slo_ratio", ">=", 0.5, SHORT, "unknown"),
        ("mttr", "<=", 0.6, SHORT, "pass"),
        ("mttr", "<=", 0.4, SHORT, "fail"),
        ("mttf", ">=", 10.0, SHORT, "pass"),
        ("mtbf", ">=", 20.0, SHORT, "fail"),
        ("recovery", "<=", 0.6, SHORT, "pass"),
        ("recovery", "<=", 0.5, SHORT, "fail"),
        ("outage", "<", 0.51, SHORT, "pass"),
        ("mttr", "<=", 0.6, [], "pass"),
        ("mttf", ">=", 20.0, [], "pass"),
        ("mttf", ">=", 40.0, [], "unknown"),
        ("outage", "<=", 1.0, [], "pass"),
        ("recovery", "<=", 0.1, [], "pass"),
        ("lost_writes", "<=", 0, SHORT, "unknown"),
    ],
)
def test_this_runs_own_value_decides(measure: str, op: str, value: float, down: Down, expected: str) -> None:
    """Basis run."""
    assert verdict(limit(measure, op, value), down)[0] == expected


@pytest.mark.parametrize(
    ("measure", "op", "value", "expected"),
    [
        ("mttr", "<=", 1.4, "fail"),
        ("mttr", "<=", 5.0, "unknown"),
        ("outage", "<=", 0.9, "fail"),
        ("outage", "<=", 2.0, "unknown"),
        ("recovery", "<=", 2.0, "pass"),
        ("availability", ">=", 0.9, "pass"),
    ],
)
def test_an_outage_without_an_end_fails_what_it_has_exceeded_and_leaves_the_rest_open(
    measure: str, op: str, value: float, expected: str
) -> None:
    """0.5 s completed and 0.995 s open: MTTR is at least 1.495 s over one repair; the open one came by itself, after all settled."""
    assert verdict(limit(measure, op, value), OPEN)[0] == expected


def test_a_recovery_without_an_end_leaves_the_limit_open() -> None:
    """The kill at 28 s was not recovered from after 2 s: a limit of 1 s is missed, one of 3 s cannot be told."""
    down = [(28.005, 99.0)]
    assert verdict(limit("recovery", "<=", 1.0), down, times_s=(28.0,))[0] == "fail"
    assert verdict(limit("recovery", "<=", 3.0), down, times_s=(28.0,))[0] == "unknown"


def test_without_an_outage_a_claim_cannot_be_made() -> None:
    """Under ``claim`` the absence of outages proves nothing about their length."""
    assert verdict(limit("mttr", "<=", 2.0, "claim"), [])[0] == "unknown"


def test_without_an_outage_a_fault_that_did_not_take_effect_leaves_mttr_unknown() -> None:
    """Nothing was broken, so nothing was shown."""
    assert verdict(limit("mttr", "<=", 2.0), [], drop_effect=True)[0] == "unknown"
    assert verdict(limit("recovery", "<=", 2.0), [], drop_effect=True)[0] == "unknown"


@pytest.mark.parametrize(
    ("op", "bound", "low", "high", "expected"),
    [
        ("<=", 2.0, 0.5, 1.9, "pass"),
        ("<=", 2.0, 0.5, 2.1, "unknown"),
        ("<=", 2.0, 2.5, 3.0, "fail"),
        ("<=", 2.0, 0.5, None, "unknown"),
        ("<=", 2.0, 2.5, None, "fail"),
        (">=", 0.95, 0.96, 0.99, "pass"),
        (">=", 0.95, 0.90, 0.99, "unknown"),
        (">=", 0.95, None, 1.0, "unknown"),
        (">=", 0.95, 0.80, 0.90, "fail"),
    ],
)
def test_a_claim_needs_the_whole_interval(op: str, bound: float, low: float, high: float, expected: str) -> None:
    """On the right side it passes, on the wrong side it fails, across it is unknown."""
    value = next(each for each in (high, low) if each is not None)
    assert held(Bound(op, bound), Estimate(value, low, high), "claim") == expected


def test_an_expectation_of_a_fault_speaks_of_that_fault_alone() -> None:
    """Named after it, and about its own injections."""
    answer, objective = verdict(limit("recovery", "<=", 0.6, fault="kill-leader"), SHORT)
    assert answer == "pass"
    assert objective.name == "recovery of kill-leader"
    assert objective.observed.value == pytest.approx(0.505)
    assert verdict(limit("recovery", "<=", 0.6, fault="another"), SHORT)[0] == "unknown"


@pytest.mark.parametrize(("overall", "expected"), [("consistent", "pass"), ("inconsistent", "fail"), ("inconclusive", "unknown")])
def test_agreement_counts_where_it_is_asked_for(overall: str, expected: str) -> None:
    """The word of the comparison is the answer."""
    assert verdict(ObjectiveSpec(measure="agreement", word="consistent", text="consistent"), SHORT, overall=overall)[0] == expected
