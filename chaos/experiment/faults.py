"""``faults``: of each entry its kind and fields, to whom, when, for how long, how often, and what is expected.

The fields of a fault are those of its own struct, built-in or of another package: read and described by ``tables``.
"""

from __future__ import annotations

import enum
import sys
from functools import partial
from typing import Annotated, Final

import msgspec

from chaos.core import plugins
from chaos.core.errors import BadInput
from chaos.core.plugins import suggest
from chaos.experiment.forms import NAME, Form, Mistakes
from chaos.experiment.objectives import EXPECT, ObjectiveSpec
from chaos.experiment.schedules import SPAN, At, Schedule, Timing, When
from chaos.experiment.schema import Schema, Shapes, array, closed, or_nothing, said, there
from chaos.experiment.selectors import SELECTOR, Selector
from chaos.experiment.sequences import BRANCHES, STEPS_SCHEMA, Branch, Step, branches, is_several
from chaos.experiment.source import Listing, Table, Value, table_of, what_is
from chaos.experiment.tables import Strict, Written, empty_or, keys_of, table

Param = str | float | bool | None | tuple[str | tuple[str, ...], ...]

_ALIASES: Final = {
    "delay": "latency", "slow": "latency", "blackhole": "partition", "isolate": "partition", "crash": "kill", "freeze": "pause",
    "flaky": "loss", "rate": "bandwidth", "cut": "down", "clock_skew": "clock", "disk_fill": "disk_full", "outage": "power_off",
}  # fmt: skip
"""What other tools call it -> what it is called here."""


class FaultSpec(Strict, frozen=True):
    """One entry of ``faults``: what, to whom, when, for how long, how often."""

    name: str
    kind: str
    params: dict[str, str | int | float | bool | tuple[str | tuple[str, ...], ...] | None]
    """The fields of the fault's own struct, already checked against it."""
    schedule: Schedule
    for_s: float | None
    times: int | None
    target: Selector | None
    overlap: bool = False
    """Does not wait for the cluster to settle."""
    line: int = 0
    path: str = ""
    """Where it stands in the file."""
    step: Step | None = None
    when: When | None = None


# --- as they are written -----------------------------------------------------------------------------------------------


@Written(blank=True, filled=("name",))
class Entry(Strict, frozen=True):
    """The keys of every entry, be it one fault or several."""

    name: Annotated[str, NAME] = ""
    """For the report; the faults of a run are called ``NAME.1``, ``NAME.2``..."""
    overlap: bool = False
    """Does not wait for the cluster to settle, and is a class of its own"""


@Written(blank=True)
class Done(Strict, frozen=True):
    """What is said of each single fault, be it an entry or a step: to whom it is done, for how long, and what is expected of it."""

    target: Annotated[Selector | None, SELECTOR] = None
    """To whom"""
    for_s: Annotated[float | None, SPAN] = None
    """For how long; then it is healed. Without it, to the end"""
    expect: Annotated[tuple[ObjectiveSpec, ...], EXPECT] = ()
    """What must hold for this fault: an objective of its own"""


Faults = tuple[tuple[FaultSpec, ...], tuple[ObjectiveSpec, ...]]
"""All of them, and the objectives that their ``expect`` makes."""


def _faults(value: Value) -> Faults:
    if not isinstance(value, Listing):
        raise BadInput(f"{what_is(value)} stands where a list of faults belongs", place=value.place, right="- kill: {} ...")
    mistakes = Mistakes()
    specs: list[FaultSpec] = []
    objectives: list[ObjectiveSpec] = []
    counts: dict[str, int] = {}
    lines: dict[str, int] = {}
    for item in value.items:
        made = mistakes.of(_entry, item, counts, objectives) or []
        for each in dict.fromkeys(name for spec in made for name in (spec.step.of if spec.step else spec.name, spec.name)):
            if each in lines:
                place = item.entries["name"].place if isinstance(item, Table) and "name" in item.entries else item.place
                right = f"the first is in line {lines[each]}"
                mistakes.found.append(BadInput(f"two faults are named '{each}'", place=place, right=right))
                break
            lines[each] = item.place.line or 0
        specs += made
    mistakes.tell()
    return tuple(specs), tuple(objectives)


def _entry(item: Value, counts: dict[str, int], objectives: list[ObjectiveSpec]) -> list[FaultSpec]:
    """The fault or the faults of one entry; ``counts`` names those that nobody has named."""
    entry = table_of(item, "a fault")
    mistakes = Mistakes()
    several = is_several(entry)
    word = next(word for word in BRANCHES if word in entry.entries) if several else mistakes.of(_kind, entry)
    counts[word or ""] = counts.get(word or "", 0) + 1
    common = mistakes.of(keys_of(Entry).part, entry, entry.entries) or Entry()
    timing = mistakes.of(keys_of(Timing).part, entry, entry.entries, rules=word is not None) or Timing()
    name = common.name or f"{word}-{counts[word or '']}"
    whole = FaultSpec(
        name=name, kind="", params={}, schedule=timing.schedule, for_s=None, times=timing.times, target=None, overlap=common.overlap,
        line=entry.place.line or 0, when=timing.when,
    )  # fmt: skip
    if several:
        outer = (*keys_of(Entry).fields, *keys_of(Timing).fields)
        made = mistakes.of(branches, entry, whole, outer, partial(_step, objectives)) or []
    else:
        done = mistakes.of(_done, objectives, entry, name, word) or whole
        made = [msgspec.structs.replace(
            done, schedule=whole.schedule, times=whole.times, overlap=whole.overlap, when=whole.when
        )]  # fmt: skip
    mistakes.tell()
    return made


