"""The history as events in the Elastic Common Schema (ECS 8), one event a line, in the order of time.

Logstash (``codec => json`` for a file) and Elasticsearch take them, best with docs/elasticsearch.template.json: ``@timestamp`` is UTC, and
no field has two types. So the fields of a row stand under the row's own name (``nines.node.status`` is text,
``nines.abort_answered.status`` a number), and a map from names to values becomes a list of entries with ``name``, and ``number`` or
``text``: with a field for each node and link an index would soon be full (1000 fields). Schema: docs/events.schema.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from chaos.history.events import (
    Aborting,
    FaultAsked,
    FaultEffective,
    FaultFailed,
    FaultGone,
    FaultHealed,
    FaultSkipped,
    NodeChanged,
    PhaseBegun,
    Row,
    RunEnded,
    RunStarted,
    TrafficSecond,
    TrafficStarted,
)
from chaos.history.folder import RunFolder
from chaos.report.metrics.series import wall_clock

ECS: Final = "8.17.0"


class Ecs(msgspec.Struct, frozen=True):
    """The version of the schema."""

    version: str = ECS


class EventFields(msgspec.Struct, frozen=True):
    """ECS ``event.*``."""

    action: str
    """The row's name: ``fault_effective``, ``node``, ``traffic_second``, ..."""
    kind: str
    """``event``, or ``metric`` for the summary of a second."""
    category: list[str]
    type: list[str]
    outcome: str
    """success, failure, or unknown where the row does not say."""
    sequence: int
    """Number of the row in its history: with ``labels.run`` it names the event for good."""
    module: str = "nines"
    dataset: str = "nines.history"


class ServiceNode(msgspec.Struct, frozen=True):
    """ECS ``service.node.*``."""

    name: str


class Service(msgspec.Struct, frozen=True, omit_defaults=True):
    """ECS ``service.*``: the system under test."""

    name: str
    node: ServiceNode | None = None


class Labels(msgspec.Struct, frozen=True):
    """ECS ``labels.*``: keywords to filter by."""

    run: str
    experiment: str
    runtime: str


class Event(msgspec.Struct, frozen=True):
    """One line."""

    timestamp: str = msgspec.field(name="@timestamp")
    """ISO 8601, UTC, milliseconds."""
    message: str
    ecs: Ecs
    event: EventFields
    service: Service
    labels: Labels
    nines: dict[str, dict[str, Any]]
    """The row's own fields, under the row's name. ``at_s``: seconds since the first request."""


def events(folder: RunFolder) -> Iterator[Event]:
    """Row by row."""
    plan, rows = folder.read_plan(), folder.rows()
    if not rows:
        return
    to_wall = wall_clock(rows)
    started = next((row for row in rows if isinstance(row, RunStarted)), None)
    start_ns = next((row.start_ns for row in rows if isinstance(row, TrafficStarted)), rows[0].at_ns)
    labels = Labels("" if started is None else started.run, plan.experiment.name, plan.runtime)
    for number, row in sorted(enumerate(rows, 1), key=lambda pair: pair[1].at_ns):
        fields = msgspec.to_builtins(row)
        name = fields.pop("row")
        node = getattr(row, "node", "")
        at = datetime.fromtimestamp(to_wall(row.at_ns), UTC)
        yield Event(
            timestamp=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            message=_message(row, name),
            ecs=Ecs(),
            event=EventFields(
                name, "metric" if isinstance(row, TrafficSecond) else "event", _category(row), _type(row), _outcome(row), number
            ),
            service=Service(plan.experiment.cluster.target, ServiceNode(node) if node else None),
            labels=labels,
            nines={name: {key: _listed(value) for key, value in fields.items()} | {"at_s": (row.at_ns - start_ns) / 1e9}},
        )


def _listed(value: object) -> object:
    """A map as a list of its entries, those without a value left out; anything else as it is. Names become values, never fields."""
    if not isinstance(value, dict):
        return value
    return [
        {"name": name, "text": each} if isinstance(each, str) else {"name": name, "number": float(each)}
        for name, each in value.items()
        if each is not None
    ]


def _category(row: Row) -> list[str]:
    """Of ECS's closed list; each category takes only some of the types."""
    match row:
        case NodeChanged() | RunStarted() | TrafficStarted() | PhaseBegun() | RunEnded():
            return ["process"]
        case TrafficSecond():
            return ["web"]
        case _:
            return ["configuration"]


def _type(row: Row) -> list[str]:
    match row:
        case RunStarted() | TrafficStarted() | PhaseBegun():
            return ["start"]
        case RunEnded():
            return ["end"]
        case FaultEffective() | FaultHealed() | FaultGone() | NodeChanged():
            return ["change"]
        case _:
            return ["info"]


def _outcome(row: Row) -> str:
    match row:
        case FaultFailed() | Aborting():
            return "failure"
        case RunEnded():
            return "failure" if row.left or row.aborted or row.bug else "success"
        case FaultEffective() | FaultHealed() | FaultGone():
            return "success"
        case TrafficSecond():
            return "failure" if row.bad else "success"
        case _:
            return "unknown"


def _message(row: Row, name: str) -> str:
    match row:
        case RunStarted():
            return f"run {row.run} started on the runtime {row.runtime}"
        case PhaseBegun():
            return f"phase {row.phase}"
        case TrafficSecond():
            return f"{row.operation}: {row.good} of {row.due} requests good, {row.bad} bad"
        case NodeChanged():
            return f"node {row.node} is {row.status}" + (f" (cause: {row.cause})" if row.cause else "")
        case FaultAsked():
            return f"fault {row.id} ({row.kind}) on {', '.join(row.target)} requested"
        case FaultEffective():
            return f"fault {row.id} took effect: {row.mechanism}"
        case FaultHealed():
            return f"fault {row.id} rolled back"
        case FaultGone():
            return f"fault {row.id} proven gone"
        case FaultSkipped() | FaultFailed():
            return f"fault {row.id} {'skipped' if isinstance(row, FaultSkipped) else 'failed'}: {row.reason}"
        case Aborting():
            return f"the run ends early: {row.condition}"
        case RunEnded():
            return "the run ended" + (f"; left behind: {', '.join(row.left)}" if row.left else "")
        case _:
            return name.replace("_", " ")


def json_schema() -> bytes:
    """The JSON Schema of one line."""
    schema = msgspec.json.schema(Event)
    return msgspec.json.format(
        msgspec.json.encode({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Nines event (ECS)", **schema}), indent=2
    )
