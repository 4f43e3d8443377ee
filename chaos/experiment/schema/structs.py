"""From the structs that the loader fills to JSON Schema, by the same annotations that ``experiment.decode`` reads.

What a file may say is thus declared once: a new field of a struct, or a new fault, stands in the schema without a word here. The
description of a key is the text below its field, that of a table the docstring of its struct.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import inspect

from chaos.core import units
from chaos.experiment.decode import key_of, unit_of
from chaos.experiment.schema.pieces import FLAG, NUMBER, TEXT, Schema, anchored, closed, named, or_nothing, ref, said, slug
from chaos.experiment.schema.texts import clean, field_texts


class Shapes:
    """Collects what the pieces of one schema refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def quantity(self, kind: str, sign: str = "any") -> Schema:
        """A number with its unit."""
        more = "" if sign == "any" else f", {sign}"
        about = f"A {kind}{more}, written like {units.EXAMPLE[kind]}"
        return self.define(f"{kind}{more}", said({"type": "string", "pattern": anchored(units.pattern(kind, sign))}, about))

    def define(self, name: str, schema: Schema) -> Schema:
        """A reference to what stands under that name from now on."""
        self.definitions[slug(name)] = schema
        return ref(name)

    def struct(self, cls: type[msgspec.Struct]) -> Schema:
        """A reference to the table that ``decode.struct`` reads into this struct."""
        name = cls.__name__
        if slug(name) not in self.definitions:
            self.define(name, {})  # It may hold itself.
            self.define(name, self.table(cls))
        return ref(name)

    def table(
        self,
        cls: type[msgspec.Struct],
        instead: Mapping[str, Schema] | None = None,
        *,
        without: tuple[str, ...] = (),
        filled: tuple[str, ...] | None = None,
    ) -> Schema:
        """The same, written out. ``instead``: keys that are not written as their fields say; ``without``: fields that nobody writes.

        ``filled`` is for a table that the loader reads key by key: a key without a value is then one that is not there, but for these.
        """
        properties: dict[str, Schema] = {}
        required = []
        texts = field_texts(cls)
        for field in _fields(cls):
            key = key_of(field)
            if key in without:
                continue
            schema = (instead or {}).get(key) or self.of(field.type)
            if field.required:
                required.append(key)
            elif filled is not None and key not in filled:
                schema = or_nothing(schema)
            properties[key] = said(schema, texts.get(field.name, ""), default_of(field))
        return closed(properties, required, clean(cls.__doc__))

    def of(self, info: inspect.Type) -> Schema:
        """What ``experiment.decode`` reads into this type."""
        unit = unit_of(info)
        bare = info.type if isinstance(info, inspect.Metadata) else info
        match bare:
            case inspect.UnionType(types=types):
                inner = [one for one in types if not isinstance(one, inspect.NoneType)]
                one = self.of(inner[0]) if len(inner) == 1 else TEXT
                return or_nothing(one) if len(inner) < len(types) else one
            case inspect.FloatType() | inspect.IntType() if unit is not None:
                return self.quantity(unit, _sign(bare))
            case inspect.IntType():
                return {"type": "integer"} | _bounds(bare)
            case inspect.FloatType():
                return NUMBER | _bounds(bare)
            case inspect.StrType():
                return TEXT
            case inspect.BoolType():
                return FLAG
            case inspect.StructType(cls=cls):
                return self.struct(cls)
            case inspect.LiteralType(values=choices):
                return {"enum": [str(choice) for choice in choices]}
            case inspect.EnumType(cls=kinds):
                return {"enum": [str(member.value) for member in kinds]}
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                return {"type": "array", "items": self.of(item)}
            case inspect.DictType(value_type=value):
                return named(self.of(value))
        raise AssertionError(f"no way to read a {type(bare).__name__} from a file")


def default_of(field: inspect.Field) -> object:
    """The default as a file would say it; None where there is none to speak of."""
    value = field.default
    if isinstance(value, bool | str) and value != "":
        return value
    if isinstance(value, int | float):
        unit = unit_of(field.type)
        return units.written(value, unit) if unit else value
    return list(value) if isinstance(value, tuple) and value and all(isinstance(one, str) for one in value) else None


def _fields(cls: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _sign(info: inspect.FloatType | inspect.IntType) -> str:
    if info.gt is not None and info.gt >= 0:
        return "more than 0"
    return "at least 0" if info.ge is not None and info.ge >= 0 else "any"


def _bounds(info: inspect.FloatType | inspect.IntType) -> Schema:
    bounds = {"minimum": info.ge, "exclusiveMinimum": info.gt, "maximum": info.le, "exclusiveMaximum": info.lt}
    return {word: bound for word, bound in bounds.items() if bound is not None}
