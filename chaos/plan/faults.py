"""What of a plan comes from ``faults``: who may be hit, when, and whether that can be meant. Nothing is started to find out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import msgspec

from chaos.core import plugins as tables
from chaos.core.errors import CapabilityMissing
from chaos.core.values import CLIENTS, DNS, LEADER, Link, Rule, Toxic, Victims
from chaos.experiment.source import suggest
from chaos.experiment.spec import Experiment, FaultSpec, LinkTo, Named, Role, Same, Selector, Zone
from chaos.experiment.target.spec import Target
from chaos.plan import shapes
from chaos.plan.attached import ONE_PART
from chaos.plan.cluster import known_or_refuse, refuse
from chaos.plan.plan import PlannedNode
from chaos.plan.selection import ENDPOINTS, FOLLOWERS, NothingMatched, possible
from chaos.plan.windows import check_times, is_endless

_WORDS = (LEADER, FOLLOWERS, "any", "majority", "minority")


class Breaking(Protocol):
    """What planning needs to know of a fault's struct."""

    takes: ClassVar[tuple[str, ...]]
    takes_down: ClassVar[bool]

    def missing(self, runtime: str, target: Target) -> str | None:
        """Why it cannot be done truthfully there."""
        ...


@runtime_checkable
class SaysWhoIsDown(Protocol):
    """A fault that takes down others than its victims, or not all of them at once."""

    def cuts(self, victims: Victims, nodes: Sequence[str]) -> frozenset[str]:
        """The nodes that are down or cut off at one time, at worst."""
        ...


@runtime_checkable
class ActsOnLinks(Protocol):
    """A fault that harms links, and can say which ones."""

    def rules(self, victims: Victims, nodes: Sequence[str]) -> Sequence[Rule]:
        """The rules for these victims among these nodes."""
        ...


class Planned(msgspec.Struct, frozen=True):
    """One entry of ``faults`` with all it may come to do."""

    index: int
    spec: FaultSpec
    fault: Breaking
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
        return is_endless(self.spec)

    @property
    def halts(self) -> bool:
        """It stops the processes of its victims, so that nothing else can be done to them meanwhile."""
        return self.fault.takes_down and (not isinstance(self.fault, ActsOnLinks) or getattr(self.fault, "halts", False))

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
    """Each fault, checked by itself."""
    has_roles = LEADER in target.roles
    others = {spec.name: (spec.target, spec.params) for spec in experiment.faults}
    found = []
    for index, spec in enumerate(experiment.faults):
        path = spec.path
        fault: Breaking = msgspec.convert(spec.params, tables.find("faults", spec.kind))
        _check_target(experiment, path, spec, fault, nodes)
        if not has_roles and set(_role_words(spec.target)) & {LEADER, FOLLOWERS}:
            message = f"'{target.name}' has no roles: nobody leads"
            raise refuse(experiment, f"{path}.target", message, "any, or a node by name")
        check_times(experiment, target, nodes, spec)
        try:
            victims = tuple(
                possible(
                    spec.target, nodes=nodes, protect=experiment.limits.protect, part=part, has_roles=has_roles,
                    params=spec.params, others=others,
                )
            )  # fmt: skip
        except NothingMatched as error:
            message = f"the selector matches nothing: {error.message}"
            raise refuse(experiment, _target_path(path, spec), message, _one_part(experiment)) from None
        _check_port(experiment, target, path, spec, victims, nodes)
        links = _links(fault, victims, [node.name for node in nodes])
        if isinstance(fault, ActsOnLinks) and not links:
            raise refuse(experiment, _target_path(path, spec), "there is no link that this could touch", "at least two nodes, or clients")
        planned = Planned(index, spec, fault, victims, links)
        _check_limits(experiment, planned, len(nodes))
        found.append(planned)
    return found


def _one_part(experiment: Experiment) -> str:
    """The way out where the nodes of one cluster run as services of their own, as in most published compose files."""
    attach = experiment.cluster.attach
    return ONE_PART if attach is not None and len(attach.services) > 1 else ""


def _target_path(path: str, spec: FaultSpec) -> str:
    return f"{path}.target" if spec.target is not None else f"{path}.{spec.kind}"


def _links(fault: Breaking, victims: tuple[Victims, ...], names: list[str]) -> tuple[Link, ...]:
    return tuple(sorted({rule.link for rule in _rules(fault, victims, names)}))


