"""What thinking says: small values that stats and models fill independently, judge compares, and the report shows.

Field names are the contract of ``report.json``: keys are added, never renamed. No data is None with a ``reason``: never NaN,
never 100 %.
"""

from __future__ import annotations

import msgspec

from chaos.results.check_names import heading


class NoValue(AssertionError):
    """A figure that could not be told was compared with a number: neither more nor less, so a test that asks fails."""


class Estimate(msgspec.Struct, frozen=True):
    """A figure with how sure we are: interval at ``confidence``, from ``n`` independent pieces, by ``method``.

    Compares with numbers by its value; without a value every comparison fails with the reason (``NoValue``, an ``AssertionError``).
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    n: int = 0
    method: str = ""
    reason: str = ""

    def told(self) -> float:
        """The value; ``NoValue`` with the reason where there is none."""
        if self.value is None:
            raise NoValue(f"this figure has no value: {self.reason or 'nothing was seen'}")
        return self.value

    def __lt__(self, other: float) -> bool:
        return self.told() < other

    def __le__(self, other: float) -> bool:
        return self.told() <= other

    def __gt__(self, other: float) -> bool:
        return self.told() > other

    def __ge__(self, other: float) -> bool:
        return self.told() >= other


class Phase(msgspec.Struct, frozen=True):
    """A part of an outage with a cause, beside its delay block in the model; None: not to be told apart here."""

    observed_s: float | None
    predicted_s: float | None = None


PHASES = ("detection", "election", "detection+election", "restart", "resume", "heal", "resync", "dns", "client", "unnamed")


class Outage(msgspec.Struct, frozen=True):
    """One down interval of a service; edges are midway between slots, ``low_s``..``high_s`` bound the duration."""

    id: str
    service: str
    start_s: float
    end_s: float | None
    duration_s: float | None
    low_s: float
    high_s: float | None
    censored: str | None
    """None, ``start``, ``end`` or ``both``."""
    faults: list[str]
    phases: dict[str, Phase]


class Rule(msgspec.Struct, frozen=True):
    """The outage rule that every duration here was made with."""

    slot_s: float
    open: int
    close: int
    merge_s: float


class ClassObserved(msgspec.Struct, frozen=True):
    """One fault class on one service: ``share`` of effective faults that clients noticed, recovery over all, outage over noticed."""

    injected: int
    effective: int
    noticed: int | None
    """None: of none of them can it be told."""
    share: Estimate
    recovery_s: Estimate
    outage_s: Estimate
    untold: int = 0
    """So many of the effective ones are left out of all figures: whether clients noticed them cannot be told."""
    reason: str = ""
    """Why they are left out."""


class Latency(msgspec.Struct, frozen=True):
    """Of good slots, from due time."""

    p50: float | None
    p99: float | None
    max: float | None


class ProbeCounts(msgspec.Struct, frozen=True):
    """What became of the slots of one operation outside the baseline; they sum to ``due``."""

    due: int
    sent: int
    ok: int
    fail: int
    unknown: int
    over_deadline: int
    unsent: int
    sent_late: int


class BadRequests(msgspec.Struct, frozen=True):
    """Requests of one service that were bad for one reason: how the last attempt of each ended, and where it went."""

    service: str
    when: str
    """``baseline``, or ``run``: after it."""
    reason: str
    """refused, reset, closed, timed out, late, error, wrong answer, no address, name server silent, unreachable, protocol, not recorded."""
    status: int | None
    """What it was answered with; None where there was no answer, or none was recorded."""
    count: int
    nodes: dict[str, int]
    """Node (or address, where that is no node's) -> how many of them."""


class NameEmpty(msgspec.Struct, frozen=True):
    """A stretch in which the name had no address at all, and the nodes whose processes ran through all of it, so may have answered."""

    start_s: float
    end_s: float
    running: list[str]


class DataObserved(msgspec.Struct, frozen=True):
    """The data checks; None: not asked for, or not to be told."""

    acknowledged: int | None = None
    lost: int | None = None
    duplicated: int | None = None
    stale: int | None = None
    diverged: int | None = None
    linearizable: bool | None = None
    reason: str = ""


class WindowWorst(msgspec.Struct, frozen=True):
    """The least share of good slots in any window of this length, and when it began."""

    window_s: float
    ratio: float
    start_s: float


class Maintainability(msgspec.Struct, frozen=True):
    """How repairs are spread: M(t) = P(an outage is over within t), censored ones used as far as they were seen (Kaplan & Meier 1958)."""

    n: int
    completed: int
    median_s: float | None
    p95_s: float | None
    objective_s: float | None = None
    """The limit that the experiment sets on a repair, if it sets one."""
    within: Estimate = Estimate(value=None, reason="the experiment sets no limit on repairs")
    """M(objective)."""
    reason: str = ""


class Observed(msgspec.Struct, frozen=True):
    """What clients of one service saw, the baseline left out."""

    rule: Rule
    availability: Estimate
    success_ratio: Estimate
    slo_ratio: Estimate
    mttr_s: Estimate
    mttf_s: Estimate
    mtbf_s: Estimate
    mtbf_basis: str
    """``schedule``: the rate of faults was our choice; ``background``: outages came by themselves."""
    downtime_s: float | None
    """None: too little was asked to tell."""
    latency_s: Latency
    outages: list[Outage]
    by_fault: dict[str, ClassObserved]
    addresses: dict[str, float]
    probes: dict[str, ProbeCounts]
    data: DataObserved
    services: dict[str, Observed] = {}
    windows: list[WindowWorst] = []
    """The worst window of each length."""
    lost_s: float | None = None
    """Bad slots times their width: seconds of full outage that all of them are worth."""
    maintainability: Maintainability | None = None
    """The distribution of repairs; None where there was none."""


class Range(msgspec.Struct, frozen=True):
    """A predicted figure, and the range that a run like this one shows it in (95 %)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


class ClassPredicted(msgspec.Struct, frozen=True):
    """One fault class by the model; ``phases`` are the means of its delay blocks."""

    share: Range
    recovery_s: Range
    outage_s: Range
    phases: dict[str, float] = {}
    cv: float | None = None
    lost_writes: Range | None = None
    """Acknowledged writes that each fault loses, where the primary acknowledges alone; None elsewhere."""


class ParameterUsed(msgspec.Struct, frozen=True):
    """One input, with who claims it."""

    name: str
    value: float
    unit: str
    origin: str
    high: float | None = None
    word: str = ""
    """For a choice (``leaderless``, ``reads``): the word; ``value`` is then only its number."""
    error: float = 0.0
    """Standard error of its mean, if it was measured (``calibration``), from ``n`` faults."""
    n: int = 0


class Improvement(msgspec.Struct, frozen=True):
    """What halving (or doubling, for a time between faults) one parameter would give."""

    parameter: str
    elasticity: float
    halving_saves_s_per_year: float
    price: str = ""
    """What it costs."""


class WindowPredicted(msgspec.Struct, frozen=True):
    """What windows of so many seconds of production show, cut out of a long life: outages come at random."""

    window_s: float
    no_outage: float
    """P(clients notice none in the whole window): the reliability."""
    mean_availability: float
    worst_of_20: float
    """The availability that one window in twenty does not reach."""
    outages: float
    """On average."""
    objective: float | None = None
    met: float | None = None
    """P(the window's availability is at least the objective)."""
    some_outage: float | None = None
    """1 - ``no_outage``, with all its digits where that is near 1."""
    evenly: float = 0.0
    """The share of every window that is lost to parts of which only a share of time is known, not how long their failures last."""


class AroundShown(msgspec.Struct, frozen=True):
    """A part around the cluster (or the cluster itself), and what it matters."""

    name: str
    unavailability: float
    origin: str
    birnbaum: float
    """A(it is up) - A(it is down)."""
    saves_s_per_year: float
    """If it never failed."""


class ProductionPart(msgspec.Struct, frozen=True):
    """What one cause costs in a year of production."""

    cause: str
    """A fault class, or ``overlaps``: what isolated faults do not explain."""
    downtime_s_per_year: float


class PlannedRestarts(msgspec.Struct, frozen=True):
    """Restarts on the clock: people plan them, so they are no part of the availability."""

    every_s: float
    each_s: float
    """What one costs on average, crashes while its node is away included."""
    downtime_s_per_year: float


class Production(msgspec.Struct, frozen=True):
    """At the production fault rates the experiment assumes."""

    availability: float | None
    nines: float | None
    downtime_s_per_year: float | None
    improve_first: list[Improvement]
    rates: list[str] = []
    reason: str = ""
    window: WindowPredicted | None = None
    parts: list[ProductionPart] = []
    around: list[AroundShown] = []
    planned: PlannedRestarts | None = None
    not_advised: list[str] = []
    """What would save time and is not advised, each with the reason."""


class Contribution(msgspec.Struct, frozen=True):
    """What the faults of one class would cost a year in production, by the outages measured here."""

    fault_class: str = msgspec.field(name="class")
    rate: str
    rate_basis: str
    """``chosen``: we assumed it; ``counted``: somebody counted the faults in production."""
    faults: int
    """How many were injected and measured."""
    downtime_s_per_year: float
    variance_share: float | None
    """Of the variance of the total: where more faults (or more production history) would help."""
    note: str = ""


class Extrapolated(msgspec.Struct, frozen=True):
    """Measured outages at production rates: an estimate with an interval of its own. The rates are not of this run."""

    availability: Estimate
    downtime_s_per_year: Estimate
    parts: list[Contribution]
    reason: str = ""


class ServicePredicted(msgspec.Struct, frozen=True):
    """A run like this one, for one service."""

    availability: Range
    mttr_s: Range
    mttf_s: Range
    mtbf_s: Range
    by_fault: dict[str, ClassPredicted]


class Predicted(msgspec.Struct, frozen=True):
    """What the model says of the judged service, and of each in ``services``."""

    availability: Range
    mttr_s: Range
    mttf_s: Range
    mtbf_s: Range
    by_fault: dict[str, ClassPredicted]
    services: dict[str, ServicePredicted]
    assumptions: list[str]
    parameters: list[ParameterUsed]
    own_share: float | None
    """The share of the predicted MTTR that is merely our own ``for``."""
    production: Production
    advice: list[str] = []
    """What operators could do differently, and what that would save, by the model."""


class Check(msgspec.Struct, frozen=True):
    """One assumption that everything else stands on: pass, fail or unknown, and what was seen."""

    name: str
    verdict: str
    detail: str
    next_step: str = ""
    """What to do about it, where that is known."""

    @property
    def heading(self) -> str:
        """What stands before the detail: the name, or what is wrong where it fails."""
        return heading(self.name, self.verdict)


class Objective(msgspec.Struct, frozen=True):
    """One thing that was to hold."""

    name: str
    want: str
    basis: str
    observed: Estimate
    verdict: str


class Agreement(msgspec.Struct, frozen=True):
    """Prediction held against observation: consistent, inconsistent or inconclusive, and how many faults would decide."""

    measure: str
    service: str
    fault_class: str = msgspec.field(name="class")
    predicted: float | None
    observed: float | None
    p_value: float | None
    verdict: str
    detectable: bool
    faults_to_decide: int | None
    low: float | None = None
    """With ``high``: the 90 % interval of true over predicted; for a share, of the share itself."""
    high: float | None = None
    within: tuple[float, float] | None = None
    """``consistent`` needs that interval inside these; a shape is held to its greatest distance instead."""


class LookTaken(msgspec.Struct, frozen=True):
    """One look at a run that could stop early, and what it said; errors are spent over the looks, so looking often is no fault."""

    number: int
    at_s: float
    faults: int
    confidence: float | None
    """Of the intervals of claims at this look; None: too few faults to claim anything."""
    agreement: str
    decided: bool


class FaultObserved(msgspec.Struct, frozen=True):
    """One injection, from asking to proof that it is gone."""

    id: str
    name: str
    kind: str
    fault_class: str = msgspec.field(name="class")
    target: list[str]
    status: str
    """healed, skipped, failed, leftover."""
    reason: str
    asked_at_s: float | None
    effective_at_s: float | None
    healed_at_s: float | None
    recovery_s: float | None
    outage_ids: list[str]
    achieved: Achieved


class Achieved(msgspec.Struct, frozen=True):
    """How it was done, and what was measured from outside."""

    mechanism: str = ""
    before: dict[str, float | str | None] = {}
    during: dict[str, float | str | None] = {}
    after: dict[str, float | str | None] = {}


class NodeSeen(msgspec.Struct, frozen=True):
    """A node as it was placed."""

    name: str
    part: str
    zone: str | None
    address: str
    networks: dict[str, str] = {}
    """Network -> its address there, where networks have names."""
    container: str = ""
    """The container that it is, where that was there before the run."""


class Interval(msgspec.Struct, frozen=True):
    """One stretch of one lane of the time axis, in seconds since the run's start."""

    start_s: float
    end_s: float
    state: str


class Lane(msgspec.Struct, frozen=True):
    """One line of the time axis: a service, a node, the name's set, or the faults."""

    kind: str
    """service, node, role, dns, fault, phase."""
    name: str
    intervals: list[Interval]


class Report(msgspec.Struct, frozen=True):
    """The frozen bundle that every face shows; reporters compute nothing."""

    schema: int
    experiment: str
    question: str
    run: str
    folder: str
    seed: int
    runtime: str
    target: str
    versions: dict[str, str]
    nodes: list[NodeSeen]
    started_at: str
    started_monotonic_ns: int
    duration_s: float
    clock_bound_s: float
    verdict: str
    exit_code: int
    reasons: list[str]
    checks: list[Check]
    objectives: list[Objective]
    observed: Observed | None
    predicted: Predicted | None
    agreement_overall: str
    agreement: list[Agreement]
    faults: list[FaultObserved]
    timeline: list[Lane]
    configuration: str = ""
    expect_verdict: str = "pass"
    slo: dict[str, float | None] = {}
    judged: str = ""
    """The service that the objectives and the top-level figures speak of."""
    extrapolated: Extrapolated | None = None
    """The measured outages at the production rates that the experiment assumes."""
    longest_s: float | None = None
    """How long a run that could stop early might have gone on; None for one that could not."""
    state: str = ""
    """pass, fail, inconclusive, invalid, aborted, interrupted, left-over, crashed, not-started: what the run came to, more finely."""
    qualifiers: list[str] = []
    """baseline (no faults), simulated (virtual time): what a reader must know beside the verdict."""
    next_steps: list[str] = []
    """What would bring an answer, where there is none."""
    planned_s: float | None = None
    planned_faults: int | None = None
    """How long the run was to last, and how many faults it was to inject."""
    halted_at_s: float | None = None
    """When it was told to end, or last heard of; None for a run that came to its end."""
    given: list[str] = []
    """Options that the run was started with, beside runtime and seed."""
    source: str = ""
    """The experiment's own file."""
    name_empty: list[NameEmpty] = []
    """When the name had no address; health checks may all have failed while nodes would have answered."""
    bad_requests: list[BadRequests] = []
    """Every bad request of every service, by reason, status and node."""
    looks: list[LookTaken] = []
    """Of a run that could stop early (``--until-decided``); empty for one that went on to its planned end."""
