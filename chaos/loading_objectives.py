"""Reading of what must hold: ``availability: ">= 95%"``, ``mttr: {is: "<= 2s", basis: run}``, ``agreement: consistent``."""

from __future__ import annotations

import re
from typing import Final

from chaos.convert import integer, quantity
from chaos.document import INT, Scalar, Table, Value, suggest, text
from chaos.errors import BadInput
from chaos.experiment import Bound, ObjectiveSpec
from chaos.units import DURATION, PERCENT

MEASURES: Final = {
    "availability": PERCENT, "success_ratio": PERCENT, "slo_ratio": PERCENT, "mttr": DURATION, "mttf": DURATION, "mtbf": DURATION,
    "recovery": DURATION, "outage": DURATION, "lost_writes": "", "agreement": "word",
}  # fmt: skip
"""Measure -> the unit its bound is written in."""
EXPECTED: Final = ("recovery", "outage")
"""What can be expected of one fault."""
BASES: Final = ("run", "claim")
OPERATORS: Final = "<=|>=|==|<|>"
_BOUND: Final = re.compile(rf"\s*({OPERATORS})\s*(.+?)\s*")
_EXAMPLES: Final = {PERCENT: '">= 95%"', DURATION: '"<= 2s"', "": "0", "word": "consistent"}


def objective(measure: str, value: Value, *, fault: str | None = None) -> ObjectiveSpec:
    """One objective; a bound in the measure's own unit, as in code (seconds, share)."""
    if measure not in MEASURES:
        raise BadInput(f"unknown measure '{measure}'", place=value.place, right=suggest(measure, MEASURES))
    basis, stated = "run", value
    if isinstance(value, Table):
        value.only(("is", "basis"))
        stated = value.need("is", _EXAMPLES[MEASURES[measure]])
        basis = text(value.entries["basis"]) if "basis" in value.entries else basis
        if basis not in BASES:
            raise BadInput(f"'{basis}' is not a choice here", place=value.entries["basis"].place, right=suggest(basis, BASES))
    written = text(stated, "a bound")
    if MEASURES[measure] == "word":
        if written != "consistent":
            raise BadInput(f"'{written}' is not a choice here", place=stated.place, right="agreement: consistent")
        return ObjectiveSpec(measure=measure, word=written, basis=basis, fault=fault, text=written)
    return ObjectiveSpec(measure=measure, bound=_bound(measure, stated, written), basis=basis, fault=fault, text=written)


def _bound(measure: str, value: Value, written: str) -> Bound:
    unit = MEASURES[measure]
    if not unit and isinstance(value, Scalar) and value.kind == INT:
        return Bound("<=", _within(measure, integer(value), value))
    found = _BOUND.fullmatch(written)
    if found is None:
        raise BadInput(f"'{written}' is not a bound", place=value.place, right=f"write it like {_EXAMPLES[unit]}")
    operator, amount = found.groups()
    quantum = Scalar(value.place, amount, INT)
    return Bound(operator, _within(measure, quantity(quantum, unit) if unit else integer(quantum), value))


def _within(measure: str, bound: float, value: Value) -> float:
    if bound < 0 or (MEASURES[measure] == PERCENT and bound > 1):
        right = "0% to 100%" if MEASURES[measure] == PERCENT else "not negative"
        raise BadInput(f"'{text(value)}' is out of range", place=value.place, right=right)
    return float(bound)
