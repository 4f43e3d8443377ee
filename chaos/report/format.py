"""How figures and verdicts are said to people: one place, so that no two reports word the same thing differently.

Nothing here measures, predicts or judges. Values come from the ``Report`` as they are; all that happens to them is rounding
and a change of unit (seconds a year to minutes a month). No data is a dash, with its reason where there is room.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from chaos.core import units
from chaos.core.units import digits, show_s
from chaos.experiment.objectives import MEASURES
from chaos.results import reasons
from chaos.results.observed import ClassObserved, Estimate, Maintainability, Observed, Outage, Rule
from chaos.results.predicted import ParameterUsed, Range
from chaos.results.report import NodeSeen, Report
from chaos.results.verdict import Extrapolated

DASH: Final = "–"
TOO_FEW: Final = "too few"
"""How the reason of an estimate begins that rests on less than it needs."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(?<!-)")
"""A node's name in a link or a group; the dash of an arrow is none of it."""

_A_NAME: Final = re.compile(r"\S*[0-9_]")
_UNIT: Final = re.compile(r"\b([a-z]+(?:_[a-z]+)*?)_(?:bytes_per_s|per_s|bytes|s)\b")

LEAST_CHANCE: Final = 1e-4
"""A p-value below this is said to be under it: its digits are not those of any decision."""

Show = Callable[[float | None], str]


def seconds(value: float | None) -> str:
    """``1.84 s``, ``250 ms``; a dash for no data."""
    return DASH if value is None else show_s(value)


def clock(value: float | None) -> str:
    """A moment of the run, ``12.34``, in seconds since its start."""
    return DASH if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    """A share: ``92.1 %``, ``99.982 %``; a dash for no data."""
    return DASH if value is None else units.show_share(value)


def rough(value: float | None) -> str:
    """A share in two digits, for a first screen: ``0.092 %``, ``120 %``, ``under 0.01 %``."""
    if value is None:
        return DASH
    per_cent = float(f"{value * 100:.2g}")
    return "under 0.01 %" if 0 < per_cent < 0.01 else f"{per_cent:g} %"


def chance_percent(value: float | None) -> str:
    """A probability in whole per cent: ``87 %``, ``over 99 %``; a dash for no data."""
    return DASH if value is None else units.show_chance(value)


def number(value: float | None) -> str:
    """A bare figure, three significant digits."""
    return DASH if value is None else digits(value)


def chance(value: float | None) -> str:
    """A p-value for a column: ``0.0123``, ``< 0.0001``; a computed 0 is none."""
    return f"< {LEAST_CHANCE:.4f}" if value is not None and value < LEAST_CHANCE else number(value)


def is_chance(value: float | None) -> str:
    """The same in a sentence: ``p = 0.0123``, ``p < 0.0001``."""
    said = chance(value)
    return f"p {said}" if said.startswith("<") else f"p = {said}"


def count(things: int, singular: str, plural: str = "") -> str:
    """``1 fault``, ``8 faults``."""
    return f"{things} {singular if things == 1 else plural or singular + 's'}"


def span(low: float | None, high: float | None, show: Show) -> str:
    """``0.6 s to 0.9 s``; an open end is said in words; empty without both ends."""
    if low is None and high is None:
        return ""
    if high is None:
        return f"at least {show(low)}" if low else "no upper bound"  # nothing is below 0
    if low is None:
        return "no lower bound" if show is percent and high >= 1.0 else f"at most {show(high)}"
    if low == high:
        return ""
    return f"{show(low)} to {show(high)}"


def estimate(value: Estimate, show: Show) -> str:
    """``742 ms (601 ms to 912 ms)``, or a dash with the reason; ``too few`` where the figure rests on less than it needs."""
    if value.value is None:
        return f"{DASH} ({value.reason})" if value.reason else DASH
    around = sure(value, show)
    return f"{show(value.value)} ({around})" if around else show(value.value)


def sure(value: Estimate, show: Show) -> str:
    """How sure a figure is: ``601 ms to 912 ms, too few``; empty where there is nothing to say."""
    return ", ".join(part for part in (span(value.low, value.high, show), TOO_FEW if TOO_FEW in value.reason else "") if part)


def noticed(row: ClassObserved) -> str:
    """How many faults of a class clients noticed, and how many are left out: ``7``, ``6, 1 left out``, or a dash."""
    if row.noticed is None:
        return DASH
    return f"{row.noticed}, {row.untold} left out" if row.untold else str(row.noticed)


def expected(value: Range | None, show: Show) -> str:
    """The same for a predicted figure; empty where there is no prediction at all."""
    if value is None:
        return ""
    if value.value is None:
        return f"{DASH} ({value.reason})" if value.reason else DASH
    around = span(value.low, value.high, show)
    return f"{show(value.value)} ({around})" if around else show(value.value)


def measure(name: str) -> Show:
    """How the value of an objective is shown, by the measure that its name begins with."""
    word = name.split(maxsplit=1)[0] if name.strip() else ""
    if word in ("availability", "success_ratio", "slo_ratio"):
        return percent
    return seconds if MEASURES.get(word) == units.DURATION else number


