"""Who lives where in a cluster of somebody else's: addresses are those of pods, names are those of Services."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.values import DNS, Link
from chaos.net.addresses import UNNAMED, Addresses
from chaos.plugin import Deployment
from chaos.runtimes.base.agents.attached.layout import AttachedEnds
from chaos.runtimes.base.layout import Inside

NOWHERE: Final = "192.0.2.1"
"""Of TEST-NET-1 (RFC 5737): nobody has it."""
DNS_PORT: Final = 53


class Resolver(msgspec.Struct, frozen=True):
    """Who answers names in a pod, and what a name without a dot stands below."""

    server: str
    domain: str


def resolver(namespace: str, file: Path = Path("/etc/resolv.conf")) -> Resolver:
    """As kubelet wrote it into our pod (resolv.conf(5)); the names of a namespace's Services stand below ``NAMESPACE.svc.CLUSTER``."""
    server, searched = "", []
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and not server:
            server = words[1]
        elif words[:1] == ["search"]:
            searched = words[1:]
    own = next((each for each in searched if each.partition(".")[2].startswith("svc.")), "default.svc.cluster.local")
    return Resolver(server, f"{namespace}.{own.partition('.')[2]}")


class PodLayout(AttachedEnds):
    """``addresses``: of each node's pod; that of the clients is known from the beginning. A node may move."""

    def __init__(self, deployment: Deployment, addresses: Mapping[str, str], gateway: str, name: str, names: Resolver) -> None:
        self._found(addresses, name)
        self._gateway = gateway
        self._names = names
        self._before: tuple[str, int] | None = None
        self._ends = Addresses({UNNAMED: {DNS: NOWHERE, **self._addresses}})
        super().__init__(deployment)

    @property
    def gateway(self) -> str:
        """The harness's pod: exempt from every rule."""
        return self._gateway

    @property
    def domain(self) -> str:
        """Below it a name without a dot is looked for."""
        return self._names.domain

    @property
    def nameserver(self) -> tuple[str, int]:
        """The cluster's, or ours before it."""
        return self._before or self.clusters_nameserver

    @property
    def clusters_nameserver(self) -> tuple[str, int]:
        """As kubelet tells pods."""
        return self._names.server, DNS_PORT

    @property
    def whole_name(self) -> str:
        """What clients resolve, as it goes over the wire."""
        return self._name if not self._name or "." in self._name else f"{self._name}.{self._names.domain}"

    def put_before(self, host: str, port: int) -> None:
        """A resolver of ours stands before the cluster's from now on."""
        self._before = (host, port)

    @property
    def nowhere(self) -> str:
        """Nobody ever listens there."""
        return NOWHERE

    def address(self, link: Link) -> str:
        """The real one: nothing about the system under test changes."""
        return self.real_address(link.destination)

    def inside(self, node: str) -> Inside:  # noqa: ARG002 - we started none of them
        """Not ours to say; drivers find what they need where the prober is."""
        return Inside(data="", python="python3", target=self._deployment.target.folder)

    def move(self, node: str, address: str, host: str, labels: Mapping[str, str]) -> None:
        """A node lives at another address from now on; its machine and its labels are kept where a selector speaks of those."""
        before = self.nodes[node]
        moved = self.moved_to(node, address)
        if before.host:
            attach = self._deployment.plan.experiment.cluster.attach
            assert attach is not None
            assert attach.pods is not None
            moved = msgspec.structs.replace(moved, host=host, zone=attach.pods.lies.get(host, before.zone if before.host == host else None))
        if before.labels is not None:
            moved = msgspec.structs.replace(moved, labels=dict(labels))
        self.nodes[node] = moved
