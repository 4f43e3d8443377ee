"""``limit_data``: a connection is closed after ``bytes`` have passed it in that direction. Short answers are whole, long ones torn.

Models middleboxes and proxies that cut long streams: snapshots, dumps and watches break where questions do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import msgspec

from chaos import toxics
from chaos.kinds import Effect, Link, Scene, Toxic, Victims
from chaos.target import Target
from chaos.units import Bytes, Ratio

MORE_BYTES = 16_384
"""A measured transfer is longer than the limit by so much."""
TIMEOUT_S = 5.0


class LimitData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much passes before the close, which way."""

    bytes_bytes: Bytes
    stream: toxics.Stream = "downstream"
    toxicity: Ratio = 1.0
    existing: toxics.Existing = "keep"

    takes: ClassVar[tuple[str, ...]] = ("links",)
    takes_down: ClassVar[bool] = False

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - peer links are checked by the plan, which knows them
        """Needs somebody who can count what passes."""
        return toxics.missing_gauge(runtime)

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Toxic, ...]:  # noqa: ARG002 - links are named already
        """One toxic a link and direction of its stream."""
        return toxics.rules("limit_data", {"bytes": float(self.bytes_bytes)}, victims, self.stream, self.toxicity, self.existing)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Limit; of a longer transfer on every link just so much may arrive, and then the close."""
        orders = self.rules(victims, ())
        with toxics.harm(
            scene, victims.links, orders, self._look, f"more than {self.bytes_bytes} bytes passed", certain=self.toxicity >= 1
        ) as effect:
            yield effect

    def _look(self, scene: Scene, link: Link) -> toxics.Seen:
        figures, _ = toxics.round_trip(scene, link)
        whole = self.bytes_bytes + MORE_BYTES
        torn = []
        for stream in toxics.streams(self.stream):
            seen = toxics.passage(scene, link, stream, whole, TIMEOUT_S)
            figures[f"{link}.{stream}_bytes"] = float(seen.bytes)
            torn.append(seen.bytes <= self.bytes_bytes and seen.ended in {"closed", "reset"})
        return toxics.Seen(all(torn), figures)
