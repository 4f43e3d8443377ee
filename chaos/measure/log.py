"""The control events of a run as lines of a log: what a reader of an outage wants to look up, with the line of ``history.jsonl``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from chaos.core.clock import to_s
from chaos.core.units import show_s
from chaos.history.events import (
    Aborting,
    Awaited,
    DnsChanged,
    FaultAsked,
    FaultEffective,
    FaultFailed,
    FaultGone,
    FaultHealed,
    FaultSkipped,
    Marked,
    NodeChanged,
    PhaseBegun,
    RoleChanged,
    Row,
    RunEnded,
    Settled,
    ViewChanged,
)
from chaos.results.observed import LogLine

MOST: Final = 2500
"""Lines; of a longer history those of the faults are kept."""


def lines(rows: Sequence[Row], start_ns: int) -> list[LogLine]:
    """In the order of time. Rows that only count requests or ask nodes are left out."""
    numbered = list(enumerate(rows, 1))
    made = [LogLine(number, to_s(row.at_ns - start_ns), *said) for number, row in numbered if (said := _said(row)) is not None]
    if len(made) > MOST:
        made = [line for line in made if line.fault][:MOST]
    return sorted(made, key=lambda line: (line.at_s, line.number))


def _said(row: Row) -> tuple[str, str] | None:
    """What happened, and the fault that it belongs to; None for what is no event."""
    fault = next(_of_fault(row), None)
    if fault is not None:
        return fault
    match row:
        case PhaseBegun():
            return f"phase {row.phase}", ""
        case NodeChanged():
            by = f" ({row.cause})" if row.cause else ""
            detail = f": {row.detail}" if row.detail else ""
            return f"{row.node} {row.status}{by}{detail}", row.cause if row.cause != "by-itself" else ""
        case RoleChanged():
            return f"{row.node} {'is' if row.holds else 'is no longer'} {row.role}", ""
        case ViewChanged():
            return (f"{row.node} suspects {row.other} ({row.detector})", "") if row.suspects else None
        case Marked():
            return f"{row.node} {row.mark.replace('_', ' ')}", ""
        case DnsChanged():
            return f"{row.name} has {', '.join(row.nodes) or 'no node'}", ""
        case Settled():
            return f"cluster settled, after {show_s(row.waited_s)}", ""
        case Aborting():
            return f"ending early: {row.condition}", ""
        case RunEnded():
            return "run ended", ""
    return None


def _of_fault(row: Row) -> Iterator[tuple[str, str]]:
    match row:
        case FaultAsked():
            yield f"{row.id} asked: {row.kind} on {', '.join(row.target)}", row.id
        case FaultEffective():
            yield f"{row.id} in force{f', by {row.mechanism}' if row.mechanism else ''}", row.id
        case FaultHealed():
            yield f"{row.id} rolled back", row.id
        case FaultGone():
            yield f"{row.id} verified as gone{f'; not back: {row.not_back}' if row.not_back else ''}", row.id
        case FaultSkipped():
            yield f"{row.id} skipped: {row.reason}", row.id
        case FaultFailed():
            yield f"{row.id} {'left over' if row.left_over else 'failed'}: {row.reason}", row.id
        case Awaited():
            yield f"{row.id}: condition '{row.condition}' {'met' if row.came else 'not met'} after {show_s(row.waited_s)}", row.id
