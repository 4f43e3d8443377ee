"""Levels of redundancy drawn: nines as steps over one axis, or as a map over two. Every figure stands in a title or a label as well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from chaos.core.escaping import html as escape

WIDTH: Final = 1000
HEIGHT: Final = 340
LEFT: Final = 60
TOP: Final = 48
BOTTOM: Final = 50


def steps(labels: Sequence[str], nines: Sequence[float | None], name: str, down: Sequence[str], knee: int | None) -> str:
    """A bar for each level, from a common floor; the knee is marked, and below each bar stands its downtime a year."""
    known = [value for value in nines if value is not None]
    if not known:
        return ""
    low, high = _scale(known)
    wide = (WIDTH - LEFT - 10) / len(labels)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = _grid(low, high, y)
    every = max(1, math.ceil(len(labels) / 16))
    for index, (label, value, lost) in enumerate(zip(labels, nines, down, strict=True)):
        x = LEFT + index * wide
        style = "leader" if index == knee else "up"
        if value is not None:
            title = f"<title>{escape(f'{name} {label}: {value:.3f} nines, {lost} down a year')}</title>"
            parts.append(
                f'<rect x="{x + wide * 0.15:.1f}" y="{y(value):.1f}" width="{wide * 0.7:.1f}" '
                f'height="{max(HEIGHT - BOTTOM - y(value), 1):.1f}" '
                f'class="{style}">{title}</rect>'
            )
            if index % every == 0:
                parts.append(f'<text x="{x + wide / 2:.1f}" y="{y(value) - 6:.1f}" text-anchor="middle">{value:.2f}</text>')
        if index % every == 0:
            parts.append(f'<text x="{x + wide / 2:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(label)}</text>')
            parts.append(f'<text x="{x + wide / 2:.1f}" y="{HEIGHT - BOTTOM + 36}" text-anchor="middle" class="soft">{escape(lost)}</text>')
    tallest = None if knee is None else nines[knee]
    if knee is not None and tallest is not None:
        parts.append(
            f'<text x="{LEFT + (knee + 0.5) * wide:.1f}" y="{y(tallest) - 22:.1f}" text-anchor="middle" class="strong">knee</text>'
        )
    parts.append(f'<text x="{LEFT - 52}" y="16" class="soft">nines by {escape(name)}; below: down a year</text>')
    return _svg(HEIGHT, f"nines by {name}", parts)


def heat_map(first: Sequence[str], second: Sequence[str], nines: Sequence[float | None], names: tuple[str, str], knee: int | None) -> str:
    """One cell a level, the darker the more nines; ``nines`` row by row, a row for each of ``first``."""
    known = [value for value in nines if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    tall, wide = 34, (WIDTH - 110) / len(second)
    parts = [f'<text x="0" y="16" class="soft">{escape(names[0])} down, {escape(names[1])} across; nines in each cell</text>']
    for column, label in enumerate(second):
        parts.append(f'<text x="{110 + (column + 0.5) * wide:.1f}" y="{TOP + 12}" text-anchor="middle" class="soft">{escape(label)}</text>')
    for row, label in enumerate(first):
        y = TOP + 20 + row * tall
        parts.append(f'<text x="100" y="{y + 21}" text-anchor="end" class="soft">{escape(label)}</text>')
        for column, across in enumerate(second):
            index = row * len(second) + column
            value = nines[index]
            shade = 0.0 if value is None or high == low else (value - low) / (high - low)
            x = 110 + column * wide
            said = f"{names[0]} {label}, {names[1]} {across}: " + ("nothing to say" if value is None else f"{value:.3f} nines")
            ring = ' stroke-width="2" stroke="currentColor"' if index == knee else ""
            parts.append(
                f'<rect x="{x + 1:.1f}" y="{y}" width="{wide - 2:.1f}" height="{tall - 2}" rx="3" class="leader" '
                f'fill-opacity="{0.08 + 0.45 * shade:.2f}"{ring}><title>{escape(said)}</title></rect>'
            )
            shown = "–" if value is None else f"{value:.2f}"
            parts.append(f'<text x="{x + wide / 2:.1f}" y="{y + 21}" text-anchor="middle">{shown}</text>')
    return _svg(TOP + 30 + len(first) * tall, f"nines by {names[0]} and {names[1]}", parts)


def _scale(known: Sequence[float]) -> tuple[float, float]:
    """A floor a little under the least, on a half."""
    low, high = math.floor(2 * min(known)) / 2, math.ceil(4 * max(known)) / 4
    return (low - 0.5 if min(known) - low < 0.1 else low), max(high, low + 0.5)


def _grid(low: float, high: float, y: object) -> list[str]:
    assert callable(y)
    parts = []
    step = 0.5 if high - low <= 4 else 1.0
    for index in range(math.floor((high - low) / step) + 1):
        value = low + index * step
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end" class="soft">{value:g}</text>')
    return parts


def _svg(height: float, said: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(said)}">{"".join(parts)}</svg>'
