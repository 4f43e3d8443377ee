"""From the experiment to production: its own fault rates, never the injected ones.

First order: U = sum over classes of rate x mean visible downtime of one fault. Second order: a crash inside the recovery of
another, while a zone is dark, not covered, or with a common cause, from the cluster's chain at the production rate (``overlaps``).
Where that is more than half of the time, faults come faster than the cluster recovers: no figure is given.
Accelerating a run by K scales the first by K and the second by K^2, so dividing by K would overstate it; hence no injected rate is
ever read here. Then the parts around the cluster (``around``). Planned restarts are worked out beside all that, and never added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from chaos.core.errors import BadInput
from chaos.core.values import FOLLOWER, LEADER
from chaos.experiment.production import PLANNED, ZONE, ProductionRate
from chaos.plan.plan import Plan
from chaos.predict import false_alarms, overlaps, production_window
from chaos.predict import surroundings as around
from chaos.predict.facts import ClassFacts, RunFacts
from chaos.predict.improving import TOGETHER, Change, changes, price, unsafe
from chaos.predict.production_draws import Draws, Share
from chaos.predict.scenarios.delays import Uniform
from chaos.predict.scenarios.table import NODE
from chaos.predict.system import System
from chaos.results.predicted import Improvement, PlannedRestarts, Production, ProductionPart, WindowPredicted

YEAR_S: Final = 365 * 86400.0
STEP: Final = 0.1
"""Relative change by which elasticities are found."""
CRASH: Final = "kill"
FAULT_RATES: Final = "fault rates (half as many)"
LEAST_SAVED: Final = 0.005
"""What saves a smaller share of the downtime is not worth a line."""
CARRIED: Final = 0.5
"""Unavailability up to which faults can be taken one by one, and two at a time by the chain."""


class TooFast(BadInput):
    """Faults come faster than the cluster recovers from them: beyond what the models can carry."""


def at_rates(plan: Plan, known: System, facts: RunFacts) -> Production:
    """Availability of the judged service at the rates that the experiment assumes for production."""
    rates = plan.experiment.predict.production
    known = with_zones(known, facts)
    texts = [f"{rate.kind}: {rate.text}" if rate.text else f"{rate.kind}: {rate.per_s:g}/s per {rate.per}" for rate in rates]
    if not rates:
        return Production(None, None, None, [], texts, reason="the experiment assumes no production fault rates (predict: production:)")
    found = [_shares(plan, known, facts, rate) for rate in rates]
    missing = [rate.kind for rate, shares in zip(rates, found, strict=True) if shares is None]
    if missing:
        reason = f"the plan has no fault '{missing[0]}' that would say how long one lasts"
        return Production(None, None, None, [], texts, reason=reason)
    judge = Judge(plan, [share for each in found for share in each or ()], _rates(known, rates))
    try:
        cluster = judge.cluster(known, plan, 1.0)
    except TooFast as beyond:
        return Production(None, None, None, [], texts, reason=beyond.message)
    unavailability = around.unavailability(plan.experiment.predict.around, cluster)
    return Production(
        availability=1.0 - unavailability,
        nines=-math.log10(unavailability) if unavailability > 0 else None,
        downtime_s_per_year=unavailability * YEAR_S,
        improve_first=(improve := judge.improvements(known, unavailability)),
        not_advised=judge.not_advised(known, unavailability) if improve else [],
        rates=texts,
        reason="" if unavailability > 0 else "clients would not notice any of these faults",
        window=judge.window(known, plan, cluster),
        parts=judge.parts(known, plan),
        around=around.shown(plan.experiment.predict.around, cluster),
        planned=judge.planned(known, plan, rates),
    )


def judge_at(plan: Plan, known: System, facts: RunFacts) -> Judge:
    """What recomputes the unavailability at production rates, for a system that may differ from the plan's; ``BadInput`` without rates."""
    rates = plan.experiment.predict.production
    known = with_zones(known, facts)
    if not rates:
        raise BadInput("the experiment assumes no production fault rates", right="predict: {production: {kill: 1 per 45d per node}}")
    shares: list[Share] = []
    for rate in rates:
        found = _shares(plan, known, facts, rate)
        if found is None:
            raise BadInput(f"the plan has no fault '{rate.kind}' that would say how long one lasts")
        shares += found
    return Judge(plan, shares, _rates(known, rates))


def beyond(plan: Plan, known: System, facts: RunFacts) -> float:
    """The share of time that overlaps take at production rates (``overlaps``); 0 without rates."""
    known = with_zones(known, facts)
    return overlaps.beyond_isolated(known, _rates(known, plan.experiment.predict.production), plan.operations[plan.judge].does)


def _rates(known: System, rates: Sequence[ProductionRate]) -> overlaps.Rates:
    crash_per_s = sum(rate.per_s / (known.nodes if rate.per == "cluster" else 1) for rate in rates if rate.kind == CRASH)
    return overlaps.Rates(crash_per_s, sum(rate.per_s for rate in rates if rate.kind == ZONE))


