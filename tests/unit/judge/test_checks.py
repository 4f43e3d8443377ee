"""Each assumption, broken once: the check must say so."""

from __future__ import annotations

import numpy as np
import pytest

from chaos.experiment.faults import FaultSpec
from chaos.history.events import (
    Aborting,
    ClockMapped,
    FaultFailed,
    FaultGone,
    FaultSkipped,
    NodeChanged,
    Row,
    RunEnded,
    Settled,
    TrafficEnded,
)
from chaos.judge import checks
from chaos.measure.phases import dissect
from chaos.measure.timeline import build
from chaos.plan.plan import Plan, Window
from chaos.results.verdict import Check
from tests.support import synthetic
from tests.support.synthetic import Records, Rows, at_ns, fault_rows, frame, kills, make_plan


def verdicts(plan: Plan, rows: Rows, records: Records) -> dict[str, Check]:
    """Name -> check."""
    return {check.name: check for check in checks.check(plan, build(plan, rows, records))}


def healthy() -> tuple[Plan, tuple[Window, ...], list[Row], Records]:
    """Two kills that went as planned."""
    spec, windows = kills([5.0, 15.0])
    plan = make_plan(faults=[spec], windows=windows)
    rows = [*frame(plan), *fault_rows(windows[0]), *fault_rows(windows[1])]
    return plan, windows, rows, synthetic.slots(plan, [(5.015, 5.515)])


def failing(plan: Plan, rows: Rows, records: Records) -> set[str]:
    """Names of the checks that fail."""
    return {name for name, check in verdicts(plan, rows, records).items() if check.verdict == "fail"}


def test_a_healthy_run_passes_every_check() -> None:
    """And says of each what was looked at."""
    plan, _, rows, records = healthy()
    found = verdicts(plan, rows, records)
    assert {name for name, check in found.items() if check.verdict != "pass"} == set()
    assert all(check.detail for check in found.values())


def test_a_bad_slot_in_the_baseline_fails() -> None:
    """What is broken without faults cannot be told from what faults break."""
    plan, _, rows, _ = healthy()
    assert failing(plan, rows, synthetic.slots(plan, [(1.0, 1.01)])) == {"baseline error-free"}


def test_a_baseline_without_slots_fails() -> None:
    """All missing is not quiet."""
    plan, _, rows, _ = healthy()
    assert "baseline error-free" in failing(plan, rows, synthetic.slots(plan, missing=lambda due_s: due_s < 2.0))


def test_no_baseline_is_unknown() -> None:
    """Nobody looked, nobody knows."""
    plan = make_plan(baseline_s=0.0)
    assert verdicts(plan, frame(plan), synthetic.slots(plan))["baseline error-free"].verdict == "unknown"


@pytest.mark.parametrize(("share", "fails"), [(0.009, False), (0.011, True)])
def test_more_than_one_percent_missing_fails(share: float, fails: bool) -> None:
    """3000 slots: 27 may be missing, 33 may not."""
    plan, _, rows, _ = healthy()
    records = synthetic.slots(plan, missing=lambda due_s: (due_s >= 20) & (due_s < 20 + 30 * share - 0.001))
    assert ("requests sent on time" in failing(plan, rows, records)) == fails


@pytest.mark.parametrize(("count", "down_s", "fails"), [(1, 0.3, True), (1, 1.0, False), (3, 1.0, True)])
def test_missing_slots_under_an_edge_fail_where_they_matter(count: int, down_s: float, fails: bool) -> None:
    """Each leaves half a slot of 10 ms open: 5 of 300 ms are too much, 5 of 1000 are not, 15 are."""
    plan, _, rows, _ = healthy()
    records = synthetic.slots(
        plan, [(5.015, 5.015 + down_s)], missing=lambda due_s: (due_s > 5.015 - 0.01 * count) & (due_s < 5.015)
    )  # fmt: skip
    assert failing(plan, rows, records) == ({"requests sent on time"} if fails else set())


