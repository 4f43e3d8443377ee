"""``timeout``: no byte passes any more, and after ``timeout`` the connection is closed; 0 (the default) holds it until the fault ends.

Models a black hole behind a connect that works: new connections are accepted, questions or answers vanish. Only the close of
the other end still passes. When the fault ends, the connections it held are closed, not revived.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.core.values import Link
from chaos.faults.base import streams as toxics
from chaos.plugin import Scene


class Timeout(toxics.TimedFault, frozen=True, forbid_unknown_fields=True):
    """How long a connection is held, which way nothing passes."""

    toxic: ClassVar[str] = "timeout"
    virtual: ClassVar[str] = "held until the fault ends"

    @property
    def unharmed(self) -> str:
        """What was seen instead."""
        return "questions were still answered"

    def look(self, scene: Scene, link: Link) -> toxics.Seen:
        """No question may be answered."""
        figures, error = toxics.round_trip(scene, link)
        return toxics.Seen(error is not None, figures)
