"""Loads on nodes of a cluster of ours: a guest on the machine of each pod works in the control groups of the system's container.

The agent in the sidecar sees the system's processes, and no control group but its own; the guest, which a DaemonSet brings where a fault
of the plan needs it, sees the groups. The gate stands in the same group as the system: so a load of memory leaves it its own little, the
guest keeps the kernel from it, and whoever is to die of the lack is pointed out by the agent, which tells the gate from the system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, FaultNotEffective
from chaos.core.values import Load, Loaded, NodeInfo, Status
from chaos.experiment.pods import PodsSpec
from chaos.kube import commands
from chaos.kube.api import Api
from chaos.kube.find import ROLE, RUN, Pod, pod_of
from chaos.kube.objects import CONTAINER, GUESTS
from chaos.kube.own import SYSTEM
from chaos.kube.streams import Exec
from chaos.plugin import Sink
from chaos.runtimes.base.agents.attached.guests import heard
from chaos.runtimes.base.agents.link import AgentLink, AgentRefused, mapped_into
from chaos.runtimes.base.agents.node import AgentNode
from chaos.runtimes.kubernetes.guests import CLOCK_BOUND_S, HELLO_WITHIN_S
from chaos.runtimes.kubernetes.loads import PodLoads

OF_THE_GATE: Final = 4 << 20
"""Bytes of the container's memory that no load takes: a shell has less."""


class OwnNode:
    """A node as its loads see it."""

    def __init__(self, node: AgentNode, guest: AgentLink) -> None:
        self._node = node
        self.guest: AgentLink | None = guest

    @property
    def info(self) -> NodeInfo:
        """Who it is."""
        return self._node.info

    def status(self) -> Status:
        """By the agent in its sidecar."""
        return self._node.status()

    def doom(self, how: str) -> None:
        """A death from now on is a fault's doing."""
        self._node.doom(how)

    def last_death_ns(self) -> int:
        """That of its system; its gate may live on."""
        return self._node.last_death_ns()


class OwnLoads(PodLoads):
    """``plugin.Loads`` of a node behind its gate."""

    def __init__(self, node: OwnNode, pod: Pod, sidecar: Callable[[], AgentLink], api: Api, namespace: str, clock: Clock) -> None:
        super().__init__(node, pod.limits, api, namespace, lambda: pod, clock)
        self._sidecar = sidecar
        self._kills = 0

    @property
    def _beside(self) -> AgentLink:
        """The gate is no process of the system, and is not to die."""
        return self._sidecar()

    def _taken(self, order: Load) -> float:
        most = (self.allowed.memory_bytes or order.bytes) - OF_THE_GATE
        return min(order.bytes, most) / order.workers

    @contextmanager
    def load(self, order: Load) -> Iterator[Loaded]:
        """The same; how often the kernel has killed for want of memory there is known before."""
        self._kills = self._counted()
        with super().load(order) as loaded:
            yield loaded

    def _expose(self) -> None:
        """The gate is not to die with it: its score is the guest's to set, which is privileged."""
        self._link.call("resources.shield")
        super()._expose()

    def _cover(self) -> None:
        try:
            super()._cover()
        finally:
            self._link.call("resources.unshield")

    def _starved(self, since_s: float, since_ns: int) -> bool:
        """By the kernel's own count, while the container lives; else by kubelet's word."""
        return self._counted() > self._kills or super()._starved(since_s, since_ns)

    def _counted(self) -> int:
        try:
            return int(self._link.call("resources.usage").result["oom_kills"] or 0)
        except AgentRefused:
            return 0  # its container is dead, and the count went with it
        except FaultNotEffective:
            return self._kills


def give_loads(
    api: Api, namespace: str, run: str, nodes: Mapping[str, AgentNode], pods: Mapping[str, str], sidecars: Mapping[str, AgentLink],
    gone: Callable[[AgentLink, str], None], sink: Sink, clock: Clock,
) -> list[AgentLink]:  # fmt: skip
    """Every node can be loaded from now on; the guests. ``pods``: node -> its pod; ``sidecars``: node -> its agent, once it stands."""
    there = {
        str(each["spec"].get("nodeName") or ""): str(each["metadata"]["name"])
        for each in api.listed("pods", namespace, f"{RUN}={run},{ROLE}={GUESTS}")
    }
    found = []
    for name, node in nodes.items():
        pod = pod_of(api.get("pods", namespace, pods[name]) or _missing(name), PodsSpec(namespace=namespace, container=SYSTEM))
        ours = there.get(pod.machine)
        if ours is None:
            raise EnvironmentUnusable(
                f"no guest can be started on the machine {pod.machine}, where the pod {pod.name} ({name}) is",
                how="it takes pods that tolerate everything; see 'kubectl describe daemonset'",
            )
        link = AgentLink(
            None, pod.container_id, node=name, clock=clock, on_event=lambda _link, _event: None, on_gone=gone,
            on_clock=mapped_into(sink, clock), streams=Exec(api, namespace, ours, CONTAINER, commands.loader(pod.uid, pod.container_id)),
        )  # fmt: skip
        found.append(heard(link, HELLO_WITHIN_S, CLOCK_BOUND_S, f"{name}'s machine", "harness and nodes in one region"))
        node.loads = OwnLoads(OwnNode(node, link), pod, lambda name=name: sidecars[name], api, namespace, clock)  # type: ignore[misc]
    return found


def _missing(name: str) -> dict[str, object]:
    raise EnvironmentUnusable(f"the pod of {name} is not there", how="somebody removed it; run again")
