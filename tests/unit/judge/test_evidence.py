"""What a run cannot tell is never told as good: missing requests, outages that went on, two leaders, nodes that no client reaches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from chaos.core.plugins import find
from chaos.experiment.cluster import Dns, DnsCheck
from chaos.experiment.objectives import Bound, ObjectiveSpec
from chaos.history import observations
from chaos.history.events import RunEnded, TrafficEnded
from chaos.judge.judge import Judgement, judge
from chaos.plan.plan import Parameter, Plan
from chaos.results.observed import ClassObserved
from chaos.results.verdict import Check
from tests.support import synthetic
from tests.support.synthetic import Down, Rows, at_ns, fault_rows, frame, kills, make_plan, role, write_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIMES_S = [5.0 + 6.0 * number for number in range(8)]
DOWN_S = [(time_s + 0.005, time_s + 0.505) for time_s in TIMES_S]
LONG_S = 0.5


def killed(
    down: Down = DOWN_S, missing: Down = (), times_s: Sequence[float] = TIMES_S, **options: object
) -> tuple[Plan, Rows, NDArray[np.void]]:
    """Eight leader kills of half a second each, some requests of it not sent in time."""
    spec, windows = kills(times_s, for_s=2.0)
    plan = make_plan(duration_s=55.0, faults=[spec], windows=windows, **options)  # type: ignore[arg-type]
    rows = list(frame(plan))
    for window in windows:
        rows += fault_rows(window, settled_s=window.start_s + 3.9)

    def late(due_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        found = np.zeros(len(due_s), dtype=np.bool_)
        for from_s, to_s in missing:
            found |= (due_s >= from_s) & (due_s < to_s)
        return found

    return plan, rows, synthetic.slots(plan, down, missing=late)


def check_of(judged: Judgement, name: str) -> Check:
    """The check of this name."""
    return next(check for check in judged.checks if check.name == name)


def kill_class(judged: Judgement) -> ClassObserved:
    """What was seen of the kills."""
    assert judged.observed is not None
    return judged.observed.by_fault["kill/leader"]


# --- requests that are missing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "left_out"),
    [
        ([(16.9, 17.6)], 1),  # all of the third outage
        ([(18.5, 18.519)], 1),  # as many as open an outage, in the quiet after the third one
        ([(18.5, 18.509)], 0),  # one is fewer than open one
        ([(21.5, 21.6)], 0),  # after the cluster was seen settled: no fault's doing
        ([(17.2, 17.3)], 1),  # in the middle of the outage: it may have been two
    ],
)
def test_a_fault_is_left_out_whose_outage_may_hide_in_missing_requests(tmp_path: Path, missing: Down, left_out: int) -> None:
    """Neither noticed nor unnoticed: share, recovery and means rest on the other seven."""
    judged = judge(write_run(tmp_path, *killed(DOWN_S, missing)))
    found = kill_class(judged)
    assert found.untold == left_out
    assert (found.effective, found.noticed) == (8, 8 - left_out)
    assert found.share.value == 1.0
    assert found.share.n == found.recovery_s.n == found.outage_s.n == 8 - left_out
    assert found.recovery_s.value == pytest.approx(LONG_S, abs=0.011)
    if left_out:
        assert (judged.exit_code, judged.verdict) == (3, "unknown")
        assert "kill-3" in check_of(judged, "requests sent on time").detail
        assert "not sent in time" in found.reason
    else:
        assert judged.exit_code == 0


def test_the_time_without_requests_widens_the_availability(tmp_path: Path) -> None:
    """All of it may have been down, so the lower bound allows for that."""
    whole = judge(write_run(tmp_path / "whole", *killed())).observed
    gap = judge(write_run(tmp_path / "gap", *killed(missing=[(16.9, 17.6)]))).observed
    assert whole is not None
    assert gap is not None
    assert whole.availability.low is not None
    assert gap.availability.low is not None
    assert gap.availability.low < whole.availability.low
    assert "may have been down" in gap.availability.reason


def test_a_recovery_that_cannot_be_told_never_meets_its_limit(tmp_path: Path) -> None:
    """Seven of eight are within it; of the eighth nobody knows."""
    limit = ObjectiveSpec("recovery", Bound("<=", 1.0), text="<= 1s")
    judged = judge(write_run(tmp_path, *killed(missing=[(16.9, 17.6)], objectives=[limit])))
    assert judged.objectives[0].verdict == "unknown"
    assert "kill-3" in judged.objectives[0].observed.reason


def test_a_fault_behind_the_last_request_is_left_out(tmp_path: Path) -> None:
    """The prober died in the middle: what was not asked is not well."""
    plan, rows, records = killed()
    rows = [row for row in rows if not isinstance(row, TrafficEnded)]
    judged = judge(write_run(tmp_path, plan, rows, records[: round(30.0 * 100)]))
    found = kill_class(judged)
    assert found.untold == 3
    assert found.share.n == 5


# --- an outage that goes on ----------------------------------------------------------------------------------------------


def test_a_fault_into_an_outage_is_left_out(tmp_path: Path) -> None:
    """The second kill strikes while clients still wait for the end of the first one's outage: it is no unnoticed one."""
    limit = ObjectiveSpec("recovery", Bound("<=", 20.0), text="<= 20s")
    plan, rows, records = killed([(5.005, 17.0)], times_s=[5.0, 11.0, 25.0], objectives=[limit])
    judged = judge(write_run(tmp_path, plan, rows, records))
    found = kill_class(judged)
    assert (found.noticed, found.untold, found.share.n) == (1, 1, 2)
    assert found.recovery_s.value == pytest.approx((12.0 + 0.0) / 2, abs=0.02)
    assert judged.exit_code == 3
    assert "kill-2" in check_of(judged, "no outage before a fault").detail
    assert judged.objectives[0].verdict == "unknown"
    assert judged.observed is not None
    assert judged.observed.outages[0].faults == ["kill-1"]
    assert judged.observed.mttr_s.value == pytest.approx(12.0, abs=0.02)


