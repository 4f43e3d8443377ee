"""``corrupt``: in each packet of a link one bit is turned over with the probability ``percent``, one way.

Models bad memory in a switch or a damaged cable. The checksums of TCP and UDP find almost all of it, so to the system it is mostly a
loss; what protects nothing of its own sees wrong data. Netem does it where packets leave, so it needs a kernel that has netem.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.core.values import Train
from chaos.faults.base import packets as trains


class Corrupt(trains.PacketFault, frozen=True, forbid_unknown_fields=True):
    """How many, and between whom if nodes are the target: ``to`` them, ``from`` them or both."""

    what: ClassVar[str] = "corrupt"
    word: ClassVar[str] = "damaged"

    def count(self, train: Train) -> trains.Counted:
        """Those that came wrong, without checksums, or not at all: a bit of its header, then."""
        return trains.Counted(train.sent - train.arrived, train.sent)
