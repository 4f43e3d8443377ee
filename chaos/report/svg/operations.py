"""Operations as bars over time, those that contradict each other marked: why a history cannot have been.

session 1 · n2   |██ write 1.4 ██                            red: they cannot all be true
session 3 · n1   |                  ██ read: 1.2 ██          grey: what else it takes to see that

The axis is cut where nothing happens: a pause of seconds beside operations of a millisecond would leave nothing to be seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from chaos.report.data_tables import told
from chaos.report.svg.drawing import SOFT, Drawing, Shape, drawing, line, path, rect, words
from chaos.results.data import OperationSeen, Violation

WIDTH: Final = 1060
LEFT: Final = 150
RIGHT: Final = 1040
ROW: Final = 40
TOP: Final = 26
BAR: Final = 16
NARROWEST: Final = 5
LETTER: Final = 6.4
"""About as wide as a letter of the picture."""
OPEN_S: Final = 1.0
"""What never returned reaches so far beyond the rest, before the axis is cut."""


def operation_bars(found: Violation) -> Drawing | None:
    """One row an operation, in the order of their calls; None where no operation shows it."""
    if not found.operations:
        return None
    axis = _Axis(found.operations)
    bottom = TOP + ROW * len(found.operations)
    shapes = [*axis.marks(bottom)]
    for row, each in enumerate(sorted(found.operations, key=lambda operation: operation.start_s)):
        shapes.append(Shape("g", inside=tuple(_row(each, axis, TOP + ROW * row))))
    label = f"{found.said}: {'; '.join(_sentence(each) for each in found.operations)}"
    return drawing(WIDTH, bottom + 24, label, shapes)


def _row(each: OperationSeen, axis: _Axis, y: float) -> Iterator[Shape]:
    who = "last reading" if each.session == 0 else f"session {each.session}"
    yield words(0, y + 19, f"{who}{f' · {each.node}' if each.node else ''}", "strong" if each.contradicts else SOFT)
    left = axis.x(each.start_s)
    right = axis.end if each.end_s is None else max(axis.x(each.end_s), left + NARROWEST)
    style = "down" if each.contradicts else "up"
    yield rect(left, y + 2, right - left, BAR, style, title=_sentence(each), round_=2)
    if each.end_s is None:
        yield path(f"M{right:.1f} {y + 2:.1f} l9 {BAR / 2:.1f} l-9 {BAR / 2:.1f} z", style)
    text = f"{told(each)}{' (never answered)' if each.end_s is None else ''}"
    fits = left + LETTER * len(text) < RIGHT
    yield words(left if fits else right, y + BAR + 15, text, "strong" if each.contradicts else "", "" if fits else "end")


def _sentence(each: OperationSeen) -> str:
    until = "never answered" if each.end_s is None else f"to {each.end_s:.4f} s"
    return f"{told(each)}, from {each.start_s:.4f} s {until}, {each.outcome}"


class _Axis:
    """Seconds to the place in the picture: between two moments the logarithm of what passes."""

    def __init__(self, operations: Sequence[OperationSeen]) -> None:
        moments = {each.start_s for each in operations} | {each.end_s for each in operations if each.end_s is not None}
        self.moments = sorted(moments)
        self.end = RIGHT - 12
        unit_s = min((each.end_s - each.start_s for each in operations if each.end_s is not None), default=0.001) or 0.001
        widths = [1.0 + math.log1p((later - sooner) / unit_s) for sooner, later in pairwise(self.moments)]
        if any(each.end_s is None for each in operations):
            widths.append(1.0 + math.log1p(OPEN_S / unit_s))
        whole = sum(widths) or 1.0
        places = [float(LEFT)]
        for width in widths:
            places.append(places[-1] + (self.end - LEFT) * width / whole)
        self._places = dict(zip(self.moments, places, strict=False))

    def x(self, at_s: float) -> float:
        """Where a moment is at which something began or ended."""
        return self._places[at_s]

    def marks(self, bottom: float) -> Iterator[Shape]:
        """A line at each moment, with its time where there is room for it."""
        free = 0.0
        for at_s in self.moments:
            x = self.x(at_s)
            yield line(x, TOP - 6, x, bottom, "grid")
            if x >= free:
                yield words(x, 14, f"{at_s:.4f} s", SOFT, "middle")
                free = x + 70
        yield words(0, bottom + 18, "Time runs from left to right; longer pauses are shortened. Red: these cannot all be true.", SOFT)
