"""Who lives where on loopback: the address plan of one run, pure.

    127.a.1.i          node number i (1-based, in the order of the plan), all on the same ports
    127.a.0.53:8053    the name server                    127.a.0.84:8474    Toxiproxy's control port
    127.a.0.1:8052     bound by the harness, so that no other run takes the block
    127.a.(100+i).j    the proxy for connections i -> j   127.a.2.j / 127.a.3.j    the same for clients -> j / dns -> j

``a`` is the block that the run claimed. Linux binds all of 127.0.0.0/8 without any set-up, so every node keeps the same ports and
balancing by DNS is real. Only the links that the plan names have proxies.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import msgspec

from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.core.values import CLIENTS, DNS, Link
from chaos.experiment.target.templates import fill_words
from chaos.plugin import Deployment
from chaos.runtimes.base.layout import Inside, Layout

BLOCKS = range(64, 251)
DNS_PORT = 8053
HOLD_PORT = 8052
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


class LocalLayout(Layout):
    """Addresses, proxies and filled-in templates of one run."""

    nowhere_refuses = True

    def __init__(self, deployment: Deployment, block: int) -> None:
        self._block = block
        if len(deployment.plan.nodes) > MAX_NODES:
            raise CapabilityMissing(
                f"{len(deployment.plan.nodes)} nodes: the local runtime has addresses for {MAX_NODES}", how="ask for fewer nodes"
            )
        self._links = frozenset(deployment.plan.links)
        super().__init__(deployment)
        self.proxies = tuple(proxy for link in deployment.plan.links for proxy in self._proxies_for(link))

    @property
    def hold_address(self) -> str:
        """What a run binds to that has this block."""
        return f"127.{self._block}.0.1"

    @property
    def dns_address(self) -> str:
        """Where the name server listens."""
        return f"127.{self._block}.0.53"

    @property
    def nameserver(self) -> tuple[str, int]:
        """Whom clients ask."""
        return self.dns_address, DNS_PORT

    @property
    def nowhere(self) -> str:
        """Where nobody of this run listens, nor ever will."""
        return f"127.{self._block}.0.99"

    @property
    def toxiproxy_address(self) -> str:
        """Where Toxiproxy is driven."""
        return f"127.{self._block}.0.84"

    def real_address(self, node: str) -> str:
        """Where the node itself listens."""
        return f"127.{self._block}.{_NODES_NET}.{self.numbers[node]}"

    def address(self, link: Link) -> str:
        """Where the source of this link connects to for its destination: the proxy, if one stands there."""
        if link not in self._links:
            return self.real_address(link.destination)
        net = {CLIENTS: _CLIENTS_NET, DNS: _DNS_NET}.get(link.source)
        if net is None:
            net = _PROXIES_NET + self.numbers[link.source]
        return f"127.{self._block}.{net}.{self.numbers[link.destination]}"

    def data(self, node: str) -> Path:
        """The node's folder."""
        return self._deployment.folder / "nodes" / node

    def inside(self, node: str) -> Inside:
        """A plain process sees what we see."""
        return Inside(data=str(self.data(node)), python=sys.executable, target=self._deployment.target.folder)

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
        return tuple(fill_words(local.command, self.context(node)))

    def _check_link(self, link: Link) -> None:
        super()._check_link(link)
        if link.source in self.numbers and self._deployment.target.local.peers != "per-node":
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
