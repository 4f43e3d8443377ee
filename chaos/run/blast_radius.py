"""The blast radius: whether a fault may be done to these victims now, by the experiment's limits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from chaos.core.values import CLIENTS, DNS, Victims
from chaos.experiment.faults import FaultSpec
from chaos.plan import shapes
from chaos.plan.plan import Plan
from chaos.plan.traits import made
from chaos.plugin import SaysWhoIsDown


def refusal(plan: Plan, spec: FaultSpec, victims: Victims, down: Collection[str], in_force: Iterable[tuple[FaultSpec, Victims]]) -> str:
    """Why not, empty if it may. ``down`` are the nodes dead or frozen now; what is cut off follows from the faults in force."""
    names = [node.name for node in plan.nodes]
    touched = set(victims.nodes) | {end for link in victims.links for end in (link.source, link.destination)} - {CLIENTS, DNS}
    fault = made(spec)
    if fault.groups:
        touched |= cut_off(victims, names)
    for node in sorted(touched & set(plan.experiment.limits.protect)):
        return f"{node} is protected"
    limit = plan.experiment.limits.nodes_down
    if limit is None or not fault.takes_down:
        return ""
    cut = {node for other, its in in_force if made(other).severs for node in cut_off(its, names)}
    hit = cut_off(victims, names)
    if isinstance(fault, SaysWhoIsDown):
        hit = set(fault.cuts(victims, names))
    total = len({*down, *cut, *hit})
    return f"{total} nodes would be down, limits.nodes_down is {limit}" if total > limit else ""


def cut_off(victims: Victims, names: Sequence[str]) -> set[str]:
    """The nodes that these victims leave the cluster without: of groups, all but the largest side."""
    return set(shapes.apart(victims.groups, names) if victims.groups else victims.nodes)
