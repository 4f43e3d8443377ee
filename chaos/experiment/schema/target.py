"""The JSON Schema of a ``target.yaml``, and of operations wherever they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.core import plugins as tables
from chaos.experiment import probe_options
from chaos.experiment.schema.pieces import NOTHING, TEXT, WORDS, Schema, closed, listed, named, one_of, or_nothing, ref, said
from chaos.experiment.schema.production import model
from chaos.experiment.schema.structs import Shapes
from chaos.experiment.target.load import DOES, SCHEMA
from chaos.experiment.target.spec import Ask, Part, Setting, Target

_OPTION: Final[Schema] = one_of(TEXT, NOTHING, listed(WORDS), named(WORDS))
"""Of a probe, or of a step: text; a list is one command line, a table is ``key: value; key: value``."""


def target(shapes: Shapes) -> Schema:
    """The whole file."""
    ask = shapes.struct(Ask)
    role = one_of(ask, said({"const": "ready"}, "The question of the part whether a node is ready"))
    instead = {
        "about": WORDS,
        "settings": said(named(shapes.struct(Setting)), "Knobs that experiments may turn"),
        "parts": said(named(shapes.struct(Part)) | {"minProperties": 1}, "Groups of like nodes, by name"),
        "operations": said(named(operation(shapes, does_needed=True)), "What can be asked of it, by name"),
        "roles": said(named(role), "Asked of each node; it has the role if the expression holds"),
        "marks": closed({"ask": ask, "values": named(WORDS)}, required=["ask", "values"]),
        "init": said(listed(named(ref("option"))), "Steps that are done once"),
        "read_node": operation(shapes),
        "model": said(model(shapes, templates=True), "Parameters of the models; a setting may stand for any of them"),
    }
    table = shapes.table(Target, instead, without=("name", "folder", "marks_ask"), filled=())
    for optional in ("about", "settings", "operations"):
        table["properties"][optional] = or_nothing(table["properties"][optional])
    first = {"schema": said({"const": SCHEMA}, "The version of this form"), "target": said(WORDS, "Its name")}
    table["properties"] = first | table["properties"]
    return table | {"required": ["schema", "target", "parts"]}


def operation(shapes: Shapes, *, does_needed: bool = False, rate: Schema | None = None) -> Schema:
    """Exactly one probe, with the options that it says it has. With a ``rate``, that may stand there alone: a target's operation."""
    shapes.define("option", _OPTION)
    probes = {probe: said(ref("option"), f"Asked by the probe {probe}") for probe in tables.names("probes")}
    properties = probes | {"does": said({"enum": list(DOES)}, "What it does to the data")} | ({"rate": rate} if rate else {})
    required = [*(["does"] if does_needed else []), *(["rate"] if rate else [])]
    besides = ["does", *(["rate"] if rate else [])]
    choices = [*(_asked_by(probe, besides) for probe in probes), *([{"maxProperties": 1}] if rate else [])]
    return closed(properties, required) | {"oneOf": choices, "additionalProperties": ref("option")}


def _asked_by(probe: str, besides: Sequence[str]) -> Schema:
    """An operation of this probe, and no options but its own."""
    options = probe_options.options_of(probe)
    schema: Schema = {"required": [probe]}
    if options is None:
        return schema
    about = {name: {"description": told} for name, told in options.items() if name != probe_options.WHAT}
    return schema | {"properties": about, "propertyNames": {"enum": [probe, *besides, *about]}}