def _rules(fault: Breaking, victims: Sequence[Victims], names: Sequence[str]) -> Iterator[Rule]:
    """All that it may come to order, whoever it hits."""
    if isinstance(fault, ActsOnLinks):
        for some in victims:
            yield from fault.rules(some, names)


def proxied_links(faults: Sequence[Planned], runtime: str, nodes: Sequence[PlannedNode]) -> tuple[Link, ...]:
    """The links that a proxy stands in all the time: where packet rules can cut, only those whose bytes may come to be harmed."""
    if runtime != "docker":
        return tuple(sorted({link for planned in faults for link in planned.links}))
    names = [node.name for node in nodes]
    rules = (rule for planned in faults for rule in _rules(planned.fault, planned.possible, names))
    return tuple(sorted({rule.link for rule in rules if isinstance(rule, Toxic)}))


# --- to whom -----------------------------------------------------------------------------------------------------------


def _check_target(experiment: Experiment, path: str, spec: FaultSpec, fault: Breaking, nodes: tuple[PlannedNode, ...]) -> None:
    groups = spec.params.get("groups") or ()
    untargeted = bool(getattr(fault, "untargeted", False))
    if spec.target is None and not untargeted:
        right = "target: leader" if "nodes" in fault.takes else 'target: {link: "leader <-> any"}'
        raise refuse(experiment, path, f"'{spec.kind}' needs a target", right)
    if spec.target is not None and groups:
        raise refuse(experiment, f"{path}.target", "'groups' and 'target' exclude each other", "one of them")
    if spec.target is not None and untargeted:
        raise refuse(experiment, f"{path}.target", f"'{spec.kind}' is done to nobody in particular here", "leave 'target' out")
    if isinstance(spec.target, LinkTo) and spec.params.get("shape", "isolate") != "isolate":
        raise refuse(experiment, f"{path}.target", "a link has no shape", "a node, such as leader or n2")
    if isinstance(spec.target, LinkTo) and spec.params.get("direction", "both") != "both":
        raise refuse(experiment, f"{path}.target", "a link has its direction by its arrow", "leave 'direction' out: ->, or <-> for both")
    if isinstance(spec.target, Same) and spec.params.get("shape", "isolate") != "isolate":
        raise refuse(experiment, f"{path}.target", "a shape picks who stands where by itself", "a node, such as leader or n2")
    if untargeted and not groups:
        _check_fields(experiment, path, spec, nodes)
        return
    kind = "groups" if spec.target is None else "links" if isinstance(spec.target, LinkTo) else "nodes"
    if kind not in fault.takes and not isinstance(spec.target, Same):
        offers = {"nodes": "a node, such as leader or n2", "links": 'a link, such as {link: "leader <-> any"}'}
        offer = " or ".join(offers[take] for take in fault.takes if take in offers)
        raise refuse(experiment, _target_path(path, spec), f"'{spec.kind}' cannot be done to {kind}", offer)
    if kind == "groups":
        _check_groups(experiment, f"{path}.{spec.kind}.groups", groups, nodes)
    for name, what in _named(spec.target):
        _check_name(experiment, f"{path}.target", name, what, nodes)
    _check_protected(experiment, f"{path}.target", spec.target, nodes)
    if isinstance(spec.target, Same):
        _check_same(experiment, path, spec, spec.target.fault, fault)


def _check_fields(experiment: Experiment, path: str, spec: FaultSpec, nodes: tuple[PlannedNode, ...]) -> None:
    """What a fault without a target calls by name."""
    record, operation = spec.params.get("record"), spec.params.get("operation")
    if isinstance(record, str) and record:
        _check_name(experiment, f"{path}.{spec.kind}.record", record, "node", nodes)
    if isinstance(operation, str) and operation:
        known_or_refuse(experiment, f"{path}.{spec.kind}.operation", "operation", operation, experiment.traffic.operations)


def _check_port(
    experiment: Experiment, target: Target, path: str, spec: FaultSpec, victims: Sequence[Victims], nodes: Sequence[PlannedNode]
) -> None:
    """A port that a fault names is one that each of its victims has."""
    port = spec.params.get("port")
    if isinstance(port, str) and port:
        hit = {name for some in victims for name in some.nodes}
        for part in dict.fromkeys(node.part for node in nodes if node.name in hit):
            known_or_refuse(experiment, f"{path}.{spec.kind}.port", "port", port, target.parts[part].ports)


