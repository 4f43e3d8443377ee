"""An entry of ``faults`` that holds several: ``sequence`` (one after the other) or ``parallel`` (side by side).

Each step becomes a fault of its own, ``NAME.1``, ``NAME.2``; a step may itself be a sequence or a parallel, ``NAME.2.1``. What a step
waits for is worked out here: those that end the part before it. The first step alone has the schedule and waits for the cluster to settle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec

from chaos.core.errors import BadInput
from chaos.experiment.forms import Form, Mistakes, listed
from chaos.experiment.schedules import AT_LEAST_0
from chaos.experiment.schema import Schema, given, ref, there
from chaos.experiment.source import Table, table_of
from chaos.experiment.tables import Rule, Strict, Written, keys_of

if TYPE_CHECKING:
    from chaos.experiment.faults import FaultSpec

BRANCHES: Final = ("sequence", "parallel")
MOST: Final = 100
"""More steps than this in one entry are a slip of the pen."""
MakeStep = Callable[[Table, str], "FaultSpec"]
"""Reads one step under the name it is given; it has no schedule yet."""
_EXAMPLE: Final = "[{kill: {}, target: leader, for: 2s}, {pause: {}, target: any, for: 3s}]"


class Step(Strict, frozen=True):
    """The place of a fault in an entry of several: one after the other (``sequence``) or side by side (``parallel``)."""

    of: str
    """The name of the entry."""
    after: tuple[str, ...] = ()
    """The faults that must be over before it begins."""
    beside: str = ""
    """The fault of the same entry that it begins together with."""
    gap_s: float = 0.0
    """How long after the end of those before it."""
    overlap: bool = False
    """Whether the whole entry may overlap other faults."""


def _one_branch(entry: Table) -> None:
    found = [word for word in BRANCHES if word in entry.entries]
    gap = entry.get("gap")
    if len(found) > 1:
        raise BadInput("'sequence' and 'parallel' exclude each other", place=entry.entries[found[1]].place, right="one inside the other")
    if gap is not None and found == ["parallel"]:
        raise BadInput("'gap' belongs to a sequence", place=gap.place, right="leave it out")


_ONE_BRANCH: Final[Schema] = {
    "oneOf": [{"required": [word]} for word in BRANCHES],
    "if": there("parallel"),
    "then": {"not": given("gap")},
}
"""One after the other or side by side; only the first has gaps."""
_STEPS: Final[Form[tuple[Table, ...]]] = listed(
    Form(lambda value: table_of(value, "a fault"), ref("step")),
    wanted="a list of faults",
    example=_EXAMPLE,
    least=2,
    few="one step alone is no sequence",
)
"""Read as tables: what each of them is made of, their place among the others decides."""
STEPS_SCHEMA: Final[Schema] = {"type": "array", "items": ref("step"), "minItems": 2, "maxItems": MOST}
_SEVERAL: Final = Form(_STEPS.read, ref("steps"))


@Written(rules=(Rule(_one_branch, _ONE_BRANCH),), blank=True, filled=BRANCHES)
class Branch(Strict, frozen=True):
    """The keys of an entry, or of a step, that holds several faults."""

    sequence: Annotated[tuple[Table, ...], _SEVERAL] = ()
    """Faults that are done one after the other"""
    parallel: Annotated[tuple[Table, ...], _SEVERAL] = ()
    """Faults that are done side by side"""
    gap_s: Annotated[float, AT_LEAST_0] = 0.0
    """From the end of a step to the begin of the next"""


def is_several(entry: Table) -> bool:
    """Whether it holds several faults."""
    return any(word in entry.entries for word in BRANCHES)


def branches(entry: Table, whole: FaultSpec, outer: Iterable[str], make: MakeStep) -> list[FaultSpec]:
    """Its steps as faults. ``whole`` carries what the entry says for all of them in its ``outer`` keys: name, schedule, condition..."""
    made: list[FaultSpec] = []
    mistakes = Mistakes()
    _read(entry, outer, Step(of=whole.name, overlap=whole.overlap), whole.name, _Making(make, made, mistakes))
    mistakes.tell()
    if len(made) > MOST:
        raise BadInput(f"{len(made)} steps in one entry", place=entry.place, right=f"at most {MOST}")
    first = made[0].name
    return [_placed(spec, whole, first) for spec in made]


def _placed(spec: FaultSpec, whole: FaultSpec, first: str) -> FaultSpec:
    """With the schedule of the whole. Only the first waits for settling and for the condition: the others follow it."""
    assert spec.step is not None
    leads = spec.name == first
    beside = "" if leads or spec.step.after else first
    return msgspec.structs.replace(
        spec, schedule=whole.schedule, times=whole.times, overlap=whole.overlap or not leads, when=whole.when if leads else None,
        step=msgspec.structs.replace(spec.step, beside=beside),
    )  # fmt: skip


class _Making(NamedTuple):
    make: MakeStep
    made: list[FaultSpec]
    """In their order."""
    mistakes: Mistakes


def _read(entry: Table, outer: Iterable[str], begins: Step, name: str, making: _Making) -> tuple[str, ...]:
    """Append the steps in their order; returns the names of those whose end is the end of this entry."""
    branch = making.mistakes.of(keys_of(Branch).part, entry, (*keys_of(Branch).fields, *outer))
    if branch is None:
        return ()
    ends: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    for number, step in enumerate(branch.sequence or branch.parallel, 1):
        inner = f"{name}.{number}"
        at = begins if branch.parallel or number == 1 else msgspec.structs.replace(begins, after=last, gap_s=branch.gap_s)
        if is_several(step):
            last = _read(step, (), at, inner, making)
        else:
            spec = making.mistakes.of(making.make, step, inner)
            if spec is not None:
                making.made.append(msgspec.structs.replace(spec, step=at))
            last = (inner,)
        ends = (*ends, *last) if branch.parallel else last
    return ends
