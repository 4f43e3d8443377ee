"""Faults that wait for a condition: what is known, when they begin, what is done if it never comes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.core.clock import to_ns
from chaos.core.errors import BadInput
from chaos.experiment.schedules import At, OnFault, OnNode, OnRole, OnService
from chaos.history.events import (
    Aborting,
    Awaited,
    FaultAsked,
    FaultEffective,
    FaultGone,
    FaultSkipped,
    NodeChanged,
    RoleChanged,
    RunEnded,
    Settled,
    TrafficSecond,
    TrafficStarted,
)
from chaos.plan.build import describe
from chaos.plan.plan import Plan
from chaos.report.pages.runbook import render
from chaos.run.conditions import Known
from tests.support.samples import sample_experiment, sample_plan
from tests.support.virtual_run import of, run

KILL = "  - {name: first, kill: {}, target: leader, at: 6s, for: 2s}\n"


def waiting(condition: str, more: str = "", at: str = "5s") -> str:
    """A pause that waits for this."""
    return f"{KILL}  - {{name: later, pause: {{}}, target: any, at: {at}, for: 1s, when: {{{condition}}}, within: 15s{more}}}\n"


def planned(condition: str, more: str = "", at: str = "5s") -> Plan:
    """The plan of both, in virtual time."""
    return sample_plan(waiting(condition, more, at), runtime="fake")


def second(bad_run_s: float, good: int = 5) -> TrafficSecond:
    """A summary of one second of writes."""
    return TrafficSecond(at_ns=0, operation="write", due=10, good=good, bad=10 - good, missing=0, bad_run_s=bad_run_s)


# --- what is known -----------------------------------------------------------------------------------------------------


def test_a_fault_is_effective_until_it_is_healed_and_gone_once_that_is_proven() -> None:
    """And not before."""
    known = Known({})
    effective, gone = OnFault("one", "effective"), OnFault("one", "gone")
    rows = [
        FaultAsked(at_ns=1, id="one.1", fault="one", kind="kill", fault_class="kill/node", target=["n1"]),
        FaultEffective(at_ns=2, id="one.1", mechanism="", before={}, during={}),
        FaultGone(at_ns=3, id="one.1", after={}),
    ]
    seen = []
    for row in rows:
        known.take(row)
        seen.append((known.holds(effective, 0), known.holds(gone, 0)))
    assert seen == [(False, False), (True, False), (False, True)]


def test_a_role_changes_when_another_node_takes_it() -> None:
    """Not when it is first taken, nor when the same node takes it again, nor before one began to wait."""
    known, condition = Known({}), OnRole("leader")
    for at_ns, node in ((1, "n1"), (2, "n1")):
        known.take(RoleChanged(at_ns=at_ns, node=node, role="leader", holds=True))
    assert not known.holds(condition, 0)
    known.take(RoleChanged(at_ns=3, node="n1", role="leader", holds=False))
    assert not known.holds(condition, 0)
    known.take(RoleChanged(at_ns=5, node="n2", role="leader", holds=True))
    assert known.holds(condition, 4)
    assert not known.holds(condition, 5)


def test_a_service_is_down_after_as_many_bad_slots_as_open_an_outage() -> None:
    """It is up after a second that ended well; of one that was never asked nothing is known."""
    known = Known({"write": 0.2}, 6)
    down, up = OnService("write", "down"), OnService("write", "up")
    assert not known.holds(down, 0)
    assert not known.holds(up, 0)
    for row, expected in (
        (second(0.0, 10), (False, True)),
        (second(0.1), (False, False)),
        (second(0.2), (True, False)),
        (second(0.0, 4), (True, False)),
    ):
        known.take(row)
        assert (known.holds(down, 0), known.holds(up, 0)) == expected


def test_a_frozen_node_is_down() -> None:
    """As a dead one is; a node of which nothing was heard runs."""
    known = Known({})
    assert known.holds(OnNode("n1", "up"), 0)
    for status, is_down in (("paused", True), ("up", False), ("down", True)):
        known.take(NodeChanged(at_ns=1, node="n1", status=status))
        assert known.holds(OnNode("n1", "down"), 0) is is_down


# --- planned -----------------------------------------------------------------------------------------------------------


def test_the_plan_says_from_when_until_when() -> None:
    """And leaves time for the latest begin; with its time as the earliest, whatever schedule it has."""
    plan = planned("fault: first, is: gone")
    window = next(window for window in plan.windows if window.fault == "later")
    assert (window.start_s, window.latest_s, window.end_s) == (10.0, 25.0, 11.0)
    assert plan.duration_s == 25 + 1 + 10
    row = next(row for row in describe(plan) if row.fault == "later")
    assert (row.begins, row.ends, row.remarks) == ("10.00 to 25.00", "1 s later", "when first is gone, else skipped")
    assert "from 0:10.0 on, when first is gone, else skipped; until 0:25.0" in render(plan)
    repeated = sample_plan(waiting("fault: first, is: gone").replace("at: 5s,", "every: 20s, times: 2,"))
    assert [window.latest_s is not None for window in repeated.windows if window.fault == "later"] == [True, True]


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (waiting("fault: fist, is: gone"), "there is no other fault 'fist'"),
        (waiting("fault: later, is: gone"), "there is no other fault 'later'"),
        (waiting("fault: first, is: effective"), "this fault waits for that"),
        (waiting("fault: first, is: done"), "'done' is not a choice here"),
        (waiting("role: king, changes: true"), "there is no role 'king'"),
        (waiting("role: leader, changes: false"), "only a change can be waited for"),
        (waiting("role: leader"), "the key 'changes' is missing"),
        (waiting("service: reed, is: down"), "there is no operation 'reed'"),
        (waiting("node: n9, is: down"), "there is no node 'n9'"),
        (waiting("node: n1, service: write, is: down"), "are two conditions"),
        (waiting("is: down"), "says nothing to wait for"),
        (waiting("node: n1, is: down", ", otherwise: wait"), "'wait' is not a choice here"),
        (waiting("node: n1, is: down").replace(", within: 15s", ""), "nothing says how long to wait"),
        (KILL.replace("for: 2s", "for: 2s, within: 3s"), "'within' goes with 'when'"),
        (waiting("fault: first, is: gone").replace("at: 5s,", "at: [5s, 15s],"), "would begin before"),
        (waiting("fault: first, is: effective", ", overlap: true").replace("target: any", "target: {same: first}"), "the same node"),
        (KILL.replace("kill: {}", "kill: {recovery: none}").replace(", for: 2s", "") + waiting("node: n1, is: down").replace(KILL, ""),
         "'later' may begin while 'first' is in force"),
    ],
)  # fmt: skip
def test_what_cannot_be_waited_for_is_refused(faults: str, says: str) -> None:
    """With its place in the file."""
    with pytest.raises(BadInput, match=says):
        sample_plan(faults)


def test_limits_count_what_is_sure_to_be_in_force() -> None:
    """A fault that waits for another's effect is done on top of it."""
    both = waiting("fault: first, is: effective", ", overlap: true")
    with pytest.raises(BadInput, match="up to 2 nodes would be down"):
        sample_plan(both, "limits: {nodes_down: 1}\n")
    assert sample_plan(waiting("fault: first, is: gone", ", overlap: true"), "limits: {nodes_down: 1}\n").windows