def with_zones(known: System, facts: RunFacts) -> System:
    """A zone's outage lasts as long as that of the plan's own fault on a zone, unless a parameter says it."""
    if "zone_outage_s" in known.given:
        return known
    usual_s = [_usual_s(each, facts) for each in facts.classes if each.role.startswith(f"{ZONE}:") and each.count]
    if not usual_s:
        return known
    mean_s = float(np.mean(usual_s))
    return msgspec.structs.replace(known, given={**known.given, "zone_outage_s": Uniform(mean_s, mean_s)})


def _zone_shares(known: System, rate: ProductionRate) -> list[Share]:
    """Zones of one size are alike; the leader stands in one of them."""
    sizes = known.spread()
    if not sizes:
        raise BadInput("a rate of zones needs every node in a zone", right="cluster: {zones: {a: [n1], b: [n2], c: [n3]}}")
    for_s = known.need("zone_outage_s", "zones that fail").mean_s
    return [
        Share(ClassFacts(f"{ZONE} of {size}", "power_off", ZONE, (for_s,), {}, victims=size), rate.per_s * sizes.count(size), for_s)
        for size in sorted(set(sizes), reverse=True)
    ]


def _shares(plan: Plan, known: System, facts: RunFacts, rate: ProductionRate) -> list[Share] | None:
    """A rate per node falls on the leader and on the followers; one per cluster on a node at random."""
    if rate.kind == PLANNED:
        return []
    if rate.kind == ZONE:
        return _zone_shares(known, rate)
    per_node_s = rate.per_s / (known.nodes if rate.per == "cluster" else 1)
    like = [each for each in facts.classes if each.kind == rate.kind and each.count]
    groups = [each for each in like if each.role == "groups"]
    if groups:
        return [Share(groups[0], per_node_s * known.nodes, _usual_s(groups[0], facts))]
    params = like[0].params if like else {}
    if rate.kind != CRASH and not like:
        return None
    for_s = 0.0 if rate.kind == CRASH else _usual_s(like[0], facts)
    return [
        Share(ClassFacts(f"{rate.kind}/{role}", rate.kind, role, (for_s,), params), per_node_s * count, for_s)
        for role, count in _roles(plan, known)
    ]


def _roles(plan: Plan, known: System) -> list[tuple[str, int]]:
    """How many nodes hold which role."""
    roles = [(LEADER, 1), (FOLLOWER, known.nodes - 1)] if known.replicated and plan.has_roles else [(NODE, known.nodes)]
    return [(role, count) for role, count in roles if count > 0]


def _usual_s(each: ClassFacts, facts: RunFacts) -> float:
    return float(np.mean(np.minimum(each.for_s, facts.span_s)))


def _restarted(role: str) -> ClassFacts:
    """One node that is asked to end and started again at once."""
    return ClassFacts(f"{PLANNED}/{role}", "restart", role, (0.0,), {})


