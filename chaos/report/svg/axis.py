"""The time axis: one line a service, a fault lane, one line a node (its process, its leadership, its place in DNS).

faults    |       ██            ██         |
write     |───────▐▌────────────▐▌─────────|      grey: up, red: an outage
n1        |▆▆▆▆▆▆▆    ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂|      blue: leader, grey: up, empty: dead; green below: clients are told of it
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from chaos.report.svg.drawing import SOFT, Drawing, Shape, drawing, line, rect, words
from chaos.results.observed import Interval, Lane
from chaos.results.report import Report

WIDTH: Final = 1060
ROW: Final = 34
TOP: Final = 10
NARROWEST: Final = 1.6
"""An outage of one slot must still be seen."""

STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
TOLD: Final = "Time axis of the run: services, faults and nodes, in seconds since its start. The tables below hold the same figures."


def time_axis(report: Report) -> Drawing | None:
    """The whole figure; None if the run never got as far as a timeline."""
    made = rows(report.timeline)
    if not made or report.duration_s <= 0:
        return None
    longest = max(len(label) for label, _ in made)
    scale = _Scale(report.duration_s, min(max(24 + 6.6 * longest, 64), 220))
    bottom = TOP + ROW * len(made)
    shapes = [*_baseline(report.timeline, scale, bottom), *_ticks(scale, bottom), *_bands(report.timeline, scale, bottom)]
    for index, (label, marks) in enumerate(made):
        y = TOP + ROW * index
        inside = [words(0, y + 19, label, "strong"), *(_mark(mark, scale, y) for mark in marks)]
        shapes.append(Shape("g", inside=tuple(inside)))
    return drawing(WIDTH, bottom + 26, TOLD, shapes)


class _Scale:
    def __init__(self, duration_s: float, left: float) -> None:
        self.duration_s = duration_s
        self.left = left

    def x(self, at_s: float) -> float:
        inside = min(max(at_s, 0.0), self.duration_s)
        return self.left + (WIDTH - self.left - 8) * inside / self.duration_s


class Mark(NamedTuple):
    """One stretch of one row: where in the row, how high, in which style, and what to say of it."""

    interval: Interval
    top: float
    height: float
    style: str
    title: str


def rows(lanes: Sequence[Lane]) -> list[tuple[str, list[Mark]]]:
    """Services, then faults, then one row a node with everything that is known of it."""
    found = [(lane.name, [_service(lane.name, each) for each in lane.intervals]) for lane in lanes if lane.kind == "service"]
    for lane in lanes:
        if lane.kind == "fault":
            found.append((lane.name, [Mark(each, 9, 14, "fault", f"{lane.name} on {each.state}") for each in lane.intervals]))
    leading = [each for lane in lanes if lane.kind == "role" and lane.name == "leader" for each in lane.intervals]
    answers = [each for lane in lanes if lane.kind == "dns" for each in lane.intervals]
    for lane in lanes:
        if lane.kind == "node":
            marks = [_process(lane.name, each) for each in lane.intervals]
            marks += [Mark(each, 7, 14, "leader", f"{lane.name} is leader") for each in leading if each.state == lane.name]
            marks += [Mark(each, 23, 3, "in", f"in DNS: {each.state}") for each in answers if lane.name in each.state.split(", ")]
            found.append((lane.name, marks))
    for lane in lanes:
        if lane.kind == "detector":
            found.append((lane.name, [Mark(each, 9, 14, "suspects", each.state) for each in lane.intervals]))
    return found


def _service(name: str, interval: Interval) -> Mark:
    if interval.state == "up":
        return Mark(interval, 13.5, 5, "up", f"{name} up")
    return Mark(interval, 5, 22, "missing" if interval.state == "missing" else "down", f"{name} {interval.state}")


def _process(name: str, interval: Interval) -> Mark:
    """A dead node is a hole with a thin line through it, so that it is seen without colour too."""
    if interval.state in ("up", "paused"):
        return Mark(interval, 7, 14, interval.state, f"{name} {interval.state}")
    return Mark(interval, 13, 2, "dead", f"{name} {interval.state}")


def _mark(mark: Mark, scale: _Scale, y: float) -> Shape:
    left = scale.x(mark.interval.start_s)
    width = max(scale.x(mark.interval.end_s) - left, NARROWEST)
    title = f"{mark.title}: {mark.interval.start_s:.2f} s to {mark.interval.end_s:.2f} s"
    return rect(left, y + mark.top, width, mark.height, mark.style, title=title, round_=1)


def _baseline(lanes: Sequence[Lane], scale: _Scale, bottom: float) -> Iterator[Shape]:
    quiet = [interval for lane in lanes if lane.kind == "phase" for interval in lane.intervals if interval.state == "baseline"]
    for interval in quiet:
        left, right = scale.x(interval.start_s), scale.x(interval.end_s)
        yield rect(left, TOP - 8, right - left, bottom - TOP + 8, "quiet", title="baseline")
        if right - left > 55:
            yield words(left + 4, TOP + 2, "baseline", SOFT)


def _bands(lanes: Sequence[Lane], scale: _Scale, bottom: float) -> Iterator[Shape]:
    for interval in (each for lane in lanes if lane.kind == "fault" for each in lane.intervals):
        left, right = scale.x(interval.start_s), scale.x(interval.end_s)
        yield rect(left, TOP, max(right - left, 1), bottom - TOP, "band")


def _ticks(scale: _Scale, bottom: float) -> Iterator[Shape]:
    step = next((each for each in STEPS if scale.duration_s / each <= 12), STEPS[-1])
    at = 0
    while at <= scale.duration_s:
        x = scale.x(at)
        yield line(x, TOP, x, bottom, "grid")
        yield words(x, bottom + 18, f"{at}{' s' if at == 0 else ''}", SOFT, "middle")
        at += step
