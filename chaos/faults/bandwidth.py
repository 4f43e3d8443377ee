"""``bandwidth``: at most ``rate`` bytes a second pass, each way by itself. Small questions hardly notice, bulk does.

Models a thin or crowded line: replication and snapshots fall behind while health checks stay green. Of streams (``level: streams``) the
limit is one of each connection, not of the line: ten connections get ten times as much; Toxiproxy counts in whole KB/s, of 1,000 bytes.
With ``level: packets`` it is the line's: all packets between the two ends, headers included, share one token bucket of the kernel, where
they leave. What is more than a quarter of a second's worth in front of it is lost, as at any thin line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.core.units import BytesPerSecond
from chaos.core.values import Link, Shaping, Toxic, Victims
from chaos.faults.base import packets as trains
from chaos.faults.base import streams as toxics
from chaos.plugin import Scene

KB = 1000.0
TRANSFER_S = 0.4
"""A measured transfer takes about so long at the asked rate, between these sizes."""
LINE_TRANSFER_S = 1.0
"""Over a line, of which the first quarter only fills the bucket and is not measured."""
LEAST_BYTES = 2_000
LINE_LEAST_BYTES = 16_000
LINE_MOST_BYTES = 16_000_000
MOST_BYTES = 4_000_000
MOST = 1.25
"""A rate above the asked one by this factor is not the asked one."""


class Bandwidth(toxics.StreamFault, frozen=True, forbid_unknown_fields=True):
    """How much passes, which way."""

    rate_bytes_per_s: BytesPerSecond
    level: Literal["streams", "packets"] = "streams"

    toxic: ClassVar[str] = "bandwidth"
    by_hand: ClassVar[str] = f"{toxics.TOXIC_BY_HAND} It is healed when a transfer is as fast as before."

    def __post_init__(self) -> None:
        """Toxiproxy knows nothing slower, and takes 0 for a line that is dead."""
        if self.rate_bytes_per_s < KB:
            raise ValueError("a rate below 1KB/s cannot be set")
        if self.level == "packets" and (self.toxicity, self.existing) != (1.0, "keep"):
            raise ValueError("'toxicity' and 'existing' are about connections, and 'level: packets' is about a whole line")
        if self.level == "packets" and self.port:
            raise ValueError("'port' is about connections, and 'level: packets' is about a whole line")

    @property
    def attributes(self) -> dict[str, float]:
        """Toxiproxy's KB have 1,000 bytes."""
        return {"rate": self.rate_bytes_per_s / KB}

    @property
    def unharmed(self) -> str:
        """More than asked is not harmed enough."""
        return f"more than {self.rate_bytes_per_s:g} bytes/s passed"

    @property
    def needs(self) -> frozenset[Capability]:
        """Packets, for the line's."""
        return frozenset({Capability.PACKET_RULES if self.level == "packets" else Capability.STREAMS, *toxics.of_port(self.port)})

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Toxic | Shaping, ...]:
        """One a link and direction of its stream."""
        if self.level == "packets":
            ways = sorted({way for link in victims.links for way in trains.directed(link, self.stream)})
            return tuple(Shaping(way, "rate", self.rate_bytes_per_s) for way in ways)
        return super().rules(victims, nodes)

    def look(self, scene: Scene, link: Link) -> toxics.Seen:
        """A transfer must take as long as the rate says."""
        figures, _ = toxics.round_trip(scene, link)
        if self.level == "packets":
            return self._look_at_line(scene, link, figures)
        size = round(min(max(self.rate_bytes_per_s * TRANSFER_S, LEAST_BYTES), MOST_BYTES))
        rates = []
        for stream in toxics.streams(self.stream):
            seen = toxics.passage(scene, link, stream, size, 1.0 + 2 * size / self.rate_bytes_per_s)
            figures[f"{link}.{stream}_rate_bytes_per_s"] = seen.rate_bytes_per_s
            rates.append(seen.rate_bytes_per_s)
        slow = all(rate is not None and rate <= self.rate_bytes_per_s * MOST for rate in rates)
        return toxics.Seen(slow, figures)

    def _look_at_line(self, scene: Scene, link: Link, figures: dict[str, float | str | None]) -> toxics.Seen:
        size = round(min(max(self.rate_bytes_per_s * LINE_TRANSFER_S, LINE_LEAST_BYTES), LINE_MOST_BYTES))
        rates = []
        for way, stream in zip(trains.directed(link, self.stream), toxics.streams(self.stream), strict=True):
            seen = trains.flow(scene, way, size, 1.0 + 2 * size / self.rate_bytes_per_s)
            figures[f"{link}.{stream}_rate_bytes_per_s"] = seen.rate_bytes_per_s
            rates.append(seen.rate_bytes_per_s)
        return toxics.Seen(all(rate is not None and rate <= self.rate_bytes_per_s * MOST for rate in rates), figures)
