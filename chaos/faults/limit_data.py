"""``limit_data``: a connection is closed after ``bytes`` have passed it in that direction. Short answers are whole, long ones torn.

Models middleboxes and proxies that cut long streams: snapshots, dumps and watches break where questions do not.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.core.units import Bytes
from chaos.core.values import Link
from chaos.faults.base import streams as toxics
from chaos.plugin import Scene

MORE_BYTES = 16_384
"""A measured transfer is longer than the limit by so much."""
TIMEOUT_S = 5.0


class LimitData(toxics.StreamFault, frozen=True, forbid_unknown_fields=True):
    """How much passes before the close, which way."""

    bytes_bytes: Bytes

    toxic: ClassVar[str] = "limit_data"

    @property
    def attributes(self) -> dict[str, float]:
        """As Toxiproxy takes them."""
        return {"bytes": float(self.bytes_bytes)}

    @property
    def unharmed(self) -> str:
        """What was seen instead."""
        return f"more than {self.bytes_bytes} bytes passed"

    def look(self, scene: Scene, link: Link) -> toxics.Seen:
        """Of a longer transfer just so much may arrive, and then the close."""
        figures, _ = toxics.round_trip(scene, link)
        whole = self.bytes_bytes + MORE_BYTES
        torn = []
        for stream in toxics.streams(self.stream):
            seen = toxics.passage(scene, link, stream, whole, TIMEOUT_S)
            figures[f"{link}.{stream}_bytes"] = float(seen.bytes)
            torn.append(seen.bytes <= self.bytes_bytes and seen.ended in {"closed", "reset"})
        return toxics.Seen(all(torn), figures)
