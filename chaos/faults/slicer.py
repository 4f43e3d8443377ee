"""``slicer``: what passes is cut into small pieces of ``average_size`` plus or minus ``size_variation``, each ``delay`` after the last.

Models lines and proxies that tear messages: readers that take one read for one message break, and long answers come late. The
delay is Toxiproxy's, in whole microseconds; it halves what it slices until the pieces are small enough, so that most of them are
smaller than ``average_size``.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.core.units import Bytes, Seconds
from chaos.core.values import Link
from chaos.faults.base import streams as toxics
from chaos.plugin import Scene

PIECES = 20
"""A measured transfer is so many average pieces long; the reader must see at least so many, though it may get several at once."""
LEAST_PIECES = 3
LEAST_DELAY_S = 50e-6


class Slicer(toxics.StreamFault, frozen=True, forbid_unknown_fields=True):
    """How small, how slow, which way."""

    average_size_bytes: Bytes = 64
    size_variation_bytes: Bytes = 0
    delay_s: Seconds = 0.001

    toxic: ClassVar[str] = "slicer"

    def __post_init__(self) -> None:
        """Toxiproxy draws sizes evenly from this range, and never cuts off nothing."""
        if not self.size_variation_bytes < self.average_size_bytes:
            raise ValueError("'size_variation' must be less than 'average_size', which is at least 1B")
        if self.delay_s < LEAST_DELAY_S:
            raise ValueError("a 'delay' below 50us: pieces without a pause between them are one again when they are read")

    @property
    def attributes(self) -> dict[str, float]:
        """As Toxiproxy takes them."""
        sizes = {"average_size": float(self.average_size_bytes), "size_variation": float(self.size_variation_bytes)}
        return sizes | {"delay": self.delay_s * 1e6}

    @property
    def unharmed(self) -> str:
        """What was seen instead."""
        return "a transfer was not sliced"

    def look(self, scene: Scene, link: Link) -> toxics.Seen:
        """A transfer must come in more pieces than it was sent in, and as late as the pieces say."""
        figures, _ = toxics.round_trip(scene, link, toxics.PING_TIMEOUT_S + PIECES * self.delay_s)
        sliced = []
        for stream in toxics.streams(self.stream):
            seen = toxics.passage(scene, link, stream, PIECES * self.average_size_bytes, 2.0 + 2 * PIECES * self.delay_s)
            figures[f"{link}.{stream}_pieces"] = float(seen.pieces)
            figures[f"{link}.{stream}_last_s"] = seen.last_s
            late = seen.last_s is not None and seen.last_s >= 0.8 * (PIECES - 1) * self.delay_s
            sliced.append(seen.pieces >= LEAST_PIECES and late)
        return toxics.Seen(all(sliced), figures)