def test_a_fault_into_an_outage_by_itself_has_no_recovery(tmp_path: Path) -> None:
    """The service fails by itself from 9 s to 13 s; the kill at 11 s changes nothing that clients could see."""
    judged = judge(write_run(tmp_path, *killed([(9.0, 13.0)], times_s=[11.0])))
    found = kill_class(judged)
    assert (found.noticed, found.untold) == (None, 1)
    assert found.recovery_s.value is found.share.value is None
    assert "was going on" in found.recovery_s.reason
    assert judged.observed is not None
    assert judged.observed.by_fault["background"].noticed == 1
    assert judged.verdict == "unknown"


# --- no data -------------------------------------------------------------------------------------------------------------


def values_of(judged: Judgement) -> list[float | None]:
    """Every figure that rests on requests."""
    seen = judged.observed
    if seen is None:
        return []
    estimates = [seen.availability, seen.success_ratio, seen.mttr_s, seen.mttf_s, seen.mtbf_s]
    estimates += [each for row in seen.by_fault.values() for each in (row.share, row.recovery_s, row.outage_s)]
    assert all(each.reason for each in estimates)
    return [each.value for each in estimates] + [seen.downtime_s]


@pytest.mark.parametrize("what", ["no file", "an empty file", "a header", "all unsent", "nothing due", "most are late"])
def test_no_data_is_no_figure(tmp_path: Path, what: str) -> None:
    """Never 100 %, never a pass, whatever the way in which nothing was asked; and no face of the report says otherwise."""
    up = ObjectiveSpec("availability", Bound(">=", 0.9), text=">= 90%")
    plan, rows, records = killed([], [(0.0, 55.0)] if what == "all unsent" else (), objectives=[up])
    if what == "most are late":
        records["sent"] = np.where(np.arange(len(records)) % 10 < 6, records["due"] + 8_000_000, records["sent"])
    if what == "nothing due":
        rows = [msgspec.structs.replace(row, slots={"write": 0}) if isinstance(row, TrafficEnded) else row for row in rows]
        records = records[:0]
    folder = write_run(tmp_path, plan, rows, records)
    if what == "no file":
        folder.observations.unlink()
    if what == "an empty file":
        folder.observations.write_bytes(b"")
    if what == "a header":
        folder.observations.write_bytes(observations.HEADER_BYTES)
    judged = judge(folder)
    assert (judged.exit_code, judged.verdict) == (3, "unknown")
    assert [value for value in values_of(judged) if value is not None] == []
    assert judged.objectives[0].verdict == "unknown"
    from chaos.report.build import build

    report = build(judged, folder)
    for name in ("text", "markdown", "html", "junit"):
        shown = find("reports", name)(report)
        assert "no outage of" not in shown
        assert "availability 100" not in shown


def test_damaged_rows_take_the_figures_of_faults_away(tmp_path: Path) -> None:
    """Whatever the row said: who was harmed and when is not known for sure any more."""
    folder = write_run(tmp_path, *killed())
    lines = folder.history.read_bytes().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if b"fault_effective" in line)
    lines[place] = b"\0" * (len(lines[place]) - 1) + b"\n"
    folder.history.write_bytes(b"".join(lines))
    judged = judge(folder)
    assert (judged.exit_code, judged.verdict) == (3, "unknown")
    assert f"line {place + 1}" in check_of(judged, "history complete").detail
    assert judged.observed is not None
    assert judged.observed.mttr_s.value is judged.observed.mtbf_s.value is kill_class(judged).recovery_s.value is None
    assert "damaged" in judged.observed.mttr_s.reason


