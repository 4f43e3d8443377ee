"""``stop``: the node is asked to end (SIGTERM), and killed if it has not after ``grace``. What an operator does, or a deployment.

A well-behaved system hands over before it goes: leadership to another replica, open requests to their answers. So it tests what
``kill`` cannot. The fault counts from the request on, since a node that is ending may refuse clients long before it is dead; the
schedule's ``for`` counts from there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import ClassVar, Literal

from chaos.core.units import Seconds
from chaos.faults.base import nodes as stopping
from chaos.plugin import Scene


class Stop(stopping.NodeFault, frozen=True, forbid_unknown_fields=True):
    """How long it may take to end by itself."""

    grace_s: Seconds = 10.0

    leader: ClassVar[Literal["ends"]] = "ends"
    awaits: ClassVar[Literal["restart"]] = "restart"
    polite: ClassVar[bool] = True
    struck: ClassVar[str] = "it was stopped"
    drawn: ClassVar[tuple[str, ...]] = ("{}",)
    by_hand: ClassVar[str] = f"Start the process again with the same data and address. {stopping.HEALED_ALIVE}"

    @property
    def ends_within_s(self) -> float | None:
        """Then SIGKILL."""
        return self.grace_s

    def strike(self, scene: Scene, nodes: Sequence[str], undo: ExitStack) -> stopping.Struck:
        """Ask all of them to end; since when the first was asked."""
        for node in nodes:
            undo.enter_context(scene.undo.intent(self.undoes, node))
        stopped = stopping.stop_all(scene, nodes, self.grace_s)
        asked_ns = min(each.asked_ns for each in stopped)
        return stopping.Struck(asked_ns, stopping.mechanism(stopped, self.grace_s), stopping.figures(stopped))
