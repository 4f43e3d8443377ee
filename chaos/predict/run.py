"""A plan and what was done (or will be) -> what a run like that shows, as figures and as distributions.

Two questions are answered, and never mixed: what this *finite run* with these injected faults should show (the downtime of m faults
is the sum of m independent outages), and what *production* with its own fault rates would (``production``).
No measured outcome is read here. All draws come from generators fixed by the fault class and the service: the same plan and
facts give the same prediction, whatever the seed of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.core.rng import derive
from chaos.core.units import show_s
from chaos.core.values import CLIENTS, DNS, FOLLOWER, LEADER
from chaos.experiment.faults import FaultSpec
from chaos.experiment.selectors import Labelled, LinkTo, Named, Role, Side, Zone
from chaos.plan import back_off, places, shapes
from chaos.plan.candidates import ANY, FOLLOWERS, MAJORITY
from chaos.plan.plan import Plan, Traits, tries
from chaos.plan.traits import traits
from chaos.predict import assumptions, losing, production
from chaos.predict.facts import OVERLAP, PART, ClassFacts, RunFacts, aimed_outside, among, felt, judged_part, wholly_outside
from chaos.predict.figures import ClassSamples, aggregate, shown
from chaos.predict.scenarios import client, expected
from chaos.predict.scenarios.case import Case
from chaos.predict.scenarios.outages import Rule
from chaos.predict.scenarios.table import MIXED, NODE, PILOT, knows, scenario, slots_each
from chaos.predict.system import System, system
from chaos.results.predicted import ClassPredicted, ParameterUsed, Predicted, Range, ServicePredicted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SLOTS: Final = 500_000
"""Slots to ask for one class and service: bounds the time (under 0.2 s) by having fewer samples of longer outages."""
MOST_SAMPLES: Final = 200_000
LEAST_SAMPLES: Final = 1_000
SAME_FOR: Final = 0.02
"""Durations of faults that differ by less than this share count as the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The figures for the report, and the draws behind them: service -> class -> samples."""

    predicted: Predicted
    downtime: dict[str, dict[str, ClassSamples]]


def predict(plan: Plan, facts: RunFacts) -> Prediction:
    """What a run of this plan with these faults should show. ``BadInput`` if a parameter is missing or impossible."""
    known = system(plan)
    samples: dict[str, dict[str, ClassSamples]] = {}
    by_service: dict[str, ServicePredicted] = {}
    own: dict[str, float | None] = {}
    for service in plan.experiment.traffic.operations:
        drawn = {each.fault_class: _draw(plan, known, facts, each, service) for each in facts.classes if each.count}
        samples[service] = {name: samples_ for name, (samples_, _) in drawn.items() if samples_ is not None}
        by_fault = {name: figures for name, (_, figures) in drawn.items()}
        by_service[service] = aggregate(facts.span_s, samples[service], by_fault, service)
        own[service] = None
    judged = by_service[plan.judge]
    predicted = Predicted(
        availability=judged.availability,
        mttr_s=judged.mttr_s,
        mttf_s=judged.mttf_s,
        mtbf_s=judged.mtbf_s,
        by_fault=judged.by_fault,
        services=by_service,
        assumptions=assumptions.of(plan, known, facts),
        parameters=[
            ParameterUsed(each.name, each.value, each.unit, each.origin, each.high, each.word, each.error, each.n)
            for each in plan.parameters
        ],
        own_share=_own_share(plan, known, facts),
        production=production.at_rates(plan, known, facts),
        advice=_advice(plan, known, facts, samples[plan.judge]),
    )
    return Prediction(predicted, samples)


def _advice(plan: Plan, known: System, facts: RunFacts, samples: dict[str, ClassSamples]) -> list[str]:
    """Rolling restarts in the order of names end more leaders than need be."""
    found = []
    for each in facts.classes:
        now = samples.get(each.fault_class)
        rolls = each.what.order == places.ROLLING and each.victims > 1
        if not rolls or now is None or each.role not in (LEADER, MIXED) or known.hands_over or not known.needs_leader(_does(plan)):
            continue
        last = msgspec.structs.replace(each, params={**each.params, "order": places.LEADER_LAST}, traits=None)
        then, _ = _draw(plan, known, facts, last, plan.judge)
        turns = each.turns or places.evenly(each.victims)
        if then is None:
            continue
        now_s, then_s = float(now.downtime_s.mean()), float(then.downtime_s.mean())
        lost = places.leaders_lost(turns, known.nodes)
        found.append(
            f"rolling restarts of {each.victims} nodes with 'order: {places.LEADER_LAST}': one election instead of {lost:.1f}, "
            f"{show_s(then_s)} of '{plan.judge}' lost instead of {show_s(now_s)} a round"
        )
    return found


def _does(plan: Plan) -> str:
    return plan.operations[plan.judge].does


def draws(plan: Plan, facts: RunFacts, service: str) -> dict[str, ClassSamples]:
    """The draws behind the prediction of one service, and nothing else of it: fault class -> samples, of kinds that the models know."""
    known = system(plan)
    drawn = {each.fault_class: _draw(plan, known, facts, each, service)[0] for each in facts.classes if each.count}
    return {name: samples for name, samples in drawn.items() if samples is not None}


def _case(plan: Plan, known: System, facts: ClassFacts, service: str, for_s: Floats) -> Case:
    rng = np.random.default_rng(derive(0, "models", facts.fault_class, service))
    operations = plan.experiment.traffic.operations
    grid, slot_s = list(operations).index(service), 1.0 / operations[service].rate_per_s
    does = plan.operations[service].does
    return Case(known.towards(does), facts, does, for_s, rng, _link(plan, facts), grid, slot_s)


def _see(plan: Plan, service: str, case: Case) -> client.Seen | None:
    """One class on one service, a sample for each entry of ``for_s``; None if the models do not know the kind of fault."""
    built = scenario(case)
    if built is None:
        return None
    spec = plan.experiment.traffic
    rule = Rule(1.0 / spec.operations[service].rate_per_s, spec.outage.open, spec.outage.close, spec.outage.merge_s)
    return client.see(built, spec.client, rule, case.rng)


def _sample_count(plan: Plan, case: Case, service: str) -> int:
    """How many samples are worth their time: many of short outages, fewer of long ones."""
    traffic = plan.experiment.traffic
    slots = slots_each(case, traffic.client, 1.0 / traffic.operations[service].rate_per_s)
    return int(np.clip(SLOTS / slots, LEAST_SAMPLES, MOST_SAMPLES))


def facts_from_plan(plan: Plan) -> RunFacts:
    """The facts of the run that this plan promises: every window takes effect and lasts as planned, roles by selector.

    Where a selector leaves the role open (``any``, a name), as many faults meet the leader as is to be expected, its place being carried
    from fault to fault.
    """
    specs = {spec.name: spec for spec in plan.experiment.faults}
    found: dict[str, list[float]] = {}
    like: dict[str, FaultSpec] = {}
    met: dict[str, float] = {}
    known, members = system(plan), expected.members(plan)
    law = places.evenly(len(members))
    turns: dict[str, list[tuple[float, ...]]] = {}
    owed_s = back_off.planned_s(plan)
    for several in tries(plan):
        roles = []
        for each in several:
            strike = expected.strike(plan, known, specs[each.fault], members, each, _planned_victims(plan, specs[each.fault]))
            roles.append(f"{specs[each.fault].kind}/{_planned_role(plan, specs[each.fault], met, places.chance(law, strike))}")
            turn, law = places.turns(law, strike), places.after(law, strike)
        name = " + ".join(sorted(roles))
        turns.setdefault(name, []).append(turn)
        held_s = max(owed_s.get(each.id, (plan.duration_s if each.end_s is None else each.end_s) - each.start_s) for each in several)
        found.setdefault(name, []).append(held_s)
        spec = specs[several[0].fault]
        # Of faults that are done together no model knows more than that they are.
        like[name] = spec if len(several) == 1 else msgspec.structs.replace(spec, kind=OVERLAP, params={})
    classes = tuple(
        ClassFacts(
            name,
            spec.kind,
            "" if spec.kind == OVERLAP else name.partition("/")[2],
            tuple(found[name]),
            spec.params,
            victims=_planned_victims(plan, spec),
            turns=expected.mean_turns(turns[name]),
            outside=aimed_outside(plan, spec.target),
            traits=Traits() if spec.kind == OVERLAP else felt(traits(plan, spec), plan.experiment.cluster),
        )
        for name, spec in like.items()
    )
    return RunFacts(plan.duration_s - plan.experiment.baseline_s, classes)


def _planned_role(plan: Plan, spec: FaultSpec, met: dict[str, float], chance: float) -> str:
    what = traits(plan, spec)
    role = _role_of(plan, spec, met, chance)
    return f"{what.side}:{role}" if what.side and spec.target is not None and not role.startswith((PART, "zone:")) else role


def _role_of(plan: Plan, spec: FaultSpec, met: dict[str, float], chance: float) -> str:
    """Of the victims of its selector."""
    target = spec.target
    if role := wholly_outside(plan, target):
        return role
    if isinstance(target, Zone):
        return f"zone:{target.zone}"
    if target is None:
        return traits(plan, spec).role
    word = target.role if isinstance(target, Role) else ""
    if isinstance(target, LinkTo):
        ends = (target.source, target.destination)
        if not {CLIENTS, DNS}.isdisjoint(ends):
            return CLIENTS if CLIENTS in ends else DNS
        if set(ends) == {ANY}:
            return MIXED
        word = target.source if target.source != ANY else target.destination
    if not plan.has_roles:
        return NODE
    if word in (LEADER, FOLLOWERS):
        return LEADER if word == LEADER else FOLLOWER
    met[spec.name] = met.get(spec.name, 0.0) + chance
    if met[spec.name] >= 1.0 - 1e-9:
        met[spec.name] -= 1.0
        return LEADER if _planned_victims(plan, spec) == 1 else MIXED
    return FOLLOWER


def _planned_victims(plan: Plan, spec: FaultSpec) -> int:
    target = spec.target
    if isinstance(target, Named):
        return len(target.nodes)
    if isinstance(target, Side):
        most = shapes.quorum(_members(plan))
        return most if target.side == MAJORITY else max(1, _members(plan) - most)
    if isinstance(target, Zone | Labelled):
        return len(among(plan, target))
    if not isinstance(target, Role):
        return 1
    free = len(among(plan, target))
    if target.percent is not None:
        return max(1, int(np.ceil(target.percent * free - 1e-9)))  # as it is picked: 7 % of 100 is 7
    return target.count or (max(1, free - 1) if target.role == "followers" else 1)


def _members(plan: Plan) -> int:
    """How many nodes stand behind the name."""
    return sum(node.part == judged_part(plan) for node in plan.nodes)


# --- one class on one service ------------------------------------------------------------------------------------------


def why_nothing(plan: Plan) -> tuple[str, ...]:
    """Why the models say nothing of any planned fault, as far as the judged operation goes; empty if they know one of them.

    ``BadInput`` where no prediction at all is possible.
    """
    known, facts = system(plan), facts_from_plan(plan)
    reasons = [_why_not(plan, known, facts, each) for each in facts.classes if each.count]
    return tuple(dict.fromkeys(reasons)) if all(reasons) else ()


def _why_not(plan: Plan, known: System, facts: RunFacts, each: ClassFacts) -> str:
    impossible = _impossible(plan, known, each)
    if impossible:
        return impossible
    pilot = _case(plan, known, each, plan.judge, np.resize(np.minimum(np.array(each.for_s), facts.span_s), PILOT))
    return _unknown(each) if scenario(pilot) is None else ""


def _impossible(plan: Plan, known: System, each: ClassFacts) -> str:
    """Why nothing is predicted of this class, whatever the scenarios know; empty if something may be."""
    if each.outside:
        return _elsewhere(plan, each)
    unled = not known.front.leader_only or known.replicated or each.kind == OVERLAP or each.what.of_name or each.role == FOLLOWER
    return "" if unled else NO_SUCCESSOR


def _unknown(each: ClassFacts) -> str:
    """Why there is no scenario for this class."""
    what = f"the class '{each.fault_class}'" if knows(each.kind) else f"kind '{each.kind}'"
    reason = f"the models do not know {'faults that are done together' if each.kind == OVERLAP else f'faults of {what}'}"
    why = each.what.unpredicted
    return f"{reason}: {why}" if why else reason


def _draw(plan: Plan, known: System, facts: RunFacts, each: ClassFacts, service: str) -> tuple[ClassSamples | None, ClassPredicted]:
    impossible = _impossible(plan, known, each)
    if impossible:
        return None, _nothing(impossible)
    durations_s = np.minimum(np.array(each.for_s), facts.span_s)
    strata, faults = _strata(durations_s)
    pilot = _case(plan, known, each, service, np.resize(strata, PILOT))
    size = max(_sample_count(plan, pilot, service), 50 * len(faults))
    stratum = np.arange(size) % len(faults)
    seen = _see(plan, service, _case(plan, known, each, service, strata[stratum]))
    if seen is None:
        return None, _nothing(_unknown(each))
    samples = ClassSamples(seen.downtime_s, seen.noticed, seen.recovery_s, seen.outages, stratum, tuple(faults), seen.lost_s)
    figures = shown(samples, seen.phases, derive(0, "models", "range", each.fault_class, service))
    return samples, msgspec.structs.replace(figures, lost_writes=losing.writes(plan, known, each, service))


NO_SUCCESSOR: Final = (
    "the name holds the leader alone, and with 'replication: none' nothing says who follows it (replication: quorum, or replication: async)"
)


def _nothing(reason: str) -> ClassPredicted:
    nothing = Range(None, reason=reason)
    return ClassPredicted(nothing, nothing, nothing)


def _elsewhere(plan: Plan, each: ClassFacts) -> str:
    """Why there is no prediction of a fault that strikes outside the part behind the name."""
    parts = " and ".join(f"'{part}'" for part in each.outside)
    return f"it strikes {parts}, and the models know '{judged_part(plan)}' alone, the part behind the name"


def _strata(durations_s: Floats) -> tuple[Floats, list[int]]:
    """The distinct durations, and how many faults had each; near ones are one, at their mean."""
    ordered: Floats = np.sort(durations_s)
    groups: list[list[float]] = []
    for duration_s in ordered.tolist():
        if groups and duration_s - groups[-1][0] <= SAME_FOR * max(groups[-1][0], 1e-9):
            groups[-1].append(duration_s)
        else:
            groups.append([duration_s])
    return np.array([float(np.mean(group)) for group in groups]), [len(group) for group in groups]


def _own_share(plan: Plan, known: System, facts: RunFacts) -> float | None:
    """The share of the predicted downtime per outage that is merely our own ``for``: d ln downtime / d ln for, by all faults' weight.

    Nothing where the service recovers before we heal; all of it where it can only recover because we do.
    """
    longer, whole_s, ours_s = 1.05, 0.0, 0.0
    for each in facts.classes:
        if not each.count:
            continue
        if each.outside:
            return None
        durations_s = np.minimum(np.array(each.for_s), facts.span_s)
        pilot = _case(plan, known, each, plan.judge, np.resize(durations_s, PILOT))
        for_s = np.resize(durations_s, max(500, _sample_count(plan, pilot, plan.judge) // 8))
        now, then = (_see(plan, plan.judge, _case(plan, known, each, plan.judge, for_s * factor)) for factor in (1.0, longer))
        if now is None or then is None:
            return None
        mean_s = float(now.downtime_s.mean())
        whole_s += each.count * mean_s
        ours_s += each.count * max(0.0, float(then.downtime_s.mean()) - mean_s) / (longer - 1.0)
    return min(1.0, ours_s / whole_s) if whole_s > 0 else None


def _link(plan: Plan, facts: ClassFacts) -> LinkTo | None:
    """Which links a class of faults was about, by the plan's own selectors."""
    targets = [spec.target for spec in plan.experiment.faults if spec.kind == facts.kind and isinstance(spec.target, LinkTo)]
    words = {LEADER: "leader", FOLLOWER: "followers"}
    named = [target for target in targets if words.get(facts.role, facts.role) in (target.source, target.destination)]
    return next(iter(named or targets), None)
