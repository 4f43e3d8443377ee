"""Faults, outages and phases as annotations of Grafana: each object is the body of one ``POST /api/annotations``; a list of all."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from chaos.core.clock import to_ns
from chaos.history.events import TrafficStarted
from chaos.history.folder import RunFolder
from chaos.report.build import read_or_judge
from chaos.report.metrics.series import wall_clock


class Annotation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Times in milliseconds since 1970, as Grafana has them."""

    time: int
    timeEnd: int | None
    tags: list[str]
    text: str


def export(folder: RunFolder) -> str:
    """A JSON list, in the order of time."""
    return msgspec.json.format(msgspec.json.encode(sorted(_annotations(folder), key=lambda each: each.time)), indent=1).decode() + "\n"


def _annotations(folder: RunFolder) -> Iterator[Annotation]:
    """Of a judged run; one that was never judged is judged first."""
    report, rows = read_or_judge(folder), folder.rows()
    to_wall = wall_clock(rows)
    start_ns = next((row.start_ns for row in rows if isinstance(row, TrafficStarted)), report.started_monotonic_ns)

    def at_ms(at_s: float) -> int:
        return round(to_wall(start_ns + to_ns(at_s)) * 1000)

    common = ["nines", f"experiment:{report.experiment}", f"run:{report.run}"]
    for fault in report.faults:
        if fault.effective_at_s is not None:
            end = None if fault.healed_at_s is None else at_ms(fault.healed_at_s)
            text = f"{fault.kind} on {', '.join(fault.target)} ({fault.id}): {fault.status}"
            yield Annotation(at_ms(fault.effective_at_s), end, [*common, "fault", f"kind:{fault.kind}"], text)
    observed = [] if report.observed is None else [report.observed, *report.observed.services.values()]
    for outage in {outage.id: outage for seen in observed for outage in seen.outages}.values():
        end = None if outage.end_s is None else at_ms(outage.end_s)
        lasts = "no end seen" if outage.duration_s is None else f"{outage.duration_s:.3g} s"
        text = f"{outage.service} down, {lasts}; after {', '.join(outage.faults) or 'no fault'}"
        yield Annotation(at_ms(outage.start_s), end, [*common, "outage", f"operation:{outage.service}"], text)
    yield Annotation(at_ms(0.0), at_ms(report.duration_s), [*common, "run"], f"{report.experiment}: {report.state or report.verdict}")
