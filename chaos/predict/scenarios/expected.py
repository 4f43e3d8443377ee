"""Which faults of a plan strike the leader: selectors as sets of nodes, for the law of the leader's place (``places``)."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.core.values import FOLLOWER, LEADER
from chaos.experiment.faults import FaultSpec
from chaos.experiment.selectors import Labelled, LinkTo, Named, Role, Side, Zone
from chaos.plan import places
from chaos.plan.places import Strike
from chaos.plan.plan import Plan, PlannedNode, Traits, Window
from chaos.plan.traits import traits
from chaos.predict.facts import among, judged_part, wholly_outside
from chaos.predict.system import System


def members(plan: Plan) -> list[PlannedNode]:
    """The nodes among which one leads: those of the part behind the name."""
    part = judged_part(plan)
    return [node for node in plan.nodes if node.part == part]


def strike(plan: Plan, known: System, spec: FaultSpec, nodes: Sequence[PlannedNode], window: Window, count: int) -> Strike:
    """One planned fault, on so many victims. Links say who is struck by their ends; one of them that nobody names may be any node."""
    held_s = (plan.duration_s if window.end_s is None else window.end_s) - window.start_s
    what = traits(plan, spec)
    order = what.order
    numbers = {node.name: number for number, node in enumerate(nodes)}
    target = spec.target
    if wholly_outside(plan, target):
        return Strike(spec.kind, FOLLOWER, (), order, deposes=False)
    role, sets = "", places.any_of(len(nodes), 1)
    match target:
        case Named(nodes=named):
            sets = (tuple(sorted(numbers[name] for name in named if name in numbers)),)
        case Zone() | Labelled():
            sets = (tuple(numbers[name] for name in among(plan, target) if name in numbers),)
        case Role():
            role = LEADER if target.role == LEADER else FOLLOWER if target.role == "followers" else ""
            free = [numbers[name] for name in among(plan, target) if name in numbers]
            picks = () if role else places.any_of(len(free), min(count, len(free)))
            sets = tuple(tuple(free[number] for number in each) for each in picks)
        case Side():
            sets = places.any_of(len(nodes), min(count, len(nodes)))
        case LinkTo():
            words = (target.source, target.destination)
            role = LEADER if LEADER in words else FOLLOWER if "followers" in words else ""
            sets = () if role else sets
        case None:
            sets = ()
    if what.last_first:
        sets = tuple(victims[::-1] for victims in sets)
    return Strike(spec.kind, role, sets, order, deposes(known, what, held_s))


def deposes(known: System, what: Traits, held_s: float) -> bool:
    """Does a leader that meets it for so long lose its place?"""
    if what.leader == "ends":
        return True
    if what.leader != "outlasts" or what.network:
        return False
    timeout = known.given.get("election_timeout_s")
    return held_s > (known.heartbeat_s if timeout is None else timeout.mean_s)


def mean_turns(found: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Over all faults of a class; nothing where they do not take the same number of nodes in turn."""
    if not found or not found[0] or len({len(each) for each in found}) != 1:
        return ()
    return tuple(sum(column) / len(found) for column in zip(*found, strict=True))
