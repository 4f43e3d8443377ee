"""Whether a runtime offers what an experiment and its faults need, and a cluster has the networks and limits that they speak of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from chaos.core import plugins as tables
from chaos.core.capabilities import INSTEAD, Capability
from chaos.core.errors import BadInput, CapabilityMissing, NinesError, Place
from chaos.core.plugins import suggest
from chaos.core.units import show_bytes
from chaos.core.values import CLIENTS, DNS, Toxic
from chaos.experiment.cluster import AttachSpec, Resources
from chaos.experiment.document import Experiment
from chaos.experiment.target.spec import Part, Target
from chaos.experiment.target.templates import PEER_ADDRESS
from chaos.plan.cluster import refuse
from chaos.plan.faults import Planned, rules_of
from chaos.plan.plan import Plan, PlannedNode
from chaos.plan.selection import ENDPOINTS
from chaos.plan.traits import made
from chaos.plugin import Fault, NeedsLimits, Runtime

AUTO: Final = "auto"


def runtime_of(name: str) -> type[Runtime]:
    """The class behind a runtime's name; ``BadInput`` for one that is not known or does not load."""
    found: type[Runtime] = tables.find("runtimes", name)
    return found


def needed(plan: Plan) -> frozenset[Capability]:
    """What all faults of a plan need together: a runtime brings nothing along that none of them does."""
    return frozenset().union(*(made(spec).needs for spec in plan.experiment.faults))


def chosen(name: str, target: Target, place: Place | None = None, *, attach: AttachSpec | None = None, hosts: bool = False) -> str:
    """The runtime of that name; of ``auto`` the one that suits best, or that has hosts. ``BadInput`` for one that is not known."""
    if name != AUTO:
        known = tables.names("runtimes")
        if name not in known:
            raise BadInput(f"unknown runtime '{name}'", place=place, right=tables.suggest(name, [AUTO, *known]))
        return name
    if attach is not None:
        return attaching(attach).name
    if hosts:
        return next(each.name for each in reversed(loaded()) if Capability.HOSTS in each.offers)
    ordered = [each for each in reversed(loaded()) if each.preference > 0]
    return next((each.name for each in ordered if each.suits(target)), ordered[-1].name)


def attaching(attach: AttachSpec) -> type[Runtime]:
    """The one that attaches to what runs already, where nobody names one."""
    return next(each for each in reversed(loaded()) if each.attached is not None and attach.kind in each.attaches)


def loaded() -> list[type[Runtime]]:
    """All runtimes that load, the preferred ones last."""
    found = []
    for name in tables.names("runtimes"):
        try:
            found.append(runtime_of(name))
        except NinesError:
            continue  # listed with its reason by 'nines doctor'
    return sorted(found, key=lambda each: each.preference)


def elsewhere(needs: frozenset[Capability], target: Target, before: str = "", after: str = "") -> str:
    """``the runtime 'docker'``, with words around: those that offer all of it to this target; empty if none does."""
    suitable = [each for each in loaded() if each.preference > 0 and not each.virtual]  # one that is never chosen asks for more
    able = [f"'{each.name}'" for each in suitable if not any(each.lacks(need, target) for need in needs)]
    return f"{before}the runtime {' or '.join(able)}{after}" if able else ""


def why_not(fault: Fault, runtime: type[Runtime], target: Target, *, attached: bool = False) -> str:
    """Why this fault cannot be done there truthfully, and where it can; empty if it can."""
    for need in Capability:
        if need in fault.needs and (why := runtime.lacks(need, target, attached=attached)):
            ways = [INSTEAD.get(need, ""), "" if attached else elsewhere(fault.needs, target)]
            use = ", or ".join(filter(None, ways))
            return f"{why}; use {use}" if use else why
    return fault.target_lacks(target) or ""


def check_capabilities(
    faults: Sequence[Planned], target: Target, runtime: type[Runtime], nodes: Sequence[PlannedNode], *, attached: bool
) -> None:  # fmt: skip
    """Raise ``CapabilityMissing`` if this runtime cannot do a fault truthfully on this target."""
    names = [node.name for node in nodes]
    for planned in faults:
        who = f"line {planned.spec.line}: the fault '{planned.spec.name}' cannot be done on the runtime '{runtime.name}'"
        if why := why_not(planned.fault, runtime, target, attached=attached):
            raise CapabilityMissing(who, how=why)
        if Capability.PACKET_RULES in offered(runtime, attached=attached):
            _check_opened(who, planned, names)
        for link in planned.links:
            if why := runtime.link_lacks(link, target):
                raise CapabilityMissing(who, how=why)


def _check_opened(who: str, planned: Planned, names: Sequence[str]) -> None:
    """Packets go both ways; connections are opened one way, and nobody opens one to the clients or to what checks the nodes."""
    for rule in rules_of(planned.fault, planned.possible, names):
        end = rule.link.destination
        if end in ENDPOINTS and (isinstance(rule, Toxic) or planned.fault.of_connections):
            how = f"no node opens connections to '{end}': write '{end} -> {rule.link.source}'"
            raise CapabilityMissing(who, how=how)


