"""``reset_peer``: connections are reset (RST), ``timeout`` after the first data on them. A loud failure in the middle of a question.

Models firewalls and balancers that drop state, and crashed peers. Open connections are closed in order rather than reset, since
Toxiproxy decides about a reset when a connection begins: with ``existing: cut`` all of them meet it.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.core.values import Link
from chaos.faults.base import streams as toxics
from chaos.plugin import Scene


class ResetPeer(toxics.TimedFault, frozen=True, forbid_unknown_fields=True):
    """After how long, which way the data goes that wakes it."""

    toxic: ClassVar[str] = "reset_peer"
    virtual: ClassVar[str] = "reset at once"

    @property
    def unharmed(self) -> str:
        """What was seen instead."""
        return "connections were not reset"

    def look(self, scene: Scene, link: Link) -> toxics.Seen:
        """A question must meet it."""
        figures, error = toxics.round_trip(scene, link, toxics.PING_TIMEOUT_S + self.timeout_s)
        return toxics.Seen(error is not None and "timed out" not in error, figures)
