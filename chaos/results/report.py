"""The whole report, as ``report.json`` holds it and every format shows it.

Field names are the contract of ``report.json``: keys are added, never renamed. No data is None with a ``reason``: never NaN,
never 100 %.
"""

from __future__ import annotations

from typing import Any

import msgspec

from chaos.core import plugins
from chaos.core.units import show_s
from chaos.results.data import Data
from chaos.results.detectors import Detectors
from chaos.results.observed import BadRequests, DemandLevel, Lane, LogLine, NameEmpty, Observed, Series
from chaos.results.predicted import Predicted
from chaos.results.verdict import Agreement, Check, Extrapolated, LookTaken, Objective


class Achieved(msgspec.Struct, frozen=True):
    """How it was done, and what was measured from outside."""

    mechanism: str = ""
    before: dict[str, float | str | None] = {}
    during: dict[str, float | str | None] = {}
    after: dict[str, float | str | None] = {}


class Asked(msgspec.Struct, frozen=True):
    """What the plan asked of a fault, beside which ``Achieved`` stands."""

    at_s: float | None = None
    for_s: float | None = None
    """None: to the end of the run."""
    target: str = ""
    """The selector, as people write it."""
    details: str = ""
    """The fault's own fields, where they are not the default."""


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
    asked: Asked = Asked()

    def __repr__(self) -> str:
        recovery = "unknown" if self.recovery_s is None else show_s(self.recovery_s)
        return f"FaultObserved({self.id}: {self.fault_class} on {', '.join(self.target)}, {self.status}, recovery {recovery})"


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
    """What the run came to, more finely: a name of ``chaos.results.states`` (pass, fail, inconclusive, invalid, aborted, interrupted,
    baseline, left-over, crashed, not-started)."""
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
    data: Data | None = None
    """What the checks of data found; None where the experiment has none (``data:``)."""
    detectors: Detectors | None = None
    """What the system's own failure detectors said, beside what clients saw; None where the target declares none."""
    name_empty: list[NameEmpty] = []
    """When the name had no address; health checks may all have failed while nodes would have answered."""
    demand: list[DemandLevel] = []
    """Each level of each service whose rate changes."""
    bad_requests: list[BadRequests] = []
    """Every bad request of every service, by reason, status and node."""
    system_version: str = ""
    """Of the system under test: what the user called it, else a hash of its target's files and its images."""
    log: list[LogLine] = []
    """The control events of the run, in words."""
    series: dict[str, Series] = {}
    """Service -> its requests and latencies over time."""
    looks: list[LookTaken] = []
    """Of a run that could stop early (``--until-decided``); empty for one that went on to its planned end."""

    def __repr__(self) -> str:
        seen = self.observed
        figures = "" if seen is None else f", {len(seen.outages)} outages of {self.judged}, mttr_s {seen.mttr_s!r}"
        return f"Report({self.experiment}: {self.state or self.verdict}, {len(self.faults)} faults{figures})"

    def _repr_html_(self) -> str:
        """The page, in a frame of its own so that its style stays inside: what a notebook shows."""
        return str(plugins.find("reports", "notebook")(self))

    def to_frame(self, what: str = "outages", library: str = "") -> Any:  # noqa: ANN401 (a type of whichever library is there)
        """``outages``, ``faults`` or ``requests`` (by second and service, from the run folder) as a data frame, a row each.

        Of pandas where it is installed, else of polars; ``library`` chooses one of them.
        """
        from chaos.results.frames import frame

        return frame(self, what, library)
