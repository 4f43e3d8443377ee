"""Levels of redundancy, or of any parameter, compared: nines, downtime and cost at production fault rates. Which is enough, and what next?

An axis is ``nodes=1..9``, ``election_timeout=100ms..1s`` (eight levels, evenly spaced in the logarithm), or a list
``restart=1s,5s,30s``. Every level is worked out by the whole prediction (delay blocks, clients, overlapping crashes), with the same
draws. A parameter that is a range keeps the ratio of its ends: its low end is what is swept.

The *knee* is the cheapest level (fewest nodes; else the first) whose downtime is at most twice the least of the sweep: beyond it
whatever is spent buys less than a factor of two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from chaos.core import units
from chaos.core.errors import BadInput
from chaos.experiment import parameters
from chaos.plan.plan import Plan
from chaos.predict import surroundings as around
from chaos.predict.facts import RunFacts
from chaos.predict.improving import TOGETHER, changes, price, unsafe
from chaos.predict.markov.chain import MOST_NODES
from chaos.predict.production import YEAR_S, judge_at
from chaos.predict.scenarios.delays import Uniform
from chaos.predict.system import System, system

LEVELS: Final = 8
MOST_LEVELS: Final = 400
KNEE: Final = 2.0
HALVINGS: Final = 6
"""A parameter is shrunk to 1/64 at most in the search for the next nine."""
NODES: Final = "nodes"
FRONT: Final = {"dns.ttl": "ttl_s", "dns.every": "check_every_s", "dns.timeout": "check_timeout_s", "dns.fall": "fall", "dns.rise": "rise"}
CLIENT: Final = {"client.timeout": "timeout_s", "client.deadline": "deadline_s", "client.attempts": "attempts"}
WHOLE: Final = (NODES, "dns.fall", "dns.rise", "client.attempts", "crews", "misses")


class Axis(msgspec.Struct, frozen=True):
    """One thing that is varied: values in ``unit`` (``s`` or ``1``)."""

    name: str
    values: tuple[float, ...]
    unit: str


class Level(msgspec.Struct, frozen=True):
    """One point: its place on each axis, and what it gives; ``reason`` where it gives nothing."""

    at: tuple[float, ...]
    nodes: int
    unavailability: float | None
    nines: float | None
    minutes_a_year: float | None
    cost: float | None
    reason: str = ""


class Way(msgspec.Struct, frozen=True):
    """One way to the next nine: what is changed, by how much, what it gives, and what it costs in nodes."""

    what: str
    minutes_a_year: float
    reaches: bool
    cost: float | None


class Sweep(msgspec.Struct, frozen=True):
    """All levels in the order of the axes (the last one fastest)."""

    axes: tuple[Axis, ...]
    levels: tuple[Level, ...]
    knee: int | None
    """Index of the level from which more buys little; None if the last one still pays."""
    now: Level
    """The experiment as it is."""
    wanted: float
    """The unavailability of the next nine."""
    ways: tuple[Way, ...]
    rates: tuple[str, ...] = ()


def axis(text: str) -> Axis:
    """From the command line; ``BadInput`` for what is not one."""
    name, equals, values = text.partition("=")
    name = name.strip().removesuffix("_s")
    if not equals or not values.strip():
        raise BadInput(f"'{text}' is no sweep", right="nodes=1..9, election_timeout=100ms..1s or restart=1s,5s,30s")
    unit = "1" if name in WHOLE or (name in parameters.KNOWN and parameters.KNOWN[name].unit == "1") else "s"
    known = (NODES, *FRONT, *CLIENT, *(key for key, each in parameters.KNOWN.items() if not each.words))
    if name in parameters.KNOWN and parameters.KNOWN[name].words:
        raise BadInput(f"'{name}' is a choice and cannot be swept", right="predict: {parameters: ...} in two files")
    if name not in known:
        from chaos.core import plugins as tables

        raise BadInput(f"'{name}' is nothing that can be swept", right=tables.suggest(name, list(known)))
    ends = re.split(r"\.\.", values)
    if name in parameters.KNOWN:
        for each in ends if len(ends) == 2 else values.split(","):
            parameters.read(name, each.strip())  # what a file may not say, no level may be
    if len(ends) == 2:
        low, high = (_value(end, unit) for end in ends)
        found = _between(low, high, name in WHOLE, text)
    else:
        found = tuple(_value(each, unit) for each in values.split(","))
    _checked(name, found)
    return Axis(name, found, unit)


def _between(low: float, high: float, whole: bool, text: str) -> tuple[float, ...]:
    if not low < high:
        raise BadInput(f"'{text}' does not rise", right="from low to high")
    if whole:
        return tuple(float(value) for value in range(round(low), round(high) + 1))
    if low <= 0:
        raise BadInput(f"'{text}' begins at {low:g}", right="above 0: levels are evenly spaced in the logarithm; or a list of values")
    return tuple(float(value) for value in np.geomspace(low, high, LEVELS))


def _value(text: str, unit: str) -> float:
    try:
        value = units.duration_s(text) if unit == "s" else units.ratio(text) if text.strip().endswith("%") else float(text)
    except units.WrongUnit as error:
        raise BadInput(str(error)) from None
    except ValueError:
        raise BadInput(f"'{text}' is not a number", right="a number without a unit") from None
    if not (value >= 0 and math.isfinite(value)):
        raise BadInput(f"'{text}' is out of range", right="0 or more, and finite")
    return value


def _checked(name: str, values: Sequence[float]) -> None:
    if name in WHOLE and any(value < 1 or value != round(value) for value in values):
        raise BadInput(f"{name} is a whole number, 1 or more")
    if name == NODES and max(values) > MOST_NODES:
        raise BadInput(f"a cluster of {max(values):g} nodes", right=f"at most {MOST_NODES}")
    if len(set(values)) != len(values):
        raise BadInput(f"{name}: a level is named twice")


def sweep(plan: Plan, facts: RunFacts, axes: Sequence[Axis], cost_per_node: float | None = None) -> Sweep:
    """One or two axes; ``facts`` say how long faults last (``facts_from_plan``)."""
    _allowed(facts, axes, cost_per_node)
    known = system(plan)
    _fitting(known, axes)
    places: list[tuple[float, ...]] = [()]
    for each in axes:
        places = [(*place, value) for place in places for value in each.values]
    levels = tuple(_level(plan, facts, _moved(known, axes, place), place, cost_per_node) for place in places)
    now = _level(plan, facts, known, (), cost_per_node)
    wanted = 10.0 ** -(math.floor((now.nines or 0.0) + 1e-9) + 1)
    return Sweep(
        axes=tuple(axes),
        levels=levels,
        knee=_knee(levels),
        now=now,
        wanted=wanted,
        ways=_ways(plan, facts, known, now, wanted, cost_per_node),
        rates=tuple(f"{rate.kind}: {rate.text}" for rate in plan.experiment.predict.production),
    )


def _allowed(facts: RunFacts, axes: Sequence[Axis], cost_per_node: float | None) -> None:
    names = [each.name for each in axes]
    if not 1 <= len(axes) <= 2 or len(set(names)) != len(names):
        raise BadInput("a sweep is over one or two different things")
    if math.prod(len(each.values) for each in axes) > MOST_LEVELS:
        raise BadInput("a sweep has too many levels", right=f"at most {MOST_LEVELS}")
    if NODES in names and any(each.role == "groups" for each in facts.classes):
        raise BadInput(
            "the experiment keeps named groups of nodes apart: their sizes do not follow the number of nodes", right="leave that fault out"
        )
    if cost_per_node is not None and not (cost_per_node >= 0 and math.isfinite(cost_per_node)):
        raise BadInput(f"a cost of {cost_per_node} per node", right="0 or more, and finite")


def _fitting(known: System, axes: Sequence[Axis]) -> None:
    """Raises for a level that an experiment could not be, and for a parameter whose companion is not there."""
    levels = {each.name: each.values for each in axes}
    timeouts = levels.get("client.timeout", (known.client.timeout_s,))
    deadlines = levels.get("client.deadline", (known.client.deadline_s,))
    if min(timeouts) <= 0:
        raise BadInput("client.timeout: a time-out of 0s ends before it begins", right="more than 0s")
    if max(timeouts) > min(deadlines):
        what = f"an attempt may take {max(timeouts):g}s, and the whole slot only {min(deadlines):g}s"
        raise BadInput(f"client: {what}", right="time-outs that are at most as long as the deadline")
    if any(value != int(value) for value in levels.get("dns.ttl", ())):
        raise BadInput("dns.ttl: DNS counts whole seconds", right="a list such as dns.ttl=1s,5s,30s")
    if min(levels.get("coverage", (1.0,))) < 1 and "reset_s" not in known.given:
        what = "a coverage below 100% needs to know how long the cluster is down after a crash that is not covered"
        raise BadInput(what, right="predict: {parameters: {reset: 5m}}")


def _moved(known: System, axes: Sequence[Axis], place: Sequence[float]) -> System:
    for each, value in zip(axes, place, strict=True):
        known = changed(known, each.name, value)
    return known


def changed(known: System, name: str, value: float) -> System:
    """The same system with one thing set to a value."""
    if name == NODES:
        return msgspec.structs.replace(known, nodes=round(value))
    if name in FRONT:
        return msgspec.structs.replace(known, front=msgspec.structs.replace(known.front, **{FRONT[name]: _typed(name, value)}))
    if name in CLIENT:
        return msgspec.structs.replace(known, client=msgspec.structs.replace(known.client, **{CLIENT[name]: _typed(name, value)}))
    key = f"{name}_s" if parameters.KNOWN[name].unit == "s" else name
    old = known.given.get(key)
    ratio = old.high_s / old.low_s if old is not None and old.low_s > 0 else 1.0
    return msgspec.structs.replace(known, given={**known.given, key: Uniform(value, value * ratio)})


def _typed(name: str, value: float) -> float | int:
    return round(value) if name in WHOLE else value


def _level(plan: Plan, facts: RunFacts, known: System, place: tuple[float, ...], cost_per_node: float | None) -> Level:
    cost = None if cost_per_node is None else cost_per_node * known.nodes
    judge = judge_at(plan, known, facts)
    try:
        lost = judge.unavailability(known, plan, 1.0)
    except BadInput as error:
        return Level(place, known.nodes, None, None, None, cost, error.message)
    if lost <= 0:
        return Level(place, known.nodes, 0.0, None, 0.0, cost, "clients would not notice any of these faults")
    return Level(place, known.nodes, lost, -math.log10(lost), lost * YEAR_S / 60, cost)


def _knee(levels: Sequence[Level]) -> int | None:
    known = [(level.nodes, index, level.unavailability) for index, level in enumerate(levels) if level.unavailability is not None]
    if len(known) < 2:
        return None
    least = min(lost for _, _, lost in known)
    _, index, _ = min(each for each in known if each[2] <= KNEE * least)
    return None if index == known[-1][1] else index


# --- the next nine -----------------------------------------------------------------------------------------------------


def _ways(plan: Plan, facts: RunFacts, known: System, now: Level, wanted: float, cost_per_node: float | None) -> tuple[Way, ...]:
    """Two more replicas (the next odd number), and each parameter halved as often as the next nine takes; the cheapest first."""
    if now.unavailability is None or now.unavailability <= 0:
        return ()

    def lost_with(other: System) -> float | None:
        try:
            return judge_at(plan, other, facts).unavailability(other, plan, 1.0)
        except BadInput:
            return None

    ways = []
    more = known.nodes + (2 if known.nodes % 2 else 1)
    named = any(each.role == "groups" for each in facts.classes)
    lost = None if named else lost_with(changed(known, NODES, more))
    if lost is not None:
        cost = None if cost_per_node is None else cost_per_node * (more - known.nodes)
        ways.append(Way(f"{more} nodes instead of {known.nodes}", lost * YEAR_S / 60, lost <= wanted, cost))
    ways += _doubled(plan, facts, known, now.unavailability, wanted, cost_per_node)
    for name, change in _shrinking(known).items():
        found = _halved(lost_with, known, change, wanted)
        if found is not None and found[1] < 0.95 * now.unavailability:
            factor, lost = found
            paid = price(_price_of(name), known, change(1 / factor))
            what = f"{name} at 1/{factor} of what it is" + (f" (its price: {paid})" if paid else "")
            ways.append(Way(what, lost * YEAR_S / 60, lost <= wanted, None if cost_per_node is None else 0.0))
    return tuple(sorted(ways, key=lambda way: (not way.reaches, way.cost or 0.0, way.minutes_a_year)))


def _doubled(plan: Plan, facts: RunFacts, known: System, now: float, wanted: float, cost_per_node: float | None) -> list[Way]:
    """A second one of each part around the cluster, where that helps; taken to cost as much as a node."""
    spec = plan.experiment.predict
    ways = []
    for part in spec.around.parts if spec.around is not None else ():
        predict = msgspec.structs.replace(spec, around=around.doubled(spec.around, part.name)) if spec.around is not None else spec
        other = msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, predict=predict))
        try:
            lost = judge_at(other, known, facts).unavailability(known, other, 1.0)
        except BadInput:
            continue
        if lost < 0.95 * now:
            ways.append(Way(f"a second {part.name} beside the first", lost * YEAR_S / 60, lost <= wanted, cost_per_node))
    return ways


def _price_of(name: str) -> str:
    """The same thing as ``improving`` names it."""
    return name if name == TOGETHER else f"dns.{FRONT[name]}" if name in FRONT else f"{name}_s"


def _shrinking(known: System) -> dict[str, Callable[[float], System]]:
    """Name -> the system with that times a factor: single parameters, and beats and time-outs together."""

    def single(name: str, value: float) -> Callable[[float], System]:
        return lambda factor: changed(known, name, value * factor)

    found = {name: single(name, value) for name, value in _shrinkable(known).items()}
    both = changes(known).get(TOGETHER)
    return found if both is None or not unsafe(known, found["election_timeout"](1 / 2)) else {**found, TOGETHER: both}


def _shrinkable(known: System) -> dict[str, float]:
    found = {
        name: known.given[f"{name}_s"].low_s
        for name in ("election_timeout", "heartbeat", "timeout", "round_trip", "restart", "resync")
        if f"{name}_s" in known.given and known.given[f"{name}_s"].low_s > 0
    }
    if known.front.health_checked:
        found |= {name: getattr(known.front, FRONT[name]) for name in ("dns.ttl", "dns.every", "dns.timeout")}
    return {name: value for name, value in found.items() if value > 0}


def _halved(
    lost_with: Callable[[System], float | None], known: System, change: Callable[[float], System], wanted: float
) -> tuple[int, float] | None:
    """The least power of two by which it must be divided to reach what is wanted; where none does, what one halving gives.

    Nothing that is not advised (``improving``) is offered.
    """
    first = None if unsafe(known, change(1 / 2)) else lost_with(change(1 / 2))
    if first is None or first <= wanted:
        return None if first is None else (2, first)
    best = None
    for power in range(2, HALVINGS + 1):
        other = change(1 / 2**power)
        lost = None if unsafe(known, other) else lost_with(other)
        if lost is None or (power == 2 and lost > 0.9 * first):
            break
        if lost <= wanted:
            best = (2**power, lost)
            break
    return best or (2, first)