def figure(value: float | str | None, name: str) -> str:
    """An achieved value; its name carries the unit (``rtt_s``)."""
    return DASH if value is None else units.show(name, value)[1]


def figures(values: dict[str, float | str | None]) -> str:
    """``rtt 41 ms, answers no`` from the measured figures of a fault."""
    return ", ".join(f"{units.show(name, 0.0 if value is None else value)[0]} {figure(value, name)}" for name, value in values.items())


def windows(seen: Observed) -> tuple[str, str]:
    """The name and the figures of a line with the worst windows: ``worst 1 s / 10 s``, ``0 % / 81.2 %``; empty without any."""
    names = " / ".join(seconds(each.window_s) for each in seen.windows)
    return f"success ratio, worst {names} window" if names else "", " / ".join(percent(each.ratio) for each in seen.windows)


def phase(name: str) -> str:
    """A phase of an outage; the name service stands in capitals."""
    return "DNS" if name == "dns" else name


def parameter(text: str) -> str:
    """A parameter, or a sentence with parameters in it, in the words of the experiment file: ``election_timeout``, without its unit."""
    return _UNIT.sub(r"\1", text)


def origin(used: ParameterUsed) -> str:
    """Who claims a parameter; of a measured one also how sure its mean is: ``calibration (8 faults, mean known to 51 ms)``."""
    if not used.error:
        return used.origin
    return f"{used.origin} ({count(used.n, 'fault')}, mean known to {seconds(used.error) if used.unit == 's' else number(used.error)})"


def extrapolated(found: Extrapolated) -> str:
    """The sentence above the table of what the measured outages mean in production."""
    if not found.parts:
        return found.reason
    chosen = any(part.rate_basis == "chosen" for part in found.parts)
    whose = "assumed" if chosen else "counted"
    yearly = estimate(found.downtime_s_per_year, seconds)
    return f"Measured outages at {whose} fault rates: availability {estimate(found.availability, percent)}, {yearly} of downtime per year"


def length(outage: Outage) -> str:
    """How long an outage was; for one whose start or end was not seen, what is known."""
    if outage.duration_s is not None:
        return seconds(outage.duration_s)
    at_least = f"at least {seconds(outage.low_s)}"
    return f"{at_least} ({'start and end' if outage.censored == 'both' else outage.censored} not seen)"


BAD_SHOWN: Final = 12


def bad_rows(report: Report) -> list[tuple[str, ...]]:
    """Why most requests failed, the primary service first: service, when, how many, what they met, at which nodes."""
    ordered = sorted(report.bad_requests, key=lambda row: (row.service != report.judged, row.service, row.when != "baseline", -row.count))
    rows: list[tuple[str, ...]] = [
        (row.service, "baseline" if row.when == "baseline" else "run", str(row.count), reasons.said(row), reasons.nodes(row))
        for row in ordered[:BAD_SHOWN]
    ]
    rest = ordered[BAD_SHOWN:]
    if rest:
        rows.append(("", "", str(sum(row.count for row in rest)), f"{count(len(rest), 'further row')} in report.json", ""))
    return rows


def way_out(report: Report) -> str:
    """What to do about bad requests whose reason says so; empty otherwise."""
    told = reasons.way_out(report.bad_requests)
    return begun(told) + "." if told else ""


def rule(value: Rule) -> str:
    """The outage rule in words."""
    merge = f", gaps under {seconds(value.merge_s)} joined" if value.merge_s else ""
    failed = "1 failed request" if value.open == 1 else f"{value.open} failed requests in a row"
    return f"{failed} or more ({seconds(value.slot_s)} apart), until {value.close} succeed in a row{merge}"


def maintained(value: Maintainability) -> str:
    """The distribution of repairs: ``median 742 ms, 95 % within 1.2 s; M(2 s) = 100 % (67 % to 100 %)``."""
    parts = [f"median {seconds(value.median_s)}", f"95 % within {seconds(value.p95_s)}"]
    if value.objective_s is not None:
        parts.append(f"M({seconds(value.objective_s)}) = {estimate(value.within, percent)}")
    return ", ".join(parts)


def containers(nodes: Sequence[NodeSeen]) -> dict[str, str]:
    """Which container each node is, where the containers were there before the run."""
    return {node.name: node.container for node in nodes if node.container}


def victims(target: Sequence[str], named: Mapping[str, str]) -> str:
    """Nodes, links and groups, each node with its container: ``n1 (shop-web-1)``, ``clients -> n2 (shop-web-2)``."""
    if not named:
        return ", ".join(target)
    return ", ".join(_NAME.sub(lambda found: _with_container(found[0], named), each) for each in target)


def _with_container(node: str, named: Mapping[str, str]) -> str:
    return f"{node} ({named[node]})" if node in named else node


def begun(text: str) -> str:
    """With a capital letter, as a sentence begins; a name in front (``n2``, ``kill-leader.1``) stays as it is."""
    return text if _A_NAME.match(text) else text[:1].upper() + text[1:]


def joined(words: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
