"""Sequences and parallel faults: read, planned, done in their order, told as what they are."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.core.errors import BadInput
from chaos.experiment.faults import FaultSpec
from chaos.history.events import Aborting, FaultAsked, FaultEffective, FaultGone, FaultHealed, FaultSkipped, Row, Settled
from chaos.history.folder import RunFolder
from chaos.judge.judge import judge
from chaos.plan.build import describe, make_plan
from chaos.plan.cluster import planned_nodes
from chaos.plan.faults import planned_faults
from chaos.plan.plan import Plan, Window
from chaos.plan.rounds import rounds
from chaos.predict.run import facts_from_plan, predict
from chaos.report.pages.runbook import render
from chaos.run.turns import Turns
from tests.support.samples import sample_experiment, sample_plan, sample_target
from tests.support.virtual_run import of, run

CASCADE = """\
  - name: cascade
    sequence:
      - {kill: {recovery: restart}, target: leader, for: 2s}
      - {pause: {}, target: any, for: 1s, expect: {recovery: "<= 5s"}}
    gap: 500ms
    at: [5s, 30s]
"""
BOTH = """\
  - name: both
    parallel:
      - {pause: {}, target: n1, for: 2s}
      - {pause: {}, target: n2, for: 3s}
    at: 5s
"""
NESTED = """\
  - name: deep
    sequence:
      - parallel: [{pause: {}, target: n1, for: 1s}, {pause: {}, target: n2, for: 3s}]
      - {pause: {}, target: n3, for: 1s}
      - parallel:
          - {pause: {}, target: n1, for: 1s}
          - {sequence: [{pause: {}, target: n2, for: 1s}, {pause: {}, target: n3, for: 1s}], gap: 1s}
    at: 5s
"""


def windows(plan: Plan) -> dict[str, Window]:
    """By their ids."""
    return {window.id: window for window in plan.windows}


def steps(faults: str) -> dict[str, FaultSpec]:
    """The faults of that text, by name."""
    return {spec.name: spec for spec in sample_experiment(faults).faults}


# --- read and planned --------------------------------------------------------------------------------------------------


def test_each_step_is_a_fault_of_its_own() -> None:
    """Named after the entry, with the entry's schedule, and the expectation of the step that says it."""
    experiment = sample_experiment(CASCADE)
    first, second = experiment.faults
    assert (first.name, first.kind, second.name, second.kind) == ("cascade.1", "kill", "cascade.2", "pause")
    assert first.schedule == second.schedule
    assert (first.overlap, second.overlap) == (False, True)
    assert second.step is not None
    assert (second.step.after, second.step.gap_s) == (("cascade.1",), 0.5)
    assert [objective.fault for objective in experiment.objectives] == ["cascade.2"]


def test_a_sequence_is_planned_end_to_begin() -> None:
    """Each step where it would be if the one before took effect at once; each occasion with windows of its own."""
    found = windows(sample_plan(CASCADE))
    assert {name: (window.start_s, window.end_s) for name, window in found.items()} == {
        "cascade.1.1": (10.0, 12.0), "cascade.2.1": (12.5, 13.5), "cascade.1.2": (35.0, 37.0), "cascade.2.2": (37.5, 38.5),
    }  # fmt: skip
    assert found["cascade.2.2"].after == ("cascade.1.2",)
    assert found["cascade.2.2"].entry == found["cascade.1.2"].entry != found["cascade.1.1"].entry
    assert len({window.draw for window in found.values()}) == 4


def test_parallel_faults_begin_with_the_first() -> None:
    """All at one time; the others go with the first, which alone waits for the cluster to settle."""
    found = windows(sample_plan(BOTH))
    assert {name: (window.start_s, window.beside) for name, window in found.items()} == {
        "both.1.1": (10.0, ""), "both.2.1": (10.0, "both.1.1"),
    }  # fmt: skip


