"""From a document's values to frozen structs, driven by the structs' own annotations.

The key of a field is its name less the suffix of its unit: ``timeout_s: Seconds`` is written ``timeout: 250ms``. A bare number
where a unit is due is refused, as are unknown keys, missing keys, wrong types and values out of range (``msgspec.Meta``).
Checks that a struct makes itself (``__post_init__`` raising ``ValueError``) are reported at the place of the whole value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from operator import ge, gt, le, lt
from typing import Final, TypeVar

import msgspec
from msgspec import inspect

from chaos.core import units
from chaos.core.errors import BadInput
from chaos.experiment.source import BOOL, FLOAT, INT, NULL, TEXT, Listing, Scalar, Table, Value, suggest, table, text, what_is

S = TypeVar("S", bound=msgspec.Struct)

_MOST_DIGITS: Final = 18
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_MARKS: Final = {units.DURATION: (1, "s"), units.PERCENT: (100, "%"), units.RATE: (1, "/s"), units.SIZE: (1, "B")}
DECIMAL: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


def struct(value: Value, cls: type[S], *, later: Mapping[str, str] | None = None, empty: bool = False) -> S:
    """The value as that struct. ``later``: keys of the format that are not supported yet, each with what to do instead.

    With ``empty``, no value at all (``pause:``) means all defaults.
    """
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    if empty and isinstance(value, Scalar) and value.kind == NULL:
        value = Table(value.place, {})
    made = _struct(value, info, later)
    assert isinstance(made, cls)
    return made


def quantity(value: Value, kind: str) -> float:
    """A scalar with a unit, in the unit of code (seconds, 1/s, share, bytes)."""
    if not isinstance(value, Scalar) or value.kind == NULL:
        raise BadInput(f"{what_is(value)} stands where a {kind} belongs", place=value.place, right=f"write it like {units.EXAMPLE[kind]}")
    try:
        return float(units.PARSE[kind](value.text))
    except units.WrongUnit as error:
        message, _, right = str(error).partition("; ")
        raise BadInput(message, place=value.place, right=right) from None


def keys(cls: type[msgspec.Struct]) -> dict[str, str]:
    """Key in YAML -> field in code, of a struct."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return {key_of(field): field.name for field in info.fields}


def integer(value: Value) -> int:
    """A plain whole number; octal, hexadecimal and sexagesimal spellings of YAML are refused."""
    if isinstance(value, Scalar) and value.kind == INT and _INTEGER.fullmatch(value.text):
        if len(value.text) > _MOST_DIGITS:
            raise BadInput(f"{what_is(value)} is out of range", place=value.place, right=f"at most {_MOST_DIGITS} digits")
        return int(value.text)
    raise BadInput(f"{what_is(value)} stands where a whole number belongs", place=value.place, right="write it like 3, without a unit")


def number(value: Value) -> float:
    """A plain number without a unit."""
    if isinstance(value, Scalar) and value.kind in (INT, FLOAT, TEXT) and DECIMAL.fullmatch(value.text):
        found = float(value.text)
        if math.isinf(found):
            raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="a number that a machine can hold")
        return found
    raise BadInput(f"{what_is(value)} stands where a number belongs", place=value.place, right="write it like 1.5, without a unit")


def boolean(value: Value) -> bool:
    """``true`` or ``false``."""
    if isinstance(value, Scalar) and value.kind == BOOL:
        return value.text.lower() in ("true", "yes", "on")
    raise BadInput(f"{what_is(value)} stands where true or false belongs", place=value.place, right="write it as true or false")


def any_text(value: Value) -> str:
    """A text, which may be empty if that is written out (``""``)."""
    return "" if isinstance(value, Scalar) and value.kind == TEXT and not value.text else text(value)


def texts(value: Value, example: str = "[a, b]") -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(item) for item in _items(value, example))


def _items(value: Value, example: str) -> tuple[Value, ...]:
    if isinstance(value, Listing):
        return value.items
    raise BadInput(f"{what_is(value)} stands where a list belongs", place=value.place, right=f"write it like {example}")


def _struct(value: Value, info: inspect.StructType, later: Mapping[str, str] | None = None) -> object:
    entries = table(value)
    fields = {key_of(field): field for field in info.fields}
    entries.only(fields, later)
    given: dict[str, object] = {}
    for key, field in fields.items():
        if key in entries.entries:
            given[field.name] = _convert(entries.entries[key], field.type)
        elif field.required:
            entries.need(key, _example(field.type))
    try:
        made: object = info.cls(**given)
    except ValueError as error:
        raise BadInput(str(error), place=value.place) from None
    return made


