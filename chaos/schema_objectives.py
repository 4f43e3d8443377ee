"""The JSON Schema of ``objectives``: what must hold."""

from __future__ import annotations

from typing import Final

from chaos import units
from chaos.loading_objectives import BASES, MEASURES, OPERATORS
from chaos.schema_pieces import Schema, anchored, closed, one_of, said
from chaos.schema_structs import Shapes

_COUNTED: Final[Schema] = one_of(
    {"type": "integer", "minimum": 0},
    {"type": "string", "pattern": anchored(rf"\s*(?:{OPERATORS})\s*(?!-0*[1-9])[-+]?(?:0|[1-9]\d*)\s*")},
)
_WORD: Final[Schema] = {"const": "consistent"}


def objectives(shapes: Shapes) -> Schema:
    """All measures of a run."""
    return closed({measure: objective(shapes, measure) for measure in MEASURES})


def objective(shapes: Shapes, measure: str) -> Schema:
    """A bound, or a bound and its basis."""
    unit = MEASURES[measure]
    bound = _COUNTED if not unit else _WORD if unit == "word" else _bound(unit)
    basis = said({"enum": list(BASES)}, "The value of this run, or the whole interval for what it claims", default=BASES[0])
    return shapes.define(f"objective-{unit or 'count'}", one_of(bound, closed({"is": bound, "basis": basis}, required=["is"])))


def _bound(unit: str) -> Schema:
    """An operator, and an amount in the measure's own unit."""
    about = f"A bound, written like <= {units.EXAMPLE[unit].split(',')[0]}"
    return said({"type": "string", "pattern": anchored(rf"\s*(?:{OPERATORS})\s*{units.pattern(unit, 'at least 0')}")}, about)
