"""Who lives where on the run's own networks, pure.

    .1    the gateway: this machine, where the harness stands       .2    the name server
    .3    the clients                                               .10+i node number i (1-based, in the order of the plan)
    .4+i  the gateway of further host i (from 0)                    .251  what ties hosts together; answers nobody

Every address is fixed for the whole run, and every node keeps its own whatever is done to it, since its agent holds the network
namespace. Peers always use each other's real addresses: what harms a link stands in the namespace, not in the address. On further
networks only nodes stand, each at the same place of the subnet.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from chaos.core.errors import CapabilityMissing
from chaos.core.values import CLIENTS, DNS, Link
from chaos.experiment.target.spec import DockerPart
from chaos.experiment.target.templates import fill_words
from chaos.net.addresses import UNNAMED, Addresses
from chaos.plugin import Deployment
from chaos.runtimes.base.layout import Inside, Layout

DNS_PORT = 53
ENGINE_DNS = "127.0.0.11"
"""Where the engine's own name server answers, in every container on a network of its own (moby, libnetwork/resolver.go)."""
ENGINE = "engine"
"""The balancer that is Docker's own alias records."""
TARGET_INSIDE = "/target"
"""Where an image that is built from a target's folder holds it, and where the prober finds its drivers."""
FOLDER_INSIDE = "/nines"
"""Where the run folder is in the name server's and the prober's container."""
DATA_INSIDE = "/var/lib/nines"
"""``{data}`` of a part that declares no folder of its own."""
MAX_NODES = 240
_FIRST_NODE = 10
_FURTHER_GATEWAY = 4
_TIE = 251


def tie_address(subnet: IPv4Network) -> str:
    """Taken on each host by what ties the network to the other hosts'."""
    return str(subnet[_TIE])


def gateway_of(subnet: IPv4Network, place: int) -> str:
    """Of the host at this place of their order; the first one's is the harness's."""
    return str(subnet[_FURTHER_GATEWAY + place - 1] if place else subnet[1])


class DockerLayout(Layout):
    """Addresses and filled-in templates of one run on its network."""

    def __init__(self, deployment: Deployment, subnet: IPv4Network, *further: IPv4Network) -> None:
        self.subnet = subnet
        self._networks = dict(zip(deployment.plan.experiment.cluster.networks, (subnet, *further), strict=False))
        if len(deployment.plan.nodes) > MAX_NODES:
            raise CapabilityMissing(
                f"{len(deployment.plan.nodes)} nodes: a run's network has addresses for {MAX_NODES}", how="ask for fewer nodes"
            )
        self.pid1 = deployment.target.pid1
        self.balancer = deployment.plan.experiment.cluster.dns.balancer
        self.serves_names = deployment.plan.experiment.cluster.dns.ours
        """Whether a name server of ours stands on the network, which containers then ask."""
        super().__init__(deployment)

    @property
    def gateway(self) -> str:
        """This machine, as containers see it."""
        return str(self.subnet[1])

    @property
    def dns_address(self) -> str:
        """The name server's container."""
        return str(self.subnet[2])

    @property
    def nowhere(self) -> str:
        """Where nobody of this run listens, nor ever will."""
        return str(self.subnet[-2])

    @property
    def clients_address(self) -> str:
        """The prober's container."""
        return str(self.subnet[3])

    @property
    def nameserver(self) -> tuple[str, int]:
        """Whom clients ask."""
        return (ENGINE_DNS if self.balancer == ENGINE else self.dns_address), DNS_PORT

    def real_address(self, node: str) -> str:
        """Of a node, or of ``clients`` or ``dns``."""
        if node == CLIENTS:
            return self.clients_address
        if node == DNS:
            return self.dns_address
        return str(self.subnet[_FIRST_NODE + self.numbers[node]])

    def address(self, link: Link) -> str:
        """The real one: nothing about the system under test changes."""
        return self.real_address(link.destination)

    def peer_address(self, link: Link) -> str:
        """On the last network."""
        return self.nodes[link.destination].peer_address

    def networks_of(self, node: str) -> dict[str, str]:
        """The same place on each."""
        return {name: str(subnet[_FIRST_NODE + self.numbers[node]]) for name, subnet in self._networks.items()}

    def addresses(self) -> Addresses:
        """Of all ends, on all networks."""
        everybody = {end: self.real_address(end) for end in (*self.nodes, CLIENTS, DNS)}
        names = list(self._networks) or [UNNAMED]
        further = {name: {node: info.networks[name] for node, info in self.nodes.items()} for name in names[1:]}
        return Addresses({names[0]: everybody, **further})

    def docker(self, node: str) -> DockerPart:
        """How this node runs as a container."""
        docker = self.part(node).docker
        if docker is None:
            raise CapabilityMissing(
                f"the target '{self._deployment.target.name}' cannot run in containers: part '{self.nodes[node].part}' has no 'docker'",
                how="use another runtime, or add 'docker: {image: ..., command: [...]}' to its target.yaml",
            )
        return docker

    def inside(self, node: str) -> Inside:
        """As its container sees them."""
        data = self.part(node).data
        return Inside(data=data[0] if data else DATA_INSIDE, python="python3", target=TARGET_INSIDE)

    def command(self, node: str) -> tuple[str, ...]:
        """What its container runs; empty for what its image says."""
        return tuple(fill_words(self.docker(node).command, self.context(node)))