def test_a_row_of_a_newer_kind_is_no_damage(tmp_path: Path) -> None:
    """A newer writer adds rows; a row of ours without its fields is damaged."""
    folder = write_run(tmp_path, *killed())
    with folder.history.open("ab") as file:
        file.write(b'{"row":"aurora","at_ns":5,"colour":"green"}\n')
    assert judge(folder).exit_code == 0
    with folder.history.open("ab") as file:
        file.write(b'{"row":"node","at_ns":5}\n')
    assert check_of(judge(folder), "history complete").verdict == "fail"


# --- leaders -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replication", "from_s", "to_s", "verdict"),
    [
        ("none", 20.0, 28.0, "fail"),
        ("none", 20.0, 20.009, "pass"),  # within a look
        ("none", 20.0, 20.02, "fail"),
        ("quorum", 20.0, 20.5, "fail"),  # nothing had happened to either
        ("quorum", 11.2, 11.7, "pass"),  # n1, harmed by the second fault, has yet to see that it leads nobody
        ("quorum", 11.2, 14.8, "fail"),
    ],
)
def test_two_leaders_at_once_fail_the_run(tmp_path: Path, replication: str, from_s: float, to_s: float, verdict: str) -> None:
    """For longer than a look, unless the older one needs a quorum that a fault has just cut it off from."""
    plan, rows, records = killed(times_s=[5.0, 11.0], replication=replication)
    rows = [row for row in rows if not isinstance(row, synthetic.NodeChanged)]
    rows += [role(0.5, "n1", "leader"), role(to_s, "n1", "leader", False), role(from_s, "n2", "leader")]
    assert check_of(judge(write_run(tmp_path, plan, rows, records)), "one leader at a time").verdict == verdict


def test_a_dead_or_frozen_leader_leads_nobody(tmp_path: Path) -> None:
    """Its role ends with its process, and rests while it is frozen."""
    plan, rows, records = killed(times_s=[5.0], replication="none")
    rows = [*rows, role(0.5, "n1", "leader"), role(5.6, "n2", "leader"), role(40.0, "n1", "leader", False)]
    assert check_of(judge(write_run(tmp_path / "dead", plan, rows, records)), "one leader at a time").verdict == "pass"
    frozen = [
        msgspec.structs.replace(row, status="paused") if isinstance(row, synthetic.NodeChanged) and row.status == "down" else row
        for row in rows
    ]
    check = check_of(judge(write_run(tmp_path / "frozen", plan, frozen, records)), "one leader at a time")
    assert check.verdict == "fail"
    assert "from 7.00 s on" in check.detail  # from when it is let go, not from when the other one was elected


# --- who is asked --------------------------------------------------------------------------------------------------------


def test_nodes_that_no_client_reaches_fail_the_run(tmp_path: Path) -> None:
    """The name leads to n3 only, and all kills hit the others: nothing was tested."""
    plan, rows, records = killed([])
    records["address"] = (127 << 24) + (64 << 16) + (2 << 8) + 3
    judged = judge(write_run(tmp_path, plan, rows, records))
    assert judged.verdict == "unknown"
    assert "never reached n1 and n2" in check_of(judged, "all nodes reached by clients").detail
    led = make_plan(dns=Dns(check=DnsCheck(what="role:leader")))
    only = synthetic.slots(led)
    only["address"] = records["address"][0]
    assert check_of(judge(write_run(tmp_path / "led", led, frame(led), only)), "all nodes reached by clients").verdict == "pass"


def test_one_address_of_all_nodes_hides_which_one_was_asked(tmp_path: Path) -> None:
    """A Service's own address is no node's: that no node was asked at its own says nothing."""
    plan, rows, records = killed([])
    records["address"] = (10 << 24) + (96 << 16) + 7
    assert check_of(judge(write_run(tmp_path / "unsaid", plan, rows, records)), "all nodes reached by clients").verdict != "pass"
    told = Parameter("name_leads_to", 1.0, "", "the cluster's Service", word="one-address")
    plan = msgspec.structs.replace(plan, parameters=(*plan.parameters, told))
    assert check_of(judge(write_run(tmp_path / "said", plan, rows, records)), "all nodes reached by clients").verdict == "pass"


def test_a_run_that_ended_early_without_a_reason_fails(tmp_path: Path) -> None:
    """The prober says that it has written all, and it is half of what was planned."""
    plan, rows, records = killed()
    half = len(records) // 2
    rows = [msgspec.structs.replace(row, slots={"write": half}) if isinstance(row, TrafficEnded) else row for row in rows]
    assert check_of(judge(write_run(tmp_path / "half", plan, rows, records[:half])), "traffic complete").verdict == "fail"
    rows = [row for row in rows if not isinstance(row, RunEnded)] + [RunEnded(at_ns=at_ns(56), left=[], aborted="error ratio")]
    assert check_of(judge(write_run(tmp_path / "aborted", plan, rows, records[:half])), "traffic complete").verdict == "pass"
