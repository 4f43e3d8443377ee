"""What an experiment's YAML says, typed (loaded by ``reading.document.load_experiment``).

Field names in code carry their unit, in YAML the value does.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from chaos.core.units import Bytes, PerSecond, Ratio, Seconds
from chaos.experiment.target.spec import Ask


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """Frozen, and unknown keys are refused."""


# --- selectors: to whom ------------------------------------------------------------------------------------------------


class Named(Strict, frozen=True, tag="named"):
    """``n2`` or ``[n1, n2]``."""

    nodes: tuple[str, ...]


class Role(Strict, frozen=True, tag="role"):
    """``leader``, ``followers`` (all of them), ``any`` (one at random), within a part or zone if given."""

    role: str
    count: int | None = None
    """``{any: 2}``."""
    percent: Ratio | None = None
    """``{percent: 40%}`` of the nodes, rounded up."""
    part: str | None = None
    zone: str | None = None


class Side(Strict, frozen=True, tag="side"):
    """``majority`` or ``minority``: as many random nodes as make one."""

    side: str


class Zone(Strict, frozen=True, tag="zone"):
    """``{zone: a}``: all nodes of it."""

    zone: str


class Same(Strict, frozen=True, tag="same"):
    """``{same: kill-leader}``: whom that fault last picked."""

    fault: str


class LinkTo(Strict, frozen=True, tag="link"):
    """``{link: "leader -> any"}``; with ``both``, ``<->``. An end is a selector word, a node, ``clients`` or ``dns``; ``any`` means all
    other peers."""

    source: str
    destination: str
    both: bool = False


Selector = Named | Role | Side | Zone | Same | LinkTo


# --- schedules: when ---------------------------------------------------------------------------------------------------


class At(Strict, frozen=True, tag="at"):
    """Once, or at each of these times after the end of the baseline."""

    times_s: tuple[float, ...]


class Every(Strict, frozen=True, tag="every"):
    """First after one period, then each period; jittered by U(0, TTL) unless ``exact``."""

    period_s: Seconds
    exact: bool = False


class Poisson(Strict, frozen=True, tag="poisson"):
    """Exponential gaps of this mean."""

    mean_s: Seconds


class Renewal(Strict, frozen=True, tag="renewal"):
    """Independent gaps: ``weibull`` (shape), ``lognormal`` (cv), ``uniform`` (cv) of this mean."""

    distribution: Literal["weibull", "lognormal", "uniform"]
    mean_s: Seconds
    shape: float = 1.0
    cv: float = 1.0


Schedule = At | Every | Poisson | Renewal


# --- conditions: not before ... ----------------------------------------------------------------------------------------


class OnFault(Strict, frozen=True, tag="fault"):
    """``{fault: kill-leader, is: effective}``: it is in force; ``gone``: its last one was proven gone."""

    fault: str
    state: str


class OnRole(Strict, frozen=True, tag="role"):
    """``{role: leader, changes: true}``: another node than before began to hold it."""

    role: str


class OnService(Strict, frozen=True, tag="service"):
    """``{service: write, is: down}``: so many slots of its last second were bad as open an outage; or ``up``: none was."""

    service: str
    state: str


class OnNode(Strict, frozen=True, tag="node"):
    """``{node: n1, is: down}``: its process is dead or frozen; or ``up``."""

    node: str
    state: str


Condition = OnFault | OnRole | OnService | OnNode


class When(Strict, frozen=True):
    """What must hold before a fault is done; looked for from its time on."""

    on: Condition
    within_s: Seconds
    """For so long at most."""
    otherwise: str = "skip"
    """What then: ``skip`` it, ``inject`` it all the same, or ``abort`` the run."""


# --- the document ------------------------------------------------------------------------------------------------------


class DnsCheck(Strict, frozen=True):
    """How the name server decides who is in the set. ``what``: ``ready``, ``role:leader``, or an http path."""

    what: str = "ready"
    every_s: Seconds = 0.25
    timeout_s: Seconds = 0.2
    fall: int = 2
    rise: int = 2


class Dns(Strict, frozen=True):
    """The name in front of the cluster."""

    balancer: Literal["health-checked", "round-robin", "engine"] = "health-checked"
    part: str | None = None
    ttl_s: Seconds = 1.0
    order: tuple[str, ...] = ()
    weights: dict[str, float] = {}
    check: DnsCheck = DnsCheck()
    fail_open: bool = False
    """With every health check failing, the name answers with all its nodes, as managed name services and proxies do; else with none."""


class Resources(Strict, frozen=True):
    """What each node may use at most; None: no limit."""

    cpus: Annotated[float, msgspec.Meta(gt=0)] | None = None
    memory_bytes: Bytes | None = None
    disk_bytes: Bytes | None = None
    """Of each of its data folders, which are then kept in memory."""


MOST_PORT = 65535
Port = Annotated[int, msgspec.Meta(ge=1, le=MOST_PORT)]


class AttachSpec(Strict, frozen=True):
    """Containers that already run: those with a ``label``, or those of some ``services`` of a compose ``project``."""

    label: str = ""
    """``app=web``, or ``app`` alone for any value."""
    project: str = ""
    services: tuple[str, ...] = ()
    name: str = ""
    """What clients resolve, where the operations do not say."""
    network: str = ""
    """Which of their networks is meant, where they share several."""
    ready: Ask | None = None
    """How a node is asked whether it answers, where the operations do not show it."""
    ports: tuple[Port, ...] = ()
    """Where they listen beside the port that is asked: a link is harmed at all of them."""


class ClusterSpec(Strict, frozen=True):
    """What to start, or with ``attach`` what runs already."""

    target: str
    nodes: int | None = None
    parts: dict[str, int] = {}
    settings: dict[str, str] = {}
    zones: dict[str, tuple[str, ...]] = {}
    dns: Dns = Dns()
    runtime: str = "auto"
    resources: Resources = Resources()
    attach: AttachSpec | None = None
    networks: tuple[str, ...] = ()
    """Of each node, by name. Clients stand on the first, nodes talk to each other on the last; none named: all share one."""

    def spares_peers(self, network: object) -> bool:
        """Whether a cut of this network alone leaves the nodes the one that they talk to each other on."""
        return bool(network) and network != self.networks[-1]


class ClientPolicy(Strict, frozen=True):
    """How clients ask: ``timeout_s`` an attempt, ``deadline_s`` the slot from its due time, ``resolve`` per-request, ttl or once."""

    timeout_s: Seconds = 0.25
    attempts: int = 2
    other_address: bool = True
    deadline_s: Seconds = 0.6
    resolve: Literal["per-request", "ttl", "once"] = "ttl"


class OutageRule(Strict, frozen=True):
    """Open after ``open`` bad slots in a row, close after ``close`` good ones, join gaps shorter than ``merge_s``."""

    open: int = 2
    close: int = 2
    merge_s: Seconds = 0.0


class OperationSpec(Strict, frozen=True):
    """One service: the target's operation of that name, or one defined here (then ``probe`` and ``options``)."""

    rate_per_s: PerSecond
    probe: str | None = None
    does: str | None = None
    options: dict[str, str] = {}


