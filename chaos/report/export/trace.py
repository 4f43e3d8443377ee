"""A run as an OpenTelemetry trace, in OTLP JSON: one trace a run, with spans for phases, faults and outages.

The text is the body of a ``POST /v1/traces`` to any collector. Needs the extra ``otel`` (opentelemetry-sdk and its OTLP encoder). The ids
follow from the run's name, so a run that is sent twice is one trace.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chaos.core.clock import to_ns
from chaos.core.errors import EnvironmentUnusable
from chaos.history.events import PhaseBegun, TrafficStarted
from chaos.history.folder import RunFolder
from chaos.report.build import read_or_judge
from chaos.report.metrics.series import wall_clock
from chaos.results.observed import Outage
from chaos.results.report import FaultObserved, Report

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span, Tracer

INSTALL: Final = "pip install 'chaos-nines[otel]'"
_HEX_IDS: Final = ("traceId", "spanId", "parentSpanId")


def export(folder: RunFolder) -> str:
    """``EnvironmentUnusable`` where opentelemetry-sdk is not installed."""
    try:
        from google.protobuf.json_format import MessageToDict
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    except ImportError as error:
        raise EnvironmentUnusable(f"the export 'trace' needs opentelemetry-sdk: {error}", how=INSTALL) from None
    request = MessageToDict(encode_spans(_spans(folder)), use_integers_for_enums=True)
    return msgspec.json.format(msgspec.json.encode(_with_hex_ids(request)), indent=1).decode() + "\n"


def _spans(folder: RunFolder) -> list[ReadableSpan]:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    report, rows = read_or_judge(folder), folder.rows()
    to_wall = wall_clock(rows)
    start_ns = next((row.start_ns for row in rows if isinstance(row, TrafficStarted)), report.started_monotonic_ns)

    def at(at_s: float) -> int:
        return to_ns(to_wall(start_ns + to_ns(at_s)))

    memory = InMemorySpanExporter()
    resource = Resource({"service.name": report.target, "service.namespace": "nines", "nines.runtime": report.runtime})
    provider = TracerProvider(resource=resource, id_generator=_ids(report.run), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("nines")
    phases = [((row.at_ns - start_ns) / 1e9, row.phase) for row in rows if isinstance(row, PhaseBegun)]
    _run(tracer, report, phases, at)
    return list(memory.get_finished_spans())


def _ids(run: str) -> Any:  # noqa: ANN401 (a subclass of a class that may not be installed)
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    class OfRun(IdGenerator):
        """Ids by hashing, so that the same run is the same trace."""

        def __init__(self) -> None:
            self._numbers = itertools.count()

        def generate_trace_id(self) -> int:
            return int.from_bytes(hashlib.sha256(run.encode()).digest()[:16]) or 1

        def generate_span_id(self) -> int:
            return int.from_bytes(hashlib.sha256(f"{run}/{next(self._numbers)}".encode()).digest()[:8]) or 1

    return OfRun()


def _run(tracer: Tracer, report: Report, phases: list[tuple[float, str]], at: Callable[[float], int]) -> None:
    from opentelemetry.trace import Status, StatusCode, set_span_in_context

    begin_s = min([0.0, *(at_s for at_s, _ in phases)])
    end_s = max([report.duration_s, *(at_s for at_s, _ in phases)])
    told: dict[str, str | int] = {
        "nines.run": report.run,
        "nines.experiment": report.experiment,
        "nines.state": report.state,
        "nines.seed": report.seed,
    }
    root = tracer.start_span(report.experiment, start_time=at(begin_s), attributes=told)
    root.set_status(Status(StatusCode.OK if report.exit_code == 0 else StatusCode.ERROR, None if report.exit_code == 0 else report.state))
    inside = set_span_in_context(root)
    for (at_s, phase), (until_s, _) in itertools.pairwise([*phases, (end_s, "")]):
        tracer.start_span(f"phase {phase}", inside, start_time=at(at_s)).end(at(until_s))
    for fault in report.faults:
        _fault(tracer.start_span(f"fault {fault.id}", inside, start_time=at(_first(fault, end_s))), fault, end_s, at)
    seen = [] if report.observed is None else [report.observed, *report.observed.services.values()]
    for outage in {outage.id: outage for each in seen for outage in each.outages}.values():
        span = tracer.start_span(f"outage {outage.id}", inside, start_time=at(outage.start_s), attributes=_of_outage(outage))
        span.set_status(Status(StatusCode.ERROR, "no good answer"))
        span.end(at(end_s if outage.end_s is None else outage.end_s))
    root.end(at(end_s))


def _first(fault: FaultObserved, end_s: float) -> float:
    times = [each for each in (fault.asked_at_s, fault.effective_at_s) if each is not None]
    return min(times, default=end_s)


def _fault(span: Span, fault: FaultObserved, end_s: float, at: Callable[[float], int]) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attributes({"nines.fault.kind": fault.kind, "nines.fault.class": fault.fault_class, "nines.fault.target": fault.target,
                         "nines.fault.status": fault.status, "nines.fault.outages": fault.outage_ids})  # fmt: skip
    for name, at_s in (("took effect", fault.effective_at_s), ("rolled back", fault.healed_at_s)):
        if at_s is not None:
            span.add_event(name, timestamp=at(at_s))
    if fault.status not in ("healed", "skipped"):
        span.set_status(Status(StatusCode.ERROR, fault.reason))
    span.end(at(_first(fault, end_s) if fault.effective_at_s is None else end_s if fault.healed_at_s is None else fault.healed_at_s))


def _of_outage(outage: Outage) -> dict[str, Any]:
    return {"nines.operation": outage.service, "nines.faults": outage.faults, "nines.censored": outage.censored or "no"}


def _with_hex_ids(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """OTLP JSON has ids in hexadecimal, where protobuf's own JSON has base64."""
    if isinstance(value, dict):
        return {key: base64.b64decode(each).hex() if key in _HEX_IDS else _with_hex_ids(each) for key, each in value.items()}
    return [_with_hex_ids(each) for each in value] if isinstance(value, list) else value
