"""A simulated fleet, shown as text for a terminal. Computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chaos.report import format as say
from chaos.report.table import Cell, Columns, Row, make, right, text

if TYPE_CHECKING:
    from chaos.predict.fleet.estimates import Estimated, ServiceSimulated, Simulated
    from chaos.report.format import Show

CAUSES: Final = {
    "crash": "crashes", "common_cause": "common causes",
    "zone": "zone outages", "region": "region outages", "maintenance": "planned restarts",
}  # fmt: skip


def render(found: Simulated) -> str:
    """All tables, with what they rest on."""
    head = (
        f"{found.fleet}: {say.count(found.nodes, 'node')} in {say.count(found.zones, 'zone')} and {say.count(found.regions, 'region')}, "
        f"simulated {found.replications:,} times over {found.years:g} {'year' if found.years == 1 else 'years'} "
        f"(seed {found.seed}; {found.changes:,} state changes).\n"
        f"Nothing here is measured: rates and lengths are those of the file. Intervals are 95%, over {found.replications:,} replications."
    )
    columns: Columns = [
        "service", right("groups"), right("availability"), right("downtime a year"), right("outages a year"), right("mean outage"),
        right("longest"), *([right("SLO met")] if any(each.slo_met for each in found.services.values()) else []),
    ]  # fmt: skip
    parts = [head, text(make("One group of each service, as clients see it", columns, [_row(*each) for each in found.services.items()]))]
    rows: list[Row] = [
        [name, CAUSES[cause.cause], f"{cause.outages:,}", _cell(cause.downtime_s_per_year, say.seconds)]
        for name, service in found.services.items()
        for cause in service.causes
    ]
    if rows:
        heads: Columns = ["service", "cause", right("outages simulated"), right("downtime a year and group")]
        parts.append(text(make("What began the outages", heads, rows)))
    levels: list[Row] = [[f"{each.groups:,} or more", _cell(each.s_per_year, say.seconds)] for each in found.levels]
    parts.append(text(make("Groups down at the same time, what retries hide included", ["groups down", right("time a year")], levels)))
    parts.append("\n".join([f"At most {say.count(found.most_down, 'group')} down at once. {_events(found)}", *_exact(found)]))
    return "\n\n".join(parts) + "\n"


def _row(name: str, each: ServiceSimulated) -> list[Cell | str]:
    up = each.unavailability
    if up.value is None:
        available = Cell(say.DASH, up.reason)
    else:
        available = Cell(say.percent(1 - up.value), say.span(1 - (up.high or 0.0), 1 - (up.low or 0.0), say.percent))
    met = [] if each.slo_met is None else [_cell(each.slo_met, say.percent)]
    return [
        name, f"{each.groups:,}", available, _cell(each.downtime_s_per_year, say.seconds), _cell(each.outages_per_year, say.number),
        _cell(each.mean_outage_s, say.seconds), say.seconds(each.longest_s), *met,
    ]  # fmt: skip


def _cell(value: Estimated, show: Show) -> Cell:
    below = [say.span(value.low, value.high, show), value.reason]
    return Cell(say.DASH if value.value is None else show(value.value), ", ".join(each for each in below if each))


def _events(found: Simulated) -> str:
    named = {
        "crash": "nodes crashed", "common_cause": "nodes struck by a common cause",
        "zone": "outages of zones", "region": "outages of regions",
        "maintenance": "planned restarts", "planned_left_out": "planned restarts left out", "switches": "switches between regions",
    }  # fmt: skip
    told = [f"{found.events[name]:,} {words}" for name, words in named.items() if found.events[name]]
    return f"In all: {', '.join(told)}." if told else "Nothing befell it."


def _exact(found: Simulated) -> list[str]:
    lines = []
    for name, each in found.services.items():
        by, sim = each.exact, each.unavailability
        if by.unavailability is None:
            lines.append(f"Exact chain of {name}: none; {by.why_not}.")
        elif sim.value is None:
            lines.append(f"Exact chain of {name}: unavailability {by.unavailability:.3g}.")
        else:
            inside = "inside" if (sim.low or 0.0) <= by.unavailability <= (sim.high or 0.0) else "OUTSIDE"
            lines.append(
                f"Exact chain of {name}: unavailability {by.unavailability:.4g}, {inside} the simulated interval "
                f"{sim.low:.4g} to {sim.high:.4g}."
            )
    return lines
