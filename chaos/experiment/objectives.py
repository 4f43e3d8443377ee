"""What must hold: ``availability: ">= 95%"``, ``mttr: {is: "<= 2s", basis: run}``, ``agreement: consistent``, ``lost_writes: 0``.

Each check of data (``data: {checks: [...]}``) is a measure of the same name: how many violations there may be, or ``true`` for none.
"""

from __future__ import annotations

import re
from typing import Final

from chaos.core import plugins, units
from chaos.core.errors import BadInput
from chaos.core.units import DURATION, PERCENT
from chaos.experiment.forms import Form, choice, known, one_of, parsed, string
from chaos.experiment.schema import anchored, any_of, said
from chaos.experiment.source import BOOL, Scalar, Value
from chaos.experiment.tables import Field, Strict, record

MEASURES: Final = {
    "availability": PERCENT, "success_ratio": PERCENT, "slo_ratio": PERCENT, "mttr": DURATION, "mttf": DURATION, "mtbf": DURATION,
    "recovery": DURATION, "outage": DURATION, "agreement": "word",
}  # fmt: skip
"""Measure -> the unit its bound is written in."""
LEAST: Final = ("availability", "success_ratio", "slo_ratio", "mttf", "mtbf")
"""More of these is better: their bound is a lower one. Of all others it is an upper one."""
EXPECTED: Final = ("recovery", "outage")
"""What can be expected of one fault."""
BASES: Final = ("run", "claim")
_COUNT: Final = re.compile(r"(<=|==|<|)\s*([0-9]{1,9})")
_BOUND: Final = re.compile(r"\s*(<=|>=|==|<|>)\s*(.+?)\s*")
_EXAMPLES: Final = {PERCENT: '">= 95%"', DURATION: '"<= 2s"', "word": "consistent"}
_WRITTEN: Final = string("a bound")
_BASIS: Final = "The value of this run, or the whole interval for what it claims"


class Bound(Strict, frozen=True):
    """``"<= 2s"``: an operator and a number in the measure's own unit."""

    op: str
    value: float


class ObjectiveSpec(Strict, frozen=True):
    """What must hold: ``measure`` is one of ``MEASURES``, or the name of a check of data."""

    measure: str
    bound: Bound | None = None
    word: str | None = None
    """For ``agreement: consistent``."""
    basis: str = "run"
    fault: str | None = None
    """For an ``expect`` of one fault: its name."""
    text: str = ""
    """As written, for the report."""


def _operators(measure: str) -> tuple[str, ...]:
    """Which way round a bound of this measure stands."""
    return (">=", ">", "==") if measure in LEAST else ("<=", "<", "==")


def _objective(measure: str) -> Form[ObjectiveSpec]:
    """A bound, or a bound and its basis."""
    unit = MEASURES[measure]
    stated = _word() if unit == "word" else _bound(measure)
    basis = Field("basis", "basis", choice(BASES), required=False, default="run", about=_BASIS)
    table = record(_with_basis, Field("is", "stated", stated, example=_EXAMPLES[unit]), basis)
    way = "word" if unit == "word" else f"{'least' if measure in LEAST else 'most'}-{unit}"
    return one_of(stated, table=table).shared(f"objective-{way}")


def _with_basis(stated: ObjectiveSpec, basis: str = "run") -> ObjectiveSpec:
    return ObjectiveSpec(stated.measure, stated.bound, stated.word, basis, text=stated.text)


def _word() -> Form[ObjectiveSpec]:
    def read(value: Value) -> ObjectiveSpec:
        written = _WRITTEN.read(value)
        if written != "consistent":
            raise BadInput(f"'{written}' is not a choice here", place=value.place, right="agreement: consistent")
        return ObjectiveSpec(measure="agreement", word=written, text=written)

    return Form(read, {"const": "consistent"})


def _bound(measure: str) -> Form[ObjectiveSpec]:
    """An operator, and an amount in the measure's own unit."""
    unit, right = MEASURES[measure], _operators(measure)
    about = f"A bound, written like {right[0]} {units.EXAMPLE[unit].split(',')[0]}"
    pattern = anchored(rf"\s*(?:{'|'.join(right)})\s*{units.pattern(unit, 'at least 0')}")

    def read(value: Value) -> ObjectiveSpec:
        written = _WRITTEN.read(value)
        found = _BOUND.fullmatch(written)
        if found is None:
            raise BadInput(f"'{written}' is not a bound", place=value.place, right=f"write it like {_EXAMPLES[unit]}")
        operator, amount = found.groups()
        bound = parsed(value, unit, amount)
        if bound < 0 or (unit == PERCENT and bound > 1):
            possible = "0% to 100%" if unit == PERCENT else "not negative"
            raise BadInput(f"'{written}' is out of range", place=value.place, right=possible)
        if operator not in right:
            turned = right[operator in ("<", ">")]
            hint = f'{measure}: "{turned} {amount}"; an experiment that is to show a weakness says expect_verdict: fail'
            raise BadInput(f"'{written}' is the wrong way round: the better the system, the sooner it fails", place=value.place, right=hint)
        if operator == "==" and bound != (1.0 if unit == PERCENT else 0.0):
            raise BadInput(f"'{written}' is met by chance at most", place=value.place, right=f"{right[0]} {amount}")
        if (operator == ">" and unit == PERCENT and bound >= 1) or (operator == "<" and bound <= 0):
            raise BadInput(f"'{written}' can never hold", place=value.place, right=f"{operator}= {amount}")
        return ObjectiveSpec(measure=measure, bound=Bound(operator, bound), text=written)

    return Form(read, lambda _: said({"type": "string", "pattern": pattern}, about))


def _of_data(check: str) -> Form[ObjectiveSpec]:
    """So many violations at most; ``true``: none."""

    def read(value: Value) -> ObjectiveSpec:
        written = _WRITTEN.read(value).strip()
        found = _COUNT.fullmatch(written)
        if isinstance(value, Scalar) and value.kind == BOOL and value.text.lower() in ("true", "yes", "on"):
            most = 0
        elif found is not None and (found[1] != "<" or int(found[2]) > 0):
            most = int(found[2]) - (found[1] == "<")
        else:
            right = f'{check}: 0, {check}: "<= 3", or {check}: true; an experiment that shows a weakness says expect_verdict: fail'
            raise BadInput(f"'{written}' is not a number of violations", place=value.place, right=right)
        return ObjectiveSpec(measure=check, bound=Bound("<=", float(most)), text=written)

    schema = any_of({"type": "integer", "minimum": 0}, {"const": True}, {"type": "string", "pattern": anchored(_COUNT.pattern)})
    return Form(read, lambda _: said(schema, "How many violations there may be; true: none")).shared("objective-data")


_MEASURED: Final = {measure: _objective(measure) for measure in MEASURES}


def _all() -> dict[str, Form[ObjectiveSpec]]:
    return _MEASURED | {check: _of_data(check) for check in plugins.names("checks")}


OBJECTIVES: Final[Form[tuple[ObjectiveSpec, ...]]] = known("measure", _all).then(lambda found, _: tuple(found.values()))
"""Of a run."""

EXPECT: Final[Form[tuple[ObjectiveSpec, ...]]] = record(
    lambda **found: tuple(found.values()), *(Field(measure, measure, _MEASURED[measure], required=False) for measure in EXPECTED)
)
"""Of one fault."""
