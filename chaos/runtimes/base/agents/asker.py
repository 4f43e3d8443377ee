"""Whom to ask where nothing but the process of a container is known: the kernel, whether that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaos.core.clock import Clock, to_s
from chaos.core.values import RoundTrip, Status
from chaos.experiment.target.spec import Ask
from chaos.plugin import Node
from chaos.query.question import Answer
from chaos.runtimes.base.asker import Asker
from chaos.runtimes.base.layout import Layout

WORDS = {Status.PAUSED: "its process is frozen", Status.DOWN: "its process is dead"}


class AttachedAsker(Asker):
    """Nodes of which a question is known are asked that question; of the others their process is looked at."""

    def __init__(self, layout: Layout, roles: Mapping[str, Ask], clock: Clock, nodes: Mapping[str, Node]) -> None:
        super().__init__(layout, roles, clock)
        self._attached = layout
        self._nodes = nodes
        self._clock = clock

    def ready(self, nodes: Sequence[str], timeout_s: float) -> dict[str, Answer]:
        """Whether each may take part."""
        asked = [node for node in nodes if not self._attached.part(node).by_process]
        found = super().ready(asked, timeout_s) if asked else {}
        for node in nodes:
            if node not in found:
                trip = self._seen(node)
                found[node] = Answer(trip.error is None, trip.rtt_s, trip.error)
        return found

    def ping(self, node: str, timeout_s: float) -> RoundTrip:
        """On the port of clients, or from the kernel."""
        return self._seen(node) if self._attached.part(node).by_process else super().ping(node, timeout_s)

    def _seen(self, node: str) -> RoundTrip:
        began_ns = self._clock.now_ns()
        status = self._nodes[node].status()
        if status is Status.UP:
            return RoundTrip(to_s(self._clock.now_ns() - began_ns))
        return RoundTrip(None, WORDS.get(status, str(status)))
