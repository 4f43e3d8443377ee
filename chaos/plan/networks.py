"""What of a plan comes from ``cluster.networks``: who can have several, and which of them a fault may cut alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.core.errors import CapabilityMissing
from chaos.experiment.source import suggest
from chaos.experiment.spec import Experiment
from chaos.experiment.target.spec import Part, Target
from chaos.experiment.target.templates import PEER_ADDRESS
from chaos.plan.cluster import refuse
from chaos.plan.faults import Planned
from chaos.plan.selection import ENDPOINTS


def check_networks(experiment: Experiment, target: Target, faults: Sequence[Planned], runtime: str) -> None:
    """Raise ``BadInput`` for what cannot be meant, ``CapabilityMissing`` where nodes cannot stand on several networks."""
    for planned in faults:
        _check_cut(experiment, planned)
    names = experiment.cluster.networks
    if len(names) > 1:
        _check_target(experiment, target)
        for planned in faults:
            _check_port(experiment, target, planned)
    if names and runtime == "local":
        how = "use the runtime 'docker', or leave 'cluster.networks' out"
        raise CapabilityMissing("the runtime 'local' has no networks: its processes share the loopback interface", how=how)


def _check_target(experiment: Experiment, target: Target) -> None:
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
    port, last = planned.spec.params.get("port"), experiment.cluster.networks[-1]
    if port and any(port == part.peer_port for part in target.parts.values()):
        path = f"{planned.path}.{planned.spec.kind}.port"
        raise refuse(experiment, path, f"'{port}' is on the network '{last}', where no clients stand", "a port of the clients' network")


def _check_cut(experiment: Experiment, planned: Planned) -> None:
    """Of a fault with a ``network``."""
    name, names = planned.spec.params.get("network"), experiment.cluster.networks
    if not name:
        return
    path = f"{planned.path}.{planned.spec.kind}.network"
    if not names:
        right = "cluster: {networks: [front, back]}, or no 'network'"
        raise refuse(experiment, path, f"there is no network '{name}': all nodes share one without a name", right)
    if name not in names:
        raise refuse(experiment, path, f"there is no network '{name}'", suggest(str(name), names))
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
