"""What clients saw: values that ``measure`` fills from the history alone.

Field names are the contract of ``report.json``: keys are added, never renamed. No data is None with a ``reason``: never NaN,
never 100 %.
"""

from __future__ import annotations

import msgspec

from chaos.core.units import digits, show_s


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

    def __repr__(self) -> str:
        if self.value is None:
            return f"Estimate(None: {self.reason or 'nothing was seen'})"
        ends = ["..." if end is None else digits(end) for end in (self.low, self.high)]
        around = f", {self.confidence:.0%} interval {' to '.join(ends)}" if (self.low, self.high) != (None, None) else ""
        return f"Estimate({digits(self.value)}{around}{f', n={self.n}' if self.n else ''})"

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

    def __repr__(self) -> str:
        lasts = "an end that was not seen" if self.duration_s is None else show_s(self.duration_s)
        return f"Outage({self.id}: {lasts} from {show_s(self.start_s)} on, after {', '.join(self.faults) or 'no fault'})"


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


class TrialObserved(msgspec.Struct, frozen=True):
    """One try at harming: an effective fault, or a planned overlap of several. What histories of many runs are made of."""

    fault_class: str = msgspec.field(name="class")
    faults: list[str]
    at_s: float
    """When the first of them took effect."""
    outage_s: float | None
    """How long clients were without service because of it, 0 included; None: missing requests leave it open."""
    recovery_s: float | None
    censored: bool
    """An outage of it was not over at the end: ``outage_s`` is what was seen of it."""
    cycle_s: float
    """From its begin to that of the next one."""
    down_s: float | None
    """``outage_s``, and what went down by itself meanwhile."""
    latency_p50_s: float | None
    latency_p99_s: float | None
    """Of good requests of its cycle, from due time."""


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
    trials: list[TrialObserved] = []
    """Each try at harming by itself, in the order of time."""

    def __repr__(self) -> str:
        return f"Observed({len(self.outages)} outages, availability {self.availability!r}, mttr_s {self.mttr_s!r})"


class DemandLevel(msgspec.Struct, frozen=True):
    """A service while the rate was of one level, or on its way to the next: what was asked, sent and answered. Times as of faults.

    Counts are of all requests, the even ones and those beyond; latencies of good requests, from due time.
    """

    service: str
    begin_s: float
    end_s: float
    from_per_s: float
    to_per_s: float
    due: int
    sent: int
    """In time: the others were sent late or not at all, and tell of the load generator alone."""
    good: int
    p50_s: float | None
    p99_s: float | None
    """None: no good request."""


class Series(msgspec.Struct, frozen=True):
    """A service over time, baseline included: bin i goes from ``i * step_s`` on. Latencies of good requests, from due time."""

    step_s: float
    good: list[int]
    bad: list[int]
    p50_s: list[float | None]
    """None: no good request was due in that bin."""
    p99_s: list[float | None]


class LogLine(msgspec.Struct, frozen=True):
    """An event of the history, in words."""

    number: int
    """Of its row in ``history.jsonl``, counted from 1 over the rows that can be read."""
    at_s: float
    text: str
    fault: str = ""
    """The fault that it belongs to, if to any."""


class Interval(msgspec.Struct, frozen=True):
    """One stretch of one lane of the time axis, in seconds since the run's start."""

    start_s: float
    end_s: float
    state: str


class Lane(msgspec.Struct, frozen=True):
    """One line of the time axis: a service, a node, the name's set, or the faults."""

    kind: str
    """service, node, role, dns, fault, phase, detector."""
    name: str
    intervals: list[Interval]