# --- done --------------------------------------------------------------------------------------------------------------


def begun(rows: list[object], name: str) -> int:
    """When that fault was asked for, in ns."""
    return next(row.at_ns for row in rows if isinstance(row, FaultAsked) and row.fault == name)


def test_it_begins_while_the_other_is_in_force(tmp_path: Path) -> None:
    """At once, and counted as a planned overlap."""
    rows = run(planned("fault: first, is: effective", ", overlap: true"), tmp_path)
    effective = {row.id: row.at_ns for row in of(rows, FaultEffective)}
    assert 0 <= begun(rows, "later") - effective["first.1"] <= to_ns(0.05)
    (awaited,) = of(rows, Awaited)
    assert (awaited.id, awaited.condition, awaited.came) == ("later.1", "first is effective", True)
    assert awaited.waited_s == pytest.approx(1.0, abs=0.1)


def test_it_begins_when_the_other_is_gone_and_the_cluster_settled(tmp_path: Path) -> None:
    """Without ``overlap`` it waits for settling, as any fault does."""
    rows = run(planned("fault: first, is: gone"), tmp_path)
    gone = {row.id: row.at_ns for row in of(rows, FaultGone)}
    assert begun(rows, "later") >= max(gone["first.1"], of(rows, Settled)[0].at_ns)


