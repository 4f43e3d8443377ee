"""When each fault of a plan is due: windows from schedules, and whether the times can be meant.

An entry of several faults (``sequence``, ``parallel``) is scheduled as one: the times of its steps are those it would have if every
step took effect at once, and at the run each begins when those before it are really over.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Final

from chaos.core import rng as seeds
from chaos.core.errors import BadInput
from chaos.experiment.document import Experiment
from chaos.experiment.faults import FaultSpec
from chaos.experiment.schedules import At, OnFault, OnNode, OnRole, OnService
from chaos.experiment.target.spec import Target
from chaos.plan.cluster import known_or_refuse, refuse
from chaos.plan.plan import PlannedNode, Window
from chaos.plan.schedules import problem, starts_s
from chaos.plan.traits import made
from chaos.plugin import Fault

_STEP: Final = re.compile(r"\.(sequence|parallel)\[.*")
Span = tuple[float, float]


def entry_path(spec: FaultSpec) -> str:
    """Where the whole entry stands that this fault is, or is a step of."""
    return _STEP.sub("", spec.path)


def check_times(
    experiment: Experiment, target: Target, nodes: tuple[PlannedNode, ...], spec: FaultSpec, faults: Mapping[str, Fault]
) -> None:
    """How long, how often, and what it waits for: refused where it makes no sense by itself."""
    endless = faults[spec.name].endless
    if spec.for_s is None and not endless:
        raise refuse(experiment, spec.path, "nothing says for how long", "for: 3s")
    if spec.for_s is not None and endless and spec.step is None:
        raise refuse(experiment, f"{spec.path}.for", "'for' does not go with 'recovery: none': it is never taken back", "one of them")
    steps = next(steps for steps in entries(experiment.faults) if spec in steps)
    if spec is not steps[0]:
        return
    wrong = problem(spec.schedule, _lasts_s(steps), experiment.cluster.dns.ttl_s)
    if wrong:
        raise refuse(experiment, f"{entry_path(spec)}.{'at' if isinstance(spec.schedule, At) else 'every'}", *wrong)
    _check_condition(experiment, target, nodes, spec)


def _check_condition(experiment: Experiment, target: Target, nodes: tuple[PlannedNode, ...], spec: FaultSpec) -> None:
    path = f"{entry_path(spec)}.when"
    match spec.when and spec.when.on:
        case OnFault(fault=fault, state=state):
            own = spec.step.of if spec.step else None
            others = [other.name for other in experiment.faults if other is not spec and (own is None or own != _of(other))]
            known_or_refuse(experiment, f"{path}.fault", "other fault", fault, others)
            if state == "effective" and not spec.overlap:
                message = f"while '{fault}' is in force the cluster has not settled, and this fault waits for that"
                raise refuse(experiment, f"{path}.is", message, "'overlap: true', or 'is: gone'")
        case OnRole(role=role):
            known_or_refuse(experiment, f"{path}.role", "role", role, target.roles)
        case OnService(service=service):
            known_or_refuse(experiment, f"{path}.service", "operation", service, experiment.traffic.operations)
        case OnNode(node=node):
            known_or_refuse(experiment, f"{path}.node", "node", node, [each.name for each in nodes])
        case _:
            pass


def _of(spec: FaultSpec) -> str | None:
    return spec.step.of if spec.step else None


def entries(specs: Sequence[FaultSpec]) -> list[list[FaultSpec]]:
    """The faults of each entry of the file together, the first of them leading."""
    grouped = itertools.groupby(specs, key=lambda spec: _of(spec) or f"{spec.name}/")
    return [list(steps) for _, steps in grouped]


def _spans_s(steps: Sequence[FaultSpec]) -> dict[str, Span]:
    """From when to when each step would be in force, after the begin of its entry."""
    spans: dict[str, Span] = {}
    for spec in steps:
        after = spec.step.after if spec.step else ()
        begin_s = max(spans[name][1] for name in after) + spec.step.gap_s if spec.step and after else 0.0
        spans[spec.name] = (begin_s, begin_s + (spec.for_s or 0.0))
    return spans


def _lasts_s(steps: Sequence[FaultSpec]) -> float:
    """The whole entry, with the longest that it may wait for its condition."""
    leader = steps[0]
    return max(end_s for _, end_s in _spans_s(steps).values()) + (leader.when.within_s if leader.when else 0.0)


def planned_windows(experiment: Experiment, seed: int) -> tuple[Window, ...]:
    """Every injection in order of time. Each entry draws from a stream of its own, so that adding one moves no other."""
    found: list[tuple[float, int, Window]] = []
    order = itertools.count()
    horizon_s = None
    if experiment.duration_s is not None:
        horizon_s = experiment.duration_s - experiment.baseline_s - experiment.settle_s
    for steps in entries(experiment.faults):
        leader = steps[0]
        try:
            starts = starts_s(
                leader.schedule, for_s=_lasts_s(steps), times=leader.times, horizon_s=horizon_s, jitter_s=experiment.cluster.dns.ttl_s,
                rng=seeds.stream(seed, "schedule", _of(leader) or leader.name),
            )  # fmt: skip
        except BadInput as refusal:
            raise refuse(experiment, entry_path(leader), refusal.message, refusal.right) from None
        for count, start_s in enumerate(starts, 1):
            windows = _occasion(steps, count, experiment.baseline_s + start_s, seed)
            found += [(window.start_s, next(order), window) for window in windows]
    return tuple(window for _, _, window in sorted(found, key=lambda item: item[:2]))


def _occasion(steps: Sequence[FaultSpec], count: int, start_s: float, seed: int) -> list[Window]:
    """The windows of one occasion of an entry."""
    leader, spans = steps[0], _spans_s(steps)
    windows = []
    for spec in steps:
        begin_s = round(start_s + spans[spec.name][0], 4)
        step = spec.step
        windows.append(
            Window(
                id=f"{spec.name}.{count}",
                fault=spec.name,
                kind=spec.kind,
                start_s=begin_s,
                end_s=None if made(spec).endless else round(begin_s + (spec.for_s or 0.0), 4),
                draw=seeds.derive(seed, "draw", spec.name, count),
                entry=f"{step.of}/{count}" if step else "",
                after=tuple(f"{name}.{count}" for name in step.after) if step else (),
                beside=f"{step.beside}.{count}" if step and step.beside else "",
                gap_s=step.gap_s if step else 0.0,
                latest_s=round(begin_s + leader.when.within_s, 4) if leader.when else None,
            )
        )
    return windows


def over_s(window: Window) -> float:
    """When it is over at the latest, if all goes as planned; the begin of one that stays to the end."""
    late_s = 0.0 if window.latest_s is None else window.latest_s - window.start_s
    return (window.start_s if window.end_s is None else window.end_s) + late_s
