"""What was done in a run, for the models: the faults that took effect, from the timeline. No outcome of any of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from chaos.core.values import CLIENTS, DNS, FOLLOWER, LEADER
from chaos.judge import checks
from chaos.measure.faults import FaultRecord, Trial
from chaos.measure.phases_nodes import ARROW
from chaos.measure.timeline import Timeline
from chaos.plan import back_off, places
from chaos.plan.plan import Plan, Traits
from chaos.predict.facts import OVERLAP, ClassFacts, RunFacts, felt, outside
from chaos.predict.scenarios import expected
from chaos.predict.system import system


def facts_of(plan: Plan, timeline: Timeline) -> RunFacts:
    """One entry a fault class. Of a planned overlap, which no model knows, only the class and the times are told."""
    picks = checks.measured_picks(plan, timeline)
    total = sum(picks.values())
    service = timeline.services.get(plan.judge)
    names = dict.fromkeys(trial.fault_class for trial in timeline.trials)
    turns = _turns(plan, timeline.trials)
    owed_s = back_off.struck_s(plan, [_death(fault) for trial in timeline.trials for fault in trial.faults])
    return RunFacts(
        span_s=service.span_s if service else 0.0,
        classes=tuple(
            _class(plan, name, [trial for trial in timeline.trials if trial.fault_class == name], turns.get(name, []), owed_s)
            for name in names
        ),
        shares={node: count / total for node, count in picks.items()} if total and plan.experiment.traffic.client.recorded_as_drawn else {},
    )


def _turns(plan: Plan, trials: Sequence[Trial]) -> dict[str, list[tuple[float, ...]]]:
    """Fault class -> for each of its faults, how likely the leader was the first, the second... of the nodes taken one after the other.

    The leader's place is carried from fault to fault by who was struck and in what role; who came to lead is not looked at.
    """
    known, nodes = system(plan), expected.members(plan)
    numbers = {node.name: number for number, node in enumerate(nodes)}
    law = places.evenly(len(nodes))
    found: dict[str, list[tuple[float, ...]]] = {}
    for trial in sorted(trials, key=lambda each: each.effective_s):
        turn: tuple[float, ...] = ()
        for fault in trial.faults:
            taken = fault.target[::-1] if fault.traits.last_first else fault.target
            victims = tuple(numbers[name] for name in taken if name in numbers)
            role = fault.role if fault.role in (LEADER, FOLLOWER, "mixed") else ""
            deposes = expected.deposes(known, fault.traits, _held_s(plan, fault))
            strike = places.Strike(fault.kind, role, (victims,) if victims else (), fault.traits.order, deposes)
            law = places.narrowed(law, strike)
            turn, law = places.turns(law, strike), places.after(law, strike)
        found.setdefault(trial.fault_class, []).append(turn)
    return found


def _death(fault: FaultRecord) -> back_off.Death:
    return back_off.Death(fault.id, fault.name, fault.effective_s or 0.0, fault.target)


def _class(
    plan: Plan, name: str, trials: list[Trial], turns: Sequence[tuple[float, ...]], owed_s: Mapping[str, float]
) -> ClassFacts:  # fmt: skip
    first = trials[0].faults[0]
    spec = next((spec for spec in plan.experiment.faults if spec.name == first.name), None)
    is_overlap = len(trials[0].faults) > 1
    touched = _touched(first)
    return ClassFacts(
        fault_class=name,
        kind=OVERLAP if is_overlap else first.kind,
        role="" if is_overlap else first.role,
        for_s=tuple(max(owed_s.get(fault.id, _held_s(plan, fault)) for fault in trial.faults) for trial in trials),
        params=spec.params if spec and not is_overlap else {},
        traits=Traits() if is_overlap else felt(first.traits, plan.experiment.cluster),
        victims=max(len(touched), 1),
        turns=expected.mean_turns(turns),
        outside=outside(plan, (end for trial in trials for fault in trial.faults for entry in fault.target for end in _ends(entry))),
        through_proxy=any(link.destination in touched for link in (plan.links if plan.proxied is None else plan.proxied)),
    )


def _held_s(plan: Plan, fault: FaultRecord) -> float:
    """Effective to healed. Of one that was gone by itself the time that was planned: it is no observation that a prediction may have."""
    if fault.effective_s is None:
        return math.inf
    if fault.healed_s is not None:
        return max(fault.healed_s - fault.effective_s, 0.0)
    planned = next((spec.for_s for spec in plan.experiment.faults if spec.name == fault.name), None)
    return math.inf if fault.gone_s is None or planned is None else planned


def _ends(entry: str) -> list[str]:
    """The nodes that an entry of a target names: one, the ends of a link, or a group."""
    return entry.split(ARROW) if ARROW in entry else entry.split(",")


def _touched(fault: FaultRecord) -> set[str]:
    """The nodes it was done to. Of links: those at the end that the role names, as far as that can be told: where all links meet."""
    links = [entry.split(ARROW) for entry in fault.target if ARROW in entry]
    if links:
        ends = [set(link) - {CLIENTS, DNS} for link in links]
        common = set.intersection(*ends)
        return common or set.union(*ends)
    groups = [entry.split(",") for entry in fault.target]
    if any(len(group) > 1 for group in groups):
        groups = sorted(groups, key=len)[:-1]
    return {node for group in groups for node in group} - {CLIENTS, DNS}