class TrafficSpec(Strict, frozen=True):
    """What clients do."""

    operations: dict[str, OperationSpec]
    client: ClientPolicy = ClientPolicy()
    outage: OutageRule = OutageRule()
    judge: str | None = None


class Bound(Strict, frozen=True):
    """``"<= 2s"``: an operator and a number in the measure's own unit."""

    op: str
    value: float


class ObjectiveSpec(Strict, frozen=True):
    """What must hold: ``measure`` is availability, success_ratio, slo_ratio, mttr, mttf, mtbf, recovery, outage, lost_writes, agreement."""

    measure: str
    bound: Bound | None = None
    word: str | None = None
    """For ``agreement: consistent``."""
    basis: str = "run"
    fault: str | None = None
    """For an ``expect`` of one fault: its name."""
    text: str = ""
    """As written, for the report."""


class Step(Strict, frozen=True):
    """The place of a fault in an entry of several: one after the other (``sequence``) or side by side (``parallel``)."""

    of: str
    """The name of the entry."""
    after: tuple[str, ...] = ()
    """The faults that must be over before it begins."""
    beside: str = ""
    """The fault of the same entry that it begins together with."""
    gap_s: Seconds = 0.0
    """How long after the end of those before it."""
    overlap: bool = False
    """Whether the whole entry may overlap other faults."""