def test_branches_nest() -> None:
    """A step that is a parallel is over when all of it is."""
    found = steps(NESTED)
    after = {name: (spec.step.after, spec.step.beside) for name, spec in found.items() if spec.step}
    assert after == {
        "deep.1.1": ((), ""), "deep.1.2": ((), "deep.1.1"), "deep.2": (("deep.1.1", "deep.1.2"), ""),
        "deep.3.1": (("deep.2",), ""), "deep.3.2.1": (("deep.2",), ""), "deep.3.2.2": (("deep.3.2.1",), ""),
    }  # fmt: skip
    assert windows(sample_plan(NESTED))["deep.3.2.2.1"].start_s == 10 + 3 + 1 + 1 + 1


def test_a_step_that_stays_gives_way_when_its_time_is_over() -> None:
    """``recovery: none`` with ``for``: never taken back, and the next begins so much later."""
    faults = CASCADE.replace("{recovery: restart}", "{recovery: none}").replace("[5s, 30s]", "5s")
    found = windows(sample_plan(faults))
    assert found["cascade.1.1"].end_s is None
    assert found["cascade.2.1"].start_s == 12.5


def test_a_whole_entry_follows_every_schedule() -> None:
    """Random gaps run from the end of the whole to its next begin."""
    plan = sample_plan(CASCADE.replace("at: [5s, 30s]", "every: {poisson: 4s}\n    times: 20"))
    found = windows(plan)
    for number in range(1, 20):
        end_s = found[f"cascade.2.{number}"].end_s
        assert end_s is not None
        assert found[f"cascade.1.{number + 1}"].start_s >= end_s - 2e-4


