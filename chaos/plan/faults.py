"""What of a plan comes from ``faults``: who may be hit, when, and whether that can be meant. Nothing is started to find out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.plugins import suggest
from chaos.core.values import CLIENTS, DNS, LEADER, Link, Rule, Toxic, Victims
from chaos.experiment.document import Experiment
from chaos.experiment.faults import FaultSpec
from chaos.experiment.forms import Mistakes
from chaos.experiment.selectors import Labelled, LinkTo, Named, Role, Same, Selector, Zone, label_of
from chaos.experiment.target.spec import Target
from chaos.plan import shapes
from chaos.plan.attached import ONE_PART
from chaos.plan.cluster import known_or_refuse, refuse, zones_of
from chaos.plan.labelled import labelled
from chaos.plan.plan import PlannedNode
from chaos.plan.selection import ENDPOINTS, FOLLOWERS, NothingMatched, possible
from chaos.plan.traits import made
from chaos.plan.windows import check_times
from chaos.plugin import ActsOnLinks, Fault, SaysWhoIsDown

_WORDS = (LEADER, FOLLOWERS, "any", "majority", "minority")


class Planned(msgspec.Struct, frozen=True):
    """One entry of ``faults`` with all it may come to do."""

    index: int
    spec: FaultSpec
    fault: Fault
    possible: tuple[Victims, ...]
    links: tuple[Link, ...]
    """Every directed link its rules may touch."""

    @property
    def path(self) -> str:
        """Where it stands in the file."""
        return self.spec.path

    @property
    def endless(self) -> bool:
        """It is never taken back within the run."""
        return self.fault.endless

    @property
    def halts(self) -> bool:
        """It stops the processes of its victims, so that nothing else can be done to them meanwhile."""
        return self.fault.takes_down and (not isinstance(self.fault, ActsOnLinks) or self.fault.halts)

    def takes_down(self, nodes: int) -> int:
        """The most nodes that it takes down or cuts at once."""
        if not self.fault.takes_down:
            return 0
        if isinstance(self.fault, SaysWhoIsDown):
            return max((len(self.fault.cuts(victims, ())) for victims in self.possible), default=0)
        return max((_down(victims, nodes) for victims in self.possible), default=0)

    def certain(self) -> frozenset[str]:
        """The nodes that it is sure to hit, whoever leads."""
        if isinstance(self.spec.target, LinkTo):
            return frozenset({self.spec.target.source, self.spec.target.destination}) - {*_WORDS, *ENDPOINTS}
        hit = [frozenset(victims.nodes) for victims in self.possible]
        return frozenset.intersection(*hit) if hit else frozenset()


def _down(victims: Victims, nodes: int) -> int:
    if not victims.groups:
        return len(victims.nodes)
    sizes = [sum(member not in ENDPOINTS for member in group) for group in victims.groups]
    return nodes - max(*sizes, nodes - sum(sizes))


def planned_faults(experiment: Experiment, target: Target, nodes: tuple[PlannedNode, ...], part: str) -> list[Planned]:
    """Each fault, checked by itself; of each the first thing that is wrong is told."""
    faults = {spec.name: made(spec) for spec in experiment.faults}
    mistakes = Mistakes()
    found = [mistakes.of(_planned, experiment, target, nodes, part, index, spec, faults) for index, spec in enumerate(experiment.faults)]
    mistakes.tell()
    return [planned for planned in found if planned is not None]


def _planned(
    experiment: Experiment, target: Target, nodes: tuple[PlannedNode, ...], part: str, index: int, spec: FaultSpec, faults: dict[str, Fault]
) -> Planned:
    has_roles = LEADER in target.roles
    others = {other.name: (other.target, faults[other.name]) for other in experiment.faults}
    path = spec.path
    fault = faults[spec.name]
    _check_target(experiment, path, spec, fault, nodes)
    if not has_roles and set(_role_words(spec.target)) & {LEADER, FOLLOWERS}:
        message = f"'{target.name}' has no roles: nobody leads"
        raise refuse(experiment, f"{path}.target", message, "any, or a node by name")
    check_times(experiment, target, nodes, spec, faults)
    try:
        victims = tuple(
            possible(
                spec.target,
                nodes=nodes,
                protect=experiment.limits.protect,
                part=part,
                has_roles=has_roles,
                fault=fault,
                others=others,
                leads=target.role_parts.get(LEADER, ""),
            )
        )
    except NothingMatched as error:
        message = f"the selector matches nothing: {error.message}"
        raise refuse(experiment, _target_path(path, spec), message, _one_part(experiment)) from None
    _check_ports(experiment, target, path, spec, fault, victims, nodes)
    links = _links(fault, victims, [node.name for node in nodes])
    if isinstance(fault, ActsOnLinks) and not links:
        raise refuse(experiment, _target_path(path, spec), "there is no link that this could touch", "at least two nodes, or clients")
    planned = Planned(index, spec, fault, victims, links)
    _check_limits(experiment, planned, len(nodes))
    return planned


def _one_part(experiment: Experiment) -> str:
    """The way out where the nodes of one cluster run as services of their own, as in most published compose files."""
    attach = experiment.cluster.attach
    return ONE_PART if attach is not None and len(attach.services) > 1 else ""


def _target_path(path: str, spec: FaultSpec) -> str:
    return f"{path}.target" if spec.target is not None else f"{path}.{spec.kind}"


def _links(fault: Fault, victims: tuple[Victims, ...], names: list[str]) -> tuple[Link, ...]:
    return tuple(sorted({rule.link for rule in rules_of(fault, victims, names)}))


def rules_of(fault: Fault, victims: Sequence[Victims], names: Sequence[str]) -> Iterator[Rule]:
    """All that it may come to order, whoever it hits."""
    if isinstance(fault, ActsOnLinks):
        for some in victims:
            yield from fault.rules(some, names)


def proxied_links(faults: Sequence[Planned], offers: frozenset[Capability], nodes: Sequence[PlannedNode]) -> tuple[Link, ...]:
    """The links that a proxy stands in all the time: where packet rules can cut, only those whose bytes may come to be harmed."""
    if Capability.PACKET_RULES not in offers:
        return tuple(sorted({link for planned in faults for link in planned.links}))
    names = [node.name for node in nodes]
    rules = (rule for planned in faults for rule in rules_of(planned.fault, planned.possible, names))
    return tuple(sorted({rule.link for rule in rules if isinstance(rule, Toxic)}))


# --- to whom -----------------------------------------------------------------------------------------------------------


def _check_target(experiment: Experiment, path: str, spec: FaultSpec, fault: Fault, nodes: tuple[PlannedNode, ...]) -> None:
    if spec.target is None and not fault.untargeted:
        right = "target: leader" if "nodes" in fault.takes else 'target: {link: "leader <-> any"}'
        raise refuse(experiment, path, f"'{spec.kind}' needs a target", right)
    if spec.target is not None and (wrong := fault.refuses(spec.target)):
        raise refuse(experiment, f"{path}.target", *wrong)
    if spec.target is not None and fault.untargeted:
        raise refuse(experiment, f"{path}.target", f"'{spec.kind}' is done to nobody in particular here", "leave 'target' out")
    _check_fields(experiment, path, spec, fault, nodes)
    if fault.untargeted and not fault.groups:
        return
    kind = "groups" if spec.target is None else "links" if isinstance(spec.target, LinkTo) else "nodes"
    if kind not in fault.takes and not isinstance(spec.target, Same):
        offers = {"nodes": "a node, such as leader or n2", "links": 'a link, such as {link: "leader <-> any"}'}
        offer = " or ".join(offers[take] for take in fault.takes if take in offers)
        raise refuse(experiment, _target_path(path, spec), f"'{spec.kind}' cannot be done to {kind}", offer)
    if kind == "groups":
        _check_groups(experiment, f"{path}.{spec.kind}.groups", fault.groups, nodes)
    for name, what in _named(spec.target):
        _check_name(experiment, f"{path}.target", name, what, nodes)
    if isinstance(spec.target, Role | Labelled) and label_of(spec.target) is not None:
        labelled(experiment, f"{path}.target", spec.target, nodes)
    _check_protected(experiment, f"{path}.target", spec.target, nodes)
    if isinstance(spec.target, Same):
        _check_same(experiment, path, spec, spec.target.fault, fault)


def _check_fields(experiment: Experiment, path: str, spec: FaultSpec, fault: Fault, nodes: tuple[PlannedNode, ...]) -> None:
    """What its fields call by name."""
    for named in fault.names:
        where = f"{path}.{spec.kind}.{named.field}"
        if named.what == "node":
            _check_name(experiment, where, named.name, "node", nodes)
        elif named.what == "operation":
            known_or_refuse(experiment, where, "operation", named.name, experiment.traffic.operations)


def _check_ports(
    experiment: Experiment, target: Target, path: str, spec: FaultSpec, fault: Fault, victims: Sequence[Victims],
    nodes: Sequence[PlannedNode],
) -> None:  # fmt: skip
    """A port that a fault names is one that each of its victims has."""
    hit = {name for some in victims for name in (*some.nodes, *(link.destination for link in some.links))}
    for named in (each for each in fault.names if each.what == "port"):
        for part in dict.fromkeys(node.part for node in nodes if node.name in hit):
            known_or_refuse(experiment, f"{path}.{spec.kind}.{named.field}", "port", named.name, target.parts[part].ports)


def _named(selector: Selector | None) -> Iterator[tuple[str, str]]:
    """(name, what it must be) of everything that a selector calls by name."""
    match selector:
        case Named(nodes=names):
            yield from ((name, "node") for name in names)
        case Zone(zone=zone):
            yield zone, "zone"
        case Role(part=part, zone=zone) | Labelled(part=part, zone=zone):
            yield from ((name, what) for name, what in ((part, "part"), (zone, "zone")) if name is not None)
        case LinkTo(source=source, destination=destination):
            yield from ((end, "node") for end in (source, destination) if end not in (*_WORDS[:3], *ENDPOINTS))


def _role_words(selector: Selector | None) -> tuple[str, ...]:
    match selector:
        case Role(role=role):
            return (role,)
        case LinkTo(source=source, destination=destination):
            return source, destination
    return ()


def _check_name(experiment: Experiment, path: str, name: str, what: str, nodes: tuple[PlannedNode, ...]) -> None:
    if what == "node":
        names = [node.name for node in nodes]
        if name not in names:
            raise refuse(experiment, path, f"there is no node '{name}'", suggest(name, [*names, *_WORDS]))
    elif what == "zone":
        known = dict.fromkeys([*zones_of(experiment), *(node.host for node in nodes if node.host)])
        known_or_refuse(experiment, path, "host" if experiment.cluster.hosts else "zone", name, known)
    else:
        known_or_refuse(experiment, path, "part", name, list(dict.fromkeys(node.part for node in nodes)))


def _check_protected(experiment: Experiment, path: str, selector: Selector | None, nodes: tuple[PlannedNode, ...]) -> None:
    """Random choices pass protected nodes over; one that is meant by name is a contradiction."""
    meant = {name for name, what in _named(selector) if what == "node"}
    if isinstance(selector, Zone):
        meant = {node.name for node in nodes if node.stands_in(selector.zone)}
    if isinstance(selector, Labelled):
        meant = {node.name for node in nodes if node.fits(selector.part, selector.zone, selector.label)}
    for name in sorted(meant & set(experiment.limits.protect)):
        raise refuse(experiment, path, f"{name} is protected", "another node, or a shorter limits.protect")


def _check_groups(
    experiment: Experiment, path: str, groups: tuple[tuple[str, ...], ...], nodes: tuple[PlannedNode, ...]
) -> None:  # fmt: skip
    parts = {node.name: node.part for node in nodes}
    members = [member for group in groups for member in group]
    for member in members:
        known_or_refuse(experiment, path, "node", member, [*parts, CLIENTS, DNS])
        if members.count(member) > 1:
            raise refuse(experiment, path, f"{member} stands there twice", "each node in one group")
        if member in experiment.limits.protect:
            raise refuse(experiment, path, f"{member} is protected", "a group without it")
    if len({parts[member] for member in members if member in parts}) > 1:
        raise refuse(experiment, path, "the groups reach over several parts", _one_part(experiment) or "nodes of one part")
    for name in sorted(shapes.apart(groups, list(parts))):
        if name in experiment.limits.protect:
            raise refuse(experiment, path, f"{name} is protected, and these groups cut it off", "groups that leave it with the most")
    if not all(groups) or (len(groups) < 2 and set(parts) <= set(members)):
        raise refuse(experiment, path, "one group alone is not cut from anyone", "[[n1], [n2, n3]]")


def _check_same(experiment: Experiment, path: str, spec: FaultSpec, name: str, fault: Fault) -> None:
    specs = {other.name: other for other in experiment.faults}
    known_or_refuse(experiment, f"{path}.target.same", "fault", name, [other for other in specs if other != spec.name])
    picked = specs[name].target
    takes = "groups" if picked is None else "links" if isinstance(picked, LinkTo) else "nodes"
    if isinstance(picked, Same):
        raise refuse(experiment, f"{path}.target.same", f"'{name}' does not pick by itself", "the fault that it takes its victims from")
    if takes not in fault.takes:
        raise refuse(experiment, f"{path}.target.same", f"'{name}' picks {takes}, to which '{spec.kind}' cannot be done")


def _check_limits(experiment: Experiment, planned: Planned, nodes: int) -> None:
    limits, spec = experiment.limits, planned.spec
    path = _target_path(planned.path, spec)
    down = planned.takes_down(nodes)
    if limits.nodes_down is not None and down > limits.nodes_down:
        message = f"this takes down {down} node{'s' * (down > 1)}, and limits.nodes_down is {limits.nodes_down}"
        raise refuse(experiment, path, message, "fewer victims, or a higher limit")
