"""Reading of what must hold: ``availability: ">= 95%"``, ``mttr: {is: "<= 2s", basis: run}``, ``agreement: consistent``."""

from __future__ import annotations

import re
from typing import Final

from chaos.core.errors import BadInput
from chaos.core.units import DURATION, PERCENT
from chaos.experiment.decode import quantity
from chaos.experiment.source import INT, Scalar, Table, Value, suggest, text
from chaos.experiment.spec import Bound, ObjectiveSpec

MEASURES: Final = {
    "availability": PERCENT, "success_ratio": PERCENT, "slo_ratio": PERCENT, "mttr": DURATION, "mttf": DURATION, "mtbf": DURATION,
    "recovery": DURATION, "outage": DURATION, "agreement": "word",
}  # fmt: skip
"""Measure -> the unit its bound is written in."""
LATER: Final = {"lost_writes": "leave it out: acknowledged writes are not checked after the run, so nothing could decide it"}
LEAST: Final = ("availability", "success_ratio", "slo_ratio", "mttf", "mtbf")
"""More of these is better: their bound is a lower one. Of all others it is an upper one."""
EXPECTED: Final = ("recovery", "outage")
"""What can be expected of one fault."""
BASES: Final = ("run", "claim")
OPERATORS: Final = "<=|>=|==|<|>"
_BOUND: Final = re.compile(rf"\s*({OPERATORS})\s*(.+?)\s*")
_EXAMPLES: Final = {PERCENT: '">= 95%"', DURATION: '"<= 2s"', "word": "consistent"}


def objective(measure: str, value: Value, *, fault: str | None = None) -> ObjectiveSpec:
    """One objective; a bound in the measure's own unit, as in code (seconds, share)."""
    if measure in LATER:
        raise BadInput(f"'{measure}' is not supported yet", place=value.place, right=LATER[measure])
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


def operators(measure: str) -> tuple[str, ...]:
    """Which way round a bound of this measure stands."""
    return (">=", ">", "==") if measure in LEAST else ("<=", "<", "==")


def _bound(measure: str, value: Value, written: str) -> Bound:
    unit = MEASURES[measure]
    found = _BOUND.fullmatch(written)
    if found is None:
        raise BadInput(f"'{written}' is not a bound", place=value.place, right=f"write it like {_EXAMPLES[unit]}")
    operator, amount = found.groups()
    bound = _within(measure, quantity(Scalar(value.place, amount, INT), unit), value)
    right = operators(measure)
    if operator not in right:
        turned = right[operator in ("<", ">")]
        hint = f'{measure}: "{turned} {amount}"; an experiment that is to show a weakness says expect_verdict: fail'
        raise BadInput(f"'{written}' is the wrong way round: the better the system, the sooner it fails", place=value.place, right=hint)
    best = 1.0 if unit == PERCENT else 0.0
    if operator == "==" and bound != best:
        raise BadInput(f"'{written}' is met by chance at most", place=value.place, right=f"{right[0]} {amount}")
    if (operator == ">" and unit == PERCENT and bound >= 1) or (operator == "<" and bound <= 0):
        raise BadInput(f"'{written}' can never hold", place=value.place, right=f"{operator}= {amount}")
    return Bound(operator, bound)


def _within(measure: str, bound: float, value: Value) -> float:
    if bound < 0 or (MEASURES[measure] == PERCENT and bound > 1):
        right = "0% to 100%" if MEASURES[measure] == PERCENT else "not negative"
        raise BadInput(f"'{text(value)}' is out of range", place=value.place, right=right)
    return float(bound)