def _named(selector: Selector | None) -> Iterator[tuple[str, str]]:
    """(name, what it must be) of everything that a selector calls by name."""
    match selector:
        case Named(nodes=names):
            yield from ((name, "node") for name in names)
        case Zone(zone=zone):
            yield zone, "zone"
        case Role(part=part, zone=zone):
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
        known_or_refuse(experiment, path, "zone", name, experiment.cluster.zones)
    else:
        known_or_refuse(experiment, path, "part", name, list(dict.fromkeys(node.part for node in nodes)))


def _check_protected(experiment: Experiment, path: str, selector: Selector | None, nodes: tuple[PlannedNode, ...]) -> None:
    """Random choices pass protected nodes over; one that is meant by name is a contradiction."""
    meant = {name for name, what in _named(selector) if what == "node"}
    if isinstance(selector, Zone):
        meant = {node.name for node in nodes if node.zone == selector.zone}
    for name in sorted(meant & set(experiment.limits.protect)):
        raise refuse(experiment, path, f"{name} is protected", "another node, or a shorter limits.protect")


def _check_groups(experiment: Experiment, path: str, groups: object, nodes: tuple[PlannedNode, ...]) -> None:
    assert isinstance(groups, tuple)
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


def _check_same(experiment: Experiment, path: str, spec: FaultSpec, name: str, fault: Breaking) -> None:
    specs = {other.name: other for other in experiment.faults}
    known_or_refuse(experiment, f"{path}.target.same", "fault", name, [other for other in specs if other != spec.name])
    picked = specs[name].target
    takes = "groups" if picked is None else "links" if isinstance(picked, LinkTo) else "nodes"
    if isinstance(picked, Same):
        raise refuse(experiment, f"{path}.target.same", f"'{name}' does not pick by itself", "the fault that it takes its victims from")
    if takes not in fault.takes:
        raise refuse(experiment, f"{path}.target.same", f"'{name}' picks {takes}, to which '{spec.kind}' cannot be done")


# --- limits and capabilities -------------------------------------------------------------------------------------------


def _check_limits(experiment: Experiment, planned: Planned, nodes: int) -> None:
    limits, spec = experiment.limits, planned.spec
    path = _target_path(planned.path, spec)
    down = planned.takes_down(nodes)
    if limits.nodes_down is not None and down > limits.nodes_down:
        message = f"this takes down {down} node{'s' * (down > 1)}, and limits.nodes_down is {limits.nodes_down}"
        raise refuse(experiment, path, message, "fewer victims, or a higher limit")


def check_capabilities(faults: list[Planned], target: Target, runtime: str, nodes: tuple[PlannedNode, ...]) -> None:
    """Raise ``CapabilityMissing`` if this runtime cannot do a fault truthfully on this target."""
    names = {node.name for node in nodes}
    for planned in faults:
        who = f"line {planned.spec.line}: the fault '{planned.spec.name}' cannot be done on the runtime '{runtime}'"
        reason = planned.fault.missing(runtime, target)
        if reason:
            raise CapabilityMissing(who, how=reason)
        if runtime == "docker":
            _check_opened(who, planned, [node.name for node in nodes])
        if runtime != "local":
            continue
        for link in planned.links:
            if link.destination in ENDPOINTS:
                raise CapabilityMissing(
                    who, how=f"'{link}' would need packet rules: on plain processes, write '{CLIENTS} -> {link.source}'"
                )
            if {link.source, link.destination} <= names and target.local.peers != "per-node":
                how = f"'{target.name}' cannot be given an address of its own for each peer; links from clients can be broken"
                raise CapabilityMissing(who, how=how)


def _check_opened(who: str, planned: Planned, names: Sequence[str]) -> None:
    """Packets go both ways; connections are opened one way, and nobody opens one to the clients or to what checks the nodes."""
    for rule in _rules(planned.fault, planned.possible, names):
        end = rule.link.destination
        if end in ENDPOINTS and (isinstance(rule, Toxic) or getattr(planned.fault, "of_connections", False)):
            how = f"no node opens connections to '{end}': write '{end} -> {rule.link.source}'"
            raise CapabilityMissing(who, how=how)
