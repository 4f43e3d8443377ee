"""The review of a game day: when people noticed, acknowledged, mitigated and fixed, beside the outages that clients saw.

Computes nothing of its own but differences of times. Its sources are the report, the rows of the history, and what people said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from chaos.core.clock import to_s
from chaos.core.escaping import markdown
from chaos.history import people
from chaos.history.events import Row, StepHeld, StepReleased
from chaos.history.people import Said
from chaos.report import format as say
from chaos.report import headline
from chaos.report.page import Ready, render_markdown
from chaos.results.observed import Outage
from chaos.results.report import FaultObserved, Report

NOT: Final = "not recorded"
SLOW: Final = 1.5
"""An outage that lasted so many times as long as the longest expected one is a surprise."""


class StepReview(msgspec.Struct, frozen=True):
    """One step: what was done, what clients saw, and what people did about it. Times in seconds since the first request."""

    number: int
    what: str
    begun_s: float | None
    by: str
    skipped: bool
    faults: tuple[FaultObserved, ...]
    outages: tuple[Outage, ...]
    marks: dict[str, tuple[float, str, str]]
    """noticed, acknowledged, mitigated, fixed -> when first, by whom, with which words."""
    notes: tuple[tuple[float, str, str], ...]
    expected: str = ""
    predicted_high_s: float | None = None

    @property
    def from_s(self) -> float | None:
        """What times to detect and to act count from: the first outage of clients, else the fault's effect, else the step's begin."""
        starts = [outage.start_s for outage in self.outages]
        effects = [fault.effective_at_s for fault in self.faults if fault.effective_at_s is not None]
        return min(starts) if starts else min(effects) if effects else self.begun_s

    def after(self, mark: str) -> float | None:
        """How long after that it was recorded; None if it was not."""
        if mark not in self.marks or self.from_s is None:
            return None
        return self.marks[mark][0] - self.from_s

    @property
    def down_s(self) -> float | None:
        """How long clients were without an answer; None if the end of an outage was not seen."""
        lengths = [outage.duration_s for outage in self.outages]
        return None if any(each is None for each in lengths) else sum(each for each in lengths if each is not None)


def reviewed(report: Report, rows: Sequence[Row], said: Sequence[Said]) -> list[StepReview]:
    """Step by step, in their order."""
    start_ns = report.started_monotonic_ns
    held = {row.step: row.what for row in rows if isinstance(row, StepHeld)}
    released = {row.step: row for row in rows if isinstance(row, StepReleased)}
    seen = report.observed
    found = []
    for number, what in sorted(held.items()):
        row = released.get(number)
        begun_s = None if row is None else to_s(row.at_ns - start_ns)
        next_row = released.get(number + 1)
        until_s = None if next_row is None else to_s(next_row.at_ns - start_ns)
        faults = [] if begun_s is None else [fault for fault in report.faults if _within(fault.asked_at_s, begun_s, until_s)]
        outages = (
            [] if seen is None or begun_s is None else [each for each in seen.outages if _within(each.start_s, begun_s - 0.5, until_s)]
        )
        mine = [each for each in said if each.step == number]
        marks: dict[str, tuple[float, str, str]] = {}
        for each in mine:
            if each.what in people.MARKS and begun_s is not None and to_s(each.at_ns - start_ns) >= begun_s:
                marks.setdefault(each.what, (to_s(each.at_ns - start_ns), each.who, each.text))
        notes = tuple((to_s(each.at_ns - start_ns), each.who, each.text) for each in mine if each.what == people.NOTE)
        found.append(
            StepReview(number, what, begun_s, "" if row is None else row.by, row is not None and row.skipped, tuple(faults), tuple(outages),
                       marks, notes, *_expected(report, faults))
        )  # fmt: skip
    return found


def _within(at_s: float | None, from_s: float, until_s: float | None) -> bool:
    return at_s is not None and at_s >= from_s and (until_s is None or at_s < until_s)


def _expected(report: Report, faults: Sequence[FaultObserved]) -> tuple[str, float | None]:
    """By the model, for the class that each fault turned out to be of."""
    if report.predicted is None:
        return "", None
    told, high_s = [], None
    for fault_class in dict.fromkeys(fault.fault_class for fault in faults):
        row = report.predicted.by_fault.get(fault_class)
        if row is None or row.recovery_s.value is None:
            told.append(f"{fault_class}: no prediction")
            continue
        told.append(f"{fault_class}: {say.expected(row.recovery_s, say.seconds)}")
        if row.recovery_s.high is not None:
            high_s = max(high_s or 0.0, row.recovery_s.high)
    return "; ".join(told), high_s


def actions(steps: Sequence[StepReview], said: Sequence[Said]) -> list[tuple[str, str]]:
    """(what, who or why): what people said is to be done, then what the figures suggest."""
    found = [(each.text, each.who) for each in said if each.what == people.ACTION and each.text]
    for step in steps:
        if step.skipped or step.begun_s is None:
            continue
        if step.outages and people.NOTICED not in step.marks:
            found.append(
                (f"Step {step.number}: nobody noticed an outage of {say.seconds(step.down_s)}. Alert on it (nines rules).", "suggested")
            )
        late_s, down_s = step.after(people.NOTICED), step.down_s
        if step.outages and late_s is not None and down_s is not None and late_s > down_s:
            what = f"Step {step.number}: people noticed {say.seconds(late_s - down_s)} after clients were well again. Shorten detection."
            found.append((what, "suggested"))
        recoveries = [fault.recovery_s for fault in step.faults if fault.recovery_s is not None]
        if step.predicted_high_s is not None and recoveries and max(recoveries) > SLOW * step.predicted_high_s:
            what = (
                f"Step {step.number}: recovery took {say.seconds(max(recoveries))}, expected at most {say.seconds(step.predicted_high_s)}."
            )
            found.append((f"{what} See the outage breakdown.", "suggested"))
        if not step.outages and people.NOTICED in step.marks:
            found.append((f"Step {step.number}: people noticed something that clients did not. Check what they saw.", "suggested"))
    return found


def render(report: Report, rows: Sequence[Row], said: Sequence[Said]) -> str:
    """The page, in Markdown (``templates/review.md.j2``)."""
    steps = reviewed(report, rows, said)
    start_ns = report.started_monotonic_ns
    log = [(to_s(each.at_ns - start_ns), each.who, each.what, each.step, each.text) for each in sorted(said, key=lambda each: each.at_ns)]
    return render_markdown(
        "review.md.j2", report=report, steps=steps, marks=people.MARKS, say=say, verdict=headline.verdict(report),
        headline=headline.headline(report), log=log, actions=actions(steps, said), took=_took, seconds=_seconds,
    )  # fmt: skip


def _took(step: StepReview, mark: str) -> str:
    """``12.3 s, Ann``."""
    after_s = step.after(mark)
    return NOT if after_s is None else Ready(f"{say.seconds(after_s)}, {markdown(step.marks[mark][1])}")


def _seconds(value: float | None) -> str:
    """A figure of ours needs no escape."""
    return Ready(say.seconds(value))
