"""Forms: what may stand at one place of a file, declared once. A form reads *and* describes.

    form.read(value)          the typed value; ``BadInput`` with file, line, path, what was found and what would be right
    form.describe(shapes)     the same as JSON Schema

    quantity  whole  number  flag  string  choice             one scalar
    listed  mapping  known                                    several values: in a list, by any name, by names that are known
    one_of  optional                                          one of several forms
    ``tables.table``                                          a struct, each field a key

Forms that hold others go on after a mistake: all mistakes of a file are told at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Any, Final, Generic, ParamSpec, TypeVar

from chaos.core import units
from chaos.core.errors import BadInput, together
from chaos.core.plugins import suggest
from chaos.experiment import schema as json
from chaos.experiment.schema import Schema, Shapes
from chaos.experiment.source import BOOL, FLOAT, INT, NULL, TEXT, Listing, Scalar, Table, Value, table_of, text, what_is

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")

_MOST_DIGITS: Final = 18
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_MARKS: Final = {units.DURATION: (1, "s"), units.PERCENT: (100, "%"), units.RATE: (1, "/s"), units.SIZE: (1, "B")}


class Form(Generic[T]):
    """What may stand at one place; ``unit`` is the kind of quantity, of the value or of what it is a list of."""

    __slots__ = ("_schema", "read", "unit")

    def __init__(self, read: Callable[[Value], T], schema: Schema | Callable[[Shapes], Schema], unit: str = "") -> None:
        self.read = read
        self._schema = schema
        self.unit = unit

    def describe(self, shapes: Shapes) -> Schema:
        """As JSON Schema."""
        return self._schema if isinstance(self._schema, dict) else self._schema(shapes)

    def then(self, step: Callable[[T, Value], U], more: Schema | None = None) -> Form[U]:
        """What ``step`` makes of the value, or refuses of it; ``more`` is what the schema says of that."""
        return Form(lambda value: step(self.read(value), value), lambda shapes: self.describe(shapes) | (more or {}), self.unit)

    def said(self, about: str) -> Form[T]:
        """With a text for people."""
        return Form(self.read, lambda shapes: json.said(self.describe(shapes), about), self.unit)

    def shared(self, name: str) -> Form[T]:
        """Described once, under that name, wherever it is used."""
        return Form(self.read, lambda shapes: shapes.define(name, self.describe(shapes)), self.unit)


class Mistakes:
    """Those of one file so far; reading goes on after each."""

    def __init__(self) -> None:
        self.found: list[BadInput] = []

    def of(self, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T | None:
        """What the work gives; None, and its mistakes more, if it refuses."""
        try:
            return work(*args, **options)
        except BadInput as mistake:
            self.found += mistake.each
            return None

    def tell(self) -> None:
        """Raise them, if there are any."""
        if self.found:
            raise together(self.found) from None


# --- one scalar --------------------------------------------------------------------------------------------------------


def quantity(kind: str, *, rounded: bool = False, **bounds: float) -> Form[Any]:
    """A number with a unit, in the unit of code (seconds, 1/s, share, bytes). Bounds are ``ge``, ``gt``, ``le``, ``lt``."""
    sign = "more than 0" if bounds.get("gt", -1) >= 0 else "at least 0" if bounds.get("ge", -1) >= 0 else ""
    more = f", {sign}" if sign else ""

    def read(value: Value) -> float:
        if not isinstance(value, Scalar) or value.kind == NULL:
            right = f"write it like {units.EXAMPLE[kind]}"
            raise BadInput(f"{what_is(value)} stands where a {kind} belongs", place=value.place, right=right)
        found = parsed(value, kind, value.text)
        in_range(found, value, bounds, kind)
        return round(found) if rounded else found

    def describe(shapes: Shapes) -> Schema:
        about = f"A {kind}{more}, written like {units.EXAMPLE[kind]}"
        pattern = json.anchored(units.pattern(kind, sign or "any"))
        return shapes.define(f"{kind}{more}", json.said({"type": "string", "pattern": pattern}, about))

    return Form(read, describe, kind)


def parsed(value: Value, kind: str, written: str) -> float:
    """A quantity from its text, which is all or a part of what stands there."""
    try:
        return float(units.PARSE[kind](written))
    except units.WrongUnit as error:
        message, _, right = str(error).partition("; ")
        raise BadInput(message, place=value.place, right=right) from None


def in_range(found: float, value: Value, bounds: Mapping[str, float], kind: str = "") -> None:
    """Refuse a number that lies outside."""
    scale, mark = _MARKS.get(kind, (1, ""))
    for name, (words, holds) in _BOUNDS.items():
        bound = bounds.get(name)
        if bound is not None and not holds(found, bound):
            right = f"{words} {bound * scale:{',' if isinstance(bound, int) else ',g'}}{mark}"
            raise BadInput(f"{what_is(value)} is out of range", place=value.place, right=right)


_BOUNDS: Final[dict[str, tuple[str, Callable[[float, float], bool]]]] = {
    "ge": ("at least", ge), "gt": ("more than", gt), "le": ("at most", le), "lt": ("less than", lt),
}  # fmt: skip
_LIMITS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def _limits(bounds: Mapping[str, float]) -> Schema:
    return {_LIMITS[name]: bound for name, bound in bounds.items()}


def whole(**bounds: int) -> Form[int]:
    """A plain whole number; octal, hexadecimal and sexagesimal spellings of YAML are refused."""

    def read(value: Value) -> int:
        if not (isinstance(value, Scalar) and value.kind == INT and _INTEGER.fullmatch(value.text)):
            right = "write it like 3, without a unit"
            raise BadInput(f"{what_is(value)} stands where a whole number belongs", place=value.place, right=right)
        if len(value.text) > _MOST_DIGITS:
            raise BadInput(f"{what_is(value)} is out of range", place=value.place, right=f"at most {_MOST_DIGITS} digits")
        found = int(value.text)
        in_range(found, value, bounds)
        return found

    return Form(read, {"type": "integer"} | _limits(bounds))


def number(**bounds: float) -> Form[float]:
    """A plain number without a unit; some spellings (``1e5``) are text to YAML."""

    def read(value: Value) -> float:
        if not (isinstance(value, Scalar) and value.kind in (INT, FLOAT, TEXT) and _DECIMAL.fullmatch(value.text)):
            right = "write it like 1.5, without a unit"
            raise BadInput(f"{what_is(value)} stands where a number belongs", place=value.place, right=right)
        found = float(value.text)
        if math.isinf(found):
            raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="a number that a machine can hold")
        in_range(found, value, bounds)
        return found

    return Form(read, {"type": ["number", "string"], "pattern": json.anchored(_DECIMAL.pattern)} | _limits(bounds))


def _flag(value: Value) -> bool:
    if isinstance(value, Scalar) and value.kind == BOOL:
        return value.text.lower() in ("true", "yes", "on")
    raise BadInput(f"{what_is(value)} stands where true or false belongs", place=value.place, right="write it as true or false")


def string(wanted: str = "a text", *, pattern: re.Pattern[str] | None = None, name: str = "", right: str = "") -> Form[str]:
    """A text that is not empty, as it is written (``no`` stays ``no``). ``pattern``: what all of it is like, which is called ``name``."""

    def read(value: Value) -> str:
        found = text(value, wanted)
        if pattern is not None and not pattern.fullmatch(found):
            raise BadInput(f"'{found}' is not {name or wanted}", place=value.place, right=right)
        return found

    return Form(read, json.WORDS if pattern is None else json.WORDS | {"pattern": json.anchored(pattern.pattern)})


def choice(words: Collection[str] | Callable[[], Collection[str]]) -> Form[str]:
    """One of some words; those of a table of plug-ins are asked for when they are needed."""

    def known() -> Collection[str]:
        return words() if callable(words) else words

    def read(value: Value) -> str:
        word = text(value, "a word")
        if word not in known():
            raise BadInput(f"'{word}' is not a choice here", place=value.place, right=suggest(word, known()))
        return word

    return Form(read, lambda _: {"enum": list(known())})


def _any_text(value: Value) -> str:
    return "" if isinstance(value, Scalar) and value.kind == TEXT and not value.text else text(value)


def _as_it_is(value: Value) -> object:
    readers: dict[str, Callable[[Value], object]] = {INT: WHOLE.read, FLOAT: NUMBER.read, BOOL: _flag}
    return readers.get(value.kind, _any_text)(value) if isinstance(value, Scalar) else text(value)


WHOLE: Final = whole()
COUNT: Final = whole(ge=1)
NUMBER: Final = number()
FLAG: Final = Form(_flag, {"type": "boolean"})
"""``true`` or ``false``."""
WORDS: Final = string()
NAME: Final = string("a name", pattern=re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"), right="letters, digits, '-', '_' and '.'")
"""What experiments, faults and networks may be called: their names become parts of paths, of at most 255 bytes."""
ANY_TEXT: Final = Form(_any_text, json.TEXT)
"""A text, which may be empty if that is written out (``""``)."""
PLAIN: Final = Form(_as_it_is, json.TEXT)
"""Any scalar, as what YAML takes it for."""


# --- several values ----------------------------------------------------------------------------------------------------


def listed(
    item: Form[T], *, example: str = "[a, b]", wanted: str = "a list", least: int = 0, most: int | None = None, distinct: bool = False,
    few: str = "",
) -> Form[tuple[T, ...]]:  # fmt: skip
    """A list. ``distinct``: nothing stands in it twice; ``few`` is what is wrong with too short a list."""

    def read(value: Value) -> tuple[T, ...]:
        if not isinstance(value, Listing):
            raise BadInput(f"{what_is(value)} stands where {wanted} belongs", place=value.place, right=f"write it like {example}")
        if not least <= len(value.items) <= (most or math.inf):
            right = example if few else f"{least} to {most} of them" if most else f"write it like {example}"
            raise BadInput(few or f"a list of {len(value.items)} stands here", place=value.place, right=right)
        mistakes = Mistakes()
        found = [mistakes.of(item.read, one) for one in value.items]
        if distinct:
            _once(value.items, mistakes)
        mistakes.tell()
        return tuple(found)  # type: ignore[arg-type] # a None would have been told

    counts = ({"minItems": least} if least else {}) | ({"maxItems": most} if most is not None else {})
    more = counts | ({"uniqueItems": True} if distinct else {})
    return Form(read, lambda shapes: json.array(item.describe(shapes), **more), item.unit)


def _once(items: Iterable[Value], mistakes: Mistakes) -> None:
    met: set[object] = set()
    for one in items:
        if _bare(one) in met:
            mistakes.found.append(BadInput(f"{what_is(one)} stands in this list twice", place=one.place, right="each once"))
        met.add(_bare(one))


def _bare(value: Value) -> object:
    """What is written, without where."""
    match value:
        case Scalar(text=written):
            return written
        case Listing(items=items):
            return tuple(map(_bare, items))
        case Table(entries=entries):
            return frozenset((key, _bare(one)) for key, one in entries.items())


def mapping(value: Form[T], *, empty: str = "", right: str = "") -> Form[dict[str, T]]:
    """A table whose keys are names; ``empty`` is what is wrong with one that has none."""

    def read(found: Value) -> dict[str, T]:
        if empty and not table_of(found).entries:
            raise BadInput(empty, place=found.place, right=right)
        return _each(table_of(found), lambda _, one: value.read(one))

    return Form(read, lambda shapes: json.named(value.describe(shapes)) | ({"minProperties": 1} if empty else {}))


def known(what: str, forms: Callable[[], Mapping[str, Form[T]]]) -> Form[dict[str, T]]:
    """A table whose keys are some names of ``what`` (fault, measure), each with a form."""

    def each(name: str, value: Value, all_forms: Mapping[str, Form[T]]) -> T:
        if name not in all_forms:
            raise BadInput(f"unknown {what} '{name}'", place=value.place, right=suggest(name, all_forms))
        return all_forms[name].read(value)

    def read(value: Value) -> dict[str, T]:
        all_forms = forms()
        return _each(table_of(value), lambda name, one: each(name, one, all_forms))

    return Form(read, lambda shapes: json.closed({name: form.describe(shapes) for name, form in forms().items()}))


def _each(entry: Table, read: Callable[[str, Value], T]) -> dict[str, T]:
    mistakes = Mistakes()
    found = {name: mistakes.of(read, name, one) for name, one in entry.entries.items()}
    mistakes.tell()
    return found  # type: ignore[return-value] # a None would have been told


# --- one of several forms ----------------------------------------------------------------------------------------------


def one_of(scalar: Form[T], *, listing: Form[Any] | None = None, table: Form[Any] | None = None) -> Form[Any]:
    """What stands there says which: a list, a table, or else a scalar."""
    forms: Sequence[Form[Any]] = [form for form in (scalar, listing, table) if form is not None]

    def read(value: Value) -> Any:  # noqa: ANN401 - what each of the forms gives
        other = listing if isinstance(value, Listing) else table if isinstance(value, Table) else None
        return (other or scalar).read(value)

    return Form(read, lambda shapes: json.any_of(*(form.describe(shapes) for form in forms)), scalar.unit)


def optional(form: Form[T]) -> Form[T | None]:
    """The same, or no value at all."""

    def read(value: Value) -> T | None:
        return None if isinstance(value, Scalar) and value.kind == NULL else form.read(value)

    return Form(read, lambda shapes: json.or_nothing(form.describe(shapes)), form.unit)
