"""Whether the probe can see what it is asked about, and whether the two figures that it gives of one run can both be meant.

The shortest outage that is sure to be seen lasts ``open`` requests in a row. Where that is longer than the outages that the model
expects, or than the downtime that an objective allows, a run in which nothing was seen shows nothing. An objective that is missed
all the same is missed: what was seen is enough for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from chaos.core.units import show_chance, show_s, show_share
from chaos.experiment.objectives import ObjectiveSpec
from chaos.plan.plan import Plan
from chaos.predict.unseen import Unseen
from chaos.results.check_names import CONTRADICTION, RESOLUTION
from chaos.results.observed import Observed
from chaos.results.verdict import Check, Objective

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"
APART: Final = 0.01
"""So many failed requests outside outages are no single ones any more."""
UPPER, LOWER = ("<=", "<"), (">=", ">")
HAIR: Final = 1e-9


def least_s(plan: Plan) -> float:
    """The shortest outage of the judged service that is sure to be seen."""
    traffic = plan.experiment.traffic
    return traffic.outage.open / traffic.operations[plan.judge].rate_per_s


def too_fine(plan: Plan, spec: ObjectiveSpec) -> str:
    """Why the probe cannot tell whether this objective is met; empty where it can."""
    bound, shortest_s = spec.bound, least_s(plan)
    if bound is None:
        return ""
    if spec.measure in ("mttr", "recovery", "outage") and bound.op in UPPER and bound.value < shortest_s * (1 - HAIR):
        return f"{spec.measure} {spec.text} is shorter than that"
    if spec.measure == "availability" and bound.op in LOWER and bound.value < 1:
        span_s = plan.duration_s - plan.experiment.baseline_s
        allowed_s = (1 - bound.value) * span_s
        if allowed_s < shortest_s * (1 - HAIR):
            return f"availability {spec.text} allows {show_s(allowed_s)} of downtime in {show_s(span_s)}"
    return ""


def remedy(plan: Plan, needed_s: float) -> str:
    """The rate at which outages of so many seconds are seen."""
    opens = plan.experiment.traffic.outage.open
    rate = opens / needed_s if needed_s > 0 else math.inf
    fine = f"at {math.ceil(rate):g}/s or more with 'open: {opens}'" if rate <= MOST_RATE else "by a smaller 'open'"
    return f"all are seen {fine}"


MOST_RATE: Final = 3000.0
"""Of requests a second: above it a slot is shorter than the prober's own lateness."""


def coarse(plan: Plan, missed: Sequence[Unseen]) -> list[str]:
    """What the model expects and the probe does not see, in words."""
    return [
        f"outages after {each.fault_class} last {show_s(each.outage_s)} by the model; the probe sees {show_chance(each.seen)} of them; "
        f"{remedy(plan, each.outage_s / 2)}"
        for each in missed
    ]


def resolution(plan: Plan, missed: Sequence[Unseen], objectives: Sequence[Objective]) -> Check:
    """Fails where outages that matter would not be seen."""
    shortest = f"an outage of {plan.judge} is sure to be seen from {show_s(least_s(plan))} on"
    troubles = coarse(plan, missed)
    ordered = sorted(plan.experiment.objectives, key=lambda spec: spec.fault is not None)
    for spec, objective in zip(ordered, objectives, strict=False):  # checks of data that no objective names come after them
        why = too_fine(plan, spec)
        if why and objective.verdict != FAIL:
            troubles.append(why)
    return Check(RESOLUTION, FAIL, f"{shortest}; {'; '.join(troubles)}") if troubles else Check(RESOLUTION, PASS, shortest)


def contradiction(plan: Plan, seen: Observed) -> Check:
    """Fails where the availability is good only because failed requests do not make outages by the rule."""
    up, good = seen.availability.value, seen.success_ratio.value
    if up is None or good is None:
        return Check(CONTRADICTION, UNKNOWN, seen.availability.reason or seen.success_ratio.reason)
    said = f"availability {show_share(up)}, success ratio {show_share(good)}"
    specs = plan.experiment.objectives
    asked = any(spec.measure in ("success_ratio", "slo_ratio") for spec in specs)
    if asked or up - good <= APART + plan.experiment.baseline_errors:
        return Check(CONTRADICTION, PASS, said)
    bounds = [spec.bound.value for spec in specs if spec.measure == "availability" and spec.bound is not None and spec.bound.op in LOWER]
    hidden = [bound for bound in bounds if good < bound <= up]
    if seen.outages and not hidden:
        return Check(CONTRADICTION, PASS, said)
    rule = f"'open: {seen.rule.open}' at {1 / seen.rule.slot_s:g}/s"
    return Check(
        CONTRADICTION, FAIL,
        f"{said}: {show_share(1 - good)} of the requests failed, most of them in no outage by the rule {rule}. Lower 'open', "
        "raise the rate, or say with an objective on 'success_ratio' how many may fail",
    )  # fmt: skip