class FaultSpec(Strict, frozen=True):
    """One entry of ``faults``: what, to whom, when, for how long, how often."""

    name: str
    kind: str
    params: dict[str, str | float | bool | tuple[str | tuple[str, ...], ...] | None]
    """The fields of the fault's own struct, already checked against it."""
    schedule: Schedule
    for_s: float | None
    times: int | None
    target: Selector | None
    overlap: bool = False
    """Does not wait for the cluster to settle."""
    line: int = 0
    path: str = ""
    """Where it stands in the file."""
    step: Step | None = None
    when: When | None = None


class Limits(Strict, frozen=True):
    """Blast radius: at most so many nodes killed, stopped, paused or cut at once; and who is never touched."""

    nodes_down: int | None = None
    protect: tuple[str, ...] = ()


class AbortCommand(Strict, frozen=True):
    """A program that is asked again and again during the run whether it may go on; status 0 means yes."""

    words: tuple[str, ...]
    """Started as it is, without a shell."""
    every_s: Seconds = 1.0
    timeout_s: Seconds = 5.0
    """No answer within this time means no."""


class AbortIf(Strict, frozen=True):
    """Safety conditions, checked during the run: the first two every second on the judged service."""

    unavailable_for_s: Seconds | None = None
    error_ratio: Ratio | None = None
    command: AbortCommand | None = None


class Slo(Strict, frozen=True):
    """The contract people wrote down."""

    availability: Ratio | None = None
    window_s: Seconds = 30 * 86400.0
    latency_s: Seconds | None = None


PLANNED = "planned"
"""Among the rates of production: restarts on the clock, which people plan. Never counted among the faults."""
ZONE = "zone"
"""Among the rates of production: a whole zone goes dark."""


class ProductionRate(Strict, frozen=True):
    """``1 per 45d per node``: a rate that *we chose* to assume for production; never called measured.

    ``3 in 365d per node`` is another thing: faults that somebody counted in production, none at all included.
    """

    kind: str
    per_s: float
    per: str
    """``node``, ``cluster`` or ``zone``."""
    text: str = ""
    counted: int | None = None
    """How many were counted in ``exposure_s``; None for a rate that was chosen. ``per_s`` is then (counted + 1/2) / exposure."""
    exposure_s: float = 0.0


CLUSTER = "cluster"
"""The cluster itself, among the parts around it."""


class AroundPart(Strict, frozen=True):
    """Something that clients need beside the cluster (a name server, a load balancer), and the share of time in which it is down."""

    name: str
    unavailability: float
    text: str = ""
    for_s: float = 0.0
    """How long each of its failures lasts; 0 where only the share of time is known."""


class Needs(Strict, frozen=True):
    """A block diagram. ``how``: ``part`` (the one of this ``name``), ``all``, ``any``, ``of`` (at least ``needed``), ``bridge``."""

    how: str
    name: str = ""
    needed: int = 0
    parts: tuple[Needs, ...] = ()


class Around(Strict, frozen=True):
    """The parts around the cluster, and what of them clients need."""

    parts: tuple[AroundPart, ...]
    needs: Needs


class PredictSpec(Strict, frozen=True):
    """What the model is told beside what the target declares."""

    production: tuple[ProductionRate, ...] = ()
    parameters: dict[str, str] = {}
    margin: float = 1.5
    around: Around | None = None
    calibration: str = ""
    """A file that ``nines calibrate`` wrote, beside the experiment's file: parameters measured in *other* runs."""


class Experiment(Strict, frozen=True):
    """One question, answered by one run."""

    name: str
    question: str
    """What is asked, in a sentence."""
    cluster: ClusterSpec
    traffic: TrafficSpec
    baseline_s: Seconds = 10.0
    """Quiet time before the first fault; a bad slot in it makes the run unknown, unless ``baseline_errors`` allows for it."""
    baseline_errors: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """The share of requests that may fail without any fault: the system's own errors."""
    faults: tuple[FaultSpec, ...] = ()
    settle_s: Seconds = 20.0
    """How long to wait, at most, until all nodes are up and voting before the next fault; after that it is skipped."""
    limits: Limits = Limits()
    seed: int = 1
    """Fixes all times and draws."""
    duration_s: Seconds | None = None
    """Lengthens the run beyond its schedule; too short is an error."""
    slo: Slo = Slo()
    predict: PredictSpec = PredictSpec()
    objectives: tuple[ObjectiveSpec, ...] = ()
    abort_if: AbortIf = AbortIf()
    expect_verdict: str = "pass"
    """An experiment that shows a weakness says fail."""
    file: str = ""
