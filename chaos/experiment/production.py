"""``predict``: fault rates of production, parameters of the models, and the parts around the cluster."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from chaos.core import plugins, units
from chaos.core.errors import BadInput
from chaos.core.plugins import suggest
from chaos.core.units import DURATION, PERCENT
from chaos.experiment import parameters
from chaos.experiment.forms import COUNT, Form, known, listed, mapping, number, one_of, parsed, quantity, string
from chaos.experiment.schedules import SPAN
from chaos.experiment.schema import WORDS, Schema, anchored, ref, said
from chaos.experiment.source import Listing, Scalar, Table, Value, text, what_is
from chaos.experiment.tables import Key, Rule, Strict, Written, table

PLANNED: Final = "planned"
"""Among the rates of production: restarts on the clock, which people plan. Never counted among the faults."""
ZONE: Final = "zone"
"""Among the rates of production: a whole zone goes dark."""
CLUSTER: Final = "cluster"
"""The cluster itself, among the parts around it."""
MOST_PER_S: Final = 1.0
_AMOUNT: Final = r"\s*\d+(?:\.\d+)?\s+"
_COUNTED: Final = re.compile(r"\s*([0-9]{1,12})\s+in\s+(\S+)\s+per\s+(node|cluster|zone)\s*")
_RATE: Final = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s+per\s+(\S+)\s+per\s+(node|cluster|zone)\s*")
_SINGLE: Final = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s+per\s+(\S+)\s*")
_A_RATE: Final = string("a rate")
_TIE: Final = "[a, b, c, d, tie], for paths a-b and c-d, and the tie between them"
_EXAMPLE: Final = "needs: [dns, {any: [lb1, lb2]}, cluster]"


# --- rates -------------------------------------------------------------------------------------------------------------


class ProductionRate(Strict, frozen=True):
    """``1 per 45d per node``: a rate that *we chose* to assume for production; never called measured.

    ``3 in 365d per node`` is another thing: faults that somebody counted in production, none at all included.
    """

    kind: str
    per_s: float
    per: str
    """``node``, ``cluster`` or ``zone``."""
    text: str = ""
    counted: int | None = None
    """How many were counted in ``exposure_s``; None for a rate that was chosen. ``per_s`` is then (counted + 1/2) / exposure."""
    exposure_s: float = 0.0


def _rate(kind: str) -> Form[ProductionRate]:
    per, about = ("node|cluster", "`1 per 45d per node`, or `3 in 365d per node` where faults were counted")
    if kind == ZONE:
        per, about = ZONE, "`1 per 365d per zone`"
    pattern = anchored(rf"{_AMOUNT}(?:per|in)\s+{units.pattern(DURATION, 'at least 0')}\s+per\s+(?:{per})\s*")
    form = _A_RATE.then(lambda written_as, value: _production(kind, written_as, value))
    return Form(form.read, said({"type": "string", "pattern": pattern}, about)).shared(f"rate of faults per {per}")


def _production(kind: str, written_as: str, value: Value) -> ProductionRate:
    counted = _COUNTED.fullmatch(written_as)
    found = counted or _RATE.fullmatch(written_as)
    if found is None:
        right = "1 per 45d per node, or 2 per 365d per cluster"
        raise BadInput(f"'{written_as}' is not a rate of faults", place=value.place, right=right)
    how_many, span, per = found.groups()
    if (per == ZONE) != (kind == ZONE):
        right = "1 per 365d per zone" if kind == ZONE else "per node, or per cluster"
        raise BadInput(f"'{written_as}' is no rate of '{kind}'", place=value.place, right=right)
    span_s = parsed(value, DURATION, span)
    if span_s > 0 and float(how_many) / span_s > MOST_PER_S:
        why = f"'{written_as}' is more than one a second: nothing comes back between two of them"
        raise BadInput(why, place=value.place, right="1 per 45d per node; the span is between two faults of production")
    if counted is not None and kind != PLANNED and span_s > 0:
        events = int(how_many)
        return ProductionRate(kind, (events + 0.5) / span_s, per, text=written_as, counted=events, exposure_s=span_s)
    if span_s <= 0 or float(how_many) <= 0:
        raise BadInput(f"'{written_as}' is out of range", place=value.place, right="more than 0 per more than 0s")
    return ProductionRate(kind=kind, per_s=float(how_many) / span_s, per=per, text=written_as)


_PRODUCTION: Final = known("fault", lambda: {kind: _rate(kind) for kind in (*plugins.names("faults"), PLANNED, ZONE)}).then(
    lambda rates, _: tuple(rates.values())
)


# --- around the cluster ------------------------------------------------------------------------------------------------


class AroundPart(Strict, frozen=True):
    """Something that clients need beside the cluster (a name server, a load balancer), and the share of time in which it is down."""

    name: str
    unavailability: float
    text: str = ""
    for_s: float = 0.0
    """How long each of its failures lasts; 0 where only the share of time is known."""


class Needs(Strict, frozen=True):
    """A block diagram. ``how``: ``part`` (the one of this ``name``), ``all``, ``any``, ``of`` (at least ``needed``), ``bridge``."""

    how: str
    name: str = ""
    needed: int = 0
    parts: tuple[Needs, ...] = ()


def _fails(written_as: str, value: Value) -> tuple[float, str]:
    found = _SINGLE.fullmatch(written_as)
    if found is None:
        raise BadInput(f"'{written_as}' is not a rate of failures", place=value.place, right="1 per 90d")
    span_s = parsed(value, DURATION, found[2])
    if span_s <= 0 or float(found[1]) <= 0:
        raise BadInput(f"'{written_as}' is out of range", place=value.place, right="more than 0 per more than 0s")
    return float(found[1]) / span_s, written_as


_EACH: Final = SPAN.then(lambda span_s, value: (span_s, text(value)))
_FAILS: Final[Schema] = {"type": "string", "pattern": anchored(rf"{_AMOUNT}per\s+{units.pattern(DURATION, 'more than 0')}")}


@Written(inline=True)
class Failing(Strict, frozen=True):
    """A part by how often it fails, and for how long each time."""

    fails: Annotated[tuple[float, str], Form(_A_RATE.then(_fails).read, _FAILS), Key(example="fails: 1 per 90d")]
    for_s: Annotated[tuple[float, str], _EACH, Key(example="for: 30s")]

    def part(self) -> AroundPart:
        """The rate is one of *up* time: l d / (1 + l d), whatever the distributions."""
        odds = self.fails[0] * self.for_s[0]
        return AroundPart("", odds / (1.0 + odds), f"{self.fails[1]}, {self.for_s[1]} each", self.for_s[0])


_SHARE: Final = quantity(PERCENT, gt=0, le=1).then(lambda share, value: AroundPart("", 1.0 - share, text(value)))
_PART: Final = one_of(_SHARE, table=table(Failing).then(lambda found, _: found.part()))
"""``99.99%`` of the time, or ``{fails: 1 per 90d, for: 30s}``."""
_INNER: Final[Form[Needs]] = Form(lambda value: _NEEDS.read(value), ref("needs"))  # noqa: PLW0108 - defined below
_PARTS: Final[dict[str, Any]] = {"wanted": "a list of parts", "distinct": True}
_SEVERAL: Final[Form[tuple[Needs, ...]]] = listed(_INNER, example=_EXAMPLE, least=1, few="a list of no parts", **_PARTS)
_BRIDGE: Final[Form[tuple[Needs, ...]]] = listed(
    _INNER, example=_TIE, least=5, most=5, few="a bridge has 5 parts", wanted="a list of parts"
)


def _check_how(entry: Table) -> None:
    how = [key for key in ("all", "any", "of", "bridge") if key in entry.entries]
    if len(how) != 1 or ("among" in entry.entries) != (how == ["of"]):
        right = "{any: [lb1, lb2]}, or {of: 2, among: [a, b, c]}"
        raise BadInput(f"{what_is(entry)} says not what is needed", place=entry.place, right=right)


_ALONE: Final[list[Schema]] = [{"required": [key], "maxProperties": 1} for key in ("all", "any", "bridge")]


@Written(rules=(Rule(_check_how, {"oneOf": [*_ALONE, {"required": ["of", "among"], "maxProperties": 2}]}),), inline=True)
class Needed(Strict, frozen=True):
    """What is needed of several parts: all, any of them, some number of them, or a way across a bridge."""

    all: Annotated[tuple[Needs, ...], _SEVERAL] = ()
    any: Annotated[tuple[Needs, ...], _SEVERAL] = ()
    bridge: Annotated[tuple[Needs, ...], _BRIDGE] = ()
    """Paths a-b and c-d, and the tie between them."""
    of: Annotated[int | None, COUNT] = None
    among: Annotated[tuple[Needs, ...], _SEVERAL] = ()


def _diagram(found: Needed, value: Value) -> Needs:
    if found.of is not None:
        if found.of > len(found.among):
            right = f"1 to {len(found.among)}"
            raise BadInput(f"{found.of} of {len(found.among)} parts cannot be needed", place=value.place, right=right)
        return Needs("of", needed=found.of, parts=found.among)
    how = "any" if found.any else "bridge" if found.bridge else "all"
    return Needs(how, parts=found.any or found.bridge or found.all)


_NEEDS: Final[Form[Needs]] = one_of(
    Form(string("a part").read, WORDS).then(lambda name, _: Needs("part", name)),
    listing=_SEVERAL.then(lambda parts, _: Needs("all", parts=parts)),
    table=table(Needed).then(_diagram),
).shared("needs")


def _around(found: dict[str, Any], entry: Table) -> Around:
    """Every part is needed by something, and nothing else is."""
    parts = tuple(AroundPart(name, part.unavailability, part.text, part.for_s) for name, part in found["parts"].items())
    names = [CLUSTER, *(part.name for part in parts)]
    if CLUSTER in found["parts"]:
        place = entry.entries["parts"].place
        raise BadInput(f"'{CLUSTER}' is the cluster itself, which the models work out", place=place, right="another name")
    value = entry.get("needs")
    if value is None:
        return Around(parts, Needs("all", parts=tuple(Needs("part", name) for name in [*names[1:], CLUSTER])))
    used = {each.text: each for each in _parts_in(value)}
    for name, each in used.items():
        if name not in names:
            raise BadInput(f"unknown part '{name}'", place=each.place, right=suggest(name, names))
    missing = next((name for name in names if name not in used), None)
    if missing is not None:
        raise BadInput(f"nothing needs '{missing}'", place=value.place, right=_EXAMPLE)
    return Around(parts, found["needs"])


def _parts_in(value: Value) -> list[Scalar]:
    """Every part that a diagram names."""
    if isinstance(value, Scalar):
        return [value]
    below = value.items if isinstance(value, Listing) else [each for key, each in value.entries.items() if key != "of"]
    return [part for each in below for part in _parts_in(each)]


@Written(blank=True, inline=True, make=_around)
class Around(Strict, frozen=True):
    """The parts around the cluster, and what of them clients need."""

    parts: Annotated[tuple[AroundPart, ...], mapping(_PART), Key(example="parts: {dns: 99.99%}")]
    needs: Annotated[Needs, _NEEDS, Key(missing=True)]
    """A block diagram; without it all of them"""


# --- all of it ---------------------------------------------------------------------------------------------------------


@Written(blank=True, inline=True)
class PredictSpec(Strict, frozen=True):
    """What the model is told beside what the target declares."""

    production: Annotated[tuple[ProductionRate, ...], _PRODUCTION] = ()
    parameters: Annotated[dict[str, str], parameters.form(templates=False)] = {}
    margin: Annotated[float, number(gt=1)] = 1.5
    """How far true and predicted may be apart and still count as consistent"""
    around: Around | None = None
    calibration: Annotated[str, string("a file")] = ""
    """A file that ``nines calibrate`` wrote, beside the experiment's file: parameters measured in *other* runs."""
