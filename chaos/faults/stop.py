"""``stop``: the node is asked to end (SIGTERM), and killed if it has not after ``grace``. What an operator does, or a deployment.

A well-behaved system hands over before it goes: leadership to another replica, open requests to their answers. So it tests what
``kill`` cannot. The fault counts from the request on, since a node that is ending may refuse clients long before it is dead; the
schedule's ``for`` counts from there too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar

import msgspec

from chaos.core.errors import FaultNotEffective
from chaos.core.units import Seconds
from chaos.core.values import Status, Victims
from chaos.experiment.target.spec import Target
from chaos.faults.base import evidence as proof
from chaos.faults.base import nodes as stopping
from chaos.plugin import Effect, Scene


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long it may take to end by itself."""

    grace_s: Seconds = 10.0

    takes: ClassVar[tuple[str, ...]] = ("nodes",)
    takes_down: ClassVar[bool] = True
    only_processes: ClassVar[bool] = True

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - works everywhere
        """Every runtime can send a signal."""
        return None

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Ask the victims to end; they must be seen dead and silent. Leaving starts them again."""
        before = proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
        started_ns: list[int] = []
        with ExitStack() as undo:
            try:
                for node in victims.nodes:
                    undo.enter_context(scene.undo.intent("start", node))
                stopped = stopping.stop_all(scene, victims.nodes, self.grace_s)
                answers = proof.ask_nodes(scene, victims.nodes)
                alive = {node for node, trip in answers.items() if trip.rtt_s is not None}
                alive |= {node for node in victims.nodes if scene.cluster.nodes[node].status() is not Status.DOWN}
                if alive:
                    raise FaultNotEffective(f"{', '.join(sorted(alive))} still ran after it was stopped")
                during = proof.node_figures(scene, answers) | stopping.figures(stopped)
                asked_ns = min(each.asked_ns for each in stopped)
                how = stopping.mechanism(stopped, self.grace_s)
                effect = Effect(asked_ns, how, before, during, lambda: proof.nodes_answer(scene, victims.nodes))
                yield effect
            finally:
                dead = [node for node in victims.nodes if scene.cluster.nodes[node].status() is Status.DOWN]
                started_ns += [scene.cluster.nodes[node].start() for node in dead]
            effect.healed_at_ns = max(started_ns, default=None)
