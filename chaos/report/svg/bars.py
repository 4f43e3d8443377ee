"""Bars: a figure seen beside a figure predicted, each with its interval; and an outage cut into its phases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from chaos.report.format import Show
from chaos.report.svg.drawing import Drawing, Shape, circle, drawing, line, path, rect
from chaos.results.observed import PHASES, Estimate, Outage
from chaos.results.predicted import Range

WIDTH: Final = 420
LEFT: Final = 8
RIGHT: Final = 412
OUTAGE_WIDTH: Final = 520


def interval_bars(seen: Estimate, model: Range | None, show: Show) -> Drawing | None:
    """Two lines on one scale: what was seen (dot, whiskers) over what a run like this should show (diamond, band)."""
    points = [each for each in (seen.value, seen.low, seen.high) if each is not None]
    if model is not None:
        points += [each for each in (model.value, model.low, model.high) if each is not None]
    if not points:
        return None
    low, high = min(points), max(points)
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - low) / (high - low)

    shapes = [line(LEFT, 20, RIGHT, 20, "grid")]
    if model is not None and model.value is not None:
        if model.low is not None and model.high is not None:
            shapes.append(rect(x(model.low), 23, max(x(model.high) - x(model.low), 2), 11, "model-band", round_=2))
        shapes.append(path(f"M{x(model.value):.1f} 22.5 l6 6 l-6 6 l-6 -6 z", "model"))
    if seen.value is not None:
        if seen.low is not None and seen.high is not None:
            left, right = x(seen.low), x(seen.high)
            whiskers = f"M{left:.1f} 6 v10 M{left:.1f} 11 H{right:.1f} M{right:.1f} 6 v10"
            shapes.append(path(whiskers, "seen", fill="none", stroke_width="1.6"))
        shapes.append(circle(x(seen.value), 11, 4.5, "seen"))
    said = f"observed {show(seen.value)}" + (f", predicted {show(model.value)}" if model is not None else "")
    return drawing(WIDTH, 38, said, shapes)


def phase_bars(outage: Outage, longest_s: float, show: Show) -> Drawing:
    """The outage as a stack of its phases, above a thinner stack of the phases predicted, on one scale for all outages."""
    seen = [(name, outage.phases[name].observed_s) for name in PHASES if name in outage.phases]
    model = [(name, outage.phases[name].predicted_s) for name in PHASES if name in outage.phases]
    said = ", ".join(f"{name} {show(value)}" for name, value in seen if value) or "no phase is known"
    return drawing(
        OUTAGE_WIDTH, 24, said, [*_stack(seen, longest_s, 1, 14, show, ""), *_stack(model, longest_s, 18, 5, show, "predicted ")]
    )


def css_class(phase: str) -> str:
    """The colour of a phase, as a class of the page's style sheet."""
    return phase.replace("+", "-")


def _stack(parts: Sequence[tuple[str, float | None]], longest_s: float, y: float, height: float, show: Show, word: str) -> Iterator[Shape]:
    x = 0.0
    for name, value in parts:
        if not value or longest_s <= 0:
            continue
        width = (OUTAGE_WIDTH - 4) * value / longest_s
        yield rect(x, y, max(width - 0.8, 0.6), height, css_class(name), title=f"{word}{name} {show(value)}")
        x += width


def share_bar(part: float, whole: float) -> Drawing:
    """One plain bar, ``part`` of ``whole``: mere decoration beside its figure."""
    width = 0.0 if whole <= 0 else 300 * max(min(part / whole, 1.0), 0.0)
    return drawing(300, 14, "", [rect(0, 1, width, 12, "bar", round_=2)])
