"""Guests in ephemeral containers: in each pod's network, without a privileged pod. Of processes they know what kubelet says."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, NinesError
from chaos.core.values import CLIENTS, NodeInfo, Status
from chaos.experiment.pods import PodsSpec
from chaos.kube import commands, ephemeral
from chaos.kube.api import Api, Thing
from chaos.kube.find import Pod
from chaos.kube.streams import Exec
from chaos.plugin import Sink
from chaos.runtimes.base.agents.link import AgentLink, Event, mapped_into
from chaos.runtimes.base.helper import Breakage
from chaos.runtimes.kubernetes.guests import PodGuests
from chaos.runtimes.kubernetes.layout import NOWHERE
from chaos.runtimes.kubernetes.lodgers import give_back
from chaos.runtimes.kubernetes.node import Orders, PodNode
from chaos.runtimes.kubernetes.pipes import Pipes
from chaos.runtimes.kubernetes.session import PodSession


class WatchedNode(PodNode):
    """What becomes of its process is known by the API server's word, so about a second late."""

    def told(self, pod: Pod) -> None:
        """Its container runs, or it does not."""
        runs = bool(pod.container_id) and not pod.ending
        with self._changed:
            if runs != (self._up_ns is not None):
                super().seen(Event("up" if runs else "down", self._clock.now_ns()))

    def status(self) -> Status:
        """As it was told last."""
        return Status.DOWN if self._up_ns is None else Status.UP


class EphemeralGuests(PodGuests):
    """All guests of one run."""

    def __init__(
        self, api: Api, run: str, spec: PodsSpec, selector: str, pods: Mapping[str, Pod], breakage: Breakage, sink: Sink, clock: Clock
    ) -> None:  # fmt: skip
        super().__init__(api, run, spec, selector, pods, breakage, sink, clock)
        self.on_word = self._heard

    def tell(self, told: Callable[[str, Pod], None]) -> None:
        """After we are."""

        def both(name: str, pod: Pod) -> None:
            self._heard(name, pod)
            told(name, pod)

        self.on_word = both

    def _heard(self, name: str, pod: Pod) -> None:
        node = self.nodes.get(name)
        if isinstance(node, WatchedNode):
            node.told(pod)

    def bring_clients(self, pod: str) -> AgentLink:
        """In the harness's own pod, which is the clients' place."""
        self._pipes = Pipes(commands.own_clients(), os.environ)
        self.clients = self._linked(CLIENTS, AgentLink(
            None, pod, node=CLIENTS, clock=self._clock, on_event=self._teller(CLIENTS, None), on_gone=self._gone,
            on_clock=mapped_into(self._sink, self._clock), streams=self._pipes,
        ))  # fmt: skip
        return self.clients

    def _node(self, name: str, info: NodeInfo, orders: Orders) -> PodNode:
        node = WatchedNode(info, orders, self._sink, self._clock)
        node.told(self.pods[name])
        return node

    def _streams(self, name: str, pod: Pod) -> Exec:
        del name
        image, lasts_s = os.environ[ephemeral.IMAGE], float(os.environ[ephemeral.LASTS])
        there = ephemeral.ensure(self._api, self._spec.namespace, pod.name, self._run, image, lasts_s)
        return Exec(self._api, self._spec.namespace, pod.name, there, commands.lodger(pod.container_id))

    def _gone(self, link: AgentLink, why: str) -> None:
        """A guest goes with its pod, unlike one that stands on the pod's machine: the API server says whether it did."""
        if link.closing or self._closing.is_set():
            return
        pod = self.pods.get(link.node)
        try:
            there = None if pod is None else self._api.get("pods", self._spec.namespace, pod.name)
        except NinesError as error:
            self._breakage.note(f"the agent of {link.node}: {why}; {error}")
            return
        went = pod is not None and (there is None or there["metadata"]["uid"] != pod.uid or "deletionTimestamp" in there["metadata"])
        if not went:
            super()._gone(link, why)

    def leave_anew(self, name: str) -> str:
        """By a fresh guest, in the container that is there or in another one."""
        pod = self.pods[name]
        try:
            return give_back(self._api, self._spec.namespace, self._run, pod, os.environ[ephemeral.IMAGE], self._clock)
        except NinesError as error:
            return str(error)

    def close(self) -> None:
        """Detach from all, and end what they were started in."""
        super().close()
        for pod in self.pods.values():
            left = ephemeral.end(self._api, self._spec.namespace, pod.name, self._run)
            if left:
                self._breakage.note(f"{pod.name}: {left}")


class EphemeralSession(PodSession):
    """A run whose harness stands where the clients do, and whose guests are lodgers of the pods."""

    @property
    def _gateway(self) -> str:
        """Nobody: the harness has the clients' address, and reaches guests through the API server."""
        return NOWHERE

    def _make_guests(self, selector: str, pods: Mapping[str, Pod]) -> PodGuests:
        return EphemeralGuests(self._api, self._deployment.run, self._spec, selector, pods, self._breakage, self._sink, self._clock)

    def _place_of_clients(self, uid: str) -> str:  # noqa: ARG002 - it is ours
        return ""

    def _clients_pod(self) -> Thing:
        """Our own."""
        found = self._api.get("pods", self._spec.namespace, os.environ["NINES_POD"])
        if found is None:
            raise EnvironmentUnusable("the harness's own pod is not there", how="somebody removed it; run again")
        return found