def test_a_missing_slot_of_a_service_that_is_not_judged_is_a_note() -> None:
    """The verdict speaks of the judged service; of another one it is told, and no more."""
    plan = make_plan(operations=("write", "read"))
    whole = synthetic.slots(make_plan())
    records = np.concatenate([whole, synthetic.slots(make_plan(), missing=lambda due_s: due_s > 20)])
    records["operation"][len(whole) :] = 1
    found = verdicts(plan, frame(plan), records)["requests sent on time"]
    assert found.verdict == "unknown"
    assert "read" in found.detail
    swapped = records.copy()
    swapped["operation"] = 1 - swapped["operation"]
    assert verdicts(plan, frame(plan), swapped)["requests sent on time"].verdict == "fail"


@pytest.mark.parametrize("fate", ["skipped", "failed", "nothing"])
def test_a_fault_that_did_not_take_effect_fails(fate: str) -> None:
    """Skipped, failed, or never reached: the run is unknown, and the reason is told."""
    plan, windows, _, records = healthy()
    rows = [*frame(plan), *fault_rows(windows[0])]
    if fate == "skipped":
        rows.append(FaultSkipped(at_ns=at_ns(15), id="kill-2", fault="kill-leader", kind="kill", reason="had not settled"))
    if fate == "failed":
        rows.append(FaultFailed(at_ns=at_ns(15), id="kill-2", reason="still ran"))
    check = verdicts(plan, rows, records)["all planned faults effective"]
    assert check.verdict == "fail"
    assert {"skipped": "had not settled", "failed": "still ran", "nothing": "before its time"}[fate] in check.detail


def test_faults_that_overlap_unplanned_fail() -> None:
    """The second took effect before the first had settled."""
    spec, windows = kills([5.0, 6.5])
    plan = make_plan(faults=[spec], windows=windows)
    rows = [*frame(plan), *fault_rows(windows[0], settled_s=7.0), *fault_rows(windows[1])]
    assert failing(plan, rows, synthetic.slots(plan)) == {"no unplanned overlap"}


def test_a_planned_overlap_passes() -> None:
    """``overlap: true`` asks for it."""
    first, one = kills([5.0], for_s=4.0, kind="pause")
    second, other = kills([6.0], overlap=True)
    plan = make_plan(faults=[first, second], windows=[*one, *other])
    assert failing(plan, [*frame(plan), *fault_rows(one[0], node="n2"), *fault_rows(other[0])], synthetic.slots(plan)) == set()


def test_what_was_not_proven_gone_fails() -> None:
    """No proof after the heal, or a leftover named at the end."""
    plan, _, rows, records = healthy()
    without_proof = [row for row in rows if not (isinstance(row, FaultGone) and row.id == "kill-2")]
    assert checks.HEALED in failing(plan, without_proof, records)
    left = [row for row in rows if not isinstance(row, RunEnded)] + [RunEnded(at_ns=at_ns(31), left=["start n1"])]
    assert checks.HEALED in failing(plan, left, records)


def test_a_node_that_died_by_itself_fails() -> None:
    """A death that no fault of ours caused."""
    plan, _, rows, records = healthy()
    rows.append(NodeChanged(at_ns=at_ns(20), node="n3", status="down", cause="by-itself"))
    assert failing(plan, rows, records) == {"no unexpected node failures"}


@pytest.mark.parametrize(
    ("bound_s", "told"),
    [(0.006, "within 6 ms, more than half a slot: phases of"), (None, "a node's clock was set: phases of"), (0.004, "within 4 ms")],
)
def test_clocks_known_too_coarsely_make_phases_unknown_and_no_verdict(bound_s: float | None, told: str) -> None:
    """Half a slot is 5 ms here. Outages are the prober's own, whatever the nodes' clocks."""
    plan, _, rows, records = healthy()
    rows.append(ClockMapped(at_ns=at_ns(2), node="n1", bound_s=bound_s))
    assert failing(plan, rows, records) == set()
    timeline = build(plan, rows, records)
    known = dissect(plan, build(plan, [row for row in rows if not isinstance(row, ClockMapped)], records))
    found = dissect(plan, timeline)
    for name, service in found.services.items():
        for outage, alike in zip(service.outages, known.services[name].outages, strict=True):
            assert (outage.start_s, outage.end_s, list(outage.phases)) == (alike.start_s, alike.end_s, list(alike.phases))
            assert all((phase.observed_s is None) == (bound_s != 0.004) for phase in outage.phases.values())
    assert any(service.outages for service in found.services.values()), "nothing was cut, so nothing is shown"
    detail = next(check.detail for check in checks.check(plan, timeline) if check.name == "one clock")
    assert told in detail


