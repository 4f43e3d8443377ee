"""What was done in a run (or will be, by its plan), as the models need it: counts per fault class, no measurement of outcome.

``judge`` fills it from the history, ``nines predict`` from the plan; ``models`` turn it into what a run like that should show.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from chaos.core.values import CLIENTS, DNS
from chaos.experiment.cluster import ClusterSpec
from chaos.experiment.selectors import Labelled, LinkTo, Named, Role, Selector, Zone
from chaos.plan.candidates import ANY
from chaos.plan.plan import Plan, Traits
from chaos.plan.traits import known

PART: Final = "part:"
"""What the role of victims begins with that stand outside the part behind the name: ``part:sentinel``."""
OVERLAP: Final = "overlap"
"""The kind of a class of faults that are done together: of those no model knows more than that they are."""


Params = dict[str, str | float | bool | tuple[str | tuple[str, ...], ...] | None]


def felt(what: Traits, cluster: ClusterSpec) -> Traits:
    """What a fault is to the models: of a ``network`` only where it leaves nodes the one that they talk to each other on.

    A cut of the last network alone is to the system what a cut of all of them is.
    """
    return what if cluster.spares_peers(what.network) else msgspec.structs.replace(what, network="")


def judged_part(plan: Plan) -> str:
    """The part behind the name: the one whose service is judged."""
    return plan.experiment.cluster.dns.part or plan.nodes[0].part


def outside(plan: Plan, names: Iterable[str]) -> tuple[str, ...]:
    """The parts, other than the judged one, that these nodes belong to."""
    parts, judged = {node.name: node.part for node in plan.nodes}, judged_part(plan)
    return tuple(sorted({parts[name] for name in names if name in parts} - {judged}))


def narrows(selector: Role) -> bool:
    """Whether it picks among other nodes than those behind the name."""
    return selector.part is not None or selector.zone is not None or selector.label is not None


def among(plan: Plan, selector: Role | Zone | Labelled) -> tuple[str, ...]:
    """The nodes that it picks from, as the plan knows them: a zone or labels are no more to the models than the nodes that they mean."""
    if isinstance(selector, Zone):
        return tuple(node.name for node in plan.nodes if node.stands_in(selector.zone))
    part = selector.part
    if isinstance(selector, Role) and not narrows(selector):
        part = judged_part(plan)
    return tuple(node.name for node in plan.nodes if node.fits(part, selector.zone, selector.label))


def aimed_outside(plan: Plan, target: Selector | None) -> tuple[str, ...]:
    """The same of whom a selector may pick."""
    match target:
        case Named(nodes=named):
            return outside(plan, named)
        case Zone() | Labelled():
            return outside(plan, among(plan, target))
        case Role(part=part) if part is not None:
            return tuple({part} - {judged_part(plan)})
        case Role() if narrows(target):
            return outside(plan, among(plan, target))
        case LinkTo(source=source, destination=destination):
            return outside(plan, (source, destination))
    return ()


def wholly_outside(plan: Plan, target: Selector | None) -> str:
    """The role of victims that are all of one such part (of a link: at its beginning); empty for others."""
    match target:
        case Named(nodes=named):
            found = {node.part for node in plan.nodes if node.name in named}
        case Labelled():
            found = {node.part for node in plan.nodes if node.name in among(plan, target)}
        case Role(part=part) if part is not None:
            found = {part}
        case Role() if narrows(target):
            found = {node.part for node in plan.nodes if node.name in among(plan, target)}
        case LinkTo(source=source, destination=destination) if {CLIENTS, DNS}.isdisjoint({source, destination}):
            found = {node.part for node in plan.nodes if node.name == (source if source != ANY else destination)}
        case _:
            found = set()
    found_part = found.pop() if len(found) == 1 else judged_part(plan)
    return "" if found_part == judged_part(plan) else f"{PART}{found_part}"


class ClassFacts(msgspec.Struct, frozen=True):
    """The faults of one class: how many took effect, how long each lasted, and how they were done."""

    fault_class: str
    """``kill/leader``."""
    kind: str
    role: str
    for_s: tuple[float, ...]
    """One entry an effective fault: effective to healed; ``inf`` for one that is never healed."""
    params: Params
    victims: int = 1
    """Nodes touched by each."""
    through_proxy: bool = False
    turns: tuple[float, ...] = ()
    """Where victims are taken one after the other: how likely the leader is the first, the second... of them; empty: each is as likely."""
    outside: tuple[str, ...] = ()
    """Parts of the cluster that it touches beside (or instead of) the one behind the name."""
    traits: Traits | None = None
    """None: as its kind says."""

    @property
    def what(self) -> Traits:
        """What it is."""
        return known(self.kind, self.params) if self.traits is None else self.traits

    @property
    def count(self) -> int:
        """How many took effect."""
        return len(self.for_s)


class RunFacts(msgspec.Struct, frozen=True):
    """One run's faults and span."""

    span_s: float
    """Observed time, the baseline left out."""
    classes: tuple[ClassFacts, ...]
    shares: dict[str, float] = {}
    """Node -> its measured share of picks while it was in the name's set; empty: uniform."""
