"""Our helpers of one run in a cluster: processes in the harness's pod. Those that send stand in the clients' network."""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.core.clock import Clock
from chaos.core.values import CLIENTS
from chaos.dns.forward import ForwardSpec
from chaos.dns.spec import MoveOrder, NameSpec, Replica
from chaos.kube.commands import ENTER, in_pod
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.follower import Follower
from chaos.runtimes.base.helper import Breakage, Helper
from chaos.runtimes.base.helpers import FORWARD, READY_S, Helpers
from chaos.runtimes.base.names import ServerNames
from chaos.runtimes.kubernetes.layout import PodLayout

FORWARD_PORT: Final = 1053


class PodHelpers(Helpers):
    """``clients``: the uid of the pod where they are; empty where that is our own."""

    def __init__(
        self, deployment: Deployment, layout: PodLayout, claim: Claim, breakage: Breakage, sink: Sink, clock: Clock, clients: str
    ) -> None:  # fmt: skip
        super().__init__(deployment, layout, claim, breakage, sink, clock)
        self._pods = layout
        self._clients = clients
        self._forward: Helper | None = None

    def _way_to(self, place: str) -> tuple[str, ...]:
        """Into the network of the clients' pod."""
        return in_pod(self._clients, ENTER) if place == CLIENTS and self._clients else ()

    def follow_clusters_name(self) -> None:
        """Go on telling which pods the name lists; the cluster's own server is asked, whoever stands before it."""
        layout = self._pods
        follower = self._follower = Follower(layout, self._sink, self._clock, layout.whole_name, layout.clusters_nameserver)
        follower.start(layout.members(layout.dns_part))

    def put_before(self) -> None:
        """A resolver of ours between our clients and the cluster's DNS, loaded and waiting; the system's own pods go on asking that one."""
        self._forward = self.make(FORWARD, CLIENTS, self._note_set)
        self._pods.put_before(self._pods.clients_address, FORWARD_PORT)
        self.names = ServerNames(self._forward, self._pods.whole_name, *self._pods.nameserver, self._clock)

    def forward_names(self) -> None:
        """Let it begin, if there is one; returns when it answers."""
        if self._forward is None:
            return
        layout = self._pods
        members = [layout.nodes[node] for node in layout.members(layout.dns_part)]
        name = NameSpec(layout.name, tuple(Replica(each.name, each.address) for each in members), aliases=(layout.whole_name,))
        server, port = layout.clusters_nameserver
        spec = ForwardSpec(layout.clients_address, FORWARD_PORT, server, port, (name,), layout.nowhere)
        self.let_go(self._forward, msgspec.json.encode(spec))
        self._forward.wait_ready(READY_S)

    def moved(self, node: str) -> None:
        """It lives in another pod: the name may list it at its new address, and a record that is left out is that one."""
        super().moved(node)
        if self._forward is not None:
            self._forward.child.tell(msgspec.json.encode(MoveOrder(Replica(node, self._pods.nodes[node].address))))
