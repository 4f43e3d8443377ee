"""Who lives where in a system that was there before us: the addresses are the engine's, the names are its own."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.core.values import CLIENTS, DNS
from chaos.plugin import Deployment
from chaos.runtimes.docker.attach.find import Ground
from chaos.runtimes.docker.layout import DockerLayout


class AttachedLayout(DockerLayout):
    """``addresses``: of each node on the network that they share; that of the clients is known once their container is made."""

    def __init__(self, deployment: Deployment, ground: Ground, addresses: Mapping[str, str], name: str) -> None:
        self._ground = ground
        self._addresses = dict(addresses)
        self._name = name
        super().__init__(deployment, ground.subnet)

    @property
    def gateway(self) -> str:
        """This machine, as containers see it."""
        return self._ground.gateway

    @property
    def name(self) -> str:
        """What clients resolve."""
        return self._name

    @property
    def listed(self) -> tuple[str, ...]:
        """What clients know in place of a name."""
        return () if self._name else tuple(self._addresses[node] for node in self.members(self.dns_part))

    @property
    def domain(self) -> str:
        """The engine knows its names as they are."""
        return ""

    @property
    def dns_address(self) -> str:
        """No name server of ours: an address that nobody has."""
        return self.nowhere

    @property
    def clients_address(self) -> str:
        """That of the clients' container."""
        return self._addresses.get(CLIENTS, self.nowhere)

    def place_clients(self, address: str) -> None:
        """Their container runs."""
        self._addresses[CLIENTS] = address

    def real_address(self, node: str) -> str:
        """Of a node, or of ``clients`` or ``dns``."""
        if node == DNS:
            return self.dns_address
        return self.clients_address if node == CLIENTS else self._addresses[node]
