"""The rows of a history, version 1. One JSON object a line in ``history.jsonl``, flushed as it happens.

Every row carries ``at_ns``: CLOCK_MONOTONIC of the machine the nodes run on, the time the thing *happened* (not when we
heard of it). Readers must accept unknown row types and fields: a newer writer adds, never renames.
"""

from __future__ import annotations

from typing import Final

import msgspec

SCHEMA = 1


class RowBase(msgspec.Struct, frozen=True, tag_field="row", kw_only=True):
    """What every row has."""

    at_ns: int


class RunStarted(RowBase, frozen=True, tag="run_started"):
    """First row of the second phase. ``started_monotonic_ns`` of the report is ``traffic_started.start_ns``."""

    schema: int
    run: str
    started_at: str
    """Wall clock, ISO 8601 with offset; for people only."""
    runtime: str
    versions: dict[str, str]
    clock_bound_s: float = 0.0
    """How far the nodes' clock may be from the prober's; 0 where they share one kernel clock."""


class ClockMapped(RowBase, frozen=True, tag="clock"):
    """Times that this node's agent told are of another clock, and mapped onto the prober's: from now on they may be off by so much."""

    node: str
    bound_s: float | None
    """None: its exchanges contradict each other, so nothing bounds it."""


class NodeUp(RowBase, frozen=True, tag="node_placed"):
    """Where a node lives."""

    node: str
    part: str
    zone: str | None
    address: str
    ports: dict[str, int]
    client_address: str = ""
    """What clients connect to, if a proxy stands before it; else the same as ``address``."""
    networks: dict[str, str] = {}
    """Network -> its address there, in their order, where they have names."""
    container: str = ""
    """The name of the container that it is, where that was there before the run."""


class SystemSeen(RowBase, frozen=True, tag="system"):
    """What the nodes are made of, by the engine's word: part (or node, where it was there before) -> id of its image."""

    images: dict[str, str]


class TrafficStarted(RowBase, frozen=True, tag="traffic_started"):
    """t = 0 of the run is ``start_ns``: the first slot."""

    start_ns: int
    duration_s: float


class TrafficSecond(RowBase, frozen=True, tag="traffic_second"):
    """The prober's own summary of one second of due slots (by due time), for the live line and abort conditions."""

    operation: str
    due: int
    good: int
    bad: int
    missing: int
    bad_run_s: float
    """How long the service has been without a good slot by now; 0 if the last one was good."""


class TrafficEnded(RowBase, frozen=True, tag="traffic_ended"):
    """The prober has written its last record. ``end_ns`` is the end of the last slot that was due."""

    end_ns: int
    slots: dict[str, int]
    load_1m: float | None = None
    """The machine's load average of the last minute, and how many processors share it; None where no real machine sent it."""
    cpus: int = 0
    priority: list[str] = []
    """What the prober had of the processor before others: ``niceness -10``, ``short slices``, ``real time``; none: an ordinary share."""


class DataEnded(RowBase, frozen=True, tag="data_ended"):
    """The clients that write and read data have written the last row of ``operations.jsonl``."""

    operations: int
    settled: bool
    """All that was read at the end agreed, so that it was not about to change."""


class PhaseBegun(RowBase, frozen=True, tag="phase"):
    """``starting``, ``baseline``, ``faults``, ``settle``, ``stopping``: for the live line and the reader."""

    phase: str


class NodeChanged(RowBase, frozen=True, tag="node"):
    """A node's process died, began, was frozen or let go (``status``: up, down, paused); ``cause``: fault id, or ``by-itself``."""

    node: str
    status: str
    cause: str = ""
    detail: str = ""


class RoleChanged(RowBase, frozen=True, tag="role"):
    """A node began or ceased to hold a role, as it says itself when asked; ``resolution_s`` bounds how late we saw it."""

    node: str
    role: str
    holds: bool
    resolution_s: float = 0.0


class ViewChanged(RowBase, frozen=True, tag="view"):
    """A failure detector of a node began or ceased to suspect another one, as the node says itself when asked; ``resolution_s`` bounds how
    late we saw it. The first row of each pair says what was so when the node was first asked."""

    node: str
    other: str
    detector: str
    suspects: bool
    resolution_s: float = 0.0


class Marked(RowBase, frozen=True, tag="mark"):
    """A moment that a node itself stamped, by a name its target declares (``election_started``, ``leader_elected``)."""

    node: str
    mark: str


