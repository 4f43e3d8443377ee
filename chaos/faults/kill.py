"""``kill``: the process dies at once, its machine lives on. Its ports refuse from that instant: a *loud* failure.

``recovery``: ``restart`` (the harness starts it again after the schedule's ``for``), ``policy`` (the runtime's own restart
policy must act), ``none`` (it stays dead to the end of the run).
"""

from __future__ import annotations

import signal as signals
from collections.abc import Sequence
from typing import ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.faults.base.nodes import HEALED_ALIVE, NodeFault, start_dead
from chaos.plugin import Node, Scene


class Kill(NodeFault, frozen=True, forbid_unknown_fields=True):
    """What to send, and what brings the node back."""

    signal: Literal["KILL", "TERM", "ABRT", "SEGV", "INT", "QUIT", "HUP"] = "KILL"
    recovery: Literal["restart", "policy", "none"] = "restart"
    process: Literal["main"] = "main"

    leader: ClassVar[Literal["ends"]] = "ends"
    awaits: ClassVar[Literal["restart"]] = "restart"
    by_hand: ClassVar[str] = f"Start the process again with the same data and address. {HEALED_ALIVE}"

    @property
    def needs(self) -> frozenset[Capability]:
        """Signals; and where it is the runtime's to start it again, that it does."""
        return frozenset({Capability.SIGNALS, *([Capability.RESTART_POLICY] if self.recovery == "policy" else [])})

    @property
    def endless(self) -> bool:
        """It stays dead."""
        return self.recovery == "none"

    @property
    def revival(self) -> str:
        """As it is written."""
        return self.recovery

    @property
    def mechanism(self) -> str:
        """The signal."""
        return f"SIG{self.signal}"

    @property
    def struck(self) -> str:
        """The signal."""
        return self.mechanism

    @property
    def certain(self) -> bool:
        """A restart policy may have been quicker than we look."""
        return self.recovery != "policy"

    def hit(self, node: Node) -> int:
        """Its death."""
        return node.kill(signals.Signals[self.mechanism])

    def bring_back(self, scene: Scene, nodes: Sequence[str]) -> list[int]:
        """Only where it is ours to start it again."""
        return start_dead(scene, nodes) if self.recovery == "restart" else []