@pytest.mark.parametrize(
    ("condition", "victim", "after_s"),
    [
        ("role: leader, changes: true", "leader", 6.0),
        ("service: write, is: down", "{any: 2}", 6.0),
        ("node: n1, is: down", "n1", 6.0),
        ("node: n1, is: up", "n1", 5.0),
    ],
)
def test_each_condition_is_seen_when_it_comes(tmp_path: Path, condition: str, victim: str, after_s: float) -> None:
    """The kill at 6 s brings them about: a new leader, failing writes, a dead node; that a node is up is so from the start."""
    faults = waiting(condition, ", overlap: true").replace("target: leader", f"target: {victim}")
    rows = run(sample_plan(faults, runtime="fake"), tmp_path)
    zero_ns = of(rows, TrafficStarted)[0].start_ns + to_ns(5.0)
    (awaited,) = of(rows, Awaited)
    assert awaited.came
    assert zero_ns + to_ns(after_s) <= begun(rows, "later") <= zero_ns + to_ns(after_s + 2.0)


@pytest.mark.parametrize("otherwise", ["skip", "inject", "abort"])
def test_what_is_done_if_it_never_comes(tmp_path: Path, otherwise: str) -> None:
    """After ``within`` and not before: left out with its reason, done all the same, or the end of the run."""
    plan = planned("node: n1, is: down", f", otherwise: {otherwise}", at="12s")
    calm = msgspec.structs.replace(plan, windows=tuple(window for window in plan.windows if window.fault == "later"))
    rows = run(calm, tmp_path)
    (awaited,) = of(rows, Awaited)
    assert (awaited.came, awaited.otherwise) == (False, otherwise)
    assert awaited.waited_s == pytest.approx(15.0, abs=0.1)
    skipped, asked = of(rows, FaultSkipped), of(rows, FaultAsked)
    assert len(asked) == (1 if otherwise == "inject" else 0)
    if otherwise != "inject":
        assert skipped[0].reason == "it waited for 'n1 is down', which did not come within 15 s"
    (ended,) = of(rows, RunEnded)
    assert bool(of(rows, Aborting)) == (otherwise == "abort") == bool(ended.aborted)


def test_a_sequence_may_wait_as_a_whole(tmp_path: Path) -> None:
    """Its first step waits, the others follow."""
    faults = KILL + (
        "  - name: later\n    sequence: [{pause: {}, target: any, for: 1s}, {pause: {}, target: any, for: 1s}]\n"
        "    at: 5s\n    when: {fault: first, is: gone}\n    within: 15s\n"
    )
    first, second_step = [spec for spec in sample_experiment(faults).faults if spec.step]
    assert first.when is not None
    assert second_step.when is None
    assert isinstance(first.schedule, At)
    rows = run(sample_plan(faults, runtime="fake"), tmp_path)
    gone = {row.id: row.at_ns for row in of(rows, FaultGone)}
    assert gone["first.1"] <= begun(rows, "later.1") < gone["later.1.1"] <= begun(rows, "later.2")