def test_further_rounds_keep_who_follows_whom() -> None:
    """A plan that goes on renumbers the steps and what they wait for alike."""
    experiment = sample_experiment(CASCADE.replace("[5s, 30s]", "5s"))
    target = sample_target()
    faults = planned_faults(experiment, target, planned_nodes(experiment, target), "data")
    found, looks_s = rounds(experiment, faults, 1, 70.0)
    assert len(looks_s) == 3
    by_id = {window.id: window for window in found}
    assert by_id["cascade.2.3"].after == ("cascade.1.3",)
    assert by_id["cascade.2.3"].entry == by_id["cascade.1.3"].entry == "cascade/3"


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (BOTH.replace("n2", "n1"), "would hit n1, which is down by 'both.1' already"),
        (CASCADE.replace("restart}", "none}").replace("any,", "{same: cascade.1},").replace("[5s, 30s]", "5s"), "the same node"),
        (BOTH.replace("target: n1", "target: {same: both.2}"), "'both.1' comes before 'both.2'"),
        (BOTH + "  - {name: late, pause: {}, target: n3, at: 6s, for: 1s}\n", "'late' would begin while 'both.1' is in force"),
        ("  - {name: early, pause: {}, target: n3, at: 3s, for: 5s}\n" + CASCADE, "'cascade.1' would begin while 'early' is in force"),
        ("  - {name: mid, pause: {}, target: n3, at: 7200ms, for: 5s}\n" + CASCADE, "'cascade.2' would begin while 'mid' is in force"),
        (CASCADE.replace("[5s, 30s]", "[5s, 8s]"), "would begin before the one at 5s has ended"),
        (BOTH + "  - {name: both, pause: {}, target: n3, at: 16s, for: 1s}\n", "two faults are named 'both'"),
        (BOTH + "  - {name: both.2, pause: {}, target: n3, at: 16s, for: 1s}\n", "two faults are named 'both.2'"),
        (BOTH.replace("      - {pause: {}, target: n2, for: 3s}\n", ""), "one step alone is no sequence"),
        (BOTH.replace("target: n2, for: 3s", "target: n2, for: 3s, at: 3s"), "'at' is no part of a step"),
        (BOTH + "    gap: 1s\n", "'gap' belongs to a sequence"),
        (BOTH.replace("for: 3s", ""), "nothing says for how long"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(faults: str, says: str) -> None:
    """With its place in the file."""
    with pytest.raises(BadInput, match=says):
        sample_plan(faults)


@pytest.mark.parametrize(
    ("faults", "limit", "says"),
    [(BOTH, 1, "up to 2 nodes would be down"), (BOTH, 2, ""), (CASCADE, 1, ""),
     (CASCADE.replace("restart}", "none}").replace("[5s, 30s]", "5s"), 1, "up to 2 nodes would be down")],
)  # fmt: skip
def test_limits_count_all_steps_in_force(faults: str, limit: int, says: str) -> None:
    """Of a sequence one at a time, unless a step stays; of parallel faults all."""
    if not says:
        assert sample_plan(faults, f"limits: {{nodes_down: {limit}}}\n").windows
        return
    with pytest.raises(BadInput, match=says):
        sample_plan(faults, f"limits: {{nodes_down: {limit}}}\n")


# --- done --------------------------------------------------------------------------------------------------------------


def test_a_step_begins_when_the_one_before_is_over(tmp_path: Path) -> None:
    """Healed, proven gone, and the gap over; never before."""
    rows = run(sample_plan(CASCADE, runtime="fake"), tmp_path)
    asked = {row.id: row.at_ns for row in of(rows, FaultAsked)}
    healed = {row.id: row.at_ns for row in of(rows, FaultHealed)}
    gone = {row.id: row.at_ns for row in of(rows, FaultGone)}
    for number in (1, 2):
        before, after = f"cascade.1.{number}", f"cascade.2.{number}"
        assert asked[after] >= healed[before] + 500_000_000
        assert asked[after] >= gone[before]


def test_parallel_faults_are_in_force_together(tmp_path: Path) -> None:
    """And one class of their own, of which the models know nothing."""
    plan = sample_plan(BOTH, runtime="fake")
    rows = run(plan, tmp_path)
    effective, healed = ({row.id: row.at_ns for row in of(rows, kind)} for kind in (FaultEffective, FaultHealed))
    assert effective["both.2.1"] < healed["both.1.1"] < healed["both.2.1"]
    judged = judge(RunFolder(tmp_path))
    assert judged.observed is not None
    (name,) = judged.observed.by_fault
    assert name in ("pause/follower + pause/leader", "pause/follower + pause/follower")
    assert {check.name: check.verdict for check in judged.checks}["no unplanned overlap"] == "pass"
    assert judged.predicted is not None
    assert judged.predicted.by_fault[name].recovery_s.value is None
    assert "done together" in (judged.predicted.by_fault[name].recovery_s.reason or "")


def test_steps_between_which_the_cluster_settled_are_tries_of_their_own(tmp_path: Path) -> None:
    """A long gap makes single faults of them, with single predictions; where a node stays dead they are one try."""
    single = sample_plan(CASCADE.replace("500ms", "6s").replace("[5s, 30s]", "5s"), runtime="fake")
    rows = run(single, tmp_path / "single")
    assert len(of(rows, Settled)) == 2
    judged = judge(RunFolder(tmp_path / "single"))
    assert judged.observed is not None
    assert set(judged.observed.by_fault) <= {"kill/leader", "pause/leader", "pause/follower"}
    assert len(judged.observed.by_fault) == 2
    run(sample_plan(CASCADE.replace("restart}", "none}").replace("[5s, 30s]", "5s"), runtime="fake"), tmp_path / "one")
    judged = judge(RunFolder(tmp_path / "one"))
    assert judged.observed is not None
    (name,) = judged.observed.by_fault
    assert " + " in name


def test_the_plan_predicts_tries_and_not_steps() -> None:
    """As the judgement will group them: one class, without figures; with a gap that lets the cluster settle, two."""
    plan = sample_plan(CASCADE)
    (facts,) = facts_from_plan(plan).classes
    assert (facts.kind, facts.role, facts.count) == ("overlap", "", 2)
    assert "done together" in (predict(plan, facts_from_plan(plan)).predicted.by_fault[facts.fault_class].share.reason or "")
    slow = sample_plan(CASCADE.replace("500ms", "10s"))
    assert {each.kind for each in facts_from_plan(slow).classes} == {"kill", "pause"}


def test_nested_branches_run_in_their_order(tmp_path: Path) -> None:
    """Every step once, none before what it follows is over."""
    plan = sample_plan(NESTED, runtime="fake")
    rows = run(plan, tmp_path)
    asked = {row.id: row.at_ns for row in of(rows, FaultAsked)}
    gone = {row.id: row.at_ns for row in of(rows, FaultGone)}
    assert asked.keys() == gone.keys() == {window.id for window in plan.windows}
    for window in plan.windows:
        assert all(asked[window.id] >= gone[before] for before in window.after)


@pytest.mark.parametrize(("faults", "which"), [(CASCADE.replace("[5s, 30s]", "5s"), "follows"), (BOTH, "goes with")])
def test_nothing_follows_a_step_that_came_to_nothing(tmp_path: Path, faults: str, which: str) -> None:
    """A first step that may not be done takes the rest of its entry with it, and each says why."""
    plan = sample_plan(faults, runtime="fake")
    limits = msgspec.structs.replace(plan.experiment.limits, nodes_down=0)
    tight = msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, limits=limits))
    skipped = of(run(tight, tmp_path), FaultSkipped)
    assert [row.id for row in skipped] == [window.id for window in plan.windows]
    assert "limits.nodes_down is 0" in skipped[0].reason
    assert skipped[1].reason == f"{skipped[0].id}, which it {which}, was skipped"


