"""An experiment: one question, answered by one run. From its YAML to an ``Experiment``, and its JSON Schema.

Every key, type, unit and range is checked, with ``file:line: path`` in each refusal; all that is wrong with a file is told at once.
What cannot be known from the file alone (does the node exist, does the target know the operation) is for the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from chaos.core.errors import BadInput, Place
from chaos.core.units import PERCENT, Ratio, Seconds
from chaos.experiment import kinds
from chaos.experiment.cluster import ClusterSpec
from chaos.experiment.data import DataSpec
from chaos.experiment.faults import FAULTS, FaultSpec
from chaos.experiment.forms import NAME, Form, Mistakes, choice, one_of, quantity, string, whole
from chaos.experiment.objectives import MEASURES, OBJECTIVES, ObjectiveSpec
from chaos.experiment.overrides import applied
from chaos.experiment.production import PredictSpec
from chaos.experiment.safety import AbortIf, Limits
from chaos.experiment.schedules import AT_LEAST_0
from chaos.experiment.schema import Schema, Shapes, or_nothing, with_variables
from chaos.experiment.settling import SETTLE, SettleUntil
from chaos.experiment.source import Table, parse, read_text, table_of
from chaos.experiment.tables import UNWRITTEN, Key, Strict, Written, empty_or, table
from chaos.experiment.target.spec import TARGET
from chaos.experiment.traffic import TrafficSpec

MOST_ERRORS: Final = 0.5
"""A system of which every second request fails has no quiet time to compare with."""
VERDICTS: Final = ("pass", "fail", "unknown")
MOST_SEED: Final = 2**53 - 1


class Slo(Strict, frozen=True):
    """The contract people wrote down."""

    availability: Ratio | None = None
    window_s: Seconds = 30 * 86400.0
    latency_s: Seconds | None = None


@Written(blank=True, filled=("for",), inline=True)
class Baseline(Strict, frozen=True):
    """Quiet time before the first fault."""

    for_s: Annotated[float, AT_LEAST_0] = 10.0
    errors: Annotated[float, quantity(PERCENT, ge=0, lt=MOST_ERRORS)] = 0.0
    """The share of requests that may fail without any fault"""


_QUESTION: Final = string("a question").then(lambda asked, _: asked.strip())
_DATA_TABLE: Final = table(DataSpec)
_DATA: Final = Form(lambda value: _DATA_TABLE.read(empty_or(value)), lambda shapes: or_nothing(_DATA_TABLE.describe(shapes)))
_BASELINE: Final = one_of(AT_LEAST_0.then(lambda for_s, _: Baseline(for_s)), table=table(Baseline))


def _made(found: dict[str, Any], entry: Table) -> Experiment:
    """What one key says of two fields, and what faults say of objectives, is put where it belongs."""
    if baseline := found.pop("baseline_s", None):
        found |= {"baseline_s": baseline.for_s, "baseline_errors": baseline.errors}
    if settle := found.pop("settle_s", None):
        found |= {"settle_s": settle.for_s, "settle_until": settle.until}
    specs, expected = found.pop("faults", ((), ()))
    objectives = (*found.pop("objectives", ()), *expected)
    _check_judged(objectives, found.get("data"), entry)
    return Experiment(**found, faults=specs, objectives=objectives, file=entry.place.file)


def _check_judged(objectives: tuple[ObjectiveSpec, ...], data: DataSpec | None, entry: Table) -> None:
    """Refuse an objective of data where nothing checks any, or nothing checks this."""
    mistakes = Mistakes()
    for spec in objectives:
        measure = spec.measure
        if measure in MEASURES or (data is not None and (not data.checks or measure in data.checks)):
            continue
        place = table_of(entry.entries["objectives"]).entries[measure].place
        what = "no data is written and checked" if data is None else f"'{measure}' is not one of data.checks"
        right = f"data: {{checks: [{measure}]}}" if data is None else f"checks: [{', '.join((*data.checks, measure))}]"
        mistakes.found.append(BadInput(f"nothing could decide '{measure}': {what}", place=place, right=f"{right}, or leave it out"))
    mistakes.tell()


@Written(make=_made, blank=True, filled=("baseline", "settle", "data"), inline=True)
class Experiment(Strict, frozen=True):
    """One question, answered by one run."""

    name: Annotated[str, NAME, Key("experiment", example="experiment: leader-kill")]
    """Its name; run folders are called after it"""
    question: Annotated[str, _QUESTION, Key(example="question: How long do writes fail?")]
    """What is asked, in a sentence."""
    cluster: Annotated[ClusterSpec, table(ClusterSpec), Key(example="cluster: {target: replicated_kv}")]
    traffic: Annotated[TrafficSpec, table(TrafficSpec), Key(example="traffic: {operations: {write: 100/s}}")]
    baseline_s: Annotated[Seconds, _BASELINE] = 10.0
    """Quiet time before the first fault; a bad slot in it makes the run unknown, unless ``errors`` allows for it."""
    baseline_errors: Annotated[float, msgspec.Meta(ge=0, lt=1), UNWRITTEN] = 0.0
    """The share of requests that may fail without any fault: the system's own errors."""
    faults: Annotated[tuple[FaultSpec, ...], FAULTS] = ()
    settle_s: Annotated[Seconds, SETTLE] = 20.0
    """How long to wait, at most, until all nodes are up and voting before the next fault; after that it is skipped."""
    settle_until: Annotated[SettleUntil | None, UNWRITTEN] = None
    """What else must hold before the next fault."""
    limits: Limits = Limits()
    seed: Annotated[int, whole(ge=0, le=MOST_SEED)] = 1
    """Fixes all times and draws."""
    duration_s: Annotated[Seconds | None, AT_LEAST_0] = None
    """Lengthens the run beyond its schedule; too short is an error."""
    slo: Slo = Slo()
    predict: PredictSpec = PredictSpec()
    objectives: Annotated[tuple[ObjectiveSpec, ...], OBJECTIVES] = ()
    abort_if: AbortIf = AbortIf()
    data: Annotated[DataSpec | None, _DATA] = None
    """What clients write and read beside the traffic, to find out whether data is kept; and what is checked of it"""
    expect_verdict: Annotated[str, choice(VERDICTS)] = "pass"
    """An experiment that shows a weakness says fail."""
    file: Annotated[str, UNWRITTEN] = ""
    overrides: Annotated[tuple[str, ...], UNWRITTEN] = ()
    """What was set beside the file: ``cluster.nodes=5``."""


