"""``pause``: the node is frozen. Its sockets stay open and its kernel still completes handshakes, but nothing ever answers.

Models a stalled virtual machine or a long stop-the-world pause: to clients a *silent* node, which costs each attempt its
whole time-out, where a killed process refuses at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from chaos.core.values import Status
from chaos.faults.base.nodes import NodeFault
from chaos.plugin import Node, Scene


class Pause(NodeFault, frozen=True, forbid_unknown_fields=True):
    """No fields."""

    hangs: ClassVar[bool] = True
    leader: ClassVar[Literal["outlasts"]] = "outlasts"
    awaits: ClassVar[Literal["resume"]] = "resume"
    undoes: ClassVar[str] = "resume"
    leaves: ClassVar[Status] = Status.PAUSED
    mechanism: ClassVar[str] = "SIGSTOP"
    struck: ClassVar[str] = "it was frozen"
    drawn: ClassVar[tuple[str, ...]] = ("{}",)
    by_hand: ClassVar[str] = "`kill -CONT <pid>` of the node's process. It is healed when it answers."

    def hit(self, node: Node) -> int:
        """Freeze it."""
        return node.pause()

    def bring_back(self, scene: Scene, nodes: Sequence[str]) -> list[int]:
        """Let those go on that are frozen."""
        frozen = [node for node in nodes if scene.cluster.nodes[node].status() is Status.PAUSED]
        return [scene.cluster.nodes[node].resume() for node in frozen]
