"""How far a run has come, gathered from the rows of its history: what a scrape in the middle of it is answered from.

A sink, like the live line. It keeps no clock: the time is that of the newest row. Thread-safe, since a server asks while the run tells.
"""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from chaos.core.clock import to_s
from chaos.history.events import (
    Aborting,
    DnsChanged,
    FaultAsked,
    FaultEffective,
    FaultFailed,
    FaultGone,
    FaultHealed,
    FaultSkipped,
    NodeChanged,
    NodeUp,
    PhaseBegun,
    RoleChanged,
    Row,
    RunEnded,
    RunStarted,
    TrafficSecond,
    TrafficStarted,
)

PHASES = ("starting", "baseline", "faults", "measuring", "settle", "stopping", "ended")
NODE_STATES = ("up", "down", "paused")
OUTCOMES = ("effective", "rolled_back", "proven_gone", "skipped", "failed", "left_over")
"""What can come of a fault; one fault counts in each that it reached."""


class Requests(msgspec.Struct):
    """Requests of one operation by what became of them, since the first; ``bad_run_s``: how long clients have been in an outage."""

    good: int = 0
    bad: int = 0
    missing: int = 0
    bad_run_s: float = 0.0


class ActiveFault(msgspec.Struct, frozen=True):
    """A fault that was asked for and is not yet proven gone."""

    id: str
    fault: str
    kind: str
    target: str


class Progress(msgspec.Struct):
    """Everything that the rows so far say; copies are handed out, the original is written under a lock."""

    run: str = ""
    runtime: str = ""
    started_at: str = ""
    phase: str = "starting"
    elapsed_s: float = 0.0
    requests: dict[str, Requests] = {}
    nodes: dict[str, str] = {}
    roles: dict[str, set[str]] = {}
    in_dns: dict[str, list[str]] = {}
    active: dict[str, ActiveFault] = {}
    faults: dict[str, int] = {}
    aborting: str = ""
    ended: bool = False
    start_ns: int | None = None


class Follower:
    """Takes rows, from any thread, and tells how far the run is."""

    def __init__(self) -> None:
        self._now = Progress()
        self._lock = threading.Lock()

    def __call__(self, row: Row) -> None:
        with self._lock:
            _take(self._now, row)

    def now(self) -> Progress:
        """A copy, whole in itself."""
        with self._lock:
            return msgspec.msgpack.decode(msgspec.msgpack.encode(self._now), type=Progress)


class FolderFollower(Follower):
    """The same, of a run folder that another process may be writing: reads what came since it last looked."""

    def __init__(self, history: Path) -> None:
        super().__init__()
        self._path = history
        self._read_bytes = 0
        self._rows = msgspec.json.Decoder(Row)
        self._reading = threading.Lock()

    def now(self) -> Progress:
        """After the newest whole line."""
        with self._reading:
            self._catch_up()
        return super().now()

    def _catch_up(self) -> None:
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read_bytes += len(line)
                try:
                    self(self._rows.decode(line))
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # a kind of a newer writer, or torn by a crash: 'nines judge' tells of it


def _take(now: Progress, row: Row) -> None:
    if now.start_ns is not None:
        now.elapsed_s = max(now.elapsed_s, to_s(row.at_ns - now.start_ns))
    match row:
        case RunStarted():
            now.run, now.runtime, now.started_at = row.run, row.runtime, row.started_at
        case TrafficStarted():
            now.start_ns = row.start_ns
        case PhaseBegun():
            now.phase = row.phase
        case TrafficSecond():
            counts = now.requests.setdefault(row.operation, Requests())
            counts.good += row.good
            counts.bad += row.bad
            counts.missing += row.missing
            counts.bad_run_s = row.bad_run_s
        case NodeUp():
            now.nodes.setdefault(row.node, "up")
        case NodeChanged():
            now.nodes[row.node] = row.status
        case RoleChanged():
            held = now.roles.setdefault(row.role, set())
            (held.add if row.holds else held.discard)(row.node)
        case DnsChanged():
            now.in_dns[row.name] = list(row.nodes)
        case Aborting():
            now.aborting = now.aborting or row.condition
        case RunEnded():
            now.phase, now.ended = "ended", True
        case _:
            _take_fault(now, row)


def _take_fault(now: Progress, row: Row) -> None:
    match row:
        case FaultAsked():
            now.active[row.id] = ActiveFault(row.id, row.fault, row.kind, ",".join(row.target))
        case FaultEffective():
            _count(now, "effective")
        case FaultHealed():
            _count(now, "rolled_back")
        case FaultGone():
            _count(now, "proven_gone")
            now.active.pop(row.id, None)
        case FaultSkipped():
            _count(now, "skipped")
        case FaultFailed():
            _count(now, "left_over" if row.left_over else "failed")
            if not row.left_over:
                now.active.pop(row.id, None)
        case _:
            pass


def _count(now: Progress, outcome: str) -> None:
    now.faults[outcome] = now.faults.get(outcome, 0) + 1