def load_experiment(path: Path) -> Experiment:
    """The experiment of a file. Raises ``BadInput`` with all that is wrong in it."""
    return parse_experiment(read_text(path), str(path))


def parse_experiment(content: str, file: str, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a text that has been read already; ``file`` is for messages. ``overrides``: values in place of the file's."""
    root, overrides = applied(parse(content, file), overrides)
    kind = kinds.kind_of(root.entries)
    if kind in kinds.INSTEAD:
        raise BadInput(f"this is {kind}, not an experiment", place=Place(file), right=kinds.INSTEAD[kind])
    found = EXPERIMENT.read(root)
    return msgspec.structs.replace(found, overrides=overrides) if overrides else found


EXPERIMENT: Final = table(Experiment)


# --- JSON Schema -------------------------------------------------------------------------------------------------------

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> Schema:
    """Of an experiment's file, with every fault, probe and runtime that is installed. An editor completes and checks by it.

    What the schema refuses the loader refuses too; what hangs together over the whole file (do faults overlap) only the loader knows.
    """
    return _document("An experiment of Nines", EXPERIMENT.describe)


def target_schema() -> Schema:
    """Of a ``target.yaml``, with every probe that is installed."""
    return _document("A target of Nines", TARGET.describe)


def fleet_schema() -> Schema:
    """Of a fleet, for ``nines predict --simulate``."""
    from chaos.experiment.fleet import FLEET_FILE

    return _document("A fleet of Nines", FLEET_FILE.describe)


SCHEMAS: Final = {"experiment": experiment_schema, "target": target_schema, "fleet": fleet_schema}
"""By what is described."""


def _document(title: str, describe: Callable[[Shapes], Schema]) -> Schema:
    shapes = Shapes()
    root = describe(shapes)
    return {"$schema": _DIALECT, "title": title} | with_variables(root | {"$defs": dict(sorted(shapes.definitions.items()))})
