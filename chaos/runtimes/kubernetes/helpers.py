"""Our helpers of one run in a cluster: processes in the harness's pod. Those that send stand in the clients' network."""

from __future__ import annotations

from chaos.core.clock import Clock
from chaos.core.values import CLIENTS
from chaos.kube.commands import ENTER, in_pod
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.helper import Breakage
from chaos.runtimes.base.helpers import Helpers
from chaos.runtimes.kubernetes.layout import PodLayout


class PodHelpers(Helpers):
    """``clients``: the uid of the pod where they are."""

    def __init__(
        self, deployment: Deployment, layout: PodLayout, claim: Claim, breakage: Breakage, sink: Sink, clock: Clock, clients: str
    ) -> None:  # fmt: skip
        super().__init__(deployment, layout, claim, breakage, sink, clock)
        self._clients = clients

    def _way_to(self, place: str) -> tuple[str, ...]:
        """Into the network of the clients' pod."""
        return in_pod(self._clients, ENTER) if place == CLIENTS else ()