def _convert(value: Value, info: inspect.Type) -> object:
    unit = unit_of(info)
    bare = info.type if isinstance(info, inspect.Metadata) else info
    if isinstance(bare, inspect.UnionType):
        return _one_of(value, bare)
    if unit is not None and isinstance(bare, inspect.FloatType | inspect.IntType):
        found = quantity(value, unit)
        _in_range(found, bare, value, unit)
        return round(found) if isinstance(bare, inspect.IntType) else found
    scalar = _SCALARS.get(type(bare))
    if scalar is not None:
        plain = scalar(value)
        if isinstance(bare, inspect.FloatType | inspect.IntType) and isinstance(plain, int | float):
            _in_range(plain, bare, value, None)
        return plain
    return _compound(value, bare)


def _compound(value: Value, bare: inspect.Type) -> object:
    match bare:
        case inspect.StructType():
            return _struct(value, bare)
        case inspect.LiteralType(values=choices):
            return _choice(value, [str(choice) for choice in choices])
        case inspect.EnumType(cls=cls):
            return cls(_choice(value, [str(member.value) for member in cls]))
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            found = tuple(_convert(one, item) for one in _items(value, "[a, b]"))
            return found if isinstance(bare, inspect.VarTupleType) else list(found)
        case inspect.DictType(value_type=inner):
            return {key: _convert(one, inner) for key, one in table(value).entries.items()}
    raise AssertionError(f"no way to read a {type(bare).__name__} from a file")


def _one_of(value: Value, union: inspect.UnionType) -> object:
    """An optional value, or any plain scalar as what YAML takes it for."""
    inner = [one for one in union.types if not isinstance(one, inspect.NoneType)]
    if isinstance(value, Scalar) and value.kind == NULL and len(inner) < len(union.types):
        return None
    if len(inner) == 1:
        return _convert(value, inner[0])
    readers: dict[str, Callable[[Value], object]] = {INT: integer, FLOAT: number, BOOL: boolean}
    return readers.get(value.kind, any_text)(value) if isinstance(value, Scalar) else text(value)


def _choice(value: Value, choices: list[str]) -> str:
    word = text(value, "a word")
    if word not in choices:
        raise BadInput(f"'{word}' is not a choice here", place=value.place, right=suggest(word, choices))
    return word


def _in_range(found: float, info: inspect.FloatType | inspect.IntType, value: Value, unit: str | None) -> None:
    tests = ((info.ge, "at least", ge), (info.gt, "more than", gt), (info.le, "at most", le), (info.lt, "less than", lt))
    for bound, words, holds in tests:
        if bound is not None and not holds(found, bound):
            raise BadInput(f"{what_is(value)} is out of range", place=value.place, right=f"{words} {_shown(bound, unit)}")


def _shown(bound: float, unit: str | None) -> str:
    scale, mark = _MARKS.get(unit or "", (1, ""))
    return f"{bound * scale:g}{mark}"


def key_of(field: inspect.Field) -> str:
    """How the field is written in YAML: its name less the suffix of its unit."""
    unit = unit_of(field.type)
    return field.name.removesuffix(units.SUFFIX[unit]) if unit else field.name


def unit_of(info: inspect.Type) -> str | None:
    """The kind of quantity, of a type or of what it is an optional or a list of; None for all that carries no unit."""
    for one in _layers(info):
        if isinstance(one, inspect.Metadata) and one.extra and "unit" in one.extra:
            return str(one.extra["unit"])
    return None


def _layers(info: inspect.Type) -> Iterator[inspect.Type]:
    """A type, and what it is an optional or a list of."""
    yield info
    match info:
        case inspect.Metadata(type=inner) | inspect.VarTupleType(item_type=inner) | inspect.ListType(item_type=inner):
            yield from _layers(inner)
        case inspect.UnionType(types=types):
            for inner in types:
                yield from _layers(inner)


def _example(info: inspect.Type) -> str:
    unit = unit_of(info)
    return units.EXAMPLE[unit] if unit else ""


_SCALARS: Final[dict[type[inspect.Type], Callable[[Value], object]]] = {
    inspect.StrType: any_text,
    inspect.IntType: integer,
    inspect.FloatType: number,
    inspect.BoolType: boolean,
}
