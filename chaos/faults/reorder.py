"""``reorder``: each packet of a link overtakes those before it with the probability ``percent``, one way.

All packets are held back by ``delay``, but for those that overtake, which are sent at once. Models several ways to one place: TCP takes
what overtakes for a sign of loss and sends again what was only late. Netem does it, so it needs a kernel that has netem.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.core.units import Seconds
from chaos.core.values import Link, Shaping, Train
from chaos.faults.base import packets as trains

LEAST_DELAY_S = 0.005
"""A train must have its packets nearer to each other than this, or there is nothing to overtake."""
MOST_DELAY_S = 0.25


class Reorder(trains.PacketFault, frozen=True, forbid_unknown_fields=True):
    """How many, by how much, and between whom if nodes are the target: ``to`` them, ``from`` them or both."""

    delay_s: Seconds = 0.02

    what: ClassVar[str] = "reorder"
    word: ClassVar[str] = "early"

    def __post_init__(self) -> None:
        """What could not be proven is refused."""
        super().__post_init__()
        if not LEAST_DELAY_S <= self.delay_s <= MOST_DELAY_S:
            raise ValueError(f"a 'delay' of {LEAST_DELAY_S * 1e3:g}ms to {MOST_DELAY_S * 1e3:g}ms can be shown to be overtaken")

    def rule(self, link: Link) -> Shaping:
        """What does not overtake is held back."""
        return Shaping(link, "reorder", self.percent, self.correlation, delay_s=self.delay_s)

    def count(self, train: Train) -> trains.Counted:
        """Those that came before one that was sent earlier."""
        return trains.Counted(train.early, train.arrived)
