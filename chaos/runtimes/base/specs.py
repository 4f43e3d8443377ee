"""What our helper processes are told: pure, from the layout of the run."""

from __future__ import annotations

import msgspec

from chaos.core.errors import BadInput
from chaos.core.rng import derive
from chaos.core.values import CLIENTS, Link, TrafficOrder
from chaos.dns.spec import HEALTH_CHECKED, ROUND_ROBIN, CheckSpec, DnsSpec, NameSpec, Replica
from chaos.experiment.client import ClientPolicy
from chaos.experiment.target.check import with_nodes
from chaos.experiment.target.spec import OTHER, Target
from chaos.history import journal
from chaos.history.folder import DEMAND
from chaos.plugin import Deployment
from chaos.query.watch_spec import WatchedNode, WatchSpec
from chaos.runtimes.base.layout import DOMAIN, Layout
from chaos.runtimes.base.surges import LONGEST_S, SURGE, SurgeOrder
from chaos.traffic.data_order import DataOrder
from chaos.traffic.spec import OperationOrder, ProberSpec, orders, orders_beyond

WATCH_MOST_PER_S = 450.0
"""Questions of the watch to all nodes together: each costs some 0.1 ms of processor time, which the systems under test want too."""


def dns_spec(deployment: Deployment, layout: Layout, port: int) -> DnsSpec:
    """One name a part; the part that clients use has the experiment's balancer, any other one answers with all its nodes."""
    dns = deployment.plan.experiment.cluster.dns
    if dns.ttl_s != int(dns.ttl_s):
        raise BadInput(f"a DNS time-to-live of {dns.ttl_s:g} s", right="whole seconds: the DNS knows no others")
    parts = dict.fromkeys(node.part for node in layout.nodes.values())
    names = tuple(_name(deployment, layout, part) for part in parts)
    ports = tuple(deployment.target.parts[layout.dns_part].ports.values()) if layout.nowhere_refuses else ()
    seed = derive(deployment.plan.seed, "dns")
    return DnsSpec(layout.dns_address, port, names, seed=seed, nowhere=layout.nowhere, silent_ports=ports)


def _name(deployment: Deployment, layout: Layout, part: str) -> NameSpec:
    dns = deployment.plan.experiment.cluster.dns
    served = part == layout.dns_part
    checks = served and dns.balancer == HEALTH_CHECKED
    replicas = tuple(replica(deployment, layout, node.name) for node in layout.nodes.values() if node.part == part)
    return NameSpec(
        name=f"{part}.{DOMAIN}",
        replicas=replicas,
        aliases=(part,),
        balancer=dns.balancer if served else ROUND_ROBIN,
        ttl_s=int(dns.ttl_s),
        order=dns.order if served else (),
        weights=dns.weights if served else {},
        check=CheckSpec(dns.check.every_s, dns.check.timeout_s, dns.check.fall, dns.check.rise),
        fail_open=checks and dns.fail_open,
    )


def replica(deployment: Deployment, layout: Layout, node: str) -> Replica:
    """What the name server is told of this node."""
    info = layout.nodes[node]
    checks = info.part == layout.dns_part and deployment.plan.experiment.cluster.dns.balancer == HEALTH_CHECKED
    return Replica(node, layout.address(Link(CLIENTS, node)), info.zone, layout.check(node) if checks else None)


def expected_set(deployment: Deployment, layout: Layout) -> frozenset[str]:
    """The nodes that the name must answer with once all are ready; empty where any one will do.

    A check other than ``ready`` may well hold for some nodes only, and weights draw one zone for each answer.
    """
    dns = deployment.plan.experiment.cluster.dns
    members = [node for node in layout.nodes.values() if node.part == layout.dns_part]
    if dns.weights or (dns.balancer == HEALTH_CHECKED and dns.check.what != "ready"):
        return frozenset()
    zones = [zone for zone in dns.order if any(node.zone == zone for node in members)]
    return frozenset(node.name for node in members if not zones or node.zone == zones[0])


def watch_spec(deployment: Deployment, layout: Layout) -> WatchSpec:
    """Every role and mark that the target declares, asked of every node, past every rule of ours."""
    target = deployment.target
    nodes = tuple(watched(target, layout, node) for node in layout.nodes)
    return WatchSpec(nodes, interval_s=max(target.watch_every_s, len(nodes) / WATCH_MOST_PER_S))


def watched(target: Target, layout: Layout, node: str) -> WatchedNode:
    """What the role watch is told of this node."""
    return WatchedNode(
        node=node,
        roles={role: layout.ask(ask, node) for role, ask in target.roles_of(layout.nodes[node].part).items()},
        marks=target.marks,
        marks_ask=layout.ask(target.marks_ask, node) if target.marks_ask is not None else None,
        views=_views(target, layout, node),
        views_ask=layout.ask(target.detectors_ask, node) if target.detectors_ask is not None else None,
    )


def _views(target: Target, layout: Layout, node: str) -> dict[str, dict[str, str]]:
    """What tells whom this node suspects: each detector, of each other node of its part."""
    others = [name for name, info in layout.nodes.items() if name != node and info.part == layout.nodes[node].part]
    return {detector: {other: written.replace(OTHER, other) for other in others} for detector, written in target.detectors.items()}


