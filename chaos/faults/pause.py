"""``pause``: the node is frozen. Its sockets stay open and its kernel still completes handshakes, but nothing ever answers.

Models a stalled virtual machine or a long stop-the-world pause: to clients a *silent* node, which costs each attempt its
whole time-out, where a killed process refuses at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar

import msgspec

from chaos.core.errors import FaultNotEffective
from chaos.core.values import Status, Victims
from chaos.experiment.target.spec import Target
from chaos.faults.base import evidence as proof
from chaos.plugin import Effect, Scene


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No fields."""

    takes: ClassVar[tuple[str, ...]] = ("nodes",)
    takes_down: ClassVar[bool] = True
    hangs: ClassVar[bool] = True
    only_processes: ClassVar[bool] = True

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - works everywhere
        """Every runtime can freeze a process."""
        return None

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Freeze the victims; they must be seen frozen and silent."""
        before = proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
        resumed_ns: list[int] = []
        with ExitStack() as undo:
            try:
                frozen_ns = []
                for node in victims.nodes:
                    undo.enter_context(scene.undo.intent("resume", node))
                    frozen_ns.append(scene.cluster.nodes[node].pause())
                answers = proof.ask_nodes(scene, victims.nodes)
                during = proof.node_figures(scene, answers)
                loud = {node for node, trip in answers.items() if trip.rtt_s is not None}
                loud |= {node for node in victims.nodes if scene.cluster.nodes[node].status() is not Status.PAUSED}
                if loud:
                    raise FaultNotEffective(f"{', '.join(sorted(loud))} still ran after it was frozen")
                effect = Effect(min(frozen_ns), "SIGSTOP", before, during, lambda: proof.nodes_answer(scene, victims.nodes))
                yield effect
            finally:
                frozen = [node for node in victims.nodes if scene.cluster.nodes[node].status() is Status.PAUSED]
                resumed_ns += [scene.cluster.nodes[node].resume() for node in frozen]
            effect.healed_at_ns = max(resumed_ns, default=None)