def check_attached(experiment: Experiment, runtime: type[Runtime]) -> None:
    """``CapabilityMissing`` where a runtime attaches to nothing."""
    if experiment.cluster.attach is None:
        return
    kind = experiment.cluster.attach.kind
    if runtime.attached is None or kind not in runtime.attaches:
        able = " or ".join(f"'{each.name}'" for each in loaded() if each.attached is not None and kind in each.attaches)
        raise CapabilityMissing(f"the runtime '{runtime.name}' has no {kind} to attach to", how=f"the runtime {able}")
    if experiment.cluster.dns.balancer != "engine":
        why = "an attached system keeps its own names: they are answered by the engine"
        raise refuse(experiment, "cluster.dns.balancer", why, "engine, or leave 'dns' out")


def offered(runtime: type[Runtime], *, attached: bool) -> frozenset[Capability]:
    """What it can do to nodes that it starts, or to those that it attaches to."""
    return (runtime.attached or frozenset()) if attached else runtime.offers


def check_runtime(
    experiment: Experiment, target: Target, nodes: Sequence[PlannedNode], runtime: type[Runtime], faults: Sequence[Planned]
) -> None:  # fmt: skip
    """Raise ``CapabilityMissing`` for what the experiment asks of its runtime beside its faults."""
    for part in dict.fromkeys(node.part for node in nodes if experiment.cluster.attach is None):
        if lack := runtime.target_lacks(target, part):
            raise CapabilityMissing(lack[0], how=lack[1])
    offers = offered(runtime, attached=experiment.cluster.attach is not None)
    if experiment.cluster.dns.balancer == "engine":
        if Capability.ENGINE_NAMES not in offers:
            how = f"use 'health-checked' or 'round-robin'{elsewhere(frozenset({Capability.ENGINE_NAMES}), target, ', or ')}"
            message = f"the balancer 'engine' is Docker's own name server, which the runtime '{runtime.name}' does not have"
            raise CapabilityMissing(message, how=how)
        _check_others_names(experiment, faults, "Docker's own name server")
    if experiment.cluster.dns.balancer == "external":
        if Capability.EXTERNAL_NAMES not in runtime.offers:
            how = f"use 'health-checked' or 'round-robin'{elsewhere(frozenset({Capability.EXTERNAL_NAMES}), target, ', or ')}"
            raise CapabilityMissing(
                f"'balancer: external': the runtime '{runtime.name}' has clients that ask no name service but ours", how=how
            )
        _check_others_names(experiment, faults, "A name service that is not ours")
        _check_ways_of_clients(faults, runtime)
    changing = next((name for name, spec in experiment.traffic.operations.items() if spec.demand is not None), None)
    if changing is not None and Capability.SURGES not in offers:
        how = f"one rate, such as {changing}: 100/s{elsewhere(frozenset({Capability.SURGES}), target, ', or ')}"
        message = f"the rate of '{changing}' changes, and of the runtime '{runtime.name}' the nodes are not slowed by any load"
        raise CapabilityMissing(message, how=how)
    if experiment.cluster.resources != Resources() and Capability.CGROUP not in runtime.offers:
        how = f"leave 'cluster.resources' out{elsewhere(frozenset({Capability.CGROUP}), target, ', or use ')}"
        raise CapabilityMissing(f"the runtime '{runtime.name}' cannot limit what a node uses", how=how)
    if experiment.cluster.resources.disk_bytes is not None and Capability.DISKS not in runtime.offers:
        how = f"leave 'cluster.resources.disk' out{elsewhere(frozenset({Capability.DISKS}), target, ', or use ')}"
        raise CapabilityMissing(f"the runtime '{runtime.name}' gives nodes no disks of limited size", how=how)


def _check_ways_of_clients(faults: Sequence[Planned], runtime: type[Runtime]) -> None:
    """A name service that is not ours gives clients the nodes' own addresses: a proxy at another one would stand aside."""
    if Capability.PACKET_RULES in runtime.offers:
        return
    for planned in faults:
        if any(CLIENTS in (link.source, link.destination) for link in planned.links):
            who = f"line {planned.spec.line}: the fault '{planned.spec.name}' harms links of clients with 'balancer: external'"
            raise CapabilityMissing(who, how="a runtime with packet rules, or another balancer: here clients would go past the proxy")


