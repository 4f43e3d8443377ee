"""What the checks of data found: values that ``data`` fills from the journal of operations alone.

Field names are the contract of ``report.json``: keys are added, never renamed. No data is None with a reason.
"""

from __future__ import annotations

from typing import Final

import msgspec

OK: Final = "ok"
VIOLATED: Final = "violated"
UNKNOWN: Final = "unknown"


class OperationSeen(msgspec.Struct, frozen=True):
    """One operation as a client saw it, in seconds since the run's start."""

    n: int
    """Its number in ``operations.jsonl``."""
    session: int
    does: str
    key: str
    value: str | None
    """What it wrote, or what it found; None: nothing."""
    start_s: float
    end_s: float | None
    """None: it was never answered, so that a write may take effect at any later time."""
    outcome: str
    node: str = ""
    """Who was asked."""
    contradicts: bool = False
    """What it says cannot be true together with the others that are so marked."""


class Violation(msgspec.Struct, frozen=True):
    """One thing that cannot have happened in a system that keeps its data, and the fewest operations that show it."""

    key: str
    at_s: float | None
    """When it could be known."""
    said: str
    operations: list[OperationSeen] = []


class DataCheck(msgspec.Struct, frozen=True):
    """One check: ok, violated, or unknown, which is never ok."""

    name: str
    verdict: str
    count: int | None
    """How many violations; None: it could not be told."""
    examined: int
    """How many things it looked at."""
    what: str
    """What these things are: acknowledged writes, reads, keys..."""
    said: str
    first: Violation | None = None
    took_s: float = 0.0


class Data(msgspec.Struct, frozen=True):
    """The data section of a report."""

    workload: str
    """register, counter, set or list."""
    keys: int
    sessions: int
    operations: int
    outcomes: dict[str, int]
    """ok, fail and unknown: how many operations ended so."""
    acknowledged: int
    """Writes that were answered with a success."""
    reads: int
    """Reads that were answered."""
    settled: bool
    """At the end all nodes and reads agreed."""
    damage: str
    """What is missing or damaged of the journal; empty: nothing."""
    checks: list[DataCheck]

    def __repr__(self) -> str:
        told = ", ".join(f"{check.name} {check.verdict}" for check in self.checks)
        return f"Data({self.operations} operations on {self.workload}s: {told})"
