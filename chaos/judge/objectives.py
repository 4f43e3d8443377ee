"""What the experiment said must hold, held against what was seen. Three answers: pass, fail, unknown.

    basis run      this run's own value on the right side
    basis claim    the whole interval on the right side passes, the whole of it on the wrong side fails, else unknown

An outage whose end was not seen fails an upper limit that it has exceeded already, and leaves it unknown otherwise. Without any
outage, an ``mttr`` limit passes under ``run`` if every planned fault took effect. A limit on ``recovery`` or ``outage`` must hold
for every single one: the worst is what stands beside it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from chaos.experiment.objectives import MEASURES, Bound, ObjectiveSpec
from chaos.measure.faults import FaultRecord
from chaos.measure.timeline import ServiceTimeline, Timeline
from chaos.plan.plan import Plan
from chaos.results import check_names
from chaos.results.data import Data, DataCheck
from chaos.results.observed import Estimate, Observed, Outage
from chaos.results.verdict import Check, Objective

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"

COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt, "==": operator.eq,
}  # fmt: skip
UPPER: Final = ("<=", "<")
"""Operators of an upper limit."""
LOWER: Final = (">=", ">")
TIMES: Final = {"mttr": "mttr_s", "mttf": "mttf_s", "mtbf": "mtbf_s"}
"""Measure -> its field of ``Observed``."""
RATIOS: Final = ("availability", "success_ratio", "slo_ratio")
DURATIONS: Final = (*TIMES, "recovery", "outage")
ONE_LEADER: Final = "one_leader"
"""The check of data that says what an assumption of every other run says."""
_NONE: Final = Bound("<=", 0.0)
SHOWN: Final = 3
"""So many faults that are left out are named."""
NOTHING_SEEN: Final = Estimate(value=None, reason="nothing was observed")


def evaluate(
    plan: Plan, timeline: Timeline, observed: Observed | None, agreement_overall: str, data: Data | None = None
) -> list[Objective]:
    """The objectives of the experiment and the expectations of its faults, on the judged service; then what is checked of the data.

    A check of data that no objective names must find nothing.
    """
    ordered = sorted(plan.experiment.objectives, key=lambda spec: spec.fault is not None)
    checks = {} if data is None else {check.name: check for check in data.checks}
    found = [
        _of_data(spec, checks.get(spec.measure))
        if spec.measure not in MEASURES
        else _evaluate(spec, plan, timeline, observed, agreement_overall)
        for spec in ordered
    ]
    named = {spec.measure for spec in ordered}
    return found + [_of_data(ObjectiveSpec(name, _NONE, text="0"), check) for name, check in checks.items() if name not in named]


def without_doubles(checked: Sequence[Check], data: Data | None) -> list[Check]:
    """That one node leads at a time is no assumption of a run that asks for it: there it is an objective."""
    asked = data is not None and any(check.name == ONE_LEADER for check in data.checks)
    return [check for check in checked if not (asked and check.name == check_names.ONE_LEADER)]


def _of_data(spec: ObjectiveSpec, check: DataCheck | None) -> Objective:
    """How many violations there may be, and how many were found."""
    if check is None or spec.bound is None or check.count is None:
        reason = "the data was not checked" if check is None else check.said
        return Objective(spec.measure, spec.text, spec.basis, Estimate(value=None, reason=reason), UNKNOWN)
    method = f"counted over {check.examined:,} {check.what}"
    estimate = Estimate(value=float(check.count), n=check.examined, method=method, reason=check.said)
    verdict = PASS if COMPARE[spec.bound.op](check.count, spec.bound.value) else FAIL
    return Objective(spec.measure, spec.text, spec.basis, estimate, verdict)


def _evaluate(spec: ObjectiveSpec, plan: Plan, timeline: Timeline, observed: Observed | None, agreement_overall: str) -> Objective:
    service = timeline.services.get(plan.judge)
    if spec.measure == "agreement":
        estimate, verdict = _agreement(spec, agreement_overall)
    elif observed is None or service is None or spec.bound is None:
        estimate, verdict = NOTHING_SEEN, UNKNOWN
    elif observed.downtime_s is None:
        # Too little was asked to tell anything: the reason stands in every figure alike.
        estimate, verdict = Estimate(value=None, reason=observed.availability.reason), UNKNOWN
    elif timeline.damage and spec.measure in DURATIONS:
        estimate, verdict = Estimate(value=None, reason=timeline.damage), UNKNOWN
    elif spec.measure in ("recovery", "outage"):
        estimate, verdict = _worst(spec, spec.bound, timeline, service)
    elif spec.measure in TIMES:
        estimate = {"mttr": observed.mttr_s, "mttf": observed.mttf_s, "mtbf": observed.mtbf_s}[spec.measure]
        verdict = _time(spec, spec.bound, estimate, timeline, service)
    else:
        ratios = {"availability": observed.availability, "success_ratio": observed.success_ratio, "slo_ratio": observed.slo_ratio}
        estimate = ratios[spec.measure]
        verdict = held(spec.bound, estimate, spec.basis)
    name = spec.measure if spec.fault is None else f"{spec.measure} of {spec.fault}"
    return Objective(name=name, want=spec.text, basis=spec.basis, observed=estimate, verdict=verdict)


def held(bound: Bound, estimate: Estimate, basis: str) -> str:
    """Whether a figure is on the right side of a bound; the whole interval of it, if it is a claim."""
    right = COMPARE[bound.op]
    if basis == "run":
        return UNKNOWN if estimate.value is None else PASS if right(estimate.value, bound.value) else FAIL
    if bound.op in UPPER:
        nearest, farthest = estimate.low, estimate.high
    elif bound.op in LOWER:
        nearest, farthest = estimate.high, estimate.low
    else:
        return UNKNOWN
    if farthest is not None and right(farthest, bound.value):
        return PASS
    return FAIL if nearest is not None and not right(nearest, bound.value) else UNKNOWN


def _time(spec: ObjectiveSpec, bound: Bound, estimate: Estimate, timeline: Timeline, service: ServiceTimeline) -> str:
    if not service.outages:
        return _without_outage(spec, bound, timeline, service)
    is_cut = any(outage.censored for outage in service.outages)
    if spec.measure == "mttr" and is_cut and bound.op in UPPER:
        least = estimate.value if estimate.value is not None else estimate.low
        return FAIL if least is not None and not COMPARE[bound.op](least, bound.value) else UNKNOWN
    return held(bound, estimate, spec.basis)


def _without_outage(spec: ObjectiveSpec, bound: Bound, timeline: Timeline, service: ServiceTimeline) -> str:
    """No outage: nothing took long to repair, and the time to failure is more than the run."""
    if spec.basis != "run":
        return UNKNOWN
    if spec.measure == "mttr":
        all_took = all(fault.took_effect for fault in timeline.faults if fault.planned)
        return PASS if bound.op in UPPER and all_took else UNKNOWN
    return PASS if bound.op in LOWER and COMPARE[bound.op](service.span_s, bound.value) else UNKNOWN


def _agreement(spec: ObjectiveSpec, overall: str) -> tuple[Estimate, str]:
    if overall == spec.word:
        return Estimate(value=None, reason=overall), PASS
    return Estimate(value=None, reason=overall or "nothing to compare"), FAIL if overall == "inconsistent" else UNKNOWN


# --- every single one --------------------------------------------------------------------------------------------------


class _Single(msgspec.Struct, frozen=True):
    """One recovery or outage: at least ``seen_s`` long, exactly so if ``over``."""

    seen_s: float
    over: bool


def _worst(spec: ObjectiveSpec, bound: Bound, timeline: Timeline, service: ServiceTimeline) -> tuple[Estimate, str]:
    faults = [fault for fault in timeline.faults if spec.fault in (None, fault.name)]
    effective = [fault for fault in faults if fault.took_effect]
    untold = [fault for fault in effective if fault.id in service.untold]
    if spec.measure == "recovery":
        singles = [_recovery(service, fault) for fault in effective if fault.not_back or fault.id not in service.untold]
    else:
        ids = {fault.id for fault in effective}
        singles = [_length(service, outage) for outage in service.outages if spec.fault is None or not ids.isdisjoint(outage.faults)]
    what = "recoveries" if spec.measure == "recovery" else "outages"
    if not singles:
        in_vain = [fault for fault in faults if fault.planned and not fault.took_effect]
        passes = spec.measure == "outage" and bound.op in UPPER and spec.basis == "run" and not in_vain
        reason = "no fault took effect" if spec.measure == "recovery" else "no outage was seen"
        if untold:
            reason = _untold(service, untold)
        return Estimate(value=None, reason=reason), PASS if passes and not untold else UNKNOWN
    worst = max if bound.op in UPPER else min
    open_ends = sum(not single.over for single in singles)
    seen_s = worst(single.seen_s for single in singles)
    reasons = [fault.not_back for fault in effective if fault.not_back and spec.measure == "recovery"]
    reasons += [f"{open_ends} not over at the end of the run"] if open_ends else []
    reasons += [_untold(service, untold)] if untold else []
    reason = "; ".join(reasons)
    estimate = Estimate(value=seen_s, n=len(singles), method=f"the worst of {len(singles)} {what}", reason=reason)
    verdict = _every(spec, bound, singles, faults)
    return estimate, UNKNOWN if untold and verdict == PASS else verdict


def _untold(service: ServiceTimeline, faults: Sequence[FaultRecord]) -> str:
    return "; ".join(f"{fault.id} is left out: {service.untold[fault.id].reason}" for fault in faults[:SHOWN])


def _every(spec: ObjectiveSpec, bound: Bound, singles: Sequence[_Single], faults: Sequence[FaultRecord]) -> str:
    right = COMPARE[bound.op]
    is_upper = bound.op in UPPER
    # What is not over yet has exceeded an upper limit for good, and met a lower one for good; the other way it is open.
    if any(not right(single.seen_s, bound.value) and (single.over or is_upper) for single in singles):
        return FAIL
    if any(not single.over and (is_upper or not right(single.seen_s, bound.value)) for single in singles):
        return UNKNOWN
    # A claim speaks of faults to come: that all of so few met it shows no more than the run itself.
    in_vain = any(fault.planned and not fault.took_effect for fault in faults)
    return UNKNOWN if spec.basis == "claim" or in_vain else PASS


def _recovery(service: ServiceTimeline, fault: FaultRecord) -> _Single:
    known_s = service.recovery_s(fault)
    if known_s is not None and not fault.not_back:
        return _Single(known_s, True)
    return _Single(max(service.end_s - (fault.effective_s or 0.0), 0.0), False)


def _length(service: ServiceTimeline, outage: Outage) -> _Single:
    return _Single(service.visible_s(outage), outage.censored is None)
