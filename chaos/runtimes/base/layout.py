"""Who is who in one run, and the target's questions and commands filled in for each node: what every runtime's layout shares."""

from __future__ import annotations

import abc
from collections.abc import Collection
from typing import ClassVar

import msgspec

from chaos.core.clock import Clock
from chaos.core.errors import BadInput
from chaos.core.values import CLIENTS, DNS, Link, NodeInfo
from chaos.experiment.target.check import defaults
from chaos.experiment.target.spec import Ask, Part
from chaos.experiment.target.templates import Context, Others, Peer, filled
from chaos.history.events import NodeUp
from chaos.plugin import Deployment

DOMAIN = "nines.test"


class Inside(msgspec.Struct, frozen=True):
    """Where things are, as a node itself sees them."""

    data: str
    python: str
    target: str


class Layout(abc.ABC):
    """The names of one run. A runtime's own layout says where nodes live: ``real_address``, ``address``, ``inside``."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        plan, target = deployment.plan, deployment.target
        self.numbers = {node.name: number for number, node in enumerate(plan.nodes, start=1)}
        self.nodes = {
            node.name: NodeInfo(
                name=node.name,
                part=node.part,
                zone=node.zone,
                address=self.real_address(node.name),
                ports=dict(target.parts[node.part].ports),
                networks=self.networks_of(node.name),
                host=node.host or "",
                labels=node.labels,
            )
            for node in plan.nodes
        }
        for link in plan.links:
            self._check_link(link)
        self.dns_part = plan.experiment.cluster.dns.part or next(iter(target.parts))
        self.settings = {**defaults(target.settings), **plan.settings}

    @property
    @abc.abstractmethod
    def dns_address(self) -> str:
        """Where the name server listens."""

    @property
    @abc.abstractmethod
    def nameserver(self) -> tuple[str, int]:
        """Whom clients ask: address and port."""

    @property
    def answers(self) -> tuple[str, int]:
        """Who answers clients for the cluster's name: our name server, or one that is not ours (``balancer: external``)."""
        external = self._deployment.plan.experiment.cluster.dns.external
        if external is None:
            return self.nameserver
        if external.server is not None:
            host, _, port = external.server.rpartition(":")
            return host, int(port)
        node = next(info for info in self.nodes.values() if info.part == external.part)
        return node.address, node.ports[external.port]

    @property
    @abc.abstractmethod
    def nowhere(self) -> str:
        """Where nobody of this run listens, nor ever will."""

    nowhere_refuses: ClassVar[bool] = False
    """Is that address this machine's own, so that the kernel says no where an address that nobody has is silent?"""

    @abc.abstractmethod
    def real_address(self, node: str) -> str:
        """Where the node itself listens."""

    @abc.abstractmethod
    def address(self, link: Link) -> str:
        """Where the source of this link connects to for its destination."""

    def peer_address(self, link: Link) -> str:
        """The same where both are nodes and use the network that they have for each other."""
        return self.address(link)

    def networks_of(self, node: str) -> dict[str, str]:  # noqa: ARG002 - for a runtime that has some
        """Network -> the node's address there, where networks have names."""
        return {}

    def kept_name(self, node: str) -> str:  # noqa: ARG002 - for a runtime whose nodes get other addresses
        """By what other nodes are to know it all the time; empty where that is its address."""
        return ""

    @abc.abstractmethod
    def inside(self, node: str) -> Inside:
        """Folders and interpreter, as the node sees them."""

    @property
    def name(self) -> str:
        """What clients resolve."""
        external = self._deployment.plan.experiment.cluster.dns.external
        return self.name_of(self.dns_part) if external is None else external.name

    @property
    def listed(self) -> tuple[str, ...]:
        """The addresses that clients know, where there is no name to resolve."""
        return ()

    @property
    def domain(self) -> str:
        """What clients add to a name without a dot."""
        return DOMAIN

    @staticmethod
    def name_of(part: str) -> str:
        """The DNS name of a part."""
        return f"{part}.{DOMAIN}"

    def part(self, node: str) -> Part:
        """The part that the node is a copy of."""
        return self._deployment.target.parts[self.nodes[node].part]

    def roles_of(self, node: str) -> Collection[str]:
        """The roles that this node is asked for."""
        return self._deployment.target.roles_of(self.nodes[node].part)

    def context(self, node: str, source: str | None = None) -> Context:
        """What templates mean for this node; with ``source``, at the addresses by which that one is to reach it."""
        info, inside = self.nodes[node], self.inside(node)
        own = self._seen_from(node if source is None else source, node)
        parts = self._parts_seen_from(node)
        members = parts[info.part]
        return Context(
            node=node,
            zone=own.zone,
            address=own.address,
            peer_address=own.peer_address,
            ports=info.ports,
            settings=self.settings,
            data=inside.data,
            python=inside.python,
            target=inside.target,
            peers=members.peers,
            parts=parts,
            number=own.number,
            count=members.count,
            name=own.name,
        )

    def clients_context(self) -> Context:
        """What templates of operations mean that speak of the nodes of a part: as clients reach these."""
        parts = self._parts_seen_from(CLIENTS)
        served = parts[self.dns_part]
        return Context(
            node=CLIENTS, address="", ports=served.ports, settings=self.settings, peers=served.peers, parts=parts, count=served.count
        )

    def members(self, part: str) -> list[str]:
        """The nodes of a part, in order."""
        return [node for node, info in self.nodes.items() if info.part == part]

    def _parts_seen_from(self, source: str) -> dict[str, Others]:
        parts = dict.fromkeys(info.part for info in self.nodes.values())
        return {
            part: Others(self._deployment.target.parts[part].ports, tuple(self._seen_from(source, node) for node in self.members(part)))
            for part in parts
        }

    def _seen_from(self, source: str, node: str) -> Peer:
        info, number = self.nodes[node], self.members(self.nodes[node].part).index(node) + 1
        zone = info.zone or ""
        if source == node:
            return Peer(node, info.address, info.peer_address, zone, number, self.kept_name(node))
        link = Link(source, node)
        name = "" if source == CLIENTS else self.kept_name(node)
        return Peer(node, self.address(link), "" if source == CLIENTS else self.peer_address(link), zone, number, name)

    def ask(self, question: Ask, node: str, source: str | None = None) -> Ask:
        """A question of the target, filled in for this node; by the way of ``source``, else straight to the node."""
        return filled(question, self.context(node, source))

    def check(self, node: str) -> Ask:
        """The question by which the name server decides about this node: it goes by the link dns -> node."""
        what = self._deployment.plan.experiment.cluster.dns.check.what
        part = self.part(node)
        if what == "ready":
            return self.ask(part.ready.ask, node, DNS)
        if what.startswith("role:"):
            role = self._deployment.target.roles.get(what.removeprefix("role:"))
            if role is None:
                raise BadInput(f"dns check '{what}': the target has no such role", right=", ".join(self._deployment.target.roles))
            return self.ask(role, node, DNS)
        if what.startswith("/"):
            return self.ask(Ask(http=f"http://{{address}}:{{{part.client_port}}}{what}"), node, DNS)
        raise BadInput(f"dns check '{what}' is not known", right="ready, role:NAME, or an http path that begins with /")

    def ping_question(self, node: str, port: str) -> Ask | None:
        """What shows that the way to this port works: its ``ping``, else ``ready`` if that is asked on this port."""
        return self.part(node).question(port)

    def port_of(self, link: Link) -> str:
        """The name of the port that the traffic of this link goes to."""
        return self.part(link.destination).port_for(peers=link.source not in {CLIENTS, DNS})

    def _check_link(self, link: Link) -> None:
        ends = {*self.numbers, CLIENTS, DNS}
        if link.destination not in ends or link.source not in ends:
            raise BadInput(f"the link '{link}' has an end that does not exist", right=", ".join([*self.numbers, CLIENTS, DNS]))


def at_place(info: NodeInfo, container: str, clock: Clock) -> NodeUp:
    """Where a node is now."""
    return NodeUp(
        at_ns=clock.now_ns(), node=info.name, part=info.part, zone=info.zone, address=info.address, ports=info.ports,
        client_address=info.address, networks=info.networks, container=container,
    )  # fmt: skip
