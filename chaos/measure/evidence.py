"""Where a run shows too little for a figure: no figure then, and the reason in its place. No data is never a good value.

A service of which more than a tenth of the requests were not sent in time says nothing of availability or outages: what was not asked
may have been down. A history with damaged rows says nothing of faults: what a row would have said is not known.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from chaos.core.units import show_share
from chaos.measure.slots import MISSING
from chaos.measure.timeline import ServiceTimeline
from chaos.results.observed import ClassObserved, Estimate, Observed

MOST_MISSING: Final = 0.1
"""Of more missing slots than this no figure is given at all; a check fails long before."""


def lacking(service: ServiceTimeline) -> str:
    """Why nothing can be told of what clients saw; empty where it can."""
    states = service.slots.state[service.observed]
    due = len(states)
    missing = int(np.count_nonzero(states == MISSING))
    if not due or missing == due:
        return f"none of {due} requests was sent in time" if due else "no request was sent"
    if missing > MOST_MISSING * due:
        return f"{show_share(missing / due)} of the requests were not sent in time: what they would have shown is not known"
    return ""


def withheld(seen: Observed, reason: str) -> Observed:
    """The same observation without the figures that rest on requests."""
    nothing = Estimate(None, reason=reason)
    return msgspec.structs.replace(
        seen, availability=nothing, success_ratio=nothing, slo_ratio=nothing, mttr_s=nothing, mttf_s=nothing, mtbf_s=nothing,
        downtime_s=None, windows=[], lost_s=None, maintainability=None, trials=[],
        by_fault={name: without_figures(each, reason) for name, each in seen.by_fault.items()},
    )  # fmt: skip


def without_faults(seen: Observed, reason: str) -> Observed:
    """The same observation without the figures that rest on what was done when."""
    nothing = Estimate(None, reason=reason)
    availability = msgspec.structs.replace(seen.availability, low=None, high=None, method="", reason=seen.availability.reason or reason)
    return msgspec.structs.replace(
        seen, availability=availability, mttr_s=nothing, mttf_s=nothing, mtbf_s=nothing, trials=[],
        by_fault={name: without_figures(each, reason) for name, each in seen.by_fault.items()},
    )  # fmt: skip


def without_figures(seen: ClassObserved, reason: str) -> ClassObserved:
    """A class of faults of which nothing can be told."""
    nothing = Estimate(None, reason=reason)
    return msgspec.structs.replace(
        seen, noticed=None, share=nothing, recovery_s=nothing, outage_s=nothing, untold=seen.effective, reason=reason
    )


def with_gaps(estimate: Estimate, service: ServiceTimeline) -> Estimate:
    """An availability, where requests are missing for as long as an outage: all of that time may have been one."""
    lost_s = sum(gap.length_s for gap in service.gaps)
    if not lost_s or estimate.value is None or service.span_s <= 0:
        return estimate
    low = min(estimate.value if estimate.low is None else estimate.low, estimate.value) - lost_s / service.span_s
    reason = f"{lost_s:.3g} s without requests may have been down"
    return msgspec.structs.replace(
        estimate, low=None if estimate.low is None else max(low, 0.0), reason="; ".join(each for each in (estimate.reason, reason) if each)
    )


def possible(estimate: Estimate, least_s: float) -> Estimate:
    """The interval cut to what can be: nothing that was seen is shorter than ``least_s``."""
    if estimate.low is None or estimate.low >= least_s:
        return estimate
    top = estimate.value if estimate.value is not None else estimate.high
    return msgspec.structs.replace(estimate, low=least_s if top is None else min(least_s, top))


def whole_slots(estimate: Estimate, slot_s: float) -> Estimate:
    """A bound below one slot is none: nothing so short can be seen, and a fault that clients do not notice costs no time at all."""
    return msgspec.structs.replace(estimate, low=0.0) if estimate.low is not None and estimate.low < slot_s else estimate
