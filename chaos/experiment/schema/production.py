"""The JSON Schema of ``predict``, and of the parameters of the models wherever they are written."""

from __future__ import annotations

from typing import Final

from chaos.core import plugins as tables
from chaos.core import units
from chaos.core.units import DURATION, PERCENT
from chaos.experiment import parameters
from chaos.experiment.parameters import Known
from chaos.experiment.schema.pieces import COUNT, NUMBER, WORDS, Schema, anchored, closed, listed, named, one_of, or_nothing, ref, said
from chaos.experiment.schema.structs import Shapes
from chaos.experiment.spec import PLANNED, ZONE, PredictSpec

_AMOUNT: Final = r"\s*\d+(?:\.\d+)?\s+"
_FILLED_IN: Final[Schema] = {"type": "string", "pattern": r"\{"}
"""Text of a target in which a setting is still to be filled in."""


def predict(shapes: Shapes) -> Schema:
    """What the model is told beside what the target declares."""
    instead = {
        "production": _production(shapes),
        "parameters": model(shapes, templates=False),
        "margin": said(NUMBER | {"exclusiveMinimum": 1}, "How far true and predicted may be apart and still count as consistent"),
        "calibration": WORDS,
        "around": _around(shapes),
    }
    return shapes.table(PredictSpec, instead, filled=())


def _production(shapes: Shapes) -> Schema:
    """Fault rates of production, chosen or counted."""
    rate = _rate(shapes, "node|cluster", "`1 per 45d per node`, or `3 in 365d per node` where faults were counted")
    kinds = dict.fromkeys((*tables.names("faults"), PLANNED), rate)
    return closed(kinds | {ZONE: _rate(shapes, ZONE, "`1 per 365d per zone`")})


def _rate(shapes: Shapes, per: str, about: str) -> Schema:
    span = units.pattern(DURATION, "at least 0")
    pattern = anchored(rf"{_AMOUNT}(?:per|in)\s+{span}\s+per\s+(?:{per})\s*")
    return shapes.define(f"rate of faults per {per}", said({"type": "string", "pattern": pattern}, about))


def model(shapes: Shapes, *, templates: bool) -> Schema:
    """Parameters by their names; with ``templates`` a setting of the target may stand for any of them."""
    return closed({name: said(_parameter(shapes, known, templates), known.about) for name, known in parameters.KNOWN.items()})


def _parameter(shapes: Shapes, known: Known, templates: bool) -> Schema:
    """A word, a quantity or number, or the two ends of a range."""
    if known.words:
        return one_of({"enum": list(known.words)}, *([_FILLED_IN] if templates else []))
    if known.unit == "s":
        amount = units.pattern(DURATION, "more than 0" if known.positive else "at least 0")
        spread = {"type": "string", "pattern": anchored(rf"{amount}(?:\.\.{amount})?")}
        later = [_FILLED_IN] if templates else []
        whole = one_of(spread, _range(one_of({"type": "string", "pattern": anchored(amount)}, *later)), *later)
        return shapes.define(f"parameter-duration{', more than 0' if known.positive else ''}", whole)
    return one_of({"type": ["number", "string"]}, _range({"type": ["number", "string"]}))


def _range(end: Schema) -> Schema:
    return listed(end) | {"minItems": 2, "maxItems": 2}


def _around(shapes: Shapes) -> Schema:
    """Parts that clients need beside the cluster, and how."""
    fails = {"type": "string", "pattern": anchored(rf"{_AMOUNT}per\s+{units.pattern(DURATION, 'more than 0')}")}
    failing = closed({"fails": fails, "for": shapes.quantity(DURATION, "more than 0")}, required=["fails", "for"])
    part = one_of(shapes.quantity(PERCENT, "more than 0"), failing)
    several = listed(ref("needs")) | {"minItems": 1}
    keys = {"all": several, "any": several, "bridge": several | {"minItems": 5, "maxItems": 5}, "of": COUNT, "among": several}
    alone: list[Schema] = [{"required": [key], "maxProperties": 1} for key in ("all", "any", "bridge")]
    some = closed(keys) | {"oneOf": [*alone, {"required": ["of", "among"], "maxProperties": 2}]}
    shapes.define("needs", one_of(WORDS, several, some))
    needs = said(or_nothing(ref("needs")), "A block diagram; without it all of them")
    return closed({"parts": named(part), "needs": needs}, required=["parts"])
