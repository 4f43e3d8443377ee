"""Why requests were bad: recorded, counted by reason, status and node, and said in every face."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from chaos.core import plugins as tables
from chaos.history import observations
from chaos.history.events import NodeChanged, TrafficEnded
from chaos.history.observations import Outcome, Why
from chaos.judge import checks
from chaos.measure import bad_requests as timeline_bad
from chaos.measure.slots import BAD
from chaos.measure.timeline import Timeline, build
from chaos.report import story as tell
from chaos.report.build import from_folder
from chaos.results import reasons
from chaos.results.observed import BadRequests
from tests.support import synthetic
from tests.support.synthetic import Records, fault_rows, frame, kills, make_plan

SECOND, THIRD = (127 << 24) + (64 << 16) + (2 << 8) + 2, (127 << 24) + (64 << 16) + (2 << 8) + 3


def redirected(**more: float) -> tuple[Timeline, Records]:
    """A cluster of three in which two nodes answer 307 to every request."""
    plan = make_plan(**more)  # type: ignore[arg-type]
    records = synthetic.slots(plan)
    away = np.isin(records["address"], (SECOND, THIRD))
    records["outcome"][away], records["why"][away], records["status"][away] = Outcome.FAIL, Why.ERROR, 307
    return build(plan, frame(plan), records), records


def test_redirects_are_counted_by_status_and_node() -> None:
    """Before any fault and after, each bad request once."""
    seen, records = redirected()
    found = timeline_bad.bad_requests(seen)
    assert {(row.when, row.reason, row.status) for row in found} == {("baseline", "error", 307), ("run", "error", 307)}
    assert (
        sum(row.count for row in found)
        == int(np.count_nonzero(records["why"]))
        == int(np.count_nonzero(seen.services["write"].slots.state == BAD))
    )
    assert all(set(row.nodes) == {"n2", "n3"} and sum(row.nodes.values()) == row.count for row in found)


def test_the_failed_baseline_says_why_and_the_way_out() -> None:
    """How many, of how many, by status and node; a redirect also says what to do instead."""
    plan = make_plan()
    seen, _ = redirected()
    check = {check.name: check for check in checks.check(plan, seen)}["baseline error-free"]
    quiet = int(plan.experiment.baseline_s * 100)
    bad = sum(row.count for row in timeline_bad.bad_requests(seen) if row.when == "baseline")
    assert f"{bad} of {quiet} failed before any fault: {bad} answered 307 (n2 " in check.detail
    assert 'what: "role:leader"' in check.next_step


@pytest.mark.parametrize("why", [why for why in Why if why is not Why.NONE])
def test_every_reason_has_a_word_and_a_sentence(why: Why) -> None:
    """None is left to be guessed from a number."""
    row = BadRequests("write", "run", reasons.OF[why], None, 3, {"n1": 3})
    assert reasons.OF[why] != reasons.OTHER
    assert reasons.sentence([row]) == f"3 {reasons.said(row)} (n1 3)"
    assert reasons.said(row) != row.reason or why is Why.TIMEOUT


def test_a_good_answer_that_came_too_late_is_late() -> None:
    """Its status says nothing of why it was bad."""
    plan = make_plan()
    records = synthetic.slots(plan)
    records["status"] = 200
    records["done"][1500] = records["due"][1500] + 10**10
    (row,) = timeline_bad.bad_requests(build(plan, frame(plan), records))
    assert (row.reason, row.status, row.count) == ("late", None, 1)


def test_many_reasons_are_cut_short_and_still_add_up() -> None:
    """A sentence names the four most frequent ones, and how many are left."""
    rows = [BadRequests("w", "run", "error", 500 + number, 10 + number, {"n1": 10 + number}) for number in range(6)]
    assert reasons.sentence(rows).startswith("15 answered 505 (n1 15), 14 answered 504")
    assert reasons.sentence(rows).endswith("21 for other reasons")


@pytest.mark.parametrize("name", ["text", "markdown", "html", "junit", "json"])
def test_every_face_says_why(name: str, tmp_path: Path) -> None:
    """By reason, status and node; a file without them says nothing of it."""
    spec, windows = kills([5.0, 15.0])
    plan = make_plan(faults=[spec], windows=windows)
    records = synthetic.slots(plan, [(5.015, 5.515)])
    bad = records["outcome"] != Outcome.OK
    records["why"][bad], records["status"][bad] = Why.ERROR, 503
    rows = [*frame(plan), *fault_rows(windows[0]), *fault_rows(windows[1])]
    report = from_folder(synthetic.write_run(tmp_path / "run", plan, rows, records))
    shown = tables.find("reports", name)(report)
    says = "503" if name == "json" else "answered 503"
    assert says in shown
    assert sum(row.count for row in report.bad_requests) == int(np.count_nonzero(bad)) == 50
    without = tables.find("reports", name)(msgspec.structs.replace(report, bad_requests=[], run="r", started_at=""))
    assert ('"status":503' if name == "json" else says) not in without


def test_files_without_a_status_stay_readable(tmp_path: Path) -> None:
    """Version 1 had zeros in its place: a status that was not recorded. A version from the future is refused."""
    plan = make_plan()
    records = synthetic.slots(plan, [(5.0, 5.5)])
    old = tmp_path / "old.bin"
    old.write_bytes(observations.HEADER.pack(observations.MAGIC, 1, observations.RECORD.size, 0) + records.tobytes())
    read = observations.read(old)
    assert np.array_equal(read["due"], records["due"])
    assert not read["status"].any()
    old.write_bytes(observations.HEADER.pack(observations.MAGIC, 9, observations.RECORD.size, 0) + records.tobytes())
    with pytest.raises(observations.HistoryUnreadable, match="version 1 to 2"):
        observations.read(old)


@pytest.mark.parametrize(("dead", "told"), [(False, True), (True, False)])
def test_a_name_that_is_empty_while_nodes_run_is_told_as_that(dead: bool, told: bool, tmp_path: Path) -> None:
    """Every health check failed for three seconds; of dead nodes that is no news."""
    plan = make_plan()
    rows = [*frame(plan), synthetic.name_set(10.0, []), synthetic.name_set(13.0, [node.name for node in plan.nodes])]
    if dead:
        rows += [NodeChanged(at_ns=synthetic.at_ns(9.9), node=node.name, status="down", cause="k") for node in plan.nodes]
    report = from_folder(synthetic.write_run(tmp_path / "run", plan, rows, synthetic.slots(plan)))
    said = " ".join(tell.story(report))
    assert ("The name was empty for 3 s: every health check failed while n1, n2 and n3 ran." in said) == told


def test_requests_that_were_late_say_what_would_have_been_in_time() -> None:
    """The machine's load, and a rate whose half slot is wider than all but a hundredth of the lateness."""
    plan = make_plan()
    records = synthetic.slots(plan)
    records["sent"][::20] = records["due"][::20] + 12_000_000
    rows = [msgspec.structs.replace(row, load_1m=9.7, cpus=2) if isinstance(row, TrafficEnded) else row for row in frame(plan)]
    check = {check.name: check for check in checks.check(plan, build(plan, rows, records))}["requests sent on time"]
    assert check.verdict == "fail"
    assert check.next_step == "run it again on an idle machine (its load was 9.7 on 2 processors), or with at most 41/s of write"


def test_an_answer_that_came_too_late_is_told_as_that() -> None:
    """A status of 200 is no reason for a bad request: the time is."""
    for reason in ("timed out", "late"):
        assert reasons.said(BadRequests("read", "run", reason, 200, 2, {"n1": 2})) == "answered 200 too late"
    assert reasons.said(BadRequests("read", "run", "timed out", 0, 2, {"n1": 2})) == "timed out"


def test_no_other_rate_is_advised_where_this_one_was_low_enough() -> None:
    """Two late requests in a row hide an outage; that all but a hundredth would be in time at ten times the rate is no help."""
    plan = make_plan()
    records = synthetic.slots(plan)
    records["sent"][:2] = records["due"][:2] + 12_000_000
    records["sent"][2:] = records["due"][2:] + 500_000
    assert checks._on_an_idle_machine(build(plan, frame(plan), records), ["write"]) == "run it again on an idle machine"
