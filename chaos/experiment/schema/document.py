"""The JSON Schema of what people write: of an experiment, of a ``target.yaml``. An editor completes and checks by it; the loader decides.

All that ``experiment.decode`` reads into structs comes from those structs (``structs``); the forms that the loader reads by hand are built
of the loader's own words. What the schema refuses the loader refuses too; what hangs together over the whole file (does the node
exist, do faults overlap) only the loader knows.
"""

from __future__ import annotations

from typing import Final

from chaos.core import plugins as tables
from chaos.core.units import DURATION, PERCENT, RATE
from chaos.experiment.reading.attach import FILES, LABEL
from chaos.experiment.reading.compose import PROJECT
from chaos.experiment.reading.document import MOST_SEED, VERDICTS
from chaos.experiment.schema.faults import NAMED, faults
from chaos.experiment.schema.objectives import objectives
from chaos.experiment.schema.pieces import COUNT, WORDS, Schema, anchored, closed, given, listed, named, one_of, or_nothing, said
from chaos.experiment.schema.production import predict
from chaos.experiment.schema.structs import Shapes
from chaos.experiment.schema.target import operation, target
from chaos.experiment.spec import AbortCommand, AbortIf, AttachSpec, ClusterSpec, Experiment, TrafficSpec

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> Schema:
    """Of an experiment's file, with every fault, probe and runtime that is installed."""
    shapes = Shapes()
    instead = {
        "question": WORDS,
        "baseline": _baseline(shapes),
        "cluster": _cluster(shapes),
        "traffic": _traffic(shapes),
        "faults": faults(shapes),
        "seed": {"type": "integer", "minimum": 0, "maximum": MOST_SEED},
        "predict": predict(shapes),
        "objectives": objectives(shapes),
        "abort_if": _abort_if(shapes),
        "expect_verdict": {"enum": list(VERDICTS)},
    }
    root = shapes.table(Experiment, instead, without=("name", "file", "baseline_errors"), filled=("baseline", "settle"))
    root["properties"] = {"experiment": said(NAMED, "Its name; run folders are called after it")} | root["properties"]
    root["required"] = ["experiment", *root["required"]]
    return _document("An experiment of Nines", root, shapes)


def target_schema() -> Schema:
    """Of a ``target.yaml``, with every probe that is installed."""
    shapes = Shapes()
    return _document("A target of Nines", target(shapes), shapes)


SCHEMAS: Final = {"experiment": experiment_schema, "target": target_schema}
"""By what is described."""


def _document(title: str, root: Schema, shapes: Shapes) -> Schema:
    return {"$schema": DIALECT, "title": title} | root | {"$defs": dict(sorted(shapes.definitions.items()))}


def _baseline(shapes: Shapes) -> Schema:
    span = shapes.quantity(DURATION, "at least 0")
    allowed = said(shapes.quantity(PERCENT, "at least 0"), "The share of requests that may fail without any fault")
    return one_of(span, closed({"for": span, "errors": or_nothing(allowed)}, []))


def _cluster(shapes: Shapes) -> Schema:
    instead = {
        "target": said(WORDS, "A name that `nines targets` lists, or the path of a folder"),
        "nodes": said(COUNT, "How many; they are called n1, n2..."),
        "parts": said(named(COUNT), "How many of each part; they are called data-1, data-2..."),
        "settings": said(named(WORDS), "Values for the settings that the target declares"),
        "zones": said(named(listed(WORDS)), "Groups of nodes by name"),
        "runtime": said({"enum": ["auto", *tables.names("runtimes")]}, "Where nodes run"),
        "attach": _attach(shapes),
    }
    cluster = shapes.table(ClusterSpec, instead, filled=())
    del cluster["required"]
    # What runs already need not be a target of ours.
    with_attach: Schema = {"if": given("attach"), "then": True, "else": given("target")}
    cluster["properties"]["target"] = or_nothing(cluster["properties"]["target"])
    one_count: Schema = {"not": {"allOf": [given("nodes"), given("parts")]}}
    return cluster | {"allOf": [with_attach, one_count]}


def _attach(shapes: Shapes) -> Schema:
    files = "|".join(rf".*\{ending}" for ending in FILES)
    table = shapes.table(
        AttachSpec,
        {
            "label": WORDS | {"pattern": anchored(LABEL.pattern)},
            "services": listed(WORDS) | {"minItems": 1, "uniqueItems": True},
            "name": WORDS,
            "network": WORDS,
        },
        without=("project",),
        filled=(),
    )
    compose = said(WORDS | {"pattern": anchored(rf"{PROJECT.pattern}|{files}")}, "A compose project, by its name or its file")
    table["properties"]["compose"] = or_nothing(compose)
    of_compose: Schema = {"if": given("compose"), "then": given("services"), "else": {"not": given("services")}}
    return table | {"oneOf": [given("label"), given("compose")], "allOf": [of_compose]}


def _traffic(shapes: Shapes) -> Schema:
    rate = shapes.quantity(RATE, "more than 0")
    service = one_of(rate, operation(shapes, rate=rate))
    instead = {
        "operations": said(
            named(service) | {"minProperties": 1}, "What clients ask, and how often: an operation of the target, or one defined here"
        ),
        "judge": said(WORDS, "The operation that the objectives speak of"),
    }
    return shapes.table(TrafficSpec, instead, filled=())


def _abort_if(shapes: Shapes) -> Schema:
    span = shapes.quantity(DURATION, "more than 0")
    asked = shapes.table(AbortCommand, {"every": span, "timeout": span}, without=("words",))
    asked["properties"] = {"run": said(WORDS, "Started as it is, without a shell")} | asked["properties"]
    command = one_of(WORDS, asked | {"required": ["run"]})
    table = shapes.table(AbortIf, {"command": command})
    table["properties"]["command"] = or_nothing(command)
    return table
