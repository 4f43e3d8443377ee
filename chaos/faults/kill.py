"""``kill``: the process dies at once, its machine lives on. Its ports refuse from that instant: a *loud* failure.

``recovery``: ``restart`` (the harness starts it again after the schedule's ``for``), ``policy`` (the runtime's own restart
policy must act), ``none`` (it stays dead to the end of the run).
"""

from __future__ import annotations

import signal as signals
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar, Literal

import msgspec

from chaos.core.errors import FaultNotEffective
from chaos.core.values import Evidence, Status, Victims
from chaos.experiment.target.spec import Target
from chaos.faults.base import evidence as proof
from chaos.plugin import Effect, Scene


class Kill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to send, and what brings the node back."""

    signal: Literal["KILL", "TERM", "ABRT", "SEGV", "INT", "QUIT", "HUP"] = "KILL"
    recovery: Literal["restart", "policy", "none"] = "restart"
    process: Literal["main"] = "main"

    takes: ClassVar[tuple[str, ...]] = ("nodes",)
    takes_down: ClassVar[bool] = True
    only_processes: ClassVar[bool] = True

    def missing(self, runtime: str, target: Target) -> str | None:
        """Plain processes have no restart policy of their own, and a kill by the engine cancels a container's (moby, daemon/kill.go)."""
        if self.recovery == "policy" and runtime == "local":
            return "plain processes have no restart policy; use 'recovery: restart', with which Nines starts the node again"
        if self.recovery == "policy" and runtime == "docker" and target.pid1:
            return "a target that insists on being PID 1 is killed by the engine, which then does not act on its restart policy"
        return None

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Kill the victims; they must be seen dead and silent. The time of effect is the first death."""
        number = signals.Signals[f"SIG{self.signal}"]
        before = proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
        started_ns: list[int] = []
        with ExitStack() as undo:
            try:
                deaths_ns = []
                for node in victims.nodes:
                    undo.enter_context(scene.undo.intent("start", node))
                    deaths_ns.append(scene.cluster.nodes[node].kill(number))
                answers = proof.ask_nodes(scene, victims.nodes)
                during = proof.node_figures(scene, answers)
                alive = {node for node in victims.nodes if scene.cluster.nodes[node].status() is not Status.DOWN}
                alive |= {node for node, trip in answers.items() if trip.rtt_s is not None}
                if alive and self.recovery != "policy":
                    raise FaultNotEffective(f"{', '.join(sorted(alive))} still ran after SIG{self.signal}")
                effect = Effect(min(deaths_ns), f"SIG{self.signal}", before, during, lambda: self._gone(scene, victims))
                yield effect
            finally:
                started_ns += self._recover(scene, victims)
            effect.healed_at_ns = max(started_ns, default=None)

    def _recover(self, scene: Scene, victims: Victims) -> list[int]:
        if self.recovery != "restart":
            return []
        dead = [node for node in victims.nodes if scene.cluster.nodes[node].status() is Status.DOWN]
        return [scene.cluster.nodes[node].start() for node in dead]

    def _gone(self, scene: Scene, victims: Victims) -> Evidence:
        if self.recovery == "none":
            return Evidence(ok=True, figures={f"{node}.process": str(scene.cluster.nodes[node].status()) for node in victims.nodes})
        return proof.nodes_answer(scene, victims.nodes)
