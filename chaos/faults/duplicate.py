"""``duplicate``: each packet of a link arrives twice with the probability ``percent``, one way.

Models routes that change and switches that learn: TCP throws the copies away and may take them for a sign of loss; what is built on
datagrams gets every copy. Netem does it where packets leave, so it needs a kernel that has netem.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.core.values import Train
from chaos.faults.base import packets as trains


class Duplicate(trains.PacketFault, frozen=True, forbid_unknown_fields=True):
    """How many, and between whom if nodes are the target: ``to`` them, ``from`` them or both."""

    what: ClassVar[str] = "duplicate"
    word: ClassVar[str] = "doubled"

    def count(self, train: Train) -> trains.Counted:
        """Those that came twice."""
        return trains.Counted(train.doubled, train.sent)
