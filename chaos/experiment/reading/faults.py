"""Reading of one entry of ``faults``: its kind and fields, to whom, when, for how long, how often, and what is expected."""

from __future__ import annotations

import enum
import re
from functools import partial
from typing import Any, Final

import msgspec

from chaos.core import plugins as tables
from chaos.core.errors import BadInput
from chaos.experiment.decode import boolean, integer, struct
from chaos.experiment.reading import schedules as loading_when
from chaos.experiment.reading.objectives import EXPECTED, objective
from chaos.experiment.reading.selectors import selector
from chaos.experiment.reading.sequences import branches
from chaos.experiment.reading.sequences import word_of as branch_word
from chaos.experiment.source import Listing, Table, Value, suggest, table, text, what_is
from chaos.experiment.spec import At, FaultSpec, ObjectiveSpec

Param = str | float | bool | None | tuple[str | tuple[str, ...], ...]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What experiments and faults may be called: their names become parts of paths, of at most 255 bytes."""
_COMMON: Final = ("name", "target", *loading_when.KEYS, "for", "overlap", "expect")
_OF_A_STEP: Final = ("target", "for", "expect")
_ALIASES: Final = {
    "delay": "latency", "slow": "latency", "blackhole": "partition", "isolate": "partition", "crash": "kill", "freeze": "pause",
    "flaky": "loss", "rate": "bandwidth", "cut": "down", "clock_skew": "clock", "disk_fill": "disk_full", "outage": "power_off",
}  # fmt: skip
"""What other tools call it -> what it is called here."""


def faults(value: Value) -> tuple[tuple[FaultSpec, ...], tuple[ObjectiveSpec, ...]]:
    """All entries, and the objectives that their ``expect`` makes."""
    if not isinstance(value, Listing):
        raise BadInput(f"{what_is(value)} stands where a list of faults belongs", place=value.place, right="- kill: {} ...")
    specs: list[FaultSpec] = []
    objectives: list[ObjectiveSpec] = []
    counts: dict[str, int] = {}
    lines: dict[str, int] = {}
    for item in value.items:
        entry = table(item, "a fault")
        word = branch_word(entry)
        kind = word or _kind(entry)
        counts[kind] = counts.get(kind, 0) + 1
        name = _name(entry, f"{kind}-{counts[kind]}")
        made = branches(entry, _whole(entry, name), partial(_step, objectives)) if word else [_fault(entry, kind, name, objectives)]
        for each in dict.fromkeys((name, *(spec.name for spec in made))):
            if each in lines:
                place = entry.entries["name"].place if "name" in entry.entries else entry.place
                raise BadInput(f"two faults are named '{each}'", place=place, right=f"the first is in line {lines[each]}")
            lines[each] = entry.place.line or 0
        specs += made
    return tuple(specs), tuple(objectives)


def _kind(entry: Table) -> str:
    known = tables.names("faults")
    found = []
    for key, value in entry.entries.items():
        if key in known:
            found.append(key)
        elif key in _COMMON:
            continue
        elif key in _ALIASES:
            raise BadInput(f"unknown fault '{key}'", place=value.place, right=f"it is called '{_ALIASES[key]}' here")
        else:
            raise BadInput(f"unknown key '{key}'", place=value.place, right=suggest(key, [*_COMMON, "sequence", "parallel", *known]))
    if not found:
        raise BadInput("this entry says no fault", place=entry.place, right=f"one of: {', '.join(known)}")
    if len(found) > 1:
        right = "one entry each"
        raise BadInput(f"two faults in one entry: {' and '.join(found)}", place=entry.entries[found[1]].place, right=right)
    return found[0]


def _fault(entry: Table, kind: str, name: str, objectives: list[ObjectiveSpec]) -> FaultSpec:
    """One entry that is one fault."""
    return msgspec.structs.replace(_step(objectives, entry, name, kind), **_common(entry))


def _whole(entry: Table, name: str) -> FaultSpec:
    """What an entry of several faults says for all of them."""
    return FaultSpec(name=name, kind="", params={}, for_s=None, target=None, line=entry.place.line or 0, **_common(entry))


def _common(entry: Table) -> dict[str, Any]:
    """When, how often, and whether beside others."""
    overlap, times = entry.get("overlap"), entry.get("times")
    schedule = loading_when.schedule(entry)
    if times is not None and isinstance(schedule, At):
        raise BadInput("'times' does not go with 'at'", place=times.place, right="list the times: at: [10s, 20s]")
    how_often = integer(times) if times is not None else None
    if times is not None and how_often is not None and how_often < 1:
        raise BadInput(f"{what_is(times)} is out of range", place=times.place, right="at least 1")
    return {
        "schedule": schedule,
        "times": how_often,
        "overlap": boolean(overlap) if overlap is not None else False,
        "when": loading_when.when(entry),
    }


def _step(objectives: list[ObjectiveSpec], entry: Table, name: str, kind: str = "") -> FaultSpec:
    """What is done, to whom, for how long; its ``expect`` goes to the objectives. Without ``kind`` it is a step of several."""
    if not kind:
        kind = _kind(entry)
        outside = next((key for key in entry.entries if key in _COMMON and key not in _OF_A_STEP), None)
        if outside is not None:
            raise BadInput(f"'{outside}' is no part of a step", place=entry.entries[outside].place, right="it belongs to the whole entry")
    target, lasting, expected = entry.get("target"), entry.get("for"), entry.get("expect")
    if expected is not None:
        expects = table(expected)
        expects.only(EXPECTED)
        objectives += [objective(measure, bound, fault=name) for measure, bound in expects.entries.items()]
    return FaultSpec(
        name=name,
        kind=kind,
        params=params(entry.entries[kind], kind),
        schedule=At(()),
        for_s=loading_when.positive(lasting) if lasting is not None else None,
        times=None,
        target=selector(target) if target is not None else None,
        line=entry.place.line or 0,
        path=entry.place.path or "",
    )


def _name(entry: Table, default: str) -> str:
    name = text(entry.entries["name"], "a name") if "name" in entry.entries else default
    if not NAME.fullmatch(name):
        raise BadInput(f"'{name}' is not a name", place=entry.entries["name"].place, right="letters, digits, '-', '_' and '.'")
    return name


def params(value: Value, kind: str) -> dict[str, Param]:
    """The fields of a fault, checked against its own struct, defaults filled in; names and units as in code."""
    made: msgspec.Struct = struct(value, tables.find("faults", kind), empty=True)
    return {name: _plain(field) for name, field in msgspec.structs.asdict(made).items()}


def _plain(value: object) -> Param:
    """A field's value as the plan writes it down; whole numbers stay whole, so that the fault's own type can take them back."""
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, list | tuple):
        return tuple(tuple(map(str, item)) if isinstance(item, list | tuple) else str(item) for item in value)
    assert value is None or isinstance(value, str | int | float), f"a fault's field cannot hold a {type(value).__name__}"
    return value
