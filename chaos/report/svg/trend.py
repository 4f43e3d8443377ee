"""How a figure went from run to run: a dot a run with its least and most value, a band for all together; and the same in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from chaos.report.format import Show
from chaos.report.svg.drawing import SOFT, Drawing, Shape, circle, drawing, line, rect, words

if TYPE_CHECKING:
    from chaos.evidence.trend import Point, Trend

WIDTH: Final = 900
HEIGHT: Final = 240
LEFT: Final = 70
TOP: Final = 16
BOTTOM: Final = 40
BLOCKS: Final = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], most: int = 24) -> str:
    """The newest values, each as a block between the least and the most of them; in the middle where all are alike."""
    shown = list(values)[-most:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if high - low <= 1e-3 * abs(high):
        return BLOCKS[3] * len(shown)
    return "".join(BLOCKS[round((value - low) / (high - low) * (len(BLOCKS) - 1))] for value in shown)


def picture(trend: Trend, show: Show) -> Drawing | None:
    """Runs from left to right, the newest version's in the colour of the observed; None without runs."""
    points = trend.points
    if not points:
        return None
    high = max([point.most_s for point in points] + [trend.outage_s.high or 0.0]) * 1.08 or 1.0
    wide = (WIDTH - LEFT - 10) / len(points)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / high)

    shapes = list(_grid(high, y, show))
    if trend.outage_s.low is not None and trend.outage_s.high is not None:
        top, bottom = y(trend.outage_s.high), y(trend.outage_s.low)
        said = f"all runs together: {show(trend.outage_s.low)} to {show(trend.outage_s.high)}"
        shapes.append(rect(LEFT, top, WIDTH - LEFT - 10, max(bottom - top, 2), "model-band", title=said))
    before = ""
    for place, point in enumerate(points):
        x = LEFT + (place + 0.5) * wide
        shapes.append(line(x, y(point.most_s), x, y(point.least_s), "grid"))
        shapes.append(circle(x, y(point.mean_s), 4, "seen" if point.version == trend.newest else "model"))
        if point.version != before:
            shapes.append(line(x - wide / 2, HEIGHT - BOTTOM, x - wide / 2, HEIGHT - BOTTOM + 6, "grid"))
            if wide * _run_of(points, place) > 60:
                shapes.append(words(x - wide / 2 + 3, HEIGHT - BOTTOM + 18, point.version[:12], SOFT))
        before = point.version
    label = f"mean outage of {trend.fault_class} in {len(points)} runs, the newest on the right; below: version of the system"
    return drawing(WIDTH, HEIGHT, label, shapes)


def _run_of(points: Sequence[Point], place: int) -> int:
    """How many runs of that version follow each other."""
    versions = [point.version for point in points[place:]]
    return next((count for count, version in enumerate(versions) if version != versions[0]), len(versions))


def _grid(high: float, y: Callable[[float], float], show: Show) -> Iterator[Shape]:
    for step in range(5):
        value = high / 1.08 * step / 4
        yield line(LEFT, y(value), WIDTH - 10, y(value), "grid")
        yield words(LEFT - 8, y(value) + 4, show(value), SOFT, "end")