def _check_others_names(experiment: Experiment, faults: Sequence[Planned], whose: str) -> None:
    """A name server of somebody else takes no orders of ours, and does not stand where links of 'dns' begin."""
    balancer = experiment.cluster.dns.balancer
    for planned in faults:
        if not planned.halts and any(DNS in (link.source, link.destination) for link in planned.links):
            who = f"line {planned.spec.line}: the fault '{planned.spec.name}' cuts links of 'dns', which the balancer '{balancer}' has not"
            how = f"{whose} checks no node from there; leave 'dns' out, or use 'health-checked'"
            raise CapabilityMissing(who, how=how)
    named = next((planned.spec for planned in faults if Capability.NAME_SET in planned.fault.needs), None)
    if named is not None and experiment.cluster.attach is None:  # of an attached system the runtime says it in its own words
        who = f"line {named.line}: the fault '{named.name}' cannot be done with the balancer '{balancer}'"
        raise CapabilityMissing(who, how=f"{whose} takes no orders; use 'health-checked' or 'round-robin'")


# --- networks ----------------------------------------------------------------------------------------------------------


def check_networks(experiment: Experiment, target: Target, faults: Sequence[Planned], runtime: type[Runtime]) -> None:
    """Raise ``BadInput`` for what cannot be meant, ``CapabilityMissing`` where nodes cannot stand on several networks."""
    for planned in faults:
        _check_cut(experiment, planned)
    names = experiment.cluster.networks
    if len(names) > 1:
        _check_peers(experiment, target)
        for planned in faults:
            _check_port(experiment, target, planned)
    if names and (why := runtime.lacks(Capability.NETWORKS, target)):
        how = f"{elsewhere(frozenset({Capability.NETWORKS}), target, 'use ', ', or ')}leave 'cluster.networks' out"
        raise CapabilityMissing(f"the runtime '{runtime.name}' has no networks: {why}", how=how)


def _check_peers(experiment: Experiment, target: Target) -> None:
    """Its nodes talk to each other on the last network, and are asked there."""
    last = experiment.cluster.networks[-1]
    right = f"{{{PEER_ADDRESS}}} in {target.folder}/target.yaml, or one network"
    for name, part in target.parts.items():
        if part.peer_port not in part.ports:
            continue
        if not any(map(_says_it, _told(part))):
            message = f"'{target.name}' does not say that its nodes talk to each other on '{last}' (part '{name}')"
            raise refuse(experiment, "cluster.networks", message, right)
        ping = part.ping.get(part.peer_port)
        if ping is not None and not _says_it(ping.http or ping.tcp or ""):
            message = f"'{target.name}' listens for peers on '{last}', and its ping of '{part.peer_port}' asks elsewhere (part '{name}')"
            raise refuse(experiment, "cluster.networks", message, right)


def _check_port(experiment: Experiment, target: Target, planned: Planned) -> None:
    """Clients do not stand where nodes listen for each other."""
    last = experiment.cluster.networks[-1]
    for named in (each for each in planned.fault.names if each.what == "port"):
        if all(named.name != part.peer_port for part in target.parts.values()):
            continue
        port, path = named.name, f"{planned.path}.{planned.spec.kind}.{named.field}"
        raise refuse(experiment, path, f"'{port}' is on the network '{last}', where no clients stand", "a port of the clients' network")


def _check_cut(experiment: Experiment, planned: Planned) -> None:
    """Of a fault with a ``network``."""
    name, names = planned.fault.network, experiment.cluster.networks
    if not name:
        return
    path = f"{planned.path}.{planned.spec.kind}.network"
    if not names:
        right = "cluster: {networks: [front, back]}, or no 'network'"
        raise refuse(experiment, path, f"there is no network '{name}': all nodes share one without a name", right)
    if name not in names:
        raise refuse(experiment, path, f"there is no network '{name}'", suggest(name, names))
    far = next((end for link in planned.links for end in (link.source, link.destination) if end in ENDPOINTS), None)
    if far is not None and name != names[0]:
        raise refuse(experiment, path, f"'{far}' does not stand on the network '{name}'", f"{names[0]}, or no '{far}' in this fault")


def _says_it(text: str) -> bool:
    return f"{{{PEER_ADDRESS}}}" in text


def _told(part: Part) -> Iterator[str]:
    """What a node in a container is told."""
    yield from part.docker.command if part.docker else ()
    yield from part.env.values()
    yield from part.files.values()


# --- resources ---------------------------------------------------------------------------------------------------------


def check_resources(experiment: Experiment, faults: Sequence[Planned]) -> None:
    """Raise ``BadInput``, at the fault's place, for the first fault that would harm the machine and not a node."""
    resources = experiment.cluster.resources
    for planned in faults:
        if isinstance(planned.fault, NeedsLimits):
            lack = planned.fault.lacks(resources)
            if lack:
                raise refuse(experiment, f"{planned.path}.{planned.spec.kind}", *lack)
    disk, memory = resources.disk_bytes, resources.memory_bytes
    if disk is not None and memory is not None and disk >= memory:
        wrong = f"a disk of {show_bytes(disk)} is kept in memory, and does not fit into the node's {show_bytes(memory)}"
        raise refuse(experiment, "cluster.resources.disk", wrong, "less, or more memory")
