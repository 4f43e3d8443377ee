"""Outages, faults and requests of a report as tables for pandas or polars: a row each, columns by the names of ``report.json``."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chaos.core.clock import to_s
from chaos.core.errors import BadInput, EnvironmentUnusable, HistoryUnreadable
from chaos.history.events import TrafficSecond
from chaos.history.folder import RunFolder
from chaos.results.observed import PHASES

if TYPE_CHECKING:
    from chaos.results.report import Report

LIBRARIES: Final = ("pandas", "polars")
Row = dict[str, Any]


def frame(report: Report, what: str, library: str = "") -> Any:  # noqa: ANN401 (a type of whichever library is there)
    """A data frame; ``BadInput`` for a table that there is not, ``EnvironmentUnusable`` where no library is installed."""
    if what not in ROWS:
        raise BadInput(f"a report has no table '{what}'", right=f"one of: {', '.join(ROWS)}")
    if library and library not in LIBRARIES:
        raise BadInput(f"no frame of '{library}'", right=f"one of: {', '.join(LIBRARIES)}")
    wanted = [library] if library else list(LIBRARIES)
    found = next((name for name in wanted if importlib.util.find_spec(name) is not None), "")
    if not found:
        raise EnvironmentUnusable(f"a data frame needs {' or '.join(wanted)}, and it is not installed", how=f"pip install {wanted[0]}")
    rows = list(ROWS[what](report))
    names = dict.fromkeys([*COLUMNS[what], *(name for row in rows for name in row)])
    columns = {name: [row.get(name) for row in rows] for name in names}
    return importlib.import_module(found).DataFrame(columns)


def outages(report: Report) -> Iterator[Row]:
    """Of every service; each phase as ``phase_s`` and ``phase_predicted_s``, None where it was not told apart."""
    seen = report.observed
    services = {} if seen is None else seen.services or {report.judged: seen}
    every = [outage for observed in services.values() for outage in observed.outages]
    used = [name for name in PHASES if any(name in outage.phases for outage in every)]
    for outage in every:
        row: Row = {
            "id": outage.id, "service": outage.service, "start_s": outage.start_s, "end_s": outage.end_s, "duration_s": outage.duration_s,
            "low_s": outage.low_s, "high_s": outage.high_s, "censored": outage.censored, "faults": ", ".join(outage.faults),
        }  # fmt: skip
        for name in used:
            phase = outage.phases.get(name)
            row[f"{name}_s"] = None if phase is None else phase.observed_s
            row[f"{name}_predicted_s"] = None if phase is None else phase.predicted_s
        yield row


def faults(report: Report) -> Iterator[Row]:
    """Every injection that the plan had."""
    for fault in report.faults:
        yield {
            "id": fault.id, "name": fault.name, "kind": fault.kind, "class": fault.fault_class, "target": ", ".join(fault.target),
            "status": fault.status, "reason": fault.reason, "asked_at_s": fault.asked_at_s, "effective_at_s": fault.effective_at_s,
            "healed_at_s": fault.healed_at_s, "recovery_s": fault.recovery_s, "outages": ", ".join(fault.outage_ids),
        }  # fmt: skip


def requests(report: Report) -> Iterator[Row]:
    """Requests by second and service, as the prober counted them: read from the history in the run folder."""
    folder = RunFolder(Path(report.folder))
    if not folder.history.exists():
        raise HistoryUnreadable(f"{folder.history} is not there: requests are read from the run folder, not from the report")
    for row in folder.read_history().rows:
        if isinstance(row, TrafficSecond):
            yield {
                "until_s": to_s(row.at_ns - report.started_monotonic_ns), "service": row.operation,
                "due": row.due, "good": row.good, "bad": row.bad, "missing": row.missing,
            }  # fmt: skip


COLUMNS: Final = {
    "outages": ("id", "service", "start_s", "end_s", "duration_s", "low_s", "high_s", "censored", "faults"),
    "faults": ("id", "name", "kind", "class", "target", "status", "reason", "asked_at_s", "effective_at_s", "healed_at_s", "recovery_s",
               "outages"),
    "requests": ("until_s", "service", "due", "good", "bad", "missing"),
}  # fmt: skip
"""They are there without a single row too."""
ROWS: Final[dict[str, Callable[[Report], Iterator[Row]]]] = {"outages": outages, "faults": faults, "requests": requests}
