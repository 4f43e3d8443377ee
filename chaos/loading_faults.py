"""Reading of one entry of ``faults``: its kind and fields, to whom, when, for how long, how often, and what is expected."""

from __future__ import annotations

import enum
import re
from typing import Final

import msgspec

from chaos import tables
from chaos.convert import boolean, integer, quantity, struct
from chaos.document import NULL, Listing, Scalar, Table, Value, suggest, table, text, what_is
from chaos.errors import BadInput
from chaos.experiment import At, Every, FaultSpec, ObjectiveSpec, Poisson, Renewal, Schedule
from chaos.loading_objectives import EXPECTED, objective
from chaos.loading_selectors import selector
from chaos.units import DURATION

Param = str | float | bool | None | tuple[str | tuple[str, ...], ...]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What experiments and faults may be called: their names become parts of paths."""
_COMMON: Final = ("name", "target", "at", "every", "exact", "for", "times", "overlap", "expect")
_CONTRACT: Final = (
    "loss", "duplicate", "corrupt", "reorder", "cpu", "memory", "io", "disk_full", "read_only", "files", "connections",
    "load", "clock",
)  # fmt: skip
"""Faults of the format that this version cannot do."""
_ALIASES: Final = {
    "delay": "latency", "slow": "latency", "blackhole": "partition", "isolate": "partition", "crash": "kill", "freeze": "pause",
    "flaky": "loss", "rate": "bandwidth", "cut": "down", "clock_skew": "clock", "disk_fill": "disk_full", "outage": "power_off",
}  # fmt: skip
"""What other tools call it -> what it is called here."""


def faults(value: Value) -> tuple[tuple[FaultSpec, ...], tuple[ObjectiveSpec, ...]]:
    """All entries, and the objectives that their ``expect`` makes."""
    if not isinstance(value, Listing):
        raise BadInput(f"{what_is(value)} stands where a list of faults belongs", place=value.place, right="- kill: {} ...")
    specs: dict[str, FaultSpec] = {}
    objectives: list[ObjectiveSpec] = []
    counts: dict[str, int] = {}
    for item in value.items:
        entry = table(item, "a fault")
        kind = _kind(entry)
        counts[kind] = counts.get(kind, 0) + 1
        spec = _fault(entry, kind, f"{kind}-{counts[kind]}")
        if spec.name in specs:
            place = entry.entries["name"].place if "name" in entry.entries else entry.place
            raise BadInput(f"two faults are named '{spec.name}'", place=place, right=f"the first is in line {specs[spec.name].line}")
        specs[spec.name] = spec
        expected = entry.get("expect")
        if expected is not None:
            expects = table(expected)
            expects.only(EXPECTED)
            objectives += [objective(measure, bound, fault=spec.name) for measure, bound in expects.entries.items()]
    return tuple(specs.values()), tuple(objectives)


def _kind(entry: Table) -> str:
    known = tables.names("faults")
    found = []
    for key, value in entry.entries.items():
        if key in known:
            found.append(key)
        elif key in _COMMON:
            continue
        elif key in _CONTRACT:
            raise BadInput(f"the fault '{key}' is not supported yet", place=value.place, right=f"one of: {', '.join(known)}")
        elif key in _ALIASES:
            raise BadInput(f"unknown fault '{key}'", place=value.place, right=f"it is called '{_ALIASES[key]}' here")
        else:
            raise BadInput(f"unknown key '{key}'", place=value.place, right=suggest(key, [*_COMMON, *known]))
    if not found:
        raise BadInput("this entry says no fault", place=entry.place, right=f"one of: {', '.join(known)}")
    if len(found) > 1:
        right = "one entry each"
        raise BadInput(f"two faults in one entry: {' and '.join(found)}", place=entry.entries[found[1]].place, right=right)
    return found[0]


def _fault(entry: Table, kind: str, default_name: str) -> FaultSpec:
    name = text(entry.entries["name"], "a name") if "name" in entry.entries else default_name
    if not NAME.fullmatch(name):
        raise BadInput(f"'{name}' is not a name", place=entry.entries["name"].place, right="letters, digits, '-', '_' and '.'")
    target = entry.get("target")
    overlap, times, lasting = entry.get("overlap"), entry.get("times"), entry.get("for")
    schedule = _schedule(entry)
    if times is not None and isinstance(schedule, At):
        raise BadInput("'times' does not go with 'at'", place=times.place, right="list the times: at: [10s, 20s]")
    how_often = integer(times) if times is not None else None
    if times is not None and how_often is not None and how_often < 1:
        raise BadInput(f"{what_is(times)} is out of range", place=times.place, right="at least 1")
    return FaultSpec(
        name=name,
        kind=kind,
        params=params(entry.entries[kind], kind),
        schedule=schedule,
        for_s=_positive(lasting) if lasting is not None else None,
        times=how_often,
        target=selector(target) if target is not None else None,
        overlap=boolean(overlap) if overlap is not None else False,
        line=entry.place.line or 0,
    )


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


# --- when --------------------------------------------------------------------------------------------------------------


def _schedule(entry: Table) -> Schedule:
    at, every, exact = entry.get("at"), entry.get("every"), entry.get("exact")
    if (at is None) == (every is None):
        what = "'at' and 'every' exclude each other" if at is not None else "nothing says when"
        raise BadInput(what, place=entry.place, right="at: 40s, or every: 15s")
    if at is not None:
        if exact is not None:
            raise BadInput("'exact' does not go with 'at'", place=exact.place, right="times of 'at' are always exact")
        return At(_times(at))
    assert every is not None
    if not isinstance(every, Table):
        return Every(_positive(every), exact=boolean(exact) if exact is not None else False)
    if exact is not None:
        raise BadInput("'exact' does not go with a random schedule", place=exact.place, right="every: 15s, exact: true")
    every.only(("poisson", "renewal"))
    if len(every.entries) != 1:
        raise BadInput("one random schedule belongs here", place=every.place, right="{poisson: 15s} or {renewal: {...}}")
    ((word, value),) = every.entries.items()
    return Poisson(_positive(value)) if word == "poisson" else struct(value, Renewal)


def _times(value: Value) -> tuple[float, ...]:
    items = value.items if isinstance(value, Listing) else (value,)
    if not items:
        raise BadInput("an empty list is no time", place=value.place, right="at: 40s, or at: [10s, 20s]")
    return tuple(_not_negative(item) for item in items)


def _not_negative(value: Value) -> float:
    found = quantity(value, DURATION)
    if found < 0:
        raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="at least 0s")
    return found


def _positive(value: Value) -> float:
    if isinstance(value, Scalar) and value.kind == NULL:
        raise BadInput("nothing stands where a duration belongs", place=value.place, right="write it like 3s")
    found = quantity(value, DURATION)
    if found <= 0:
        raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="more than 0s")
    return found
