"""Levels compared, shown: as text for a terminal, and as one self-contained page with a drawing. Computes nothing."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tabulate import tabulate

from chaos.core.escaping import html as escape
from chaos.report import format as say
from chaos.report.svg.levels import heat_map, steps
from chaos.report.svg.style import SHEET

if TYPE_CHECKING:
    from chaos.predict.sweep import Axis, Level, Sweep, Way

BAR: Final = 40
REASON: Final = 60
"""A level's reason is cut there; --json has all of it."""


def at(axis: Axis, value: float) -> str:
    """A level as people write it: ``3``, ``150 ms``."""
    return f"{value:g}" if axis.unit == "1" else say.seconds(value)


def place(found: Sweep, level: Level) -> str:
    """All that is varied, at this level."""
    return ", ".join(f"{axis.name} {at(axis, value)}" for axis, value in zip(found.axes, level.at, strict=True))


def minutes(value: float | None) -> str:
    """Downtime a year."""
    return say.DASH if value is None else say.seconds(value * 60)


def _cost(value: float | None) -> str:
    return say.DASH if value is None else f"{value:,.10g}"


# --- in words ----------------------------------------------------------------------------------------------------------


def sentences(found: Sweep) -> list[str]:
    """Where the knee is, and what buys the next nine."""
    told = [_knee(found)]
    if found.now.nines is None:
        return told
    digits = round(-math.log10(found.wanted))
    reaching = [way for way in found.ways if way.reaches]
    nodes = next((way for way in found.ways if "nodes instead" in way.what), None)
    now = f"As it is: {found.now.nines:.2f} nines, {minutes(found.now.minutes_a_year)} a year."
    if not reaching:
        best = f" The most is bought by {found.ways[0].what}: {minutes(found.ways[0].minutes_a_year)}." if found.ways else ""
        return [*told, f"{now} Nothing that was tried buys {digits} nines.{best}"]
    cheapest = reaching[0]
    told.append(f"{now} {digits} nines are bought by {cheapest.what} ({minutes(cheapest.minutes_a_year)} a year{_price(cheapest)}).")
    if nodes is not None and cheapest is not nodes:
        ending = "reaches it as well" if nodes.reaches else f"would leave {minutes(nodes.minutes_a_year)}"
        told.append(f"Another replica is not the cheapest way: {nodes.what} {ending}{_price(nodes)}.")
    return told


def _price(way: Way) -> str:
    return "" if way.cost is None else f", for {_cost(way.cost)} more" if way.cost else ", without another node"


def _knee(found: Sweep) -> str:
    if found.knee is None:
        return "No knee: the last level still pays." if len(found.levels) > 1 else "One level has no knee."
    knee, least = found.levels[found.knee], min(level.minutes_a_year for level in found.levels if level.minutes_a_year is not None)
    return f"The knee is at {place(found, knee)}: {minutes(knee.minutes_a_year)} a year; no level gets below {minutes(least)}."


# --- for a terminal ----------------------------------------------------------------------------------------------------


def text(found: Sweep) -> str:
    """A table, a plot of bars, and what follows from them."""
    parts = [f"At the assumed production rates ({'; '.join(found.rates)}):", _table(found)]
    if len(found.axes) == 1:
        parts.append(_bars(found))
    parts += ["\n".join(textwrap.wrap(sentence, 110)) for sentence in sentences(found)]
    if found.ways:
        rows = [[way.what, minutes(way.minutes_a_year), "yes" if way.reaches else "no", _cost(way.cost)] for way in found.ways]
        heads = [f"to {round(-math.log10(found.wanted))} nines", "down a year", "reaches it", "more cost"]
        parts.append(tabulate(rows, headers=heads, tablefmt="simple", disable_numparse=True))
    return "\n\n".join(parts) + "\n"


def _rows(found: Sweep) -> tuple[list[str], list[list[str]]]:
    costs = any(level.cost is not None for level in found.levels)
    heads = [axis.name for axis in found.axes] + ["nines", "availability", "down a year"] + (["cost"] if costs else []) + [""]
    rows = []
    for index, level in enumerate(found.levels):
        availability = None if level.unavailability is None else 1 - level.unavailability
        row = [at(axis, value) for axis, value in zip(found.axes, level.at, strict=True)]
        row += [say.DASH if level.nines is None else f"{level.nines:.3f}", say.percent(availability), minutes(level.minutes_a_year)]
        row += [_cost(level.cost)] if costs else []
        rows.append([*row, "knee" if index == found.knee else textwrap.shorten(level.reason, REASON)])
    return heads, rows


def _table(found: Sweep) -> str:
    heads, rows = _rows(found)
    return tabulate(rows, headers=heads, tablefmt="simple", disable_numparse=True)


def _bars(found: Sweep) -> str:
    known = [level.nines for level in found.levels if level.nines is not None]
    if not known:
        return "nothing to draw"
    # From a common floor a little under the least: nines from 0 on would all look alike.
    floor = math.floor(2 * min(known) - 1) / 2
    scale = BAR / (max(known) - floor)
    labels = [at(found.axes[0], level.at[0]) for level in found.levels]
    wide = max(map(len, labels))
    lines = [
        f"{label:>{wide}}  {'█' * round(scale * (level.nines - floor)):<{BAR}}  {level.nines:.2f}"
        if level.nines is not None
        else f"{label:>{wide}}  {textwrap.shorten(level.reason, REASON)}"
        for label, level in zip(labels, found.levels, strict=True)
    ]
    return f"nines by {found.axes[0].name} (bars begin at {floor:g})\n" + "\n".join(lines)


# --- as a page ---------------------------------------------------------------------------------------------------------


def page(found: Sweep, title: str) -> str:
    """One self-contained page, without scripts."""
    heads, rows = _rows(found)
    story = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences(found))
    drawing = f"<section><h2>Nines</h2><figure>{picture(found)}</figure></section>"
    ways = [[way.what, minutes(way.minutes_a_year), "yes" if way.reaches else "no", _cost(way.cost)] for way in found.ways]
    more = _html_table("What buys the next nine", ["", "down a year", "reaches it", "more cost"], ways) if ways else ""
    rates = escape("; ".join(found.rates))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: levels – Nines</title><style>{SHEET}</style></head><body><main>"
        f'<header class="top"><span><strong>Nines</strong> · {escape(title)}</span><span>production: {rates}</span></header>'
        f'<div class="verdict" style="--tone: var(--model)"><h1>How much redundancy is enough?</h1><ul class="story">{story}</ul></div>'
        f"{drawing}{_html_table('Levels', heads, rows)}{more}</main></body></html>\n"
    )


def picture(found: Sweep) -> str:
    """The drawing alone: steps over one axis, a map over two."""
    if len(found.axes) == 1:
        axis = found.axes[0]
        labels = [at(axis, level.at[0]) for level in found.levels]
        return steps(
            labels,
            [level.nines for level in found.levels],
            axis.name,
            [minutes(level.minutes_a_year) for level in found.levels],
            found.knee,
        )
    first, second = found.axes
    return heat_map(
        [at(first, value) for value in first.values], [at(second, value) for value in second.values],
        [level.nines for level in found.levels], (first.name, second.name), found.knee,
    )  # fmt: skip


def _html_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<section><h2>{escape(title)}</h2><div class="scroll"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )
