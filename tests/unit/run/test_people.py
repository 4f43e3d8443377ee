"""Runs that people lead, in virtual time: what they say stands in the file before the run begins."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.api import order_text, perform
from chaos.history import people
from chaos.history.events import StepHeld, StepReleased
from chaos.history.folder import RunFolder
from chaos.history.people import ABORT, ACTION, FIXED, GO, NOTICED, SKIP, Said
from chaos.report.pages.as_html import html
from chaos.report.pages.review import actions, render, reviewed
from chaos.results.report import Report
from chaos.run.people import People, led
from tests.support.quick import QUICK

MOST_S = 40.0


def lead(folder: Path, *said: tuple[str, int], text: str = QUICK) -> tuple[Report, RunFolder]:
    """The quick run with these orders."""
    ordered = order_text(text, Path("quick.yaml"))
    plan = led(ordered.plan, MOST_S)
    folder.mkdir()
    for what, step in said:
        people.say(folder, Said(at_ns=0, who="Ann", what=what, step=step))
    run = RunFolder(folder)
    return perform(msgspec.structs.replace(ordered, plan=plan), run, people=People(plan, folder, ["first", "second"])), run


def test_each_step_waits_for_its_order_and_the_run_is_judged_as_it_was_done(tmp_path: Path) -> None:
    """The plan that is kept has the real times, and ends with the last step: no traffic is missing."""
    report, folder = lead(tmp_path / "run", (GO, 1), (GO, 2))
    assert report.state in ("pass", "simulated")
    assert [fault.status for fault in report.faults] == ["healed", "healed"]
    rows = folder.rows()
    assert [row.step for row in rows if isinstance(row, StepHeld)] == [1, 2]
    assert [(row.step, row.by) for row in rows if isinstance(row, StepReleased)] == [(1, "Ann"), (2, "Ann")]
    plan = folder.read_plan()
    assert [window.start_s for window in plan.windows] == pytest.approx([fault.asked_at_s or 0 for fault in report.faults], abs=0.5)
    assert plan.duration_s == pytest.approx(report.duration_s, abs=1.0)
    assert report.duration_s < 60
    state = people.read_state(folder.path)
    assert state is not None
    assert (state.step, state.holds, state.over) == (2, False, "every step is over")


def test_a_step_may_be_skipped(tmp_path: Path) -> None:
    """It is no fault that failed."""
    report, _ = lead(tmp_path / "run", (SKIP, 1), (GO, 2))
    assert report.state in ("pass", "simulated")
    assert sum(fault.effective_at_s is not None for fault in report.faults) == 1


def test_an_abort_ends_it_before_any_step(tmp_path: Path) -> None:
    """By its name, and within the baseline: nobody waits for the first step."""
    report, folder = lead(tmp_path / "run", (ABORT, 1))
    assert report.state == "aborted"
    assert report.duration_s < folder.read_plan().experiment.baseline_s
    assert any("aborted by Ann" in reason for reason in report.reasons)
    assert not [fault for fault in report.faults if fault.effective_at_s is not None]


def test_nobody_who_comes_ends_it_at_the_limit(tmp_path: Path) -> None:
    """What was never let go is no fault that failed."""
    report, folder = lead(tmp_path / "run", (GO, 1))
    state = people.read_state(folder.path)
    assert state is not None
    assert state.over == "the time for the game day is up"
    assert len(folder.read_plan().windows) == 1
    assert report.state in ("pass", "simulated")


def test_the_review_holds_people_against_the_outage(tmp_path: Path) -> None:
    """Times count from the first lost request; what was said before the step is no detection; the page escapes what people typed."""
    report, folder = lead(tmp_path / "run", (GO, 1), (GO, 2))
    assert report.observed is not None
    outage = report.observed.outages[0]
    start_ns = report.started_monotonic_ns

    def at(at_s: float, what: str, text: str = "", who: str = "Bob") -> Said:
        return Said(at_ns=start_ns + round(at_s * 1e9), who=who, what=what, step=1, text=text)

    said = [
        at(0.0, NOTICED),
        at(outage.start_s + 4.0, NOTICED, who="<b>Eve|</b>"),
        at(outage.start_s + 9.5, FIXED),
        at(60, ACTION, "alert | on it"),
    ]
    steps = reviewed(report, folder.rows(), said)
    assert steps[0].after(NOTICED) == pytest.approx(4.0)
    assert steps[0].after(FIXED) == pytest.approx(9.5)
    assert steps[0].down_s == pytest.approx(outage.duration_s)
    assert steps[1].after(NOTICED) is None
    items = actions(steps, said)
    assert items[0] == ("alert | on it", "Bob")
    assert any("Step 1: people noticed" in what for what, _ in items)
    assert any("Step 2: nobody noticed" in what for what, _ in items)
    text = render(report, folder.rows(), said)
    assert "| 4 s, &lt;b>Eve" in text
    page = html("Review", text)
    assert "<b>Eve" not in page
    assert page.count("<table>") == 3


def test_lines_that_are_torn_or_foreign_are_passed_over(tmp_path: Path) -> None:
    """Whoever writes it last loses no more than that line."""
    people.say(tmp_path, Said(at_ns=1, who="Ann", what=GO, step=1))
    with (tmp_path / people.FILE).open("ab") as file:
        file.write(b"nonsense\n" + b'{"at_ns":2,"who":"Bob"')
    assert [each.who for each in people.read(tmp_path)] == ["Ann"]
