"""Who lives where in a cluster of ours: addresses are those that the pods were given, names are our name server's or the cluster's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from chaos.core.errors import CapabilityMissing
from chaos.core.values import CLIENTS, DNS, Link, NodeInfo
from chaos.experiment.target.spec import DockerPart
from chaos.experiment.target.templates import fill_words
from chaos.kube.own import OURS
from chaos.net.addresses import UNNAMED, Addresses
from chaos.plugin import Deployment
from chaos.runtimes.base.layout import Inside, Layout
from chaos.runtimes.kubernetes.layout import DNS_PORT, NOWHERE, Resolver

DATA_INSIDE: Final = "/var/lib/nines"
"""``{data}`` of a part that declares no folder of its own."""
TARGET_INSIDE: Final = "/target"
"""Where an image that is built from a target's folder holds it."""


class OwnLayout(Layout):
    """``addresses``: of each node's pod, and of the places of ``clients`` and, where it is ours, ``dns``. ``service``: the Service of the
    part that clients use; empty where our name server answers. ``moves``: nodes may come to live in other pods."""

    def __init__(
        self, deployment: Deployment, addresses: Mapping[str, str], gateway: str, service: str, names: Resolver, *, moves: bool = False
    ) -> None:  # fmt: skip
        self.moves = moves
        self._addresses = {DNS: NOWHERE, **addresses}
        self._gateway = gateway
        self._service = service
        self._names = names
        self._ends = Addresses({UNNAMED: dict(self._addresses)})
        super().__init__(deployment)

    @property
    def gateway(self) -> str:
        """The harness's pod: exempt from every rule."""
        return self._gateway

    @property
    def name(self) -> str:
        """What clients resolve."""
        return f"{self._service}.{self._names.domain}" if self._service else super().name

    @property
    def domain(self) -> str:
        """Below it a name without a dot is looked for."""
        return self._names.domain if self._service else super().domain

    @property
    def dns_address(self) -> str:
        """The name server's place; nobody's address where it is not ours."""
        return self._addresses[DNS]

    @property
    def clients_address(self) -> str:
        """Of the place where the traffic comes from."""
        return self._addresses[CLIENTS]

    @property
    def nameserver(self) -> tuple[str, int]:
        """Whom clients ask."""
        return (self._names.server if self._service else self.dns_address), DNS_PORT

    @property
    def nowhere(self) -> str:
        """Nobody ever listens there."""
        return NOWHERE

    def real_address(self, node: str) -> str:
        """Of a node, or of ``clients`` or ``dns``."""
        return self._addresses[node]

    def address(self, link: Link) -> str:
        """The real one: what harms a link stands in the network, not in the address."""
        return self.real_address(link.destination)

    def addresses(self) -> Addresses:
        """Of all ends; the same object all the time, so that who moves is known to have moved."""
        return self._ends

    def kept_name(self, node: str) -> str:
        """What stands in the ``/etc/hosts`` of each node's container."""
        return f"{node}.{OURS}" if self.moves else ""

    def hosts(self, own: str, pod: str) -> str:
        """The text of that file in the pod of this node: where all nodes are now."""
        lines = ["127.0.0.1 localhost", f"{self._addresses[own]} {pod}"]
        return "\n".join([*lines, *(f"{info.address} {self.kept_name(node)}" for node, info in self.nodes.items()), ""])

    def move(self, node: str, address: str, machine: str) -> NodeInfo:
        """It lives at another address from now on, perhaps on another machine, where a selector speaks of those."""
        self._addresses[node] = address
        self._ends.move(node, address)
        info = self.nodes[node]
        if info.host:
            lies = self._deployment.plan.experiment.cluster.kubernetes.lies
            info = msgspec.structs.replace(info, host=machine, zone=lies.get(machine, info.zone if info.host == machine else None))
        self.nodes[node] = msgspec.structs.replace(info, address=address)
        return self.nodes[node]

    def docker(self, node: str) -> DockerPart:
        """How this node runs as a container."""
        found = self.part(node).docker
        if found is None:
            raise CapabilityMissing(
                f"the target '{self._deployment.target.name}' cannot run in containers: part '{self.nodes[node].part}' has no 'docker'",
                how="use another runtime, or add 'docker: {image: ..., command: [...]}' to its target.yaml",
            )
        return found

    def folders(self, node: str) -> tuple[str, ...]:
        """Its data, as its container sees it; never none."""
        return self.part(node).data or (DATA_INSIDE,)

    def inside(self, node: str) -> Inside:
        """As its container sees them."""
        return Inside(data=self.folders(node)[0], python="python3", target=TARGET_INSIDE)

    def command(self, node: str) -> tuple[str, ...]:
        """What the gate starts."""
        return tuple(fill_words(self.docker(node).command, self.context(node)))
