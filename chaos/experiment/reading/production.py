"""``predict:`` of an experiment's YAML: fault rates of production, parameters of the models, and the parts around the cluster."""

from __future__ import annotations

import re
from typing import Final

from chaos.core import plugins as tables
from chaos.core.errors import BadInput
from chaos.core.units import DURATION, PARSE, PERCENT, WrongUnit
from chaos.experiment import parameters
from chaos.experiment.decode import integer, number, quantity
from chaos.experiment.source import Listing, Table, Value, suggest, table, text, what_is
from chaos.experiment.spec import CLUSTER, PLANNED, ZONE, Around, AroundPart, Needs, PredictSpec, ProductionRate
from chaos.experiment.target.load import model_text

_COUNTED: Final = re.compile(r"\s*([0-9]{1,12})\s+in\s+(\S+)\s+per\s+(node|cluster|zone)\s*")
_RATE: Final = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s+per\s+(\S+)\s+per\s+(node|cluster|zone)\s*")
_SINGLE: Final = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s+per\s+(\S+)\s*")
MOST_PER_S: Final = 1.0
_NEEDS: Final = ("all", "any", "of", "bridge")
_BRIDGE: Final = 5
_EXAMPLE: Final = "needs: [dns, {any: [lb1, lb2]}, cluster]"


def predict(entry: Table) -> PredictSpec:
    """All of it; ``BadInput`` at the first thing that is wrong."""
    entry.only(("production", "parameters", "margin", "calibration", "around"))
    margin = number(value) if (value := entry.get("margin")) else 1.5
    if margin <= 1:
        raise BadInput(f"{what_is(entry.entries['margin'])} is out of range", place=entry.entries["margin"].place, right="more than 1")
    return PredictSpec(
        production=tuple(_production(kind, value) for kind, value in _entries(entry, "production")),
        parameters=dict(_parameter(name, value) for name, value in _entries(entry, "parameters")),
        margin=margin,
        calibration=text(value, "a file") if (value := entry.get("calibration")) else "",
        around=_around(table(value)) if (value := entry.get("around")) else None,
    )


def _entries(root: Table, key: str) -> list[tuple[str, Value]]:
    value = root.get(key)
    return [] if value is None else list(table(value).entries.items())


# --- rates -------------------------------------------------------------------------------------------------------------


def _production(kind: str, value: Value) -> ProductionRate:
    known = [*tables.names("faults"), ZONE, PLANNED]
    if kind not in known:
        raise BadInput(f"unknown fault '{kind}'", place=value.place, right=suggest(kind, known))
    written = text(value, "a rate")
    counted = _COUNTED.fullmatch(written)
    found = counted or _RATE.fullmatch(written)
    if found is None:
        raise BadInput(f"'{written}' is not a rate of faults", place=value.place, right="1 per 45d per node, or 2 per 365d per cluster")
    how_many, span, per = found.groups()
    if (per == ZONE) != (kind == ZONE):
        right = "1 per 365d per zone" if kind == ZONE else "per node, or per cluster"
        raise BadInput(f"'{written}' is no rate of '{kind}'", place=value.place, right=right)
    span_s = _span_s(span, value)
    if span_s > 0 and float(how_many) / span_s > MOST_PER_S:
        why = f"'{written}' is more than one a second: nothing comes back between two of them"
        raise BadInput(why, place=value.place, right="1 per 45d per node; the span is between two faults of production")
    if counted is not None and kind != PLANNED and span_s > 0:
        events = int(how_many)
        return ProductionRate(kind, (events + 0.5) / span_s, per, text=written, counted=events, exposure_s=span_s)
    if span_s <= 0 or float(how_many) <= 0:
        raise BadInput(f"'{written}' is out of range", place=value.place, right="more than 0 per more than 0s")
    return ProductionRate(kind=kind, per_s=float(how_many) / span_s, per=per, text=written)


def _span_s(span: str, value: Value) -> float:
    try:
        return PARSE[DURATION](span)
    except WrongUnit as error:
        raise BadInput(str(error), place=value.place) from None


def _parameter(name: str, value: Value) -> tuple[str, str]:
    if name not in parameters.KNOWN:
        raise BadInput(f"unknown parameter '{name}'", place=value.place, right=suggest(name, parameters.KNOWN))
    written = model_text(value)
    try:
        parameters.read(name, written)
    except BadInput as refusal:
        raise BadInput(refusal.message, place=value.place, right=refusal.right) from None
    return name, written


