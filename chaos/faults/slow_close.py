"""``slow_close``: when one end closes its connection, the other end hears of it ``delay`` later. Data passes as ever.

Models connections that linger: pools that keep handing out dead connections, ends of streams that come late.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import msgspec

from chaos import toxics
from chaos.kinds import Effect, Link, Scene, Toxic, Victims
from chaos.target import Target
from chaos.units import Ratio, Seconds


class SlowClose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How late, which end."""

    delay_s: Seconds
    stream: toxics.Stream = "downstream"
    toxicity: Ratio = 1.0
    existing: toxics.Existing = "keep"

    takes: ClassVar[tuple[str, ...]] = ("links",)
    takes_down: ClassVar[bool] = False

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - peer links are checked by the plan, which knows them
        """Needs somebody who can time a close."""
        return toxics.missing_gauge(runtime)

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Toxic, ...]:  # noqa: ARG002 - links are named already
        """One toxic a link and direction of its stream."""
        return toxics.rules("slow_close", {"delay": self.delay_s * 1e3}, victims, self.stream, self.toxicity, self.existing)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Delay; a close on every link must be heard that late."""
        orders = self.rules(victims, ())
        with toxics.harm(scene, victims.links, orders, self._look, "closes were not heard late", certain=self.toxicity >= 1) as effect:
            yield effect

    def _look(self, scene: Scene, link: Link) -> toxics.Seen:
        figures, _ = toxics.round_trip(scene, link)
        lags = []
        for stream in toxics.streams(self.stream):
            seen = toxics.passage(scene, link, stream, 1, self.delay_s + 1.0)
            figures[f"{link}.{stream}_close_s"] = seen.closing_s
            lags.append(seen.closing_s)
        return toxics.Seen(all(lag is not None and lag >= 0.8 * self.delay_s for lag in lags), figures)
