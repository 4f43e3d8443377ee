"""``latency``: every chunk of the byte stream is late by ``latency`` plus U(-jitter, +jitter), once per direction of the stream.

``stream: downstream`` (the default) delays answers, so a round trip costs the latency once; ``both`` delays it twice. Toxiproxy
delays data, not the handshake and not the close. Removing it releases what it held, early: the healing edge is smeared by up to
the latency.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

import msgspec

from chaos import proof
from chaos.errors import FaultNotEffective
from chaos.kinds import Effect, Evidence, Link, RoundTrip, Scene, Toxic, Victims
from chaos.target import Target
from chaos.units import Ratio, Seconds

REPEAT = 3
"""Round trips measured on each link; the median is the figure."""
REPEAT_SMALL = 9
SMALL_S = 0.05
"""Below so much a busy machine adds as much by chance as the fault does by order: then more of them are measured."""


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How late, how evenly, which way."""

    latency_s: Seconds
    jitter_s: Seconds = 0.0
    stream: Literal["downstream", "upstream", "both"] = "downstream"
    toxicity: Ratio = 1.0
    existing: Literal["keep", "cut"] = "keep"

    takes: ClassVar[tuple[str, ...]] = ("links",)
    takes_down: ClassVar[bool] = False

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - peer links are checked by the plan, which knows them
        """Works wherever links can be proxied."""
        return None

    @property
    def added_s(self) -> float:
        """What one round trip gains on average."""
        return self.latency_s * (2 if self.stream == "both" else 1)

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Toxic, ...]:  # noqa: ARG002 - links are named already
        """One toxic a link and direction of its stream."""
        streams = ("downstream", "upstream") if self.stream == "both" else (self.stream,)
        attributes = {"latency": self.latency_s * 1e3, "jitter": self.jitter_s * 1e3}
        return tuple(
            Toxic(link, "latency", attributes, stream, self.toxicity, self.existing) for link in victims.links for stream in streams
        )

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Delay; round trips on every link must have grown by about what was asked."""
        links = list(victims.links)
        before_trips = proof.ask_links(scene.cluster.net, links, self._timeout_s, self._repeat)
        before = proof.link_figures(before_trips)
        usual_s = {link: self._typical_s(trips) for link, trips in before_trips.items()}
        with scene.undo.intent("restore", ", ".join(map(str, links))):
            with scene.cluster.net.layer(self.rules(victims, list(scene.cluster.nodes))) as layer:
                answers = proof.ask_links(scene.cluster.net, links, self._timeout_s, self._repeat)
                untouched = [str(link) for link, trips in answers.items() if not self._slowed(usual_s[link], trips)]
                if untouched and self.toxicity >= 1:
                    raise FaultNotEffective(f"round trips did not grow by {self.added_s * 1e3:g} ms on {', '.join(untouched)}")
                effect = Effect(
                    layer.effective_at_ns,
                    layer.mechanism,
                    before,
                    proof.link_figures(answers),
                    lambda: self._gone(scene, links, usual_s),
                )
                yield effect
            effect.healed_at_ns = scene.clock.now_ns()

    @property
    def _timeout_s(self) -> float:
        return 0.25 + 2 * (self.added_s + self.jitter_s)

    @property
    def _repeat(self) -> int:
        return REPEAT if self.added_s >= SMALL_S else REPEAT_SMALL

    def _typical_s(self, trips: Sequence[RoundTrip]) -> float | None:
        """What proves the fault: without jitter the shortest, since all that a busy machine does is to add."""
        if self.jitter_s > 0:
            return proof.median_rtt_s(trips)
        return min((trip.rtt_s for trip in trips if trip.rtt_s is not None), default=None)

    def _slowed(self, usual_s: float | None, trips: Sequence[RoundTrip]) -> bool:
        rtt_s = self._typical_s(trips)
        if rtt_s is None or usual_s is None:
            return False
        return rtt_s - usual_s >= max(self.added_s - self.jitter_s, 0.5 * self.added_s) * 0.8

    def _gone(self, scene: Scene, links: list[Link], usual_s: dict[Link, float | None]) -> Evidence:
        answers = proof.ask_links(scene.cluster.net, links, self._timeout_s, self._repeat)
        still = [
            str(link)
            for link, trips in answers.items()
            if (rtt_s := self._typical_s(trips)) is None or rtt_s - (usual_s[link] or 0.0) > 0.5 * self.added_s
        ]
        return Evidence(ok=not still, figures=proof.link_figures(answers), why=f"still slow: {', '.join(still)}" if still else "")
