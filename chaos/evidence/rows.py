"""What is kept of a run: a row of its own, and one for each try at harming. Times in s; None: not to be told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from chaos.results.report import Report

TRUSTED: Final = frozenset({"pass", "fail", "inconclusive", "baseline", "simulated"})
"""Runs whose assumptions held: only their figures count as evidence."""


class KeptTrial(msgspec.Struct, frozen=True):
    """One effective fault (or a planned overlap), as clients of the judged service saw it."""

    run: str
    number: int
    fault_class: str
    at_s: float
    outage_s: float | None
    recovery_s: float | None
    censored: bool
    cycle_s: float
    down_s: float | None
    latency_p50_s: float | None
    latency_p99_s: float | None


class KeptRun(msgspec.Struct, frozen=True):
    """One run as a history lists it."""

    run: str
    experiment: str
    configuration: str
    """Runs with the same one may be pooled: ``plan.comparable.configuration_hash``."""
    version: str
    """Of the system under test."""
    target: str
    runtime: str
    seed: int
    started_at: str
    started_s: float
    """Since 1970."""
    folder: str
    state: str
    exit_code: int
    duration_s: float
    faults: int
    """How many took effect."""
    availability: float | None
    mttr_s: float | None
    mttr_low_s: float | None
    mttr_high_s: float | None
    latency_p50_s: float | None
    latency_p99_s: float | None
    simulated: bool
    recorded_s: float
    """When this row was written; of two rows of one run the later one stands."""

    @property
    def trusted(self) -> bool:
        """Whether its figures count."""
        return self.state in TRUSTED


class Trials(msgspec.Struct, frozen=True, eq=False):
    """Trials of many runs, column by column, the oldest run first."""

    run: Sequence[int]
    """Equal for trials of one run."""
    version: Sequence[str]
    fault_class: Sequence[str]
    outage_s: Sequence[float | None]
    censored: Sequence[int]
    cycle_s: Sequence[float]
    down_s: Sequence[float | None]
    latency_p50_s: Sequence[float | None]
    latency_p99_s: Sequence[float | None]


def rows_of(report: Report, folder: str, recorded_s: float | None = None) -> tuple[KeptRun, list[KeptTrial]]:
    """The rows of a report; ``folder``: where the run folder is, as an absolute path."""
    seen = report.observed
    run = KeptRun(
        run=report.run,
        experiment=report.experiment,
        configuration=report.configuration,
        version=report.system_version,
        target=report.target,
        runtime=report.runtime,
        seed=report.seed,
        started_at=report.started_at,
        started_s=_epoch_s(report.started_at),
        folder=folder,
        state=report.state or report.verdict,
        exit_code=report.exit_code,
        duration_s=report.duration_s,
        faults=sum(fault.effective_at_s is not None for fault in report.faults),
        availability=seen.availability.value if seen else None,
        mttr_s=seen.mttr_s.value if seen else None,
        mttr_low_s=seen.mttr_s.low if seen else None,
        mttr_high_s=seen.mttr_s.high if seen else None,
        latency_p50_s=seen.latency_s.p50 if seen else None,
        latency_p99_s=seen.latency_s.p99 if seen else None,
        simulated="simulated" in report.qualifiers,
        recorded_s=time.time() if recorded_s is None else recorded_s,
    )
    trials = [
        KeptTrial(report.run, number, each.fault_class, each.at_s, each.outage_s, each.recovery_s, each.censored, each.cycle_s, each.down_s,
                  each.latency_p50_s, each.latency_p99_s)
        for number, each in enumerate(seen.trials if seen else ())
    ]  # fmt: skip
    return run, trials


def _epoch_s(started_at: str) -> float:
    """Of a run that did not begin: now is as good as any, it is listed last."""
    try:
        return datetime.fromisoformat(started_at).timestamp()
    except ValueError:
        return time.time()
