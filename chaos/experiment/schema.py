"""What a JSON Schema of ours is made of: kinds of values, tables, lists, choices, and what keys ask of one another.

The forms (``forms``, ``tables``) describe themselves with these pieces; ``Shapes`` collects what the pieces of one schema refer to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

Schema = dict[str, Any]
"""A piece of JSON Schema, which is data and stays so."""

TEXT: Final[Schema] = {"type": ["string", "number", "boolean"]}
"""Text: plain YAML takes some words for numbers, the loader takes them as they are written."""
WORDS: Final[Schema] = TEXT | {"pattern": r"\S"}
"""The same, and not empty."""
NOTHING: Final[Schema] = {"type": "null"}


def anchored(pattern: str) -> str:
    """For the whole of a text: JSON Schema looks for a pattern anywhere in it."""
    return f"^(?:{pattern})$"


def slug(name: str) -> str:
    """The name of a definition, as it may stand in a reference."""
    return re.sub(r"[^\w.-]+", "-", name)


def ref(name: str) -> Schema:
    """A reference to one of the definitions."""
    return {"$ref": f"#/$defs/{slug(name)}"}


def closed(properties: Mapping[str, Schema], required: Sequence[str] = (), description: str = "") -> Schema:
    """A table with these keys and no others."""
    schema: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return said(schema | ({"required": list(required)} if required else {}), description)


def named(value: Schema) -> Schema:
    """A table whose keys are names."""
    return {"type": "object", "additionalProperties": value}


def array(item: Schema, **more: object) -> Schema:
    """A list."""
    return {"type": "array", "items": item} | more


def any_of(*choices: Schema) -> Schema:
    """Any of them will do."""
    return {"anyOf": list(choices)}


def or_nothing(schema: Schema) -> Schema:
    """The same, or no value at all."""
    about = schema.get("description", "")
    rest = {word: value for word, value in schema.items() if word != "description"}
    if set(rest) == {"enum"}:
        return said({"enum": [*rest["enum"], *([] if None in rest["enum"] else [None])]}, about)
    if "type" in rest and set(rest) <= _OF_A_TYPE:
        kinds = [rest["type"]] if isinstance(rest["type"], str) else rest["type"]
        return said(rest | {"type": list(dict.fromkeys([*kinds, "null"]))}, about)
    choices = rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    return said(any_of(*choices, *([] if NOTHING in choices else [NOTHING])), about)


_OF_A_TYPE: Final = frozenset(
    ("type", "pattern", "minimum", "exclusiveMinimum", "maximum", "properties", "additionalProperties", "required", "minProperties",
     "items", "minItems", "maxItems", "uniqueItems")
)  # fmt: skip
"""Keywords that say nothing of a value of another type, such as of none."""


def given(key: str) -> Schema:
    """The key is there, and has a value."""
    return {"required": [key], "properties": {key: {"not": NOTHING}}}


def there(*keys: str) -> Schema:
    """One of the keys is there, with a value or without."""
    return any_of(*({"required": [key]} for key in keys))


def said(schema: Schema, description: str = "", default: object = None) -> Schema:
    """With what people are told about it."""
    told = {"description": description} if description else {}
    return told | schema | ({"default": default} if default is not None else {})


class Shapes:
    """Collects what the pieces of one schema refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def define(self, name: str, schema: Schema) -> Schema:
        """A reference to what stands under that name from now on."""
        self.definitions[slug(name)] = schema
        return ref(name)


# --- variables of the environment ----------------------------------------------------------------------------------------

VARIABLE: Final = r"\$\{[A-Za-z_]"
"""Where ``${NAME}`` stands, only the loader knows what it comes to."""
_NOT_VALUES: Final = ("propertyNames", "default", "examples", "required", "const")


def with_variables(schema: Schema) -> Schema:
    """The same, and ``${NAME}`` in place of any single value."""
    found = {word: inner if word in _NOT_VALUES else _inside(word, inner) for word, inner in schema.items()}
    if "enum" in found:
        choices = found.pop("enum")
        return found | any_of({"enum": choices}, {"type": "string", "pattern": VARIABLE})
    if "pattern" in found:
        found["pattern"] = f"{found['pattern']}|{VARIABLE}"
    kinds = [found["type"]] if isinstance(found.get("type"), str) else list(found.get("type", ()))
    if {"integer", "number", "boolean"} & {*kinds} and "string" not in kinds:
        found |= {"type": [*kinds, "string"], "pattern": VARIABLE}
    return found


def _inside(word: str, inner: object) -> Any:  # noqa: ANN401 - whatever stands there
    if isinstance(inner, list):
        return [with_variables(each) if isinstance(each, dict) else each for each in inner]
    if isinstance(inner, dict):
        by_name = word in ("properties", "$defs", "patternProperties")
        return {name: with_variables(each) for name, each in inner.items()} if by_name else with_variables(inner)
    return inner