def _kind(entry: Table) -> str:
    """Which fault it is; every other key must be one of those that an entry may have."""
    known = plugins.names("faults")
    common = [key for part in (Entry, Timing, Done) for key in keys_of(part).fields]
    mistakes = Mistakes()
    for key, value in entry.entries.items():
        if key in _ALIASES and key not in known:
            mistakes.found.append(BadInput(f"unknown fault '{key}'", place=value.place, right=f"it is called '{_ALIASES[key]}' here"))
        elif key not in known and key not in common:
            right = suggest(key, [*common, *BRANCHES, *known])
            mistakes.found.append(BadInput(f"unknown key '{key}'", place=value.place, right=right))
    mistakes.tell()
    found = [key for key in entry.entries if key in known]
    if not found:
        raise BadInput("this entry says no fault", place=entry.place, right=f"one of: {', '.join(known)}")
    if len(found) > 1:
        right = "one entry each"
        raise BadInput(f"two faults in one entry: {' and '.join(found)}", place=entry.entries[found[1]].place, right=right)
    return found[0]


def _step(objectives: list[ObjectiveSpec], entry: Table, name: str) -> FaultSpec:
    """One of several: it is done when its turn comes, and has no time of its own."""
    mistakes = Mistakes()
    kind = mistakes.of(_kind, entry)
    for key in (*keys_of(Entry).fields, *keys_of(Timing).fields):
        if key in entry.entries:
            place = entry.entries[key].place
            mistakes.found.append(BadInput(f"'{key}' is no part of a step", place=place, right="it belongs to the whole entry"))
    done = mistakes.of(_done, objectives, entry, name, kind)
    mistakes.tell()
    assert done is not None
    return done


def _done(objectives: list[ObjectiveSpec], entry: Table, name: str, kind: str | None) -> FaultSpec:
    """What is done, to whom, for how long; its ``expect`` goes to the objectives. Without a kind only its mistakes matter."""
    mistakes = Mistakes()
    done = mistakes.of(keys_of(Done).part, entry, entry.entries) or Done()
    fields = None if kind is None else mistakes.of(params, entry.entries[kind], kind)
    mistakes.tell()
    objectives += [msgspec.structs.replace(each, fault=name) for each in done.expect]
    return FaultSpec(
        name=name, kind=kind or "", params=fields or {}, schedule=At(()), for_s=done.for_s, times=None, target=done.target,
        line=entry.place.line or 0, path=entry.place.path or "",
    )  # fmt: skip


def params(value: Value, kind: str) -> dict[str, Param]:
    """The fields of a fault, checked against its own struct, defaults filled in; names and units as in code."""
    made: msgspec.Struct = table(plugins.find("faults", kind)).read(empty_or(value))
    return {name: _plain(field) for name, field in msgspec.structs.asdict(made).items()}


def _plain(value: object) -> Param:
    """A field's value as the plan writes it down; whole numbers stay whole, so that the fault's own type can take them back."""
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, list | tuple):
        return tuple(tuple(map(str, item)) if isinstance(item, list | tuple) else str(item) for item in value)
    assert value is None or isinstance(value, str | int | float), f"a fault's field cannot hold a {type(value).__name__}"
    return value


# --- as a schema -------------------------------------------------------------------------------------------------------


def _describe(shapes: Shapes) -> Schema:
    """A list of entries, each exactly one fault or a branch of several."""
    kinds = {kind: _describe_kind(shapes, kind) for kind in plugins.loading("faults")}
    one_kind: Schema = {"oneOf": [{"required": [kind]} for kind in kinds]}
    of_all = [keys_of(part) for part in (Entry, Timing)]
    around = {key: schema for keys in of_all for key, schema in keys.properties(shapes).items()}
    rules: Schema = {word: found for keys in of_all for rule in keys.options.rules for word, found in rule.schema.items()}
    done = keys_of(Done).properties(shapes)
    branch, one_branch = keys_of(Branch).properties(shapes), keys_of(Branch).options.rules[0].schema
    several = there(*BRANCHES)
    shapes.define("steps", STEPS_SCHEMA)
    shapes.define("step", {"if": several, "then": closed(branch) | one_branch, "else": closed(kinds | done) | one_kind})
    whole = closed(branch | around) | one_branch | rules
    single = closed(kinds | done | around) | one_kind | rules
    return array(shapes.define("entry", {"if": several, "then": whole, "else": single}))


def _describe_kind(shapes: Shapes, kind: str) -> Schema:
    """Its fields; no value at all where none is needed (``pause:``)."""
    from chaos.experiment.descriptions import clean

    cls = plugins.find("faults", kind)
    fields = keys_of(cls).describe(shapes)
    whole = sys.modules[cls.__module__].__doc__ or ""
    own = fields.pop("description", "")
    # A file with one fault says what it is on top; one with several says so of each.
    about = f"{clean(whole)} {own}".strip() if whole.startswith(f"``{kind}``") else own
    return shapes.define(f"fault-{kind}", said(fields if fields.get("required") else or_nothing(fields), about))


FAULTS: Final[Form[Faults]] = Form(_faults, _describe)