def test_limits_hold_while_a_sequence_leaves_a_node_dead(tmp_path: Path) -> None:
    """What the plan could not know, the run looks at again."""
    faults = CASCADE.replace("restart}", "none}").replace("[5s, 30s]", "5s")
    plan = sample_plan(faults, runtime="fake")
    limits = msgspec.structs.replace(plan.experiment.limits, nodes_down=1)
    tight = msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, limits=limits))
    (skipped,) = of(run(tight, tmp_path), FaultSkipped)
    assert (skipped.fault, skipped.reason) == ("cascade.2", "2 nodes would be down, limits.nodes_down is 1")


def test_same_names_a_step(tmp_path: Path) -> None:
    """Whom the first step hit, the second hits again."""
    rows = run(sample_plan(CASCADE.replace("target: any", "target: {same: cascade.1}"), runtime="fake"), tmp_path)
    hit = {row.id: row.target for row in of(rows, FaultAsked)}
    assert hit["cascade.1.1"] == hit["cascade.2.1"]
    assert hit["cascade.1.2"] == hit["cascade.2.2"]


def test_an_abort_in_the_middle_begins_no_further_step(tmp_path: Path) -> None:
    """And takes back what is in force."""
    faults = CASCADE.replace("for: 2s", "for: 20s").replace("target: leader", "target: {any: 2}").replace("[5s, 30s]", "5s")
    rows: list[Row] = run(sample_plan(faults, "abort_if: {unavailable_for: 2s}\n", runtime="fake"), tmp_path)
    assert of(rows, Aborting)
    assert [row.id for row in of(rows, FaultAsked)] == [row.id for row in of(rows, FaultHealed)] == ["cascade.1.1"]


def test_turns_release_each_window_once() -> None:
    """Also where two must be over, and where the first one is told twice."""
    first, second, last = (Window(name, name, "pause", 0.0, 1.0, 1) for name in ("a.1", "b.1", "c.1"))
    turns = Turns([first, second, msgspec.structs.replace(last, after=("a.1", "b.1"), gap_s=1.0)])
    assert turns.over("a.1", 5) == []
    ((window, due_ns),) = turns.over("b.1", 3)
    assert (window.id, due_ns) == ("c.1", 1_000_000_005)
    assert turns.over("b.1", 9) == []
    assert turns.lost("a.1") == []


# --- shown -------------------------------------------------------------------------------------------------------------


def test_plan_and_runbook_say_what_follows_what() -> None:
    """Their times are hopes, and marked as such."""
    plan = sample_plan(CASCADE)
    rows = {row.id: row for row in describe(plan)}
    assert (rows["cascade.1.1"].begins, rows["cascade.2.1"].begins) == ("10.00", "~12.50")
    assert rows["cascade.2.1"].remarks == "after cascade.1.1, 500 ms later"
    assert "after cascade.1.1, 500 ms later (about 0:12.5)" in render(plan)


def test_the_same_seed_gives_the_same_plan() -> None:
    """Steps included."""
    target = sample_target()
    one, other = (make_plan(sample_experiment(NESTED), target, seed=4, runtime="local") for _ in range(2))
    assert msgspec.json.encode(one) == msgspec.json.encode(other)
