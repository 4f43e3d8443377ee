"""What the model expects: values that ``predict`` fills without any measurement.

Field names are the contract of ``report.json``: keys are added, never renamed. No data is None with a ``reason``: never NaN,
never 100 %.
"""

from __future__ import annotations

import msgspec

from chaos.core.units import digits


class Range(msgspec.Struct, frozen=True):
    """A predicted figure, and the range that a run like this one shows it in (95 %)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def __repr__(self) -> str:
        if self.value is None:
            return f"Range(None: {self.reason or 'nothing is predicted'})"
        ends = ["..." if end is None else digits(end) for end in (self.low, self.high)]
        return f"Range({digits(self.value)}{f', {ends[0]} to {ends[1]}' if ends != ['...', '...'] else ''})"


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
    chosen: bool = True
    """Whether somebody can choose it; the rate of faults is what the world does, and is never the first advice."""


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
    downtime_low_s_per_year: float | None = None
    """With ``downtime_high_s_per_year``: 95 % range of that figure from the error of measured parameters; None: all are declared."""
    downtime_high_s_per_year: float | None = None


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

    def __repr__(self) -> str:
        return f"Predicted(availability {self.availability!r}, mttr_s {self.mttr_s!r}, {len(self.by_fault)} fault classes)"
