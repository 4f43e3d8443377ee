"""``slow_close``: when one end closes its connection, the other end hears of it ``delay`` later. Data passes as ever.

Models connections that linger: pools that keep handing out dead connections, ends of streams that come late.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.core.units import Seconds
from chaos.core.values import Link
from chaos.faults.base import streams as toxics
from chaos.plugin import Scene


class SlowClose(toxics.StreamFault, frozen=True, forbid_unknown_fields=True):
    """How late, which end."""

    delay_s: Seconds

    toxic: ClassVar[str] = "slow_close"

    @property
    def attributes(self) -> dict[str, float]:
        """As Toxiproxy takes them."""
        return {"delay": self.delay_s * 1e3}

    @property
    def unharmed(self) -> str:
        """What was seen instead."""
        return "closes were not heard late"

    def look(self, scene: Scene, link: Link) -> toxics.Seen:
        """A close must be heard that late."""
        figures, _ = toxics.round_trip(scene, link)
        lags = []
        for stream in toxics.streams(self.stream):
            seen = toxics.passage(scene, link, stream, 1, self.delay_s + 1.0)
            figures[f"{link}.{stream}_close_s"] = seen.closing_s
            lags.append(seen.closing_s)
        return toxics.Seen(all(lag is not None and lag >= 0.8 * self.delay_s for lag in lags), figures)
