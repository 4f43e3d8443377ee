"""Who lives where on loopback: the address plan of one run, pure.

    127.a.1.i          node number i (1-based, in the order of the plan), all on the same ports
    127.a.0.53:8053    the name server                    127.a.0.84:8474    Toxiproxy's control port
    127.a.(100+i).j    the proxy for connections i -> j   127.a.2.j / 127.a.3.j    the same for clients -> j / dns -> j

``a`` is the block that the run claimed. Linux binds all of 127.0.0.0/8 without any set-up, so every node keeps the same ports and
balancing by DNS is real. Only the links that the plan names have proxies.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import msgspec

from chaos.errors import BadInput, CapabilityMissing, EnvironmentUnusable
from chaos.kinds import CLIENTS, DNS, Deployment, Link, NodeInfo
from chaos.target import Ask, Part
from chaos.targets_checks import defaults
from chaos.templates import Context, fill

BLOCKS = range(64, 251)
DOMAIN = "nines.test"
DNS_PORT = 8053
TOXIPROXY_PORT = 8474
MAX_NODES = 99

_CLIENTS_NET = 2
_DNS_NET = 3
_NODES_NET = 1
_PROXIES_NET = 100


class PlannedProxy(msgspec.Struct, frozen=True):
    """One proxy: a port of the destination, as one source reaches it."""

    name: str
    link: Link
    host: str
    port: int
    upstream: str


class Layout:
    """Addresses, proxies and filled-in templates of one run."""

    def __init__(self, deployment: Deployment, block: int) -> None:
        self._deployment = deployment
        self._block = block
        plan, target = deployment.plan, deployment.target
        if len(plan.nodes) > MAX_NODES:
            raise CapabilityMissing(f"{len(plan.nodes)} nodes: the local runtime has addresses for {MAX_NODES}", how="ask for fewer nodes")
        self._numbers = {node.name: number for number, node in enumerate(plan.nodes, start=1)}
        self.nodes = {
            node.name: NodeInfo(node.name, node.part, node.zone, self.real_address(node.name), dict(target.parts[node.part].ports))
            for node in plan.nodes
        }
        self._links = frozenset(plan.links)
        for link in plan.links:
            self._check_link(link)
        self.proxies = tuple(proxy for link in plan.links for proxy in self._proxies_for(link))
        self.dns_part = plan.experiment.cluster.dns.part or next(iter(target.parts))
        self.settings = {**defaults(target.settings), **plan.settings}

    @property
    def dns_address(self) -> str:
        """Where the name server listens."""
        return f"127.{self._block}.0.53"

    @property
    def nowhere(self) -> str:
        """Where nobody of this run listens, nor ever will."""
        return f"127.{self._block}.0.99"

    @property
    def toxiproxy_address(self) -> str:
        """Where Toxiproxy is driven."""
        return f"127.{self._block}.0.84"

    @property
    def name(self) -> str:
        """What clients resolve."""
        return f"{self.dns_part}.{DOMAIN}"

    def real_address(self, node: str) -> str:
        """Where the node itself listens."""
        return f"127.{self._block}.{_NODES_NET}.{self._numbers[node]}"

    def address(self, link: Link) -> str:
        """Where the source of this link connects to for its destination: the proxy, if one stands there."""
        if link not in self._links:
            return self.real_address(link.destination)
        net = {CLIENTS: _CLIENTS_NET, DNS: _DNS_NET}.get(link.source)
        if net is None:
            net = _PROXIES_NET + self._numbers[link.source]
        return f"127.{self._block}.{net}.{self._numbers[link.destination]}"

    def part(self, node: str) -> Part:
        """The part that the node is a copy of."""
        return self._deployment.target.parts[self.nodes[node].part]

    def data(self, node: str) -> Path:
        """The node's folder."""
        return self._deployment.folder / "nodes" / node

    def context(self, node: str, address: str | None = None) -> Context:
        """What templates mean for this node; ``address`` in place of its own, where it is asked through a proxy."""
        info = self.nodes[node]
        peers = tuple(
            (peer.name, peer.address if peer.name == node else self.address(Link(node, peer.name)))
            for peer in self.nodes.values()
            if peer.part == info.part
        )
        return Context(
            node=node,
            address=address or info.address,
            ports=info.ports,
            settings=self.settings,
            data=str(self.data(node)),
            python=sys.executable,
            target=self._deployment.target.folder,
            peers=peers,
        )

    def command(self, node: str) -> tuple[str, ...]:
        """What starts this node."""
        local = self.part(node).local
        if local is None:
            raise CapabilityMissing(
                f"the target '{self._deployment.target.name}' cannot run as plain processes: part '{self.nodes[node].part}' has no 'local'",
                how="use another runtime, or add a local command to its target.yaml",
            )
        if local.requires is not None and shutil.which(local.requires.command) is None:
            raise EnvironmentUnusable(
                f"the target '{self._deployment.target.name}' needs '{local.requires.command}', which is not on PATH",
                how=local.requires.how,
            )
        return tuple(fill(word, self.context(node)) for word in local.command)

    def ask(self, question: Ask, node: str, source: str | None = None) -> Ask:
        """A question of the target, filled in for this node; by the way of ``source``, else straight to the node."""
        address = None if source is None else self.address(Link(source, node))
        return filled(question, self.context(node, address))

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
        part = self.part(node)
        if port in part.ping:
            return part.ping[port]
        ready = part.ready.ask
        template = ready.http or ready.tcp or ""
        return ready if f"{{{port}}}" in template else None

    def _check_link(self, link: Link) -> None:
        if link.destination not in self._numbers or (link.source not in self._numbers and link.source not in {CLIENTS, DNS}):
            raise BadInput(f"the link '{link}' has an end that does not exist", right=", ".join([*self._numbers, CLIENTS, DNS]))
        if link.source in self._numbers and self._deployment.target.local.peers != "per-node":
            raise CapabilityMissing(
                f"{link} cannot be harmed on local: '{self._deployment.target.name}' does not give each node its own address for each peer",
                how="harm the links of clients, or use a runtime with packet rules",
            )

    def _proxies_for(self, link: Link) -> list[PlannedProxy]:
        upstream = self.real_address(link.destination)
        return [
            PlannedProxy(
                name=f"{self._deployment.run}.{link.source}__{link.destination}.{port_name}",
                link=link,
                host=self.address(link),
                port=port,
                upstream=f"{upstream}:{port}",
            )
            for port_name, port in self.nodes[link.destination].ports.items()
        ]


def filled(question: Ask, context: Context) -> Ask:
    """The question with every name in it filled in."""

    def text(template: str | None) -> str | None:
        return None if template is None else fill(template, context)

    return Ask(http=text(question.http), body=text(question.body), status=question.status, tcp=text(question.tcp), json=text(question.json))