def prober_spec(
    deployment: Deployment, layout: Layout, order: TrafficOrder, nameserver: tuple[str, int], folder: str, target_folder: str
) -> ProberSpec:
    """The plan's traffic, sent to the cluster's name. ``folder`` and ``target_folder``: where the prober finds them."""
    plan, told = deployment.plan, layout.clients_context()
    traffic = plan.experiment.traffic
    return ProberSpec(
        run=deployment.run,
        seed=derive(plan.seed, "prober"),
        start_ns=order.start_ns,
        duration_s=order.duration_s,
        observations=f"{folder}/observations.bin",
        operations=orders(traffic.operations, {name: with_nodes(kind, told) for name, kind in plan.operations.items()}),
        client=traffic.client,
        ports=dict(deployment.target.parts[layout.dns_part].ports),
        name=layout.name,
        nameserver=nameserver[0],
        nameserver_port=nameserver[1],
        domain=layout.domain,
        settings=layout.settings,
        target_folder=target_folder,
        addresses=layout.listed or _endpoints(traffic.client, layout),
        ways=_ways(layout) if traffic.client.redirects else {},
    )


def data_order(
    deployment: Deployment, layout: Layout, order: TrafficOrder, nameserver: tuple[str, int], folder: str, target_folder: str
) -> DataOrder:
    """What the clients write and read whose data is checked, to the same name as the traffic and in the same time."""
    plan, spec = deployment.plan, deployment.plan.experiment.data
    assert plan.data is not None
    assert spec is not None
    client = plan.experiment.traffic.client
    attached = plan.experiment.cluster.attach is not None
    told = layout.clients_context()
    nodes = {node.name: layout.address(Link(CLIENTS, node.name)) for node in layout.nodes.values() if node.part == layout.dns_part}
    return DataOrder(
        run=deployment.run, seed=derive(plan.seed, "data"), start_ns=order.start_ns, duration_s=order.duration_s,
        journal=f"{folder}/{journal.FILE}", workload=plan.data.workload, keys=spec.keys, sessions=spec.sessions,
        rate_per_s=spec.rate_per_s, mix=plan.data.mix,
        operations={name: with_nodes(kind, told) for name, kind in plan.data.operations.items()},
        read_node=None if plan.data.read_node is None else with_nodes(plan.data.read_node, told), nodes=nodes,
        once=plan.data.once, timeout_s=client.deadline_s, settle_s=spec.settle_s, resolve=client.resolve,
        ports=dict(deployment.target.parts[layout.dns_part].ports), name=layout.name, nameserver=nameserver[0],
        nameserver_port=nameserver[1], domain=layout.domain, settings=layout.settings, target_folder=target_folder,
        key_prefix=f"{deployment.run}." if attached else "",
    )  # fmt: skip


def _endpoints(client: ClientPolicy, layout: Layout) -> tuple[str, ...]:
    """What clients know by themselves, in their order; nothing where they ask the name."""
    if client.endpoints is None:
        return ()
    nodes = client.endpoints.nodes or tuple(node.name for node in layout.nodes.values() if node.part == layout.dns_part)
    return tuple(layout.address(Link(CLIENTS, node)) for node in nodes)


def _ways(layout: Layout) -> dict[str, str]:
    """Addresses and names of all nodes -> where clients connect to for them."""
    ways = {node: layout.address(Link(CLIENTS, node)) for node in layout.nodes}
    own = {address: ways[node] for node, info in layout.nodes.items() for address in (info.address, info.peer_address) if address}
    return ways | own | {f"{node}.{layout.domain}": way for node, way in ways.items() if layout.domain}


def demand_spec(
    deployment: Deployment, layout: Layout, order: TrafficOrder, nameserver: tuple[str, int], folder: str, target_folder: str
) -> ProberSpec:
    """What the plan's clients ask beyond the even requests, where the rate changes: of the same keys, with values of their own."""
    plan, usual = deployment.plan, prober_spec(deployment, layout, order, nameserver, folder, target_folder)
    experiment, told = plan.experiment, layout.clients_context()
    kinds = {name: with_nodes(kind, told) for name, kind in plan.operations.items()}
    return msgspec.structs.replace(
        usual,
        run=f"{deployment.run}.{DEMAND}",
        seed=derive(plan.seed, DEMAND),
        observations=f"{folder}/{DEMAND}.bin",
        operations=orders_beyond(experiment.traffic.operations, kinds, experiment.baseline_s, order.duration_s),
    )


def surge_spec(
    deployment: Deployment, layout: Layout, order: SurgeOrder, nameserver: tuple[str, int], folder: str, target_folder: str
) -> ProberSpec:
    """One operation more, as its clients send it, but with keys, values and a file of its own."""
    usual = prober_spec(deployment, layout, TrafficOrder(order.start_ns, LONGEST_S), nameserver, folder, target_folder)
    kind = with_nodes(deployment.plan.operations[order.operation], layout.clients_context())
    return msgspec.structs.replace(
        usual,
        run=f"{deployment.run}.{order.name}",
        seed=derive(deployment.plan.seed, order.name),
        observations=f"{folder}/{order.name}.bin",
        operations=(OperationOrder(order.operation, kind.probe, kind.does, order.rate_per_s, dict(kind.options)),),
        key_prefix=SURGE,
    )
