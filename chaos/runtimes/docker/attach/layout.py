"""Who lives where in a system that was there before us: the addresses are the engine's, the names are its own."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.core.values import CLIENTS
from chaos.plugin import Deployment
from chaos.runtimes.base.agents.attached.layout import AttachedEnds
from chaos.runtimes.docker.attach.find import Ground
from chaos.runtimes.docker.layout import DockerLayout


class AttachedLayout(AttachedEnds, DockerLayout):
    """``addresses``: of each node on the network that they share; that of the clients is known once their container is made."""

    def __init__(self, deployment: Deployment, ground: Ground, addresses: Mapping[str, str], name: str) -> None:
        self._ground = ground
        self._found(addresses, name)
        super().__init__(deployment, ground.subnet)

    @property
    def gateway(self) -> str:
        """This machine, as containers see it."""
        return self._ground.gateway

    @property
    def domain(self) -> str:
        """The engine knows its names as they are."""
        return ""

    def place_clients(self, address: str) -> None:
        """Their container runs: all ends are known."""
        self._addresses[CLIENTS] = address
        self._ends = DockerLayout.addresses(self)
