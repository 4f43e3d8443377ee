"""What follows from both: checks, objectives, agreement, interim analyses, measured outages at production rates. ``judge`` fills them.

Field names are the contract of ``report.json``: keys are added, never renamed. No data is None with a ``reason``: never NaN,
never 100 %.
"""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.results.check_names import heading
from chaos.results.observed import Estimate


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


ABBREVIATED: Final = ("mttr", "mttf", "mtbf")


class Objective(msgspec.Struct, frozen=True):
    """One thing that was to hold."""

    name: str
    want: str
    basis: str
    observed: Estimate
    verdict: str

    @property
    def title(self) -> str:
        """Its name for people: ``MTTR``, ``recovery of kill-leader``; an abbreviation stands in capitals."""
        word, space, rest = self.name.partition(" ")
        return f"{word.upper() if word in ABBREVIATED else word}{space}{rest}"


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
