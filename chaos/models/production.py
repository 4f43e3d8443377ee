"""From the experiment to production: its own fault rates, never the injected ones.

First order: U = sum over classes of rate x mean visible downtime of one fault. Second order: a crash inside the recovery of
another, from the cluster's chain at the production rate. Accelerating a run by K scales the first by K and the second by K^2,
so dividing by K would overstate it; hence no injected rate is ever read here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.errors import BadInput
from chaos.experiment import ProductionRate
from chaos.facts import ClassFacts, RunFacts
from chaos.kinds import FOLLOWER, LEADER
from chaos.models import client
from chaos.models.blocks import Uniform
from chaos.models.cases import Case
from chaos.models.chain import ClusterChain
from chaos.models.classes import NODE, scenario, slots_each
from chaos.models.finite import FiniteRun
from chaos.models.measures import second_order
from chaos.models.slots import Rule
from chaos.models.system import System
from chaos.plan import Plan
from chaos.results import Improvement, Production, WindowPredicted
from chaos.seeds import derive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

YEAR_S: Final = 365 * 86400.0
STEP: Final = 0.1
"""Relative change by which elasticities are found."""
SLOTS: Final = 60_000
LEAST_SAMPLES: Final = 100
MOST_SAMPLES: Final = 4_000
WINDOW_DRAWS: Final = 20_000
CAP_S: Final = 3600.0
"""A production fault that nobody takes back is counted for so long."""


class Share(msgspec.Struct, frozen=True):
    """One fault class at its production rate."""

    facts: ClassFacts
    per_s: float
    for_s: float


def at_rates(plan: Plan, known: System, facts: RunFacts) -> Production:
    """Availability of the judged service at the rates that the experiment assumes for production."""
    rates = plan.experiment.predict.production
    texts = [f"{rate.kind}: {rate.text}" if rate.text else f"{rate.kind}: {rate.per_s:g}/s per {rate.per}" for rate in rates]
    if not rates:
        return Production(None, None, None, [], texts, reason="the experiment assumes no production fault rates (predict: production:)")
    found = [_shares(plan, known, facts, rate) for rate in rates]
    missing = [rate.kind for rate, shares in zip(rates, found, strict=True) if shares is None]
    if missing:
        reason = f"the plan has no fault '{missing[0]}' that would say how long one lasts"
        return Production(None, None, None, [], texts, reason=reason)
    judge = Judge(plan, [share for each in found for share in each or ()], _crash_per_s(known, rates))
    unavailability = judge.unavailability(known, plan, 1.0)
    return Production(
        availability=1.0 - unavailability,
        nines=-math.log10(unavailability) if unavailability > 0 else None,
        downtime_s_per_year=unavailability * YEAR_S,
        improve_first=judge.improvements(known, unavailability),
        rates=texts,
        reason="" if unavailability > 0 else "clients would not notice any of these faults",
        window=judge.window(known, plan),
    )


def judge_at(plan: Plan, known: System, facts: RunFacts) -> Judge:
    """What recomputes the unavailability at production rates, for a system that may differ from the plan's; ``BadInput`` without rates."""
    rates = plan.experiment.predict.production
    if not rates:
        raise BadInput("the experiment assumes no production fault rates", right="predict: {production: {kill: 1 per 45d per node}}")
    shares: list[Share] = []
    for rate in rates:
        found = _shares(plan, known, facts, rate)
        if found is None:
            raise BadInput(f"the plan has no fault '{rate.kind}' that would say how long one lasts")
        shares += found
    return Judge(plan, shares, _crash_per_s(known, rates))


def _crash_per_s(known: System, rates: Sequence[ProductionRate]) -> float:
    return sum(rate.per_s / (known.nodes if rate.per == "cluster" else 1) for rate in rates if rate.kind == "kill")


