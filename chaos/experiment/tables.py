"""Structs as tables of a file: each field is a key, declared where it stands.

    class Dns(Strict, frozen=True):
        ttl_s: Seconds = 1.0                                    the key 'ttl'; the unit is part of the type
        order: Annotated[tuple[str, ...], DISTINCT] = ()        a list in which nothing stands twice
        check: Annotated[str, CHECK] = "ready"                  a form of its own
        \"\"\"The text below a field is its description.\"\"\"

A field's form follows from its type, or stands in its annotation. The key is the field's name less the suffix of its unit, and less
a ``_`` at its end. The fields of faults, built-in ones and those of other packages, are read and described by the same code.
"""

from __future__ import annotations

import enum
import functools
import sys
import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from chaos.core import units
from chaos.core.errors import BadInput
from chaos.experiment import schema as json
from chaos.experiment.forms import ANY_TEXT, FLAG, PLAIN, Form, Mistakes, choice, listed, mapping, number, optional, quantity, whole
from chaos.experiment.schema import Schema, Shapes
from chaos.experiment.source import NULL, Scalar, Table, Value, table_of

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """Frozen, and unknown keys are refused."""


DISTINCT: Final = msgspec.Meta(extra={"distinct": True})
"""In the annotation of a list: nothing may stand in it twice. A list of choices is always such a list."""
UNWRITTEN: Final = msgspec.Meta(extra={"unwritten": True})
"""In the annotation of a field that is no key of the file."""


class Key(msgspec.Struct, frozen=True):
    """In the annotation of a field whose key has another name than the field, or that is missed with an example."""

    name: str = ""
    example: str = ""
    missing: bool = False
    """It may be missing: ``make`` or a rule knows what then."""


class Rule(msgspec.Struct, frozen=True):
    """What keys of one table ask of one another: ``check`` raises ``BadInput``; the schema says as much of it as a schema can."""

    check: Callable[[Table], None]
    schema: Schema = {}


class Field(msgspec.Struct, frozen=True):
    """One key of a table."""

    key: str
    name: str
    """Of the field that it fills."""
    form: Form[Any]
    required: bool = True
    default: Any = None
    example: str = ""
    """Of the key with a value, for who forgot it."""
    about: str = ""


class Written(NamedTuple):
    """Above a struct: how it is written, beyond its fields."""

    rules: tuple[Rule, ...] = ()
    blank: bool = False
    """A key without a value (``dns:``) is a key that is not there."""
    filled: tuple[str, ...] = ()
    """Keys for which that does not hold."""
    make: Callable[[dict[str, Any], Table], msgspec.Struct] | None = None
    """Makes the struct of the fields that were given; ``BadInput`` for what cannot be together."""
    extra: tuple[Field, ...] = ()
    """Keys that are no fields of the struct."""
    inline: bool = False
    """Described where it is used, not under a name of its own."""

    def __call__(self, cls: type[S]) -> type[S]:
        """As a decorator."""
        _WRITTEN[cls] = self
        return cls


_WRITTEN: Final[dict[type, Written]] = {}


class Keys(Generic[T]):
    """Some keys and what is made of them. Several such groups may stand in one table, as those of a fault's entry do."""

    def __init__(self, fields: Iterable[Field], make: Callable[[dict[str, Any], Table], T], options: Written, of: type | None) -> None:
        self.fields: Final = {field.key: field for field in fields}
        self._make = make
        self.options = options
        self._of = of

    def read(self, entry: Table) -> T:
        """What is made of a table that has these keys and no others."""
        return self.part(entry, self.fields)

    def part(self, entry: Table, among: Iterable[str], *, rules: bool = True) -> T:
        """The same of a table that may have others beside these keys; ``among`` are all that it may have."""
        mistakes = Mistakes()
        names = list(among)
        mistakes.found += entry.unknown(names)
        unknown = [mistake.right for mistake in mistakes.found]
        given: dict[str, Any] = {}
        for key, value in entry.entries.items():
            field = self.fields.get(key)
            if field is not None and not (self._may_be_blank(field) and isinstance(value, Scalar) and value.kind == NULL):
                given[field.name] = mistakes.of(field.form.read, value)
        for field in self.fields.values():
            if field.required and field.key not in entry.entries and f"did you mean '{field.key}'?" not in unknown:
                mistakes.of(entry.need, field.key, field.example or units.EXAMPLE.get(field.form.unit, ""))
        if rules and not unknown:
            for rule in self.options.rules:
                mistakes.of(rule.check, entry)
        mistakes.tell()
        try:
            return self._make(given, entry)
        except ValueError as error:
            raise BadInput(str(error), place=entry.place) from None

    def properties(self, shapes: Shapes) -> dict[str, Schema]:
        """Of each key what it is, its description and its default."""
        from chaos.experiment.descriptions import field_texts

        texts = field_texts(self._of) if self._of else {}
        found = {}
        for key, field in self.fields.items():
            schema = field.form.describe(shapes)
            schema = json.or_nothing(schema) if self._may_be_blank(field) else schema
            about = field.about or texts.get(field.name, "")
            found[key] = json.said(schema | ({"description": about} if about else {}), about, _default(field))
        return found

    def describe(self, shapes: Shapes) -> Schema:
        """The table of these keys alone, with what they ask of one another."""
        from chaos.experiment.descriptions import clean

        required = [field.key for field in self.fields.values() if field.required]
        schema = json.closed(self.properties(shapes), required, clean(self._of.__doc__ if self._of else ""))
        for rule in self.options.rules:
            schema |= rule.schema
        return schema

    def _may_be_blank(self, field: Field) -> bool:
        return self.options.blank and not field.required and field.key not in self.options.filled


