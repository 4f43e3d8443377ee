"""What an experiment can decide before it is run: the chance of each answer, if outages are as the model predicts them.

Runs of the plan are drawn from the prediction and put through the very rules that will judge the real one: objectives (``run``: the
value itself; ``claim``: the interval on one side) and the agreement. A plan that cannot decide what it asks is told so, with the
number of faults that would. Nothing measured is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core.units import show_chance, show_s
from chaos.experiment.objectives import MEASURES
from chaos.experiment.production import PLANNED
from chaos.judge import checks_probe
from chaos.judge.agreement import OVERALL
from chaos.judge.power_agreement import AgreementPower, agreement
from chaos.judge.power_objectives import Chance, Objectives
from chaos.plan.plan import Plan
from chaos.predict import production
from chaos.predict import run as predicting
from chaos.predict import sample_size as planning
from chaos.predict import surroundings as around
from chaos.predict import uncertainty as uncertain
from chaos.predict.facts import RunFacts
from chaos.predict.system import system
from chaos.predict.unseen import unseen

if TYPE_CHECKING:
    from chaos.predict.figures import ClassSamples

ENOUGH: Final = 0.8


class BudgetSaid(msgspec.Struct, frozen=True):
    """What the promise allows."""

    availability: float
    window_s: float
    downtime_s: float
    faults: dict[str, float]
    """Fault class -> how many of its outages, at their predicted length, use up what is left of the budget."""
    mttr_limit_s: float | None
    """The longest mean outage that keeps it, at all the production rates assumed together."""
    alerts: tuple[planning.Alert, ...]
    alerts_left_out: tuple[planning.AlertLeftOut, ...] = ()
    """The usual ones that make no sense for this window or objective."""
    around_s: float = 0.0
    """What the parts around the cluster take of it in each window, on average."""
    overlaps_s: float = 0.0
    """What overlapping faults, common causes and crashes that are not covered take, at the assumed rates."""
    left_s: float = 0.0
    """What is left for faults that come one by one."""


class Power(msgspec.Struct, frozen=True):
    """What a plan can decide."""

    faults: int
    duration_s: float
    objectives: tuple[Chance, ...]
    agreement: AgreementPower | None
    budget: BudgetSaid | None
    warnings: tuple[str, ...]


def power(plan: Plan) -> Power:
    """Work it out. ``BadInput`` where no prediction is possible."""
    facts = predicting.facts_from_plan(plan)
    draws = predicting.draws(plan, facts, plan.judge)
    spread = uncertain.spreads(plan, facts, plan.judge).get(OVERALL, 0.0)
    slot_s = 1.0 / plan.experiment.traffic.operations[plan.judge].rate_per_s
    unknown = [each.fault_class for each in facts.classes if each.count and each.fault_class not in draws]
    warnings = [f"the models do not know faults of class {', '.join(unknown)}: what they will show cannot be told"] if unknown else []
    agreed = None if unknown or not draws else agreement(draws, plan.experiment.predict.margin, slot_s, spread)
    chances = [] if unknown else Objectives(plan, facts.span_s, draws, slot_s).chances(agreed)
    warnings += _too_coarse(plan, facts, draws) + _warnings(plan, chances, agreed) + _short_drain(plan)
    return Power(len(plan.windows), plan.duration_s, tuple(chances), agreed, _budget(plan, facts, draws), tuple(warnings))


def _too_coarse(plan: Plan, facts: RunFacts, draws: Mapping[str, ClassSamples]) -> list[str]:
    """The outages that the probe would not see: such a run cannot pass, whatever comes."""
    shares = {name: float(each.noticed.mean()) for name, each in draws.items()}
    found = checks_probe.coarse(plan, unseen(plan, facts, plan.judge, shares))
    found += [why for spec in plan.experiment.objectives if (why := checks_probe.too_fine(plan, spec))]
    shortest = f"an outage of {plan.judge} is sure to be seen from {show_s(checks_probe.least_s(plan))} on"
    return [f"the probe is too coarse, so the run cannot pass: {shortest}; {why}" for why in found]


def _warnings(plan: Plan, chances: Sequence[Chance], agreed: AgreementPower | None) -> list[str]:
    found = []
    for each in chances:
        if each.passes is None or each.fails is None:
            if each.name in MEASURES:  # what is wanted of data has no number of faults that would decide it
                found.append(f"{each.name} {each.want} ({each.basis}): no chance can be told; {each.reason}")
            continue
        undecided = 1.0 - each.passes - each.fails
        if undecided > 1.0 - ENOUGH:
            needed = f"; about {each.faults_needed} faults would" if each.faults_needed else ""
            found.append(f"{each.name} {each.want} ({each.basis}) is left undecided with probability {show_chance(undecided)}{needed}")
        elif each.fails > 0.5:
            found.append(f"{each.name} {each.want} is missed with probability {show_chance(each.fails)}")
    asked = any(spec.measure == "agreement" for spec in plan.experiment.objectives)
    if agreed is not None and agreed.consistent < ENOUGH:
        needed = f"; about {agreed.faults_needed} faults would show it" if agreed.faults_needed else ""
        told = "the agreement that an objective asks for" if asked else "agreement with the prediction"
        found.append(f"{told} is confirmed with probability {show_chance(agreed.consistent)} only, even if the prediction is right{needed}")
    return found


def _short_drain(plan: Plan) -> list[str]:
    """A node that drains must serve until no client can still know it."""
    known = system(plan)
    if not known.drains or not known.front.health_checked or not {window.kind for window in plan.windows} & {"stop", "restart"}:
        return []
    serves_s, asked_s = known.given["stop_s"].low_s if "stop_s" in known.given else 0.0, known.front.asked_s
    if serves_s >= asked_s:
        return []
    return [
        f"a node that drains serves for {show_s(serves_s)} after it is asked to end, and clients may ask it for {show_s(asked_s)} "
        "(fall x every of the health check, then the TTL): some will meet a dead node"
    ]


# --- the promise -------------------------------------------------------------------------------------------------------


def _budget(plan: Plan, facts: RunFacts, draws: Mapping[str, ClassSamples]) -> BudgetSaid | None:
    """What the slo allows; None where none is promised, or where it promises everything."""
    slo, predict = plan.experiment.slo, plan.experiment.predict
    if slo.availability is None or not 0 < slo.availability < 1:
        return None
    budget = planning.Budget(slo.availability, slo.window_s).checked()
    known = system(plan)
    allowed = around.cluster_allowed(predict.around, 1.0 - slo.availability)
    overlaps = production.beyond(plan, known, facts)
    left = 0.0 if allowed is None else max(0.0, allowed - overlaps)
    means_s = {name: float(each.downtime_s.mean()) for name, each in draws.items()}
    zones = len({node.zone for node in plan.nodes if node.zone is not None})
    times = {"node": known.nodes, "zone": zones, "cluster": 1}
    per_s = math.fsum(rate.per_s * times[rate.per] for rate in predict.production if rate.kind != PLANNED)
    return BudgetSaid(
        availability=slo.availability,
        window_s=slo.window_s,
        downtime_s=budget.downtime_s,
        faults={name: left * slo.window_s / mean_s for name, mean_s in means_s.items() if mean_s > 0} if left > 0 else {},
        mttr_limit_s=planning.mttr_limit_s(1.0 - left, per_s) if per_s > 0 and left > 0 else None,
        alerts=budget.alerts(),
        alerts_left_out=budget.alerts_left_out(),
        around_s=around.unavailability(predict.around, 0.0) * slo.window_s,
        overlaps_s=overlaps * slo.window_s,
        left_s=left * slo.window_s,
    )
