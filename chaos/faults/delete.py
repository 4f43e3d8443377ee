"""``delete``: the node is given up through whoever runs it, who then makes another in its place: a pod is deleted.

    delete: {}                   as its own grace says: it is asked to end, leaves the name, and is killed when the grace is over
    delete: {grace: 2s}          with another grace
    delete: {forced: true}       at once: killed, and forgotten before its machine says that it is gone

What drains of a machine, rolling updates and autoscalers do to a pod. The next one has another address, perhaps another machine, and
what was kept outside of it. The harness takes nothing back: the fault is gone when the node answers again, in its new place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.units import Seconds
from chaos.core.values import Evidence, Victims
from chaos.faults.base.nodes import NodeFault
from chaos.plugin import Deletable, Node, Scene


class Delete(NodeFault, frozen=True, forbid_unknown_fields=True):
    """How long it may take to end; none: as it says itself."""

    grace_s: Seconds | None = None
    forced: bool = False

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.DELETES})
    leader: ClassVar[Literal["ends"]] = "ends"
    awaits: ClassVar[Literal["restart"]] = "restart"
    polite: ClassVar[bool] = True
    struck: ClassVar[str] = "it was deleted"
    certain: ClassVar[bool] = False  # the next one may answer before we look
    by_hand: ClassVar[str] = "Nothing is to be taken back. It is healed when another pod runs in its place and answers."

    def __post_init__(self) -> None:
        """A pod that is killed at once is given no time to end."""
        if self.forced and self.grace_s is not None:
            raise ValueError("'forced' is without any grace: leave 'grace' out")

    @property
    def ends_within_s(self) -> float | None:
        """One that is deleted at once is asked nothing."""
        return 0.0 if self.forced else self.grace_s

    @property
    def mechanism(self) -> str:
        """For the report."""
        if self.forced:
            return "deleted at once (grace 0)"
        return "deleted with its own grace" if self.grace_s is None else f"deleted with a grace of {self.grace_s:g} s"

    def hit(self, node: Node) -> int:
        """When the deletion was ordered; it is dead then, or has been asked to end."""
        if not isinstance(node, Deletable):
            raise FaultNotEffective(f"{node.info.name} cannot be deleted by this runtime")
        return node.delete(self.ends_within_s)

    def gone(self, scene: Scene, victims: Victims) -> Evidence:
        """Others stand in their places, and answer: one that is asked to end may answer for long."""
        seen = super().gone(scene, victims)
        nodes = scene.cluster.nodes
        waits = [name for name in victims.nodes if not _replaced(nodes[name])]
        if not waits:
            return seen
        return Evidence(ok=False, figures=seen.figures, why=f"no other pod is ready in the place of {', '.join(waits)}")

    def bring_back(self, scene: Scene, nodes: Sequence[str]) -> list[int]:
        """Nobody of us does."""
        del scene, nodes
        return []


def _replaced(node: Node) -> bool:
    return isinstance(node, Deletable) and node.replaced()