def test_a_due_slot_without_a_record_fails() -> None:
    """The prober promised more than it wrote."""
    plan, _, rows, records = healthy()
    assert "traffic complete" in failing(plan, rows, records[:-3])


def test_a_prober_without_a_last_word_fails() -> None:
    """Its end row is missing."""
    plan, _, rows, records = healthy()
    assert "traffic complete" in failing(plan, [row for row in rows if not isinstance(row, TrafficEnded)], records)


def test_an_abort_and_a_crash_fail() -> None:
    """The run did not come to its end."""
    plan, _, rows, records = healthy()
    aborted = [*rows, Aborting(at_ns=at_ns(20), condition="write unavailable for 30 s")]
    assert "unavailable for 30 s" in verdicts(plan, aborted, records)["run complete"].detail
    crashed = [row for row in rows if not isinstance(row, RunEnded)]
    assert verdicts(plan, crashed, records)["run complete"].verdict == "fail"


def test_an_uneven_spread_over_addresses_is_told_and_not_failed() -> None:
    """Twice as often to one of three nodes, 100 times less likely than the threshold: unknown, with the shares."""
    plan = make_plan(baseline_s=10.0)
    records = synthetic.slots(plan)
    even = verdicts(plan, frame(plan), records)["even spread over addresses"]
    base = (127 << 24) + (64 << 16) + (2 << 8) + 1
    records["address"] = base + np.random.default_rng(1).choice(3, len(records), p=[0.5, 0.25, 0.25])
    uneven = verdicts(plan, frame(plan), records)["even spread over addresses"]
    assert (even.verdict, uneven.verdict) == ("pass", "unknown")
    assert "n1 5" in uneven.detail


def test_shares_count_only_while_the_set_was_complete() -> None:
    """Requests while one node was out of the name do not make the spread uneven."""
    plan = make_plan()
    records = synthetic.slots(plan)
    base = (127 << 24) + (64 << 16) + (2 << 8) + 1
    late = np.arange(len(records)) >= 1000
    records["address"] = np.where(late, base + np.arange(len(records)) % 2, records["address"])
    rows = [*frame(plan), synthetic.name_set(9.9, ["n1", "n2"])]
    assert verdicts(plan, rows, records)["even spread over addresses"].verdict == "pass"


def test_entries_of_one_class_with_different_fields_are_told() -> None:
    """They are pooled, so the reader should know."""
    spec, windows = kills([5.0, 15.0])
    other = FaultSpec("kill-softly", "kill", {"signal": "TERM"}, spec.schedule, 1.0, None, spec.target)
    second = type(windows[1])("kill-2", "kill-softly", "kill", 15.0, 16.0, 2)
    plan = make_plan(faults=[spec, other], windows=[windows[0], second])
    check = verdicts(plan, [*frame(plan), *fault_rows(windows[0]), *fault_rows(second)], synthetic.slots(plan))["uniform fault classes"]
    assert check.verdict == "unknown"


def test_a_settled_row_before_the_heal_is_not_the_settling_after_it() -> None:
    """Only what was seen whole after the fault counts."""
    spec, windows = kills([5.0, 8.0])
    plan = make_plan(faults=[spec], windows=windows)
    rows = [row for row in [*frame(plan), *fault_rows(windows[0]), *fault_rows(windows[1])] if not isinstance(row, Settled)]
    rows.append(Settled(at_ns=at_ns(5.5), waited_s=0.0))
    assert "no unplanned overlap" in failing(plan, rows, synthetic.slots(plan))
