"""``loss``: each packet of a link is lost with the probability ``percent``, one way, TCP and UDP alike.

Models a bad line, a full buffer, a failing switch port: TCP sends again and slows down, so that small questions are late by a
retransmission time-out now and then, long before anything fails. Dice are thrown where packets arrive, by a packet rule; with
``correlation`` where they leave, by netem, if the kernel has it. Toxiproxy cannot do it: a stream has no packets.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.core import values as kinds
from chaos.core.values import Link, Shaping, Train
from chaos.faults.base import packets as trains


class Loss(trains.PacketFault, frozen=True, forbid_unknown_fields=True):
    """How many, and between whom if nodes are the target: ``to`` them, ``from`` them or both."""

    what: ClassVar[str] = "loss"
    word: ClassVar[str] = "lost"

    def rule(self, link: Link) -> Shaping | kinds.Loss:
        """Where packets arrive; dice that remember are netem's."""
        return super().rule(link) if self.correlation else kinds.Loss(link, self.percent)

    def count(self, train: Train) -> trains.Counted:
        """Those that are missing."""
        return trains.Counted(train.sent - train.arrived - train.damaged, train.sent)
