"""What the faults by stream toxics share: fields, rules for the links, a look at each link before, during and after, and the proof.

A look tells two things: the figures for the report, and whether the link shows the harm. With a toxicity below 100 % each
connection is hit by chance, so that a single look proves nothing either way; then the figures stand as they are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective, NinesError
from chaos.core.units import Ratio, Seconds
from chaos.core.values import Evidence, Link, Passage, Rule, Shaping, Toxic, Victims
from chaos.faults.base import evidence as proof
from chaos.plugin import Effect, Fault, Gauge, Reference, Scene

Stream = Literal["downstream", "upstream", "both"]
Existing = Literal["keep", "cut"]

PING_TIMEOUT_S = 0.3
TOXIC_BY_HAND = "Delete the toxic from the proxies of the links (Toxiproxy: `DELETE /proxies/<name>/toxics/<toxic>`)."
PROXY_BY_HAND = 'of the links again (Toxiproxy: `POST /proxies/<name>`, `{"enabled": true}`).'


class Seen(msgspec.Struct, frozen=True):
    """One look at one link."""

    harmed: bool
    figures: proof.Figures


Look = Callable[[Scene, Link], Seen]


def streams(stream: Stream) -> tuple[str, ...]:
    """The directions that a fault is about."""
    return ("downstream", "upstream") if stream == "both" else (stream,)


class StreamFault(Fault, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which way, to how many of the connections, and whether to those that are open already."""

    stream: Stream = "downstream"
    toxicity: Ratio = 1.0
    existing: Existing = "keep"
    port: str = ""

    takes: ClassVar[tuple[str, ...]] = ("links",)
    unpredicted: ClassVar[str] = "it depends on how much the system sends over a connection"
    toxic: ClassVar[str]
    """Toxiproxy's word."""

    @property
    @abstractmethod
    def attributes(self) -> dict[str, float]:
        """Of the toxic, as Toxiproxy takes them."""

    @property
    @abstractmethod
    def unharmed(self) -> str:
        """What is said of links that show nothing; ``on n1 -> n2`` follows."""

    @abstractmethod
    def look(self, scene: Scene, link: Link) -> Seen:
        """At one link."""

    @property
    def needs(self) -> frozenset[Capability]:
        """Somebody who sends bytes through the link and sees what becomes of them; a round trip does not show it."""
        return frozenset({Capability.STREAMS, *of_port(self.port)})

    @property
    def names(self) -> tuple[Reference, ...]:
        """The port is one of each node at the end of a link."""
        return port_named(self.port)

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Toxic | Shaping, ...]:  # noqa: ARG002 - links are named already
        """One toxic a link and direction of its stream."""
        return tuple(
            Toxic(link, self.toxic, self.attributes, each, self.toxicity, self.existing, self.port)
            for link in victims.links
            for each in streams(self.stream)
        )

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Put the toxics in force; a look at every link must show it."""
        links = [link.at(self.port) for link in victims.links]
        with harm(scene, links, self.rules(victims, ()), self.look, self.unharmed, certain=self.toxicity >= 1) as effect:
            yield effect


class TimedFault(StreamFault, frozen=True, forbid_unknown_fields=True):
    """And how long after the first data of a connection."""

    timeout_s: Seconds = 0.0

    @property
    def attributes(self) -> dict[str, float]:
        """In ms."""
        return {"timeout": self.timeout_s * 1e3}

    @property
    def needs(self) -> frozenset[Capability]:
        """A round trip shows what begins at once; only real connections have first data."""
        return frozenset({Capability.STREAMS if self.timeout_s > 0 else Capability.LINKS, *of_port(self.port)})


def of_port(port: str, *, cut: bool = False) -> tuple[Capability, ...]:
    """What a fault needs beside, if it is about one port only."""
    return () if not port else (Capability.PORT_CUTS if cut else Capability.PORTS,)


def port_named(port: str) -> tuple[Reference, ...]:
    """What it calls by name then."""
    return (Reference("port", "port", port),) if port else ()


@contextmanager
def harm(scene: Scene, links: Sequence[Link], orders: Sequence[Rule], look: Look, what: str, *, certain: bool) -> Iterator[Effect]:
    """Put the rules in force and prove it by a look at each link; ``what`` ends the sentence about those that show nothing.

    ``certain`` false (toxicity below 100 %): the looks are reported and prove nothing.
    """
    before = proof.at_once(links, lambda link: look(scene, link))
    with scene.undo.intent("restore", ", ".join(map(str, links))):
        with scene.cluster.net.layer(orders) as layer:
            during = proof.at_once(links, lambda link: look(scene, link))
            well = [str(link) for link, seen in during.items() if not seen.harmed]
            if well and certain:
                raise FaultNotEffective(f"{what} on {', '.join(well)}")
            effect = Effect(
                layer.effective_at_ns, layer.mechanism, _figures(before), _figures(during), lambda: _gone(scene, links, look, before)
            )
            yield effect
        effect.healed_at_ns = layer.healed_at_ns or scene.clock.now_ns()


def _gone(scene: Scene, links: Sequence[Link], look: Look, before: dict[Link, Seen]) -> Evidence:
    try:
        after = proof.at_once(links, lambda link: look(scene, link))
    except FaultNotEffective as error:
        return Evidence(False, {}, str(error))  # asked again: what cannot be measured now may be a moment later
    # One that looked like this before it was harmed (its node was down by another fault) cannot be asked to look better now.
    still = [str(link) for link, seen in after.items() if seen.harmed and not before[link].harmed]
    return Evidence(not still, _figures(after), f"still harmed: {', '.join(still)}" if still else "")


def round_trip(scene: Scene, link: Link, timeout_s: float = PING_TIMEOUT_S) -> tuple[proof.Figures, str | None]:
    """One question over the link itself: its figures, and what went wrong with it."""
    trip = scene.cluster.net.measure(link, timeout_s)
    return proof.link_figures({link: [trip]}), trip.error if trip.rtt_s is None else None


def passage(scene: Scene, link: Link, stream: str, size_bytes: int, timeout_s: float) -> Passage:
    """Bytes of ours through the link's harm."""
    net = scene.cluster.net
    if not isinstance(net, Gauge):
        raise FaultNotEffective(f"nothing here can send bytes through {link}, so what it does could not be seen")
    try:
        return net.passage(link, stream, size_bytes, timeout_s)
    except NinesError as error:
        raise FaultNotEffective(f"what passes {link} could not be measured: {error}") from error


def _figures(seen: dict[Link, Seen]) -> proof.Figures:
    return {name: value for each in seen.values() for name, value in each.figures.items()}