# --- around the cluster ------------------------------------------------------------------------------------------------


def _around(entry: Table) -> Around:
    entry.only(("parts", "needs"))
    parts = tuple(_part(name, value) for name, value in table(entry.need("parts", "parts: {dns: 99.99%}")).entries.items())
    names = [part.name for part in parts]
    value = entry.get("needs")
    needs = Needs("all", parts=tuple(Needs("part", name) for name in [*names, CLUSTER])) if value is None else _needs(value, names)
    used = _names(needs)
    missing = next((name for name in [CLUSTER, *names] if name not in used), None)
    if missing is not None:
        place = entry.place if value is None else value.place
        raise BadInput(f"nothing needs '{missing}'", place=place, right=_EXAMPLE)
    return Around(parts, needs)


def _part(name: str, value: Value) -> AroundPart:
    """``99.99%`` of the time, or ``{fails: 1 per 90d, for: 30s}``."""
    if name == CLUSTER:
        raise BadInput(f"'{CLUSTER}' is the cluster itself, which the models work out", place=value.place, right="another name")
    if not isinstance(value, Table):
        share = quantity(value, PERCENT)
        if not 0 < share <= 1:
            raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="above 0% to 100%")
        return AroundPart(name, 1.0 - share, text(value))
    value.only(("fails", "for"))
    fails = value.need("fails", "fails: 1 per 90d")
    written = text(fails, "a rate")
    found = _SINGLE.fullmatch(written)
    if found is None:
        raise BadInput(f"'{written}' is not a rate of failures", place=fails.place, right="1 per 90d")
    span_s = _span_s(found[2], fails)
    down_s = quantity(value.need("for", "for: 30s"), DURATION)
    if span_s <= 0 or float(found[1]) <= 0 or down_s <= 0:
        raise BadInput(f"'{written}' is out of range", place=fails.place, right="more than 0 per more than 0s, for more than 0s")
    # A rate of *up* time: l d / (1 + l d), whatever the distributions.
    odds = float(found[1]) / span_s * down_s
    return AroundPart(name, odds / (1.0 + odds), f"{written}, {text(value.entries['for'])} each", down_s)


def _needs(value: Value, names: list[str]) -> Needs:
    """One entry of the diagram."""
    if isinstance(value, Listing):
        return Needs("all", parts=_several(value, names))
    if not isinstance(value, Table):
        name = text(value, "a part")
        if name not in (CLUSTER, *names):
            raise BadInput(f"unknown part '{name}'", place=value.place, right=suggest(name, [CLUSTER, *names]))
        return Needs("part", name)
    value.only((*_NEEDS, "among"))
    how = next((key for key in _NEEDS if key in value.entries), None)
    if how is None or len(value.entries) != (2 if how == "of" else 1):
        raise BadInput(
            f"{what_is(value)} says not what is needed", place=value.place, right="{any: [lb1, lb2]}, or {of: 2, among: [a, b, c]}"
        )
    listed = value.need("among", "among: [a, b, c]") if how == "of" else value.entries[how]
    if not isinstance(listed, Listing):
        raise BadInput(f"{what_is(listed)} is no list of parts", place=listed.place, right=_EXAMPLE)
    parts = _several(listed, names)
    needed = integer(value.entries["of"]) if how == "of" else 0
    if how == "of" and not 1 <= needed <= len(parts):
        raise BadInput(f"{needed} of {len(parts)} parts cannot be needed", place=value.place, right=f"1 to {len(parts)}")
    if how == "bridge" and len(parts) != _BRIDGE:
        raise BadInput(
            f"a bridge has {_BRIDGE} parts", place=value.place, right="[a, b, c, d, tie]: paths a-b and c-d, and the tie between them"
        )
    return Needs(how, needed=needed, parts=parts)


def _several(value: Listing, names: list[str]) -> tuple[Needs, ...]:
    if not value.items:
        raise BadInput("a list of no parts", place=value.place, right=_EXAMPLE)
    return tuple(_needs(each, names) for each in value.items)


def _names(needs: Needs) -> set[str]:
    return {needs.name} if needs.how == "part" else set().union(*(_names(part) for part in needs.parts))
