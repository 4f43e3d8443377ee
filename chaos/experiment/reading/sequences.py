"""Reading of an entry that holds several faults: ``sequence`` (one after the other) or ``parallel`` (side by side).

Each step becomes a fault of its own, ``NAME.1``, ``NAME.2``; a step may itself be a sequence or a parallel, ``NAME.2.1``. What a step
waits for is worked out here: those that end the part before it. The first step alone has the schedule and waits for the cluster to settle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from chaos.core.errors import BadInput
from chaos.experiment.reading.schedules import not_negative
from chaos.experiment.source import Listing, Table, Value, table, what_is
from chaos.experiment.spec import FaultSpec, Step

WORDS: Final = ("sequence", "parallel")
OUTER: Final = ("name", "gap", "at", "every", "exact", "times", "when", "within", "otherwise", "overlap")
"""What the whole entry may say beside its steps."""
EXAMPLE: Final = "[{kill: {}, target: leader, for: 2s}, {pause: {}, target: any, for: 3s}]"
MOST: Final = 100
"""More steps than this in one entry are a slip of the pen."""

MakeStep = Callable[[Table, str], FaultSpec]
"""Reads one step under the name it is given; it has no schedule yet."""


def word_of(entry: Table) -> str:
    """``sequence``, ``parallel``, or empty for an entry that is one fault."""
    found = [word for word in WORDS if word in entry.entries]
    if len(found) > 1:
        raise BadInput("'sequence' and 'parallel' exclude each other", place=entry.entries[found[1]].place, right="one inside the other")
    return found[0] if found else ""


def branches(entry: Table, whole: FaultSpec, make: MakeStep) -> list[FaultSpec]:
    """Its steps as faults. ``whole`` carries what the entry says for all of them: name, schedule, times, condition, overlap."""
    word = word_of(entry)
    entry.only((word, *OUTER))
    made: list[FaultSpec] = []
    _read(entry, word, whole.name, Step(of=whole.name, overlap=whole.overlap), make, made)
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


def _read(entry: Table, word: str, name: str, begins: Step, make: MakeStep, made: list[FaultSpec]) -> tuple[str, ...]:
    """Append the steps in their order; returns the names of those whose end is the end of this entry."""
    gap = entry.get("gap")
    if gap is not None and word == "parallel":
        raise BadInput("'gap' belongs to a sequence", place=gap.place, right="leave it out")
    gap_s = 0.0 if gap is None else not_negative(gap)
    ends: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    for number, step in enumerate(_steps(entry.entries[word]), 1):
        inner = f"{name}.{number}"
        at = begins if word == "parallel" or number == 1 else msgspec.structs.replace(begins, after=last, gap_s=gap_s)
        deeper = word_of(step)
        if deeper:
            step.only((deeper, "gap"))
            last = _read(step, deeper, inner, at, make, made)
        else:
            made.append(msgspec.structs.replace(make(step, inner), step=at))
            last = (inner,)
        ends = (*ends, *last) if word == "parallel" else last
    return ends


def _steps(value: Value) -> Iterator[Table]:
    if not isinstance(value, Listing) or len(value.items) < 2:
        what = "one step alone is no sequence" if isinstance(value, Listing) else f"{what_is(value)} stands where a list of faults belongs"
        raise BadInput(what, place=value.place, right=EXAMPLE)
    yield from (table(item, "a fault") for item in value.items)