@functools.cache
def keys_of(cls: type[S]) -> Keys[S]:
    """Those of a struct; worked out when they are first needed."""
    options = _WRITTEN.get(cls, Written())
    hints = _hints(cls)
    defaults = (*[msgspec.NODEFAULT] * (len(cls.__struct_fields__) - len(cls.__struct_defaults__)), *cls.__struct_defaults__)
    fields = [_field(name, hints[name], default) for name, default in zip(cls.__struct_fields__, defaults, strict=True)]

    def make(given: dict[str, Any], entry: Table) -> S:
        made = options.make(given, entry) if options.make else cls(**given)
        assert isinstance(made, cls)
        return made

    return Keys([*options.extra, *(field for field in fields if field is not None)], make, options, cls)


def record(make: Callable[..., T], *fields: Field) -> Form[T]:
    """A table of these keys, where no struct can declare them: their forms are made in turn."""
    keys = Keys(fields, lambda given, _: make(**given), Written(), None)
    return Form(lambda value: keys.read(table_of(value)), keys.describe)


def table(cls: type[S], wanted: str = "keys and values") -> Form[S]:
    """A table that is this struct; ``wanted`` is what it is called. A ``ValueError`` of the struct is told at the table's place."""

    def describe(shapes: Shapes) -> Schema:
        keys = keys_of(cls)
        if keys.options.inline:
            return keys.describe(shapes)
        ours = cls.__module__.partition(".")[0] == "chaos"
        name = cls.__name__ if ours else f"{cls.__module__}.{cls.__name__}"
        if json.slug(name) not in shapes.definitions:
            shapes.define(name, {})  # It may hold itself.
            shapes.define(name, keys.describe(shapes))
        return json.ref(name)

    return Form(lambda value: keys_of(cls).read(table_of(value, wanted)), describe)


def empty_or(value: Value) -> Value:
    """A table without keys in place of no value at all."""
    return Table(value.place, {}) if isinstance(value, Scalar) and value.kind == NULL else value


def _hints(cls: type[msgspec.Struct]) -> dict[str, Any]:
    """The annotations of its fields, evaluated where they stand. ``typing.get_type_hints`` takes four times as long, at each start."""
    found: dict[str, Any] = {}
    for each in reversed(cls.__mro__):
        names = vars(sys.modules[each.__module__])
        for field, hint in vars(each).get("__annotations__", {}).items():
            if field in cls.__struct_fields__:
                found[field] = eval(hint, names) if isinstance(hint, str) else hint  # noqa: S307 - source code, not input
    return found


# --- from types to forms -----------------------------------------------------------------------------------------------


def _field(name: str, hint: Any, default: object) -> Field | None:  # noqa: ANN401 - a type, whatever it is
    metas = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    if any(isinstance(meta, msgspec.Meta) and (meta.extra or {}).get("unwritten") for meta in metas):
        return None
    form = form_of(hint)
    said = next((meta for meta in metas if isinstance(meta, Key)), Key())
    key = said.name or (name.removesuffix(units.SUFFIX[form.unit]) if form.unit else name).rstrip("_")
    needed = default is msgspec.NODEFAULT
    return Field(key, name, form, needed and not said.missing, None if needed else default, said.example)


def form_of(hint: Any) -> Form[Any]:  # noqa: ANN401 - a type, whatever it is
    """The form that an annotation holds, or that follows from its type."""
    metas: list[Any] = []
    if get_origin(hint) is Annotated:
        hint, *metas = get_args(hint)
        given = next((meta for meta in metas if isinstance(meta, Form)), None)
        if given is not None:
            return given
    found = [meta for meta in metas if isinstance(meta, msgspec.Meta)]
    bounds = {name: at for meta in found for name in ("ge", "gt", "le", "lt") if (at := getattr(meta, name)) is not None}
    extra = {key: value for meta in found for key, value in (meta.extra or {}).items()}
    if hint in (int, float):
        if "unit" in extra:
            return quantity(extra["unit"], rounded=hint is int, **bounds)
        return whole(**bounds) if hint is int else number(**bounds)
    if hint in _SCALARS:
        return _SCALARS[hint]
    return _compound(hint, get_origin(hint), distinct=bool(extra.get("distinct")))


_SCALARS: Final[dict[Any, Form[Any]]] = {str: ANY_TEXT, bool: FLAG}


def _compound(hint: Any, origin: Any, *, distinct: bool) -> Form[Any]:  # noqa: ANN401 - a type, whatever it is
    inner = get_args(hint)
    if origin in (Union, types.UnionType):
        some = [one for one in inner if one is not type(None)]
        form = form_of(some[0]) if len(some) == 1 else PLAIN
        return form if len(some) == len(inner) else optional(form)
    if origin is Literal:
        return choice(sorted(map(str, inner)))
    if origin in (tuple, list):
        unlike = distinct or get_origin(inner[0]) is Literal
        found = listed(form_of(inner[0]), distinct=unlike)
        return found if origin is tuple else found.then(lambda items, _: list(items))
    if origin is dict:
        return mapping(form_of(inner[1]))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return choice([str(member.value) for member in hint]).then(lambda word, _: hint(word))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return table(hint)
    raise AssertionError(f"no way to read a {getattr(hint, '__name__', hint)} from a file")


def _default(field: Field) -> object:
    """The default as a file would say it; None where there is none to speak of."""
    value = field.default
    if isinstance(value, bool | str) and value != "":
        return value
    if isinstance(value, int | float):
        return units.written(value, field.form.unit) if field.form.unit else value
    return list(value) if isinstance(value, tuple) and value and all(isinstance(one, str) for one in value) else None
