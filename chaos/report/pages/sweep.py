"""Levels compared, shown: as text for a terminal, and as one self-contained page with a drawing. Computes nothing."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Final

from chaos.report import format as say
from chaos.report import table
from chaos.report.page import render
from chaos.report.svg.drawing import Drawing
from chaos.report.svg.levels import heat_map, steps
from chaos.report.table import Columns, Row, Table, make, right

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
    now = f"Today: {found.now.nines:.2f} nines, {minutes(found.now.minutes_a_year)} of downtime per year."
    if not reaching:
        best = f" Closest: {say.parameter(found.ways[0].what)}, {minutes(found.ways[0].minutes_a_year)} per year." if found.ways else ""
        return [*told, f"{now} No change that was tried reaches {digits} nines.{best}"]
    cheapest = reaching[0]
    told.append(
        f"{now} The cheapest way to {digits} nines: {say.parameter(cheapest.what)}. "
        f"Downtime is then {minutes(cheapest.minutes_a_year)} per year{_price(cheapest)}."
    )
    if nodes is not None and cheapest is not nodes:
        ending = "also reach the goal" if nodes.reaches else f"leave {minutes(nodes.minutes_a_year)} per year"
        told.append(f"More replicas are not the cheapest way: {nodes.what} {ending}{_price(nodes)}.")
    return told


def _price(way: Way) -> str:
    return "" if way.cost is None else f", for {_cost(way.cost)} more" if way.cost else ", without another node"


def _knee(found: Sweep) -> str:
    if found.knee is None:
        return "No knee: the last level still pays off." if len(found.levels) > 1 else "One level has no knee."
    knee, least = found.levels[found.knee], min(level.minutes_a_year for level in found.levels if level.minutes_a_year is not None)
    return f"The knee is at {place(found, knee)}: {minutes(knee.minutes_a_year)} of downtime per year; the best level has {minutes(least)}."


# --- for a terminal ----------------------------------------------------------------------------------------------------


def text(found: Sweep) -> str:
    """A table, a plot of bars, and what follows from them."""
    parts = [f"At the assumed production rates ({'; '.join(found.rates)}):", table.text(levels(found))]
    if len(found.axes) == 1:
        parts.append(_bars(found))
    parts += ["\n".join(textwrap.wrap(sentence, 110)) for sentence in sentences(found)]
    parts.append(table.text(ways(found)))
    return "\n\n".join(part for part in parts if part) + "\n"


def levels(found: Sweep) -> Table:
    """Each level: its nines, downtime and cost; the knee is marked."""
    rows: list[Row] = []
    for index, level in enumerate(found.levels):
        availability = None if level.unavailability is None else 1 - level.unavailability
        row = [at(axis, value) for axis, value in zip(found.axes, level.at, strict=True)]
        row += [say.DASH if level.nines is None else f"{level.nines:.3f}", say.percent(availability), minutes(level.minutes_a_year)]
        costs = "" if level.cost is None else _cost(level.cost)
        rows.append([*row, costs, "knee" if index == found.knee else textwrap.shorten(level.reason, REASON)])
    columns: Columns = [
        *(right(axis.name) for axis in found.axes),
        right("nines"),
        right("availability"),
        right("downtime per year"),
        right("cost"),
        "",
    ]
    return make("", columns, rows)


def ways(found: Sweep) -> Table:
    """What buys the next nine, the cheapest first."""
    rows: list[Row] = [
        [say.parameter(way.what), minutes(way.minutes_a_year), "yes" if way.reaches else "no", _cost(way.cost)] for way in found.ways
    ]
    columns: Columns = [f"to {round(-math.log10(found.wanted))} nines", right("downtime per year"), "reached", right("more cost")]
    return make("", columns, rows)


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
    return render(
        "sweep.html.j2", title=title, rates=found.rates, story=sentences(found), picture=picture(found),
        levels=levels(found), ways=ways(found),
    )  # fmt: skip


def picture(found: Sweep) -> Drawing | None:
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
