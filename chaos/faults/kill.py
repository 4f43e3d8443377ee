"""``kill``: the process dies at once, its machine lives on. Its ports refuse from that instant: a *loud* failure.

``recovery``: ``restart`` (the harness starts it again after the schedule's ``for``), ``policy`` (the runtime's own restart
policy must act), ``none`` (it stays dead to the end of the run).

``process: serving`` spares the node's main process, a supervisor or a master of workers, and kills what listens for it. The harness brings
nothing back then: the main process must, and the fault is gone when the node answers again.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Sequence
from contextlib import ExitStack
from typing import ClassVar, Literal

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Evidence, Status, Victims
from chaos.faults.base import evidence as proof
from chaos.faults.base.nodes import HEALED_ALIVE, NodeFault, Struck, start_dead
from chaos.plugin import KillsServing, Node, Scene


class Kill(NodeFault, frozen=True, forbid_unknown_fields=True):
    """What to send, and what brings the node back."""

    signal: Literal["KILL", "TERM", "ABRT", "SEGV", "INT", "QUIT", "HUP"] = "KILL"
    recovery: Literal["restart", "policy", "none"] = "restart"
    process: Literal["main", "serving"] = "main"

    leader: ClassVar[Literal["ends"]] = "ends"
    awaits: ClassVar[Literal["restart"]] = "restart"
    drawn: ClassVar[tuple[str, ...]] = ("{}",)
    by_hand: ClassVar[str] = f"Start the process again with the same data and address. {HEALED_ALIVE}"

    def __post_init__(self) -> None:
        """What the node's own main process starts again is nobody else's to start, or to leave dead."""
        if self.process == "serving" and self.recovery != "restart":
            raise ValueError(f"with 'process: serving' the node's main process starts it again: 'recovery: {self.recovery}' has no meaning")

    @property
    def needs(self) -> frozenset[Capability]:
        """Signals; and that whoever is to start it again does, and nobody else."""
        by_whom = Capability.RESTART_POLICY if self.recovery == "policy" else Capability.STARTS
        return frozenset({Capability.SIGNALS, Capability.SERVING if self.process == "serving" else by_whom})

    @property
    def endless(self) -> bool:
        """It stays dead."""
        return self.recovery == "none"

    @property
    def revival(self) -> str:
        """As it is written; of a process whose node lives on it is no choice."""
        return self.recovery if self.process == "main" else ""

    @property
    def mechanism(self) -> str:
        """The signal."""
        return f"SIG{self.signal}" + (" to the serving process" if self.process == "serving" else "")

    @property
    def struck(self) -> str:
        """The signal."""
        return self.mechanism

    @property
    def certain(self) -> bool:
        """A restart policy may have been quicker than we look, and so may a supervisor."""
        return self.recovery != "policy" and self.process == "main"

    def hit(self, node: Node) -> int:
        """Its death."""
        number = signals.Signals[f"SIG{self.signal}"]
        if self.process == "main":
            return node.kill(number)
        return _beside(node).kill_serving(number)

    def strike(self, scene: Scene, nodes: Sequence[str], undo: ExitStack) -> Struck:
        """Who died beside a main process that lives on is told by number."""
        if self.process == "main":
            return super().strike(scene, nodes, undo)
        figures: proof.Figures = {f"{name}.killed": _running(scene, name) for name in nodes}
        return msgspec.structs.replace(super().strike(scene, nodes, undo), figures=figures)

    def gone(self, scene: Scene, victims: Victims) -> Evidence:
        """The node answers; where its main process lived on, by another process."""
        found = super().gone(scene, victims)
        if self.process == "main":
            return found
        serving: proof.Figures = {f"{name}.serves": _running(scene, name) for name in victims.nodes}
        return Evidence(ok=found.ok, figures=found.figures | serving, why=found.why)

    def bring_back(self, scene: Scene, nodes: Sequence[str]) -> list[int]:
        """Only where it is ours to start it again; of a process beside the main one nothing of ours is in force any more."""
        if self.process == "serving":
            return [scene.clock.now_ns()]
        return start_dead(scene, nodes) if self.recovery == "restart" else []


def _beside(node: Node) -> KillsServing:
    if not isinstance(node, KillsServing):
        raise FaultNotEffective(f"of {node.info.name} no process can be told from its main one on this runtime")
    return node


def _running(scene: Scene, name: str) -> str:
    """The processes that serve, in words."""
    node = scene.cluster.nodes[name]
    pids = _beside(node).serving() if node.status() is Status.UP else ()
    return ", ".join(f"process {pid}" for pid in pids)