class Judge:
    """Recomputes the unavailability for changed parameters, always with the same draws."""

    def __init__(self, plan: Plan, shares: list[Share], rates: overlaps.Rates) -> None:
        self._plan = plan
        self._shares = shares
        self._rates = rates
        self._downs_s = Draws().downs_s

    def unavailability(self, known: System, plan: Plan, rate: float) -> float:
        """U with all fault rates of the cluster times ``rate``, the parts around it included."""
        return around.unavailability(plan.experiment.predict.around, self.cluster(known, plan, rate))

    def cluster(self, known: System, plan: Plan, rate: float) -> float:
        """U of the cluster alone; ``TooFast`` where it is no small perturbation of being up."""
        total = sum(share.per_s * rate * float(self._downs_s(known, plan, share).mean()) for share in self._shares)
        if total > CARRIED:
            raise _too_fast(total)
        total += overlaps.beyond_isolated(known, self._rates.times(rate), plan.operations[plan.judge].does)
        if total > CARRIED:
            raise _too_fast(total)
        return total

    def parts(self, known: System, plan: Plan) -> list[ProductionPart]:
        """What each cause costs a year."""
        found = [
            ProductionPart(share.facts.fault_class, share.per_s * float(self._downs_s(known, plan, share).mean()) * YEAR_S)
            for share in self._shares
        ]
        beyond = overlaps.beyond_isolated(known, self._rates, plan.operations[plan.judge].does)
        return sorted([*found, ProductionPart("overlaps", beyond * YEAR_S)], key=lambda part: -part.downtime_s_per_year)

    def planned(self, known: System, plan: Plan, rates: Sequence[ProductionRate]) -> PlannedRestarts | None:
        """Restarts on the clock, one node at a time; None where none are planned."""
        per_s = sum(rate.per_s * (known.nodes if rate.per == "node" else 1) for rate in rates if rate.kind == PLANNED)
        if per_s <= 0:
            return None
        roles = _roles(plan, known)
        own_s = [
            count / known.nodes * float(self._downs_s(known, plan, Share(_restarted(role), per_s, 0.0)).mean()) for role, count in roles
        ]
        risk_s = overlaps.risk_s_per_restart(known, self._rates.crash_per_s, 1.0 / per_s, plan.operations[plan.judge].does)
        each_s = math.fsum(own_s) + risk_s
        return PlannedRestarts(1.0 / per_s, each_s, each_s * per_s * YEAR_S)

    def window(self, known: System, plan: Plan, cluster: float) -> WindowPredicted | None:
        """What windows as long as the SLO's show; ``cluster`` is its unavailability."""
        slo, does = plan.experiment.slo, plan.operations[plan.judge].does
        isolated = []
        for share in self._shares:
            single = overlaps.alone_share(known, share.facts.role == LEADER) if share.facts.kind == CRASH else 1.0
            isolated.append((share.per_s * single, self._downs_s(known, plan, share)))
        rest = cluster - math.fsum(per_s * float(downs_s.mean()) for per_s, downs_s in isolated)
        beyond = overlaps.outages(known, self._rates, does, rest)
        return production_window.of(slo.window_s, slo.availability, isolated, beyond, plan.experiment.predict.around, cluster)

    def improvements(self, known: System, now: float) -> list[Improvement]:
        """What halving each parameter would save, those that people can choose first; those that change nothing are left out."""
        if now <= 0:
            return []
        advised = {name: change for name, change in changes(known).items() if not unsafe(known, change(0.5))}
        if TOGETHER in advised and "election_timeout_s" in advised:
            del advised[TOGETHER]  # the one alone is safe enough
        found = [each for name, change in advised.items() if (each := self._improvement(known, name, change, now)) is not None]
        often, rarely = self._tried(known, 2.0), self._tried(known, 0.5)
        if rarely:
            slope = math.log(often / rarely) / math.log(4) if often else math.log(now / rarely) / math.log(2)
            price_of_rates = "whatever makes machines and deployments fail less"
            found.append(Improvement(FAULT_RATES, slope, (now - rarely) * YEAR_S, price_of_rates, chosen=False))
        useful = [each for each in found if each.halving_saves_s_per_year > LEAST_SAVED * now * YEAR_S]
        return sorted(useful, key=lambda each: (not each.chosen, -each.halving_saves_s_per_year))

    def not_advised(self, known: System, now: float) -> list[str]:
        """What would save time, and people should not do, with the reason."""
        halved = {name: change(0.5) for name, change in changes(known).items()}
        reasons = {name: why for name, then in halved.items() if (why := unsafe(known, then))}
        saved = {name: lost is None or now - lost > LEAST_SAVED * now for name in reasons for lost in (self._tried(halved[name]),)}
        dear = [name for name, then in halved.items() if name not in reasons and self._costs_more(known, then, now)]
        told = [f"{name} (half of it): {why}" for name, why in reasons.items() if saved[name]]
        return told + [
            f"{name} (half of it): false alarms would cost more than it saves ({price(name, known, halved[name])})" for name in dear
        ]

    def _costs_more(self, known: System, then: System, now: float) -> bool:
        """Would the false alarms of the changed system take what it saves?"""
        lost, cost = self._tried(then), _alarms_cost(known, then)
        return lost is not None and cost > 0 and 0 < now - lost <= cost

    def _improvement(self, known: System, name: str, change: Change, now: float) -> Improvement | None:
        """None where half of it describes no working system, which nobody is advised to try, or saves too little to be told."""
        half = self._tried(change(0.5))
        if half is None:
            return None
        saved = now - half - _alarms_cost(known, change(0.5))
        if saved <= LEAST_SAVED * now:
            return None
        up, down = self._tried(change(1 + STEP)), self._tried(change(1 - STEP))
        ends = [(1 + STEP, up or now), (1 - STEP, down or now)] if up and down else [(1.0, now), (0.5, half)]
        slope = math.log(ends[0][1] / ends[1][1]) / math.log(ends[0][0] / ends[1][0]) if ends[0][1] > 0 and ends[1][1] > 0 else 0.0
        return Improvement(name, slope, saved * YEAR_S, price(name, known, change(0.5)))

    def _tried(self, known: System, rate: float = 1.0) -> float | None:
        """U of a system that we changed ourselves; None if no system can be like that, or the models cannot carry it."""
        try:
            return self.unavailability(known, self._plan, rate)
        except BadInput:
            return None


def _alarms_cost(known: System, then: System) -> float:
    """By how much the share of time grows that false alarms take."""
    return false_alarms.share(then) - false_alarms.share(known)


def _too_fast(unavailability: float) -> TooFast:
    times = "more than all" if unavailability >= 1 else f"{unavailability:.0%}"
    return TooFast(
        f"at these production rates faults would take {times} of the time, one by one: they come faster than the cluster recovers, "
        "which is beyond what the models can carry",
        right="rates at which a fault is over, nearly always, before the next one",
    )
