"""What an experiment can decide before it is run: the chance of each answer, if outages are as the model predicts them.

Runs of the plan are drawn from the prediction and put through the very rules that will judge the real one: objectives (``run``: the
value itself; ``claim``: the interval on one side) and the agreement. A plan that cannot decide what it asks is told so, with the
number of faults that would. Nothing measured is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.agreement import LEVEL, OVERALL
from chaos.agreement_sums import SumDistribution
from chaos.experiment import PLANNED, Bound, ObjectiveSpec
from chaos.models import planning, predicting, uncertain
from chaos.objectives import COMPARE, PASS, UNKNOWN, held
from chaos.plan import Plan
from chaos.results import Estimate
from chaos.seeds import derive
from chaos.stats_means import mean
from chaos.stats_ratios import scheduled_availability

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from chaos.models.figures import ClassSamples

    Floats = NDArray[np.float64]

RUNS: Final = 20_000
CLAIMED_RUNS: Final = 200
"""Runs whose intervals are worked out: each costs a bootstrap."""
ENOUGH: Final = 0.8
UNTOLD: Final = {
    "slo_ratio": "the models do not predict how long good answers take",
    "lost_writes": "the models do not predict what becomes of data",
    "mttf": "the time between failures is the schedule's, and that was our choice: no run can claim it",
    "mtbf": "the time between failures is the schedule's, and that was our choice: no run can claim it",
}
"""Measures of which no chance can be told, and why."""
SCALES: Final = (1.2, 1.5, 2.0)
"""How much longer than predicted outages might really be."""


class Chance(msgspec.Struct, frozen=True):
    """What may come of one objective; None where the models say nothing about its measure."""

    name: str
    want: str
    basis: str
    passes: float | None
    fails: float | None
    faults_needed: int | None = None
    """For a claim: how many of these faults would decide it with a chance of 80 %."""
    reason: str = ""
    """Why no chance can be told."""


class AgreementPower(msgspec.Struct, frozen=True):
    """Of the agreement on the judged service."""

    margin: float
    consistent: float
    """The chance to be shown consistent, if the prediction is right."""
    detects: dict[str, float]
    """Outages longer by that factor -> the chance that they are called inconsistent."""
    faults_needed: int | None


class BudgetSaid(msgspec.Struct, frozen=True):
    """What the promise allows."""

    availability: float
    window_s: float
    downtime_s: float
    faults: dict[str, float]
    """Fault class -> how many of its outages, at their predicted length, use the budget up."""
    mttr_limit_s: float | None
    """The longest mean outage that keeps it, at all the production rates assumed together."""
    alerts: tuple[planning.Alert, ...]


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
    agreed = None if unknown or not draws else _agreement(draws, plan.experiment.predict.margin, slot_s, spread)
    chances = [] if unknown else _Objectives(plan, facts.span_s, draws, slot_s).chances(agreed)
    warnings += _warnings(plan, chances, agreed)
    return Power(len(plan.windows), plan.duration_s, tuple(chances), agreed, _budget(plan, draws), tuple(warnings))


def _warnings(plan: Plan, chances: Sequence[Chance], agreed: AgreementPower | None) -> list[str]:
    found = []
    for each in chances:
        if each.passes is None or each.fails is None:
            if each.name != "lost_writes":  # what is wanted of data has no number of faults that would decide it
                found.append(f"{each.name} {each.want} ({each.basis}): no chance can be told; {each.reason}")
            continue
        undecided = 1.0 - each.passes - each.fails
        if undecided > 1.0 - ENOUGH:
            needed = f"; about {each.faults_needed} faults would" if each.faults_needed else ""
            found.append(f"{each.name} {each.want} ({each.basis}) is left undecided with a chance of {undecided:.0%}{needed}")
        elif each.fails > 0.5:
            found.append(f"{each.name} {each.want} is expected to be missed, with a chance of {each.fails:.0%}")
    asked = any(spec.measure == "agreement" for spec in plan.experiment.objectives)
    if agreed is not None and agreed.consistent < ENOUGH:
        needed = f"; about {agreed.faults_needed} faults would show it" if agreed.faults_needed else ""
        told = "the agreement that an objective asks for" if asked else "agreement with the prediction"
        found.append(f"{told} can be shown with a chance of {agreed.consistent:.0%} only, even if the prediction is right{needed}")
    return found


# --- agreement ---------------------------------------------------------------------------------------------------------


def _kinds(draws: Mapping[str, ClassSamples]) -> list[tuple[Floats, int]]:
    return [(each.downtime_s[each.stratum == stratum], count) for each in draws.values() for stratum, count in enumerate(each.faults)]


def _agreement(draws: Mapping[str, ClassSamples], margin: float, slot_s: float, spread: float) -> AgreementPower:
    """Exactly, from the distribution of the total that the agreement itself uses."""
    import numpy as np

    kinds = _kinds(draws)
    faults = sum(count for _, count in kinds)
    if not any(each.any() for each, _ in kinds):
        unnoticed = math.ceil(math.log(LEVEL) / math.log(1.0 / margin))
        return AgreementPower(margin, 1.0 if faults >= unnoticed else 0.0, {}, unnoticed)
    sums = SumDistribution(kinds, slot_s, spread)
    # What the predicted law calls it, given a true law without the prediction's own uncertainty.
    truth = SumDistribution(kinds, slot_s) if spread > 0 else sums
    top_s, bottom_s = sums.quantile_s(1 - LEVEL), sums.quantile_s(LEVEL)
    below, above = np.cumsum(sums.mass), np.cumsum(sums.mass[::-1])[::-1]

    def shares(scale: float) -> tuple[float, float]:
        totals_s = scale * truth.step_s * np.arange(len(truth.mass))
        same = (totals_s >= top_s / margin) & (totals_s <= margin * bottom_s)
        places = totals_s / sums.step_s
        low = np.minimum(np.floor(places + 1e-3), len(below) - 1).astype(np.int64)
        high = np.ceil(places - 1e-3).astype(np.int64)
        upper = np.where(high < len(above), above[np.minimum(high, len(above) - 1)], 0.0)
        different = 2 * np.minimum(below[low], upper) < LEVEL
        return float(truth.mass[same].sum()), float(truth.mass[different & ~same].sum())

    mean_s = sum(float(each.mean()) * count for each, count in kinds) / faults
    variance = sum(float(np.var(each)) * count for each, count in kinds) / faults
    cv = math.sqrt(variance) / mean_s
    needed = planning.agreement_faults(cv, margin) if spread == 0 else None
    return AgreementPower(margin, shares(1.0)[0], {f"{scale:g}": shares(scale)[1] for scale in SCALES}, needed)


# --- objectives --------------------------------------------------------------------------------------------------------


class _Objectives:
    """Draws runs of the plan, and asks each objective of them."""

    def __init__(self, plan: Plan, span_s: float, draws: Mapping[str, ClassSamples], slot_s: float) -> None:
        import numpy as np

        self._plan, self._span_s, self._slot_s = plan, span_s, slot_s
        rng = np.random.default_rng(derive(0, "power"))
        downs, outages, recoveries, kinds = [], [], [], []
        picked = []
        for name, samples in draws.items():
            for index in samples.pick(rng, RUNS):
                picked.append((samples, index))
                downs.append(samples.downtime_s[index])
                outages.append(samples.outages[index])
                recoveries.append(samples.recovery_s[index])
                kinds.append(name.partition("/")[0])
        losses = [samples.lost_s[index] for samples, index in picked]
        empty = np.zeros((0, RUNS))
        self._downs_s: Floats = np.array(downs) if downs else empty
        self._outages = np.array(outages) if outages else empty
        self._recoveries_s: Floats = np.array(recoveries) if recoveries else empty
        self._lost_s: Floats = np.array(losses) if losses else empty
        self._kinds = kinds

    def chances(self, agreed: AgreementPower | None) -> list[Chance]:
        """One for each objective."""
        specs = sorted(self._plan.experiment.objectives, key=lambda spec: spec.fault is not None)
        return [self._chance(spec, agreed) for spec in specs]

    def _chance(self, spec: ObjectiveSpec, agreed: AgreementPower | None) -> Chance:
        name = spec.measure if spec.fault is None else f"{spec.measure} of {spec.fault}"
        if spec.measure == "agreement" and agreed is not None:
            return Chance(name, spec.text, spec.basis, agreed.consistent, 0.0, agreed.faults_needed)
        if spec.bound is None or not len(self._downs_s):
            return Chance(name, spec.text, spec.basis, None, None, reason="the plan has no fault that the models know")
        if spec.measure in ("recovery", "outage"):
            passes = self._worst(spec, spec.bound)
            return Chance(name, spec.text, spec.basis, 0.0 if spec.basis == "claim" else passes, 1.0 - passes, None)
        known = ("availability", "mttr") if spec.basis == "claim" else ("availability", "success_ratio", "mttr", "mttf", "mtbf")
        if spec.measure not in known:
            why = UNTOLD.get(spec.measure, "") or f"nothing is claimed of the {spec.measure} by an interval that a plan could foresee"
            return Chance(name, spec.text, spec.basis, None, None, reason=why)
        if spec.basis == "claim":
            return self._claim(name, spec, spec.bound)
        values = self._values(spec.measure)
        right = COMPARE[spec.bound.op]
        passes = sum(right(float(value), spec.bound.value) for value in values) / len(values) if len(values) else 0.0
        return Chance(name, spec.text, spec.basis, passes, 1.0 - passes)

    def _values(self, measure: str) -> Floats:
        """The value of each run that shows one."""
        down_s, outages = self._downs_s.sum(axis=0), self._outages.sum(axis=0)
        if measure == "availability":
            shown: Floats = 1.0 - down_s / self._span_s
            return shown
        if measure == "success_ratio":
            good: Floats = 1.0 - self._lost_s.sum(axis=0) / self._span_s
            return good
        some = outages > 0
        over = {"mttr": down_s, "mttf": self._span_s - down_s, "mtbf": self._span_s + 0.0 * down_s}[measure]
        found: Floats = over[some] / outages[some]
        return found

    def _worst(self, spec: ObjectiveSpec, bound: Bound) -> float:
        """The chance that every single one is on the right side."""
        import numpy as np

        kind = next((each.kind for each in self._plan.experiment.faults if each.name == spec.fault), None)
        rows = [place for place, each in enumerate(self._kinds) if kind in (None, each)]
        if not rows:
            return 0.0
        values = (self._recoveries_s if spec.measure == "recovery" else self._downs_s)[rows]
        right: Callable[[float, float], bool] = COMPARE[bound.op]
        worst = values.max(axis=0) if bound.op in ("<=", "<") else values.min(axis=0)
        return float(np.mean([right(float(value), bound.value) for value in worst]))

    def _claim(self, name: str, spec: ObjectiveSpec, bound: Bound) -> Chance:
        """By the interval that the run itself would be given."""
        answers = [held(bound, self._estimate(spec.measure, run), "claim") for run in range(CLAIMED_RUNS)]
        passes = answers.count(PASS) / len(answers)
        fails = 1.0 - passes - answers.count(UNKNOWN) / len(answers)
        return Chance(name, spec.text, spec.basis, passes, max(fails, 0.0), self._needed(spec.measure, bound))

    def _estimate(self, measure: str, run: int) -> Estimate:
        some = self._downs_s[:, run] > 0
        downs_s = self._downs_s[some, run]
        if not len(downs_s):
            return Estimate(None)
        if measure == "availability":
            return scheduled_availability(downs_s.tolist(), float(downs_s.sum()), self._span_s, run, self._slot_s)
        parts = [max(1, int(count)) for count in self._outages[some, run]]
        return mean(downs_s.tolist(), run, self._slot_s, parts=parts)

    def _needed(self, measure: str, bound: Bound) -> int | None:
        """From the distance of the predicted mean to the limit, in the law's own spread; a claim errs on one side by 2.5 %."""
        noticed = self._downs_s[self._downs_s > 0]
        if not len(noticed):
            return None
        mean_s = float(noticed.mean())
        limit_s = bound.value
        if measure == "availability":
            limit_s = (1.0 - bound.value) * self._span_s / max(float((self._downs_s > 0).sum(axis=0).mean()), 1e-9)
        elif measure != "mttr":
            return None
        if limit_s <= 0 or math.isclose(limit_s, mean_s):
            return None
        ratio = max(limit_s / mean_s, mean_s / limit_s)
        return planning.faults_needed(float(noticed.std()) / mean_s, ratio, 0.975)


# --- the promise -------------------------------------------------------------------------------------------------------


def _budget(plan: Plan, draws: Mapping[str, ClassSamples]) -> BudgetSaid | None:
    """What the slo allows; None where none is promised, or where it promises everything."""
    slo = plan.experiment.slo
    if slo.availability is None or not 0 < slo.availability < 1:
        return None
    budget = planning.Budget(slo.availability, slo.window_s).checked()
    means_s = {name: float(each.downtime_s.mean()) for name, each in draws.items()}
    rates = plan.experiment.predict.production
    zones = len({node.zone for node in plan.nodes if node.zone is not None})
    times = {"node": len(plan.nodes), "zone": zones, "cluster": 1}
    per_s = math.fsum(rate.per_s * times[rate.per] for rate in rates if rate.kind != PLANNED)
    return BudgetSaid(
        availability=slo.availability,
        window_s=slo.window_s,
        downtime_s=budget.downtime_s,
        faults={name: budget.faults(mean_s) for name, mean_s in means_s.items() if mean_s > 0},
        mttr_limit_s=planning.mttr_limit_s(slo.availability, per_s) if per_s > 0 else None,
        alerts=budget.alerts(),
    )
