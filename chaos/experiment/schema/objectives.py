"""The JSON Schema of ``objectives``: what must hold."""

from __future__ import annotations

from typing import Final

from chaos.core import units
from chaos.experiment.reading.objectives import BASES, LEAST, MEASURES, operators
from chaos.experiment.schema.pieces import Schema, anchored, closed, one_of, said
from chaos.experiment.schema.structs import Shapes

_WORD: Final[Schema] = {"const": "consistent"}


def objectives(shapes: Shapes) -> Schema:
    """All measures of a run."""
    return closed({measure: objective(shapes, measure) for measure in MEASURES})


def objective(shapes: Shapes, measure: str) -> Schema:
    """A bound, or a bound and its basis."""
    unit = MEASURES[measure]
    bound = _WORD if unit == "word" else _bound(measure, unit)
    basis = said({"enum": list(BASES)}, "The value of this run, or the whole interval for what it claims", default=BASES[0])
    way = "least" if measure in LEAST else "most"
    name = f"objective-{unit}" if unit == "word" else f"objective-{way}-{unit}"
    return shapes.define(name, one_of(bound, closed({"is": bound, "basis": basis}, required=["is"])))


def _bound(measure: str, unit: str) -> Schema:
    """An operator, and an amount in the measure's own unit."""
    known = operators(measure)
    about = f"A bound, written like {known[0]} {units.EXAMPLE[unit].split(',')[0]}"
    return said({"type": "string", "pattern": anchored(rf"\s*(?:{'|'.join(known)})\s*{units.pattern(unit, 'at least 0')}")}, about)