def _shares(plan: Plan, known: System, facts: RunFacts, rate: ProductionRate) -> list[Share] | None:
    """A rate per node falls on the leader and on the followers; one per cluster on a node at random."""
    per_node_s = rate.per_s / (known.nodes if rate.per == "cluster" else 1)
    like = [each for each in facts.classes if each.kind == rate.kind and each.count]
    groups = [each for each in like if each.role == "groups"]
    if groups:
        return [Share(groups[0], per_node_s * known.nodes, _usual_s(groups[0], facts))]
    params = like[0].params if like else {}
    if rate.kind != "kill" and not like:
        return None
    for_s = 0.0 if rate.kind == "kill" else _usual_s(like[0], facts)
    roles = [(LEADER, 1), (FOLLOWER, known.nodes - 1)] if known.replicated and plan.has_roles else [(NODE, known.nodes)]
    return [
        Share(ClassFacts(f"{rate.kind}/{role}", rate.kind, role, (for_s,), params), per_node_s * count, for_s)
        for role, count in roles
        if count > 0
    ]


def _usual_s(each: ClassFacts, facts: RunFacts) -> float:
    return float(np.mean(np.minimum(each.for_s, facts.span_s)))


class Judge:
    """Recomputes the unavailability for changed parameters, always with the same draws."""

    def __init__(self, plan: Plan, shares: list[Share], crash_per_s: float) -> None:
        self._plan = plan
        self._shares = shares
        self._crash_per_s = crash_per_s
        self._sizes: dict[str, int] = {}
        """Samples of each class: the same for all parameters, so that the draws are."""

    def unavailability(self, known: System, plan: Plan, rate: float) -> float:
        """U with all fault rates times ``rate``."""
        total = sum(share.per_s * rate * float(self._downs_s(known, plan, share).mean()) for share in self._shares)
        return total + self._second_order(known, rate)

    def window(self, known: System, plan: Plan) -> WindowPredicted | None:
        """What windows as long as the SLO's show. First order: overlapping faults are in the long run's figure only."""
        downs = [(share.per_s, self._downs_s(known, plan, share)) for share in self._shares]
        visible_per_s = [per_s * float((down_s > 0).mean()) for per_s, down_s in downs]
        window_s, objective = plan.experiment.slo.window_s, plan.experiment.slo.availability
        total_per_s = math.fsum(visible_per_s)
        if total_per_s <= 0 or window_s <= 0:
            return None
        rng = np.random.default_rng(derive(0, "models", "window"))
        counts = np.rint(np.array(visible_per_s) / total_per_s * WINDOW_DRAWS).astype(int)
        drawn = [rng.choice(down_s[down_s > 0], count) for (_, down_s), count in zip(downs, counts, strict=True) if count]
        outages_s = np.concatenate(drawn)
        mean_down_s = math.fsum(per_s * float(down_s.mean()) for per_s, down_s in downs)
        per_up_s = total_per_s / max(1.0 - mean_down_s, 1e-9)
        run = FiniteRun(per_up_s, outages_s, window_s)
        return WindowPredicted(
            window_s=window_s,
            no_outage=run.no_outage,
            mean_availability=1.0 - mean_down_s,
            worst_of_20=run.availability_quantile(0.05),
            outages=total_per_s * window_s,
            objective=objective,
            met=None if objective is None else 1.0 - run.up_at_most(objective * window_s * (1 - 1e-12)),
        )

    def _downs_s(self, known: System, plan: Plan, share: Share) -> Floats:
        """Draws of the downtime of one fault of a class."""
        traffic, service = plan.experiment.traffic, plan.judge
        rate_per_s = traffic.operations[service].rate_per_s
        rng = np.random.default_rng(derive(0, "models", "production", share.facts.fault_class))
        for_s = np.full(MOST_SAMPLES, min(share.for_s, CAP_S))
        case = Case(known, share.facts, plan.operations[service].does, for_s, rng)
        if share.facts.fault_class not in self._sizes:
            slots = slots_each(case, known.client, 1.0 / rate_per_s)
            self._sizes[share.facts.fault_class] = int(np.clip(SLOTS / slots, LEAST_SAMPLES, MOST_SAMPLES))
        built = scenario(replace(case, for_s=for_s[: self._sizes[share.facts.fault_class]]))
        if built is None:
            return np.zeros(1)
        rule = Rule(1.0 / rate_per_s, traffic.outage.open, traffic.outage.close, traffic.outage.merge_s)
        return client.see(built, known.client, rule, rng).downtime_s

    def _second_order(self, known: System, rate: float) -> float:
        """Crashes that overlap, common causes included, where the service is one that needs a quorum."""
        if not (self._crash_per_s > 0 and known.needs_leader(self._plan.operations[self._plan.judge].does) and "restart_s" in known.given):
            return 0.0
        detection_s = known.election(known.nodes).detection_mean_s if known.randomised else known.watcher().mean_s
        resync_s = known.given["resync_s"].mean_s if "resync_s" in known.given else 0.0
        tiny_s = 1e-3
        chain = ClusterChain(
            nodes=known.nodes,
            quorum=known.quorum,
            crash_per_s=self._crash_per_s * rate,
            restart_per_s=1.0 / max(known.given["restart_s"].mean_s, tiny_s),
            resync_per_s=1.0 / max(resync_s, tiny_s),
            failover_per_s=1.0 / max(detection_s + 2 * known.round_trip_s, tiny_s),
            crews=round(known.given["crews"].mean_s) if "crews" in known.given else None,
            common_cause=known.given["common_cause"].mean_s if "common_cause" in known.given else 0.0,
        )
        return max(0.0, second_order(chain))

    def improvements(self, known: System, now: float) -> list[Improvement]:
        """Each parameter that people can change, by what halving it would save; those that change nothing are left out."""
        if now <= 0:
            return []
        found = [self._improvement(name, change, now) for name, change in _changes(known).items()]
        often, rarely = self.unavailability(known, self._plan, 2.0), self.unavailability(known, self._plan, 0.5)
        found.append(Improvement("fault rates (half as many)", math.log(often / rarely) / math.log(4), (now - rarely) * YEAR_S))
        useful = [each for each in found if abs(each.elasticity) >= 0.005 or each.halving_saves_s_per_year > 0.005 * now * YEAR_S]
        return sorted(useful, key=lambda each: -each.halving_saves_s_per_year)

    def _improvement(self, name: str, change: Callable[[float], System], now: float) -> Improvement:
        up, down, half = (self.unavailability(change(factor), self._plan, 1.0) for factor in (1 + STEP, 1 - STEP, 0.5))
        slope = math.log(up / down) / math.log((1 + STEP) / (1 - STEP)) if up > 0 and down > 0 else 0.0
        return Improvement(name, slope, (now - half) * YEAR_S)


def _changes(known: System) -> dict[str, Callable[[float], System]]:
    """Parameter -> the system with that parameter times a factor."""

    def scaled(name: str) -> Callable[[float], System]:
        def change(factor: float) -> System:
            old = known.given[name]
            new: Mapping[str, Uniform] = {**known.given, name: Uniform(old.low_s * factor, old.high_s * factor)}
            return msgspec.structs.replace(known, given=new)

        return change

    def front(field: str) -> Callable[[float], System]:
        return lambda factor: msgspec.structs.replace(
            known, front=msgspec.structs.replace(known.front, **{field: getattr(known.front, field) * factor})
        )

    of_system = ("heartbeat_s", "timeout_s", "election_timeout_s", "round_trip_s", "restart_s", "resync_s")
    found = {name: scaled(name) for name in of_system if name in known.given and known.given[name].high_s > 0}
    if known.front.health_checked:
        of_front = ("ttl_s", "check_every_s", "check_timeout_s")
        found |= {f"dns.{name}": front(name) for name in of_front if getattr(known.front, name) > 0}
    return found