class DnsChanged(RowBase, frozen=True, tag="dns"):
    """The set of nodes the name answers with is now this one (in the order of answers)."""

    name: str
    nodes: list[str]
    changed: str = ""
    why: str = ""


class NamesOrdered(RowBase, frozen=True, tag="dns_order"):
    """The name server carries out an order of the harness from now on, or no longer; ``why`` says why it cannot."""

    number: int
    mode: str
    on: bool
    address: str = ""
    """The address whose record is meant, where one is."""
    why: str = ""


class FaultAsked(RowBase, frozen=True, tag="fault_asked"):
    """A fault's time has come, its victims are resolved; the harm is about to be done."""

    id: str
    fault: str
    kind: str
    fault_class: str
    target: list[str]


class FaultEffective(RowBase, frozen=True, tag="fault_effective"):
    """It took effect at ``at_ns``, seen from outside."""

    id: str
    mechanism: str
    before: dict[str, float | str | None]
    during: dict[str, float | str | None]


class FaultHealed(RowBase, frozen=True, tag="fault_healed"):
    """It was taken back at ``at_ns`` (a killed node's process began again); proof follows in ``fault_gone``."""

    id: str


class FaultGone(RowBase, frozen=True, tag="fault_gone"):
    """Measured from outside that nothing of it is left. ``not_back``: nodes that did not return all the same, by no doing of ours."""

    id: str
    after: dict[str, float | str | None]
    not_back: str = ""


class FaultSkipped(RowBase, frozen=True, tag="fault_skipped"):
    """It was not done, and why (not settled, limit reached, no victim)."""

    id: str
    fault: str
    kind: str
    reason: str


class FaultFailed(RowBase, frozen=True, tag="fault_failed"):
    """``left_over`` false: it did not take effect and was taken back. True: we could not prove that it is gone (exit 6)."""

    id: str
    reason: str
    left_over: bool = False


class Awaited(RowBase, frozen=True, tag="awaited"):
    """The condition that a fault waited for came true, or its time was up (``came`` false: then ``otherwise`` was done)."""

    id: str
    condition: str
    waited_s: float
    came: bool
    otherwise: str = ""


class StepHeld(RowBase, frozen=True, tag="step_held"):
    """A step of a game day is ready, and waits for somebody to let it begin."""

    step: int
    what: str


class StepReleased(RowBase, frozen=True, tag="step_released"):
    """Somebody let the step begin, or skipped it."""

    step: int
    by: str
    skipped: bool = False


class AbortAnswered(RowBase, frozen=True, tag="abort_answered"):
    """The command of ``abort_if`` gave its answer; ``status`` None: none in time, or it was killed by a signal."""

    status: int | None
    took_s: float
    said: str = ""
    """The last line that it wrote."""


class Settled(RowBase, frozen=True, tag="settled"):
    """All nodes are up and voting again and clients are well, seen at ``at_ns``."""

    waited_s: float


class Looked(RowBase, frozen=True, tag="looked"):
    """A look at what the run had shown by ``at_ns``, after a round of its faults; ``decided``: it ends here."""

    number: int
    decided: bool
    said: str = ""


HARNESS_DIED: Final = "harness died"
"""Part of each condition that is no safety condition of the experiment, but the end of the harness or of a part of it."""


class Aborting(RowBase, frozen=True, tag="aborting"):
    """A safety condition or a signal ends the run early."""

    condition: str
    signal: int | None = None


class RunEnded(RowBase, frozen=True, tag="run_ended"):
    """Everything is healed and removed, or not: ``left`` names what could not be."""

    left: list[str]
    aborted: str = ""
    signal: int | None = None
    bug: str = ""


Row = (
    RunStarted
    | NodeUp
    | SystemSeen
    | ClockMapped
    | TrafficStarted
    | TrafficSecond
    | TrafficEnded
    | DataEnded
    | PhaseBegun
    | NodeChanged
    | RoleChanged
    | ViewChanged
    | Marked
    | DnsChanged
    | NamesOrdered
    | FaultAsked
    | FaultEffective
    | FaultHealed
    | FaultGone
    | FaultSkipped
    | FaultFailed
    | Awaited
    | StepHeld
    | StepReleased
    | AbortAnswered
    | Settled
    | Looked
    | Aborting
    | RunEnded
)
