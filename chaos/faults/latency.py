"""``latency``: every chunk of the byte stream is late by ``latency`` plus U(-jitter, +jitter), once per direction of the stream.

``stream: downstream`` (the default) delays answers, so a round trip costs the latency once; ``both`` delays it twice. Toxiproxy
delays data, not the handshake and not the close. Removing it releases what it held, early: the healing edge is smeared by up to
the latency.

With ``level: packets`` netem delays every packet of the line, handshakes too, where it leaves; it knows other distributions than the
uniform one, and delays that hang together (``correlation``), so either of these asks for it. It needs a kernel that has netem.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.units import Ratio, Seconds
from chaos.core.values import TIMERS_LATE_S, Evidence, Link, RoundTrip, Shaping, Toxic, Victims
from chaos.faults.base import evidence as proof
from chaos.faults.base import packets as trains
from chaos.faults.base.streams import TOXIC_BY_HAND, of_port, port_named
from chaos.plugin import Effect, Fault, Reference, Scene

FEWEST, MOST = 3, 15
"""Round trips measured on each link; the median is the figure."""
MEASURED_S = 0.5
"""They may take about so long together. A busy machine adds milliseconds by chance: the shorter the delay, the more must be measured."""
ROUNDING = 1e-6


class Latency(Fault, frozen=True, forbid_unknown_fields=True):
    """How late, how evenly, which way."""

    latency_s: Seconds
    jitter_s: Seconds = 0.0
    stream: Literal["downstream", "upstream", "both"] = "downstream"
    toxicity: Ratio = 1.0
    existing: Literal["keep", "cut"] = "keep"
    level: Literal["streams", "packets"] = "streams"
    distribution: Literal["uniform", "normal", "pareto", "paretonormal"] = "uniform"
    correlation: Ratio = 0.0
    port: str = ""

    takes: ClassVar[tuple[str, ...]] = ("links",)
    drawn: ClassVar[tuple[str, ...]] = ("{latency: 50ms}", "{latency: 500ms}")
    by_hand: ClassVar[str] = f"{TOXIC_BY_HAND} It is healed when a round trip is as short as before."

    def __post_init__(self) -> None:
        """Fields that would say nothing together are refused, and what Toxiproxy would round."""
        if not self.packets and any(abs(each * 1e3 - round(each * 1e3)) > ROUNDING for each in (self.latency_s, self.jitter_s)):
            raise ValueError("Toxiproxy delays by whole milliseconds: round 'latency' and 'jitter', or say 'level: packets'")
        if self.packets and (self.toxicity, self.existing) != (1.0, "keep"):
            raise ValueError("'toxicity' and 'existing' are about connections, and netem delays all packets of a line")
        if self.packets and self.port:
            raise ValueError("'port' is about connections, and netem delays all packets of a line")
        if (self.distribution != "uniform" or self.correlation) and not self.jitter_s:
            raise ValueError("'distribution' and 'correlation' say how the 'jitter' is drawn, and there is none")

    @property
    def packets(self) -> bool:
        """It is done to packets, not to streams."""
        return self.level == "packets" or self.distribution != "uniform" or self.correlation > 0

    @property
    def needs(self) -> frozenset[Capability]:
        """Links that can be proxied; of packets, those."""
        return frozenset({Capability.PACKET_RULES if self.packets else Capability.LINKS, *of_port(self.port)})

    @property
    def names(self) -> tuple[Reference, ...]:
        """The port is one of each node at the end of a link."""
        return port_named(self.port)

    @property
    def added_s(self) -> float:
        """What one round trip gains on average."""
        return self.latency_s * self._ways

    @property
    def _ways(self) -> int:
        return 2 if self.stream == "both" else 1

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Toxic | Shaping, ...]:  # noqa: ARG002 - links are named already
        """One a link and direction of its stream."""
        if self.packets:
            table = "" if self.distribution == "uniform" else self.distribution
            ways = sorted({way for link in victims.links for way in trains.directed(link, self.stream)})
            return tuple(Shaping(way, "delay", self.latency_s, self.correlation, self.jitter_s, table) for way in ways)
        streams = ("downstream", "upstream") if self.stream == "both" else (self.stream,)
        attributes = {"latency": self.latency_s * 1e3, "jitter": self.jitter_s * 1e3}
        return tuple(
            Toxic(link, "latency", attributes, stream, self.toxicity, self.existing, self.port)
            for link in victims.links
            for stream in streams
        )

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Delay; round trips on every link must have grown by about what was asked."""
        links = [link.at(self.port) for link in victims.links]
        before_trips = proof.ask_links(scene.cluster.net, links, self._timeout_s, MOST)
        before = proof.link_figures(before_trips)
        usual_s = {link: self._typical_s(trips) for link, trips in before_trips.items()}
        with scene.undo.intent("restore", ", ".join(map(str, links))):
            with scene.cluster.net.layer(self.rules(victims, list(scene.cluster.nodes))) as layer:
                answers = proof.ask_links(scene.cluster.net, links, self._timeout_s, self._repeat)
                untouched = [
                    self._told(link, usual_s[link], trips) for link, trips in answers.items() if not self._slowed(usual_s[link], trips)
                ]
                if untouched and self.toxicity >= 1:
                    raise FaultNotEffective(f"round trips did not grow by {self.added_s * 1e3:g} ms on {', '.join(untouched)}")
                during = proof.link_figures(answers) | self._added(usual_s, answers)
                effect = Effect(layer.effective_at_ns, layer.mechanism, before, during, lambda: self._gone(scene, links, usual_s))
                yield effect
            effect.healed_at_ns = layer.healed_at_ns or scene.clock.now_ns()

    @property
    def _timeout_s(self) -> float:
        return 0.25 + 2 * (self.added_s + self.jitter_s)

    @property
    def _repeat(self) -> int:
        return MOST if not self.added_s else min(max(round(MEASURED_S / self.added_s), FEWEST), MOST)

    def _typical_s(self, trips: Sequence[RoundTrip]) -> float | None:
        """What proves the fault: without jitter the shortest, since all that a busy machine does is to add."""
        if self.jitter_s > 0:
            return proof.median_rtt_s(trips)
        return min((trip.rtt_s for trip in trips if trip.rtt_s is not None), default=None)

    def _added(self, usual_s: dict[Link, float | None], answers: dict[Link, list[RoundTrip]]) -> proof.Figures:
        """What came to be of the order: by how much a round trip is longer than before it."""
        found: proof.Figures = {}
        for link, trips in answers.items():
            before_s, during_s = usual_s[link], self._typical_s(trips)
            found[f"{link}.added_s"] = during_s - before_s if before_s is not None and during_s is not None else None
        return found

    def _told(self, link: Link, usual_s: float | None, trips: Sequence[RoundTrip]) -> str:
        found_s = self._typical_s(trips)
        shown = ["no answer" if each is None else f"{each * 1e3:.1f} ms" for each in (usual_s, found_s)]
        return f"{link} (before {shown[0]}, then {shown[1]})"

    def _slowed(self, usual_s: float | None, trips: Sequence[RoundTrip]) -> bool:
        rtt_s = self._typical_s(trips)
        if rtt_s is None or usual_s is None:
            return False
        # What the timers of Toxiproxy are late on average is taken off the order, so that the shortest trip may be short of it.
        spare_s = self.jitter_s + self._ways * TIMERS_LATE_S
        return rtt_s - usual_s >= max(self.added_s - spare_s, 0.5 * self.added_s) * 0.8

    def _gone(self, scene: Scene, links: list[Link], usual_s: dict[Link, float | None]) -> Evidence:
        answers = proof.ask_links(scene.cluster.net, links, self._timeout_s, self._repeat)
        still = [
            str(link)
            for link, trips in answers.items()
            if (rtt_s := self._typical_s(trips)) is None or rtt_s - (usual_s[link] or 0.0) > 0.5 * self.added_s
        ]
        return Evidence(ok=not still, figures=proof.link_figures(answers), why=f"still slow: {', '.join(still)}" if still else "")
