"""The edge rule, censoring, attribution and partial histories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chaos.experiment.traffic import OutageRule
from chaos.history.events import FaultAsked, FaultEffective, FaultFailed, FaultHealed, FaultSkipped, NodeChanged, PhaseBegun, TrafficStarted
from chaos.history.observations import Outcome, Why
from chaos.measure.slots import BAD, GOOD, MISSING
from chaos.measure.timeline import ServiceTimeline, Timeline, build
from chaos.plan.plan import Plan
from chaos.results.observed import Interval
from tests.support import synthetic
from tests.support.synthetic import Down, Rows, at_ns, fault_rows, frame, kills, make_plan


def seen(plan: Plan, down: Down = (), rows: Rows | None = None, **options: Any) -> ServiceTimeline:  # noqa: ANN401 - handed on
    """The judged service of a run in which this was down."""
    return build(plan, frame(plan) if rows is None else rows, synthetic.slots(plan, down, **options)).services["write"]


def test_an_outage_lies_midway_between_due_times() -> None:
    """First bad slot 10.00 after a good one at 9.99, last bad 10.49 before a good one at 10.50: 9.995 to 10.495."""
    service = seen(make_plan(), [(9.995, 10.495)])
    (outage,) = service.outages
    assert outage.start_s == pytest.approx(9.995)
    assert outage.end_s == pytest.approx(10.495)
    assert outage.duration_s == pytest.approx(0.5)
    assert outage.low_s == pytest.approx(0.49)
    assert outage.high_s == pytest.approx(0.51)
    assert outage.censored is None
    assert service.downtime_s == pytest.approx(0.5)


@pytest.mark.parametrize(("bad_slots", "found"), [(1, 0), (2, 1), (3, 1)])
def test_opens_only_after_enough_bad_slots_in_a_row(bad_slots: int, found: int) -> None:
    """With ``open: 2`` one bad slot is no outage, two are."""
    assert len(seen(make_plan(), [(9.995, 9.995 + bad_slots * 0.01)]).outages) == found


def test_one_good_slot_does_not_close() -> None:
    """With ``close: 2`` a single good slot inside belongs to the outage."""
    (outage,) = seen(make_plan(), [(9.995, 10.095), (10.105, 10.205)]).outages
    assert outage.duration_s == pytest.approx(0.21)


def test_two_good_slots_close() -> None:
    """With ``close: 2`` two good slots part two outages, back-dated to the first of them."""
    first, second = seen(make_plan(), [(9.995, 10.095), (10.115, 10.215)]).outages
    assert first.end_s == pytest.approx(10.095)
    assert second.start_s == pytest.approx(10.115)


def test_outages_closer_than_merge_are_joined() -> None:
    """A gap of 20 ms is joined by ``merge: 30ms`` and not by ``merge: 20ms`` (shorter gaps only)."""
    down = [(9.995, 10.095), (10.115, 10.215)]
    assert len(seen(make_plan(rule=OutageRule(merge_s=0.03)), down).outages) == 1
    assert len(seen(make_plan(rule=OutageRule(merge_s=0.0199)), down).outages) == 2


def test_an_outage_open_at_the_end_is_censored() -> None:
    """Its end, duration and upper bound are unknown; what was seen of it is downtime."""
    service = seen(make_plan(), [(28.995, 99.0)])
    (outage,) = service.outages
    assert (outage.end_s, outage.duration_s, outage.high_s, outage.censored) == (None, None, None, "end")
    assert service.downtime_s == pytest.approx(30 - 28.995)
    assert outage.low_s == pytest.approx(30 - 29.0)


def test_an_outage_from_the_baseline_counts_from_its_end() -> None:
    """What was down at the end of the baseline is censored at the start; the baseline itself is not observed."""
    service = seen(make_plan(), [(1.0, 3.005)])
    (outage,) = service.outages
    assert (outage.start_s, outage.censored, outage.duration_s) == (2.0, "start", None)
    assert service.downtime_s == pytest.approx(1.005)


def test_outages_inside_the_baseline_are_not_observed() -> None:
    """They are the business of a check."""
    assert seen(make_plan(), [(0.5, 1.2)]).outages == ()


def test_down_all_the_time_is_censored_at_both_ends() -> None:
    """Never up: both ends are unknown and all of the span is downtime."""
    service = seen(make_plan(baseline_s=0.0), [(0.0, 99.0)])
    (outage,) = service.outages
    assert outage.censored == "both"
    assert service.downtime_s == pytest.approx(service.span_s)


def test_missing_slots_never_open_an_outage() -> None:
    """A prober that was late for a second says nothing about the service."""
    service = seen(make_plan(), missing=lambda due_s: (due_s > 10) & (due_s < 11))
    assert service.outages == ()
    assert np.count_nonzero(service.slots.state == MISSING) == 99


def test_missing_slots_widen_the_bounds_of_an_edge() -> None:
    """The edge lies midway in the gap they leave, and the gap is its bound."""
    service = seen(make_plan(), [(9.995, 10.495)], missing=lambda due_s: (due_s > 9.945) & (due_s < 9.995))
    (outage,) = service.outages
    assert outage.start_s == pytest.approx((9.94 + 10.0) / 2)
    assert outage.high_s == pytest.approx(10.5 - 9.94)
    assert service.missing_under_edges == 5


def test_over_the_deadline_is_bad_and_late_sending_is_missing() -> None:
    """One slot of each sort ends up in its class."""
    plan = make_plan()
    records = synthetic.slots(plan)
    records["done"][1000] = records["due"][1000] + 700_000_000
    records["outcome"][1001], records["why"][1001] = Outcome.UNKNOWN, Why.DEADLINE
    records["outcome"][1002], records["sent"][1002] = Outcome.UNSENT, 0
    records["sent"][1003] = records["due"][1003] + 5_000_001
    records["sent"][1004] = records["due"][1004] + 5_000_000
    states = build(plan, frame(plan), records).services["write"].slots.state
    assert states[1000:1005].tolist() == [BAD, BAD, MISSING, MISSING, GOOD]


@pytest.mark.parametrize(("rate_per_s", "late_ns"), [(100.0, 5_000_000), (250.0, 2_000_000), (1000.0, 2_000_000), (5000.0, 2_000_000)])
def test_no_slot_is_missing_for_less_than_what_a_busy_machine_costs(rate_per_s: float, late_ns: int) -> None:
    """Half a slot, and never less than 2 ms; the length of an outage is known so much less well where slots are short."""
    plan = make_plan(rate_per_s=rate_per_s)
    records = synthetic.slots(plan, [(9.9999, 10.4999)])
    records["sent"][300] = records["due"][300] + late_ns
    records["sent"][301] = records["due"][301] + late_ns + 1
    records["done"] = np.maximum(records["done"], records["sent"])
    service = build(plan, frame(plan), records).services["write"]
    assert service.slots.state[300:302].tolist() == [GOOD, MISSING]
    (outage,) = service.outages
    slot_s = 1 / rate_per_s
    wider_s = 2 * max(0.0, 0.002 - slot_s / 2)
    assert outage.low_s is not None and outage.high_s is not None
    assert outage.high_s - outage.low_s == pytest.approx(2 * slot_s + 2 * wider_s, abs=1e-6)


def test_records_in_any_order_and_with_holes_make_the_same_grid() -> None:
    """Slots are written as they end; those without a record are missing, and doubles and strays are counted."""
    plan = make_plan()
    records = synthetic.slots(plan, [(9.995, 10.495)])
    shuffled = np.random.default_rng(1).permutation(np.delete(records, [50, 51]))
    stray = records[:1].copy()
    stray["due"] = at_ns(10_000)
    slots = build(plan, frame(plan), np.concatenate((shuffled, stray, records[7:8]))).services["write"].slots
    assert len(slots.due_s) == 3000
    assert slots.state[50] == MISSING
    assert np.count_nonzero(~slots.recorded) == 2
    assert slots.strays == 2
    assert np.all(np.diff(slots.due_s) > 0)


def test_an_operation_may_have_a_phase_of_its_own() -> None:
    """Slots due a third of a slot after the others keep their times."""
    plan = make_plan()
    records = synthetic.slots(plan, [(9.995, 10.495)])
    for field in ("due", "sent", "done"):
        records[field] += 3_333_333
    (outage,) = build(plan, frame(plan), records).services["write"].outages
    assert outage.start_s == pytest.approx(9.995 + 0.003333333)


def test_an_outage_belongs_to_the_fault_whose_time_contains_its_start() -> None:
    """And its recovery counts from the effect; the fault that nobody noticed has 0."""
    spec, windows = kills([5.0, 15.0])
    plan = make_plan(faults=[spec], windows=windows)
    rows = [*frame(plan), *fault_rows(windows[0]), *fault_rows(windows[1])]
    timeline = build(plan, rows, synthetic.slots(plan, [(5.015, 5.515)]))
    service = timeline.services["write"]
    assert service.outages[0].faults == ["kill-1"]
    assert service.recovery_s(timeline.faults[0]) == pytest.approx(0.515)
    assert service.recovery_s(timeline.faults[1]) == 0.0
    assert [trial.fault_class for trial in timeline.trials] == ["kill/leader"] * 2


def test_a_request_in_flight_at_the_kill_is_the_kills() -> None:
    """Its slot was due before the effect but ended after it."""
    spec, windows = kills([5.003])
    plan = make_plan(faults=[spec], windows=windows)
    records = synthetic.slots(plan, [(4.985, 5.485)], latency_s=0.02)
    (outage,) = build(plan, [*frame(plan), *fault_rows(windows[0])], records).services["write"].outages
    assert outage.start_s < 5.003
    assert outage.faults == ["kill-1"]


def test_what_began_before_a_fault_or_after_its_settling_came_by_itself() -> None:
    """Outages at 4 s and at 12 s are not explained by a kill at 5 s that had settled at 8 s."""
    spec, windows = kills([5.0])
    plan = make_plan(faults=[spec], windows=windows)
    outages = (
        build(plan, [*frame(plan), *fault_rows(windows[0])], synthetic.slots(plan, [(4.0, 4.3), (12.0, 12.3)])).services["write"].outages
    )
    assert [outage.faults for outage in outages] == [[], []]


def test_a_planned_overlap_shares_its_outages() -> None:
    """Both faults in force own it, and they are one trial of a class of its own."""
    first, one = kills([5.0], for_s=4.0, kind="pause")
    second, other = kills([6.0], for_s=1.0, overlap=True)
    plan = make_plan(faults=[first, second], windows=[*one, *other])
    rows = [*frame(plan), *fault_rows(one[0], node="n2"), *fault_rows(other[0])]
    timeline = build(plan, rows, synthetic.slots(plan, [(6.1, 6.6)]))
    assert sorted(timeline.services["write"].outages[0].faults) == ["kill-1", "pause-1"]
    assert [trial.fault_class for trial in timeline.trials] == ["kill/leader + pause/leader"]


def test_faults_of_every_fate_have_a_record() -> None:
    """Healed, skipped, failed, leftover and never reached are told apart, each with its reason."""
    spec, windows = kills([5.0, 8.0, 11.0, 14.0, 17.0])
    plan = make_plan(faults=[spec], windows=windows)
    ask = {"fault": spec.name, "kind": "kill", "fault_class": "kill/leader", "target": ["n1"]}
    rows = [
        *frame(plan),
        *fault_rows(windows[0]),
        FaultSkipped(at_ns=at_ns(8), id="kill-2", fault=spec.name, kind="kill", reason="not settled"),
        FaultAsked(at_ns=at_ns(11), id="kill-3", **ask),
        FaultFailed(at_ns=at_ns(11.1), id="kill-3", reason="still ran"),
        FaultAsked(at_ns=at_ns(14), id="kill-4", **ask),
        FaultEffective(at_ns=at_ns(14), id="kill-4", mechanism="", before={}, during={}),
    ]
    faults = build(plan, rows, synthetic.slots(plan)).faults
    assert [fault.status for fault in faults] == ["healed", "skipped", "failed", "leftover", "skipped"]
    assert faults[2].reason == "still ran"
    assert faults[4].reason == "the run ended before its time"
    assert [fault.took_effect for fault in faults] == [True, False, False, True, False]


def test_a_history_cut_off_anywhere_gives_a_timeline() -> None:
    """Any prefix of the rows with any prefix of the records is laid out without complaint."""
    spec, windows = kills([5.0, 15.0])
    plan = make_plan(faults=[spec], windows=windows)
    rows = sorted([*frame(plan), *fault_rows(windows[0]), *fault_rows(windows[1])], key=lambda row: row.at_ns)
    records = synthetic.slots(plan, [(5.015, 5.515), (15.015, 15.515)])
    for kept in range(len(rows) + 1):
        timeline = build(plan, rows[:kept], records[: kept * 200])
        assert isinstance(timeline, Timeline)
        for service in timeline.services.values():
            assert 0 <= service.downtime_s <= max(service.span_s, 0)


def test_without_an_end_the_grid_ends_with_the_last_record() -> None:
    """A crash at 12.34 s: an outage that is open there is censored there."""
    plan = make_plan()
    service = seen(plan, [(11.995, 99.0)], rows=frame(plan, ended=False), until_s=12.34)
    assert service.end_s == pytest.approx(12.34)
    assert service.outages[0].censored == "end"
    assert service.downtime_s == pytest.approx(12.34 - 11.995)


def test_lanes_show_nodes_roles_faults_and_phases() -> None:
    """Each lane is cut to the run and its neighbours are joined."""
    spec, windows = kills([5.0])
    plan = make_plan(faults=[spec], windows=windows)
    rows = [*frame(plan), *fault_rows(windows[0]), synthetic.role(-1, "n1", "leader"), synthetic.role(5.01, "n1", "leader", False)]
    rows += [synthetic.role(5.4, "n2", "leader"), PhaseBegun(at_ns=at_ns(0), phase="baseline"), PhaseBegun(at_ns=at_ns(2), phase="faults")]
    lanes = {(lane.kind, lane.name): lane.intervals for lane in build(plan, rows, synthetic.slots(plan, [(5.015, 5.515)])).lanes}
    assert lanes["node", "n1"] == [Interval(0.0, 5.0, "up"), Interval(5.0, 6.0, "down"), Interval(6.0, 30.0, "up")]
    assert lanes["role", "leader"] == [Interval(0.0, 5.01, "n1"), Interval(5.4, 30.0, "n2")]
    assert lanes["fault", "kill-leader"] == [Interval(5.0, 6.0, "n1")]
    assert lanes["phase", "run"] == [Interval(0.0, 2.0, "baseline"), Interval(2.0, 30.0, "faults")]
    assert [each.state for each in lanes["service", "write"]] == ["up", "down", "up"]
    assert lanes["dns", "data.nines.test"] == [Interval(0.0, 30.0, "n1, n2, n3")]


def test_the_lane_of_a_fault_that_nobody_rolls_back_ends_where_it_was_seen_gone() -> None:
    """A restart policy brought the node back: the fault is not in force to the end of the run."""
    spec, windows = kills([5.0])
    plan = make_plan(faults=[spec], windows=windows)
    rows = [row for row in [*frame(plan), *fault_rows(windows[0])] if not isinstance(row, FaultHealed)]
    lanes = {(lane.kind, lane.name): lane.intervals for lane in build(plan, rows, synthetic.slots(plan, [(5.015, 5.515)])).lanes}
    assert lanes["fault", "kill-leader"] == [Interval(5.0, pytest.approx(6.3), "n1")]


def test_without_traffic_nothing_is_observed() -> None:
    """A run that never sent a slot has an empty span, and its rows are still there."""
    plan = make_plan()
    rows = [row for row in frame(plan, ended=False) if not isinstance(row, TrafficStarted)]
    timeline = build(plan, [*rows, NodeChanged(at_ns=at_ns(-1), node="n1", status="down", cause="by-itself")], synthetic.slots(plan)[:0])
    assert timeline.services["write"].span_s == 0
    assert len(timeline.statuses) == 1
