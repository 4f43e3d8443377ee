"""Levels of redundancy drawn: nines as steps over one axis, or as a map over two. Every figure stands in a title or a label as well."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from chaos.report.svg.drawing import SOFT, Drawing, Shape, drawing, line, rect, words

WIDTH: Final = 1000
HEIGHT: Final = 340
LEFT: Final = 60
TOP: Final = 48
BOTTOM: Final = 50


def steps(labels: Sequence[str], nines: Sequence[float | None], name: str, down: Sequence[str], knee: int | None) -> Drawing | None:
    """A bar for each level, from a common floor; the knee is marked, and below each bar stands its downtime per year."""
    known = [value for value in nines if value is not None]
    if not known:
        return None
    low, high = _scale(known)
    wide = (WIDTH - LEFT - 10) / len(labels)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    shapes = list(_grid(low, high, y))
    every = max(1, math.ceil(len(labels) / 16))
    for index, (label, value, lost) in enumerate(zip(labels, nines, down, strict=True)):
        x, middle = LEFT + index * wide, LEFT + (index + 0.5) * wide
        if value is not None:
            title = f"{name} {label}: {value:.3f} nines, {lost} of downtime per year"
            tall = max(HEIGHT - BOTTOM - y(value), 1)
            shapes.append(rect(x + wide * 0.15, y(value), wide * 0.7, tall, "leader" if index == knee else "up", title=title))
            if index % every == 0:
                shapes.append(words(middle, y(value) - 6, f"{value:.2f}", anchor="middle"))
        if index % every == 0:
            shapes.append(words(middle, HEIGHT - BOTTOM + 18, label, anchor="middle"))
            shapes.append(words(middle, HEIGHT - BOTTOM + 36, lost, SOFT, "middle"))
    tallest = None if knee is None else nines[knee]
    if knee is not None and tallest is not None:
        shapes.append(words(LEFT + (knee + 0.5) * wide, y(tallest) - 22, "knee", "strong", "middle"))
    shapes.append(words(LEFT - 52, 16, f"nines by {name}; below: downtime per year", SOFT))
    return drawing(WIDTH, HEIGHT, f"nines by {name}", shapes)


def heat_map(
    first: Sequence[str], second: Sequence[str], nines: Sequence[float | None], names: tuple[str, str], knee: int | None
) -> Drawing | None:
    """One cell a level, the darker the more nines; ``nines`` row by row, a row for each of ``first``."""
    known = [value for value in nines if value is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    tall, wide = 34, (WIDTH - 110) / len(second)
    shapes = [words(0, 16, f"{names[0]} down, {names[1]} across; nines in each cell", SOFT)]
    shapes += [words(110 + (column + 0.5) * wide, TOP + 12, label, SOFT, "middle") for column, label in enumerate(second)]
    for row, label in enumerate(first):
        y = TOP + 20 + row * tall
        shapes.append(words(100, y + 21, label, SOFT, "end"))
        for column, across in enumerate(second):
            index = row * len(second) + column
            value = nines[index]
            shade = 0.0 if value is None or high == low else (value - low) / (high - low)
            x = 110 + column * wide
            said = f"{names[0]} {label}, {names[1]} {across}: " + ("nothing to say" if value is None else f"{value:.3f} nines")
            ring = {"stroke_width": "2", "stroke": "currentColor"} if index == knee else {}
            opacity = f"{0.08 + 0.45 * shade:.2f}"
            shapes.append(rect(x + 1, y, wide - 2, tall - 2, "leader", title=said, round_=3, fill_opacity=opacity, **ring))
            shapes.append(words(x + wide / 2, y + 21, "–" if value is None else f"{value:.2f}", anchor="middle"))
    return drawing(WIDTH, TOP + 30 + len(first) * tall, f"nines by {names[0]} and {names[1]}", shapes)


def _scale(known: Sequence[float]) -> tuple[float, float]:
    """A floor a little under the least, on a half."""
    low, high = math.floor(2 * min(known)) / 2, math.ceil(4 * max(known)) / 4
    return (low - 0.5 if min(known) - low < 0.1 else low), max(high, low + 0.5)


def _grid(low: float, high: float, y: Callable[[float], float]) -> Iterator[Shape]:
    step = 0.5 if high - low <= 4 else 1.0
    for index in range(math.floor((high - low) / step) + 1):
        value = low + index * step
        yield line(LEFT, y(value), WIDTH, y(value), "grid")
        yield words(LEFT - 8, y(value) + 4, f"{value:g}", SOFT, "end")
