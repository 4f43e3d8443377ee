"""Harm to connections and their bytes: ends that come late or never, resets, pieces, torn streams, refusals. See ``base/streams.py``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

from chaos.core.capabilities import Capability
from chaos.core.units import Bytes, Seconds
from chaos.core.values import Cut, Link, Victims
from chaos.faults.base import streams as toxics
from chaos.plugin import Effect, Fault, Reference, Scene

PIECES = 20
"""A measured transfer is so many average pieces long; the reader must see at least so many, though it may get several at once."""
LEAST_PIECES = 3
LEAST_DELAY_S = 50e-6
MORE_BYTES = 16_384
"""A measured transfer is longer than the limit by so much."""
TIMEOUT_S = 5.0


class SlowClose(toxics.StreamFault, frozen=True, forbid_unknown_fields=True):
    """``slow_close``: when one end closes its connection, the other end hears of it ``delay`` later. Data passes as ever.
    How late, which end.

    Models connections that linger: pools that keep handing out dead connections, ends of streams that come late.
    """

    delay_s: Seconds

    toxic: ClassVar[str] = "slow_close"
    by_hand: ClassVar[str] = f"{toxics.TOXIC_BY_HAND} It is healed when a close is heard at once."

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


class Timeout(toxics.TimedFault, frozen=True, forbid_unknown_fields=True):
    """``timeout``: no byte passes any more, and after ``timeout`` the connection is closed; 0 (the default) holds it until the fault ends.
    How long a connection is held, which way nothing passes.

    Models a black hole behind a connect that works: new connections are accepted, questions or answers vanish. Only the close of
    the other end still passes. When the fault ends, the connections it held are closed, not revived.
    """

    toxic: ClassVar[str] = "timeout"
    unpredicted: ClassVar[str] = "only a part of the connections, or one way of a link between nodes, or less time than a client waits"
    by_hand: ClassVar[str] = f"{toxics.TOXIC_BY_HAND} It is healed when questions are answered; connections that it held are closed."

    @property
    def unharmed(self) -> str:
        """What was seen instead."""
        return "questions were still answered"

    def look(self, scene: Scene, link: Link) -> toxics.Seen:
        """No question may be answered."""
        figures, error = toxics.round_trip(scene, link)
        return toxics.Seen(error is not None, figures)


class ResetPeer(toxics.TimedFault, frozen=True, forbid_unknown_fields=True):
    """``reset_peer``: connections are reset (RST), ``timeout`` after the first data on them. A loud failure in the middle of a question.
    After how long, which way the data goes that wakes it.

    Models firewalls and balancers that drop state, and crashed peers. Open connections are closed in order rather than reset, since
    Toxiproxy decides about a reset when a connection begins: with ``existing: cut`` all of them meet it.
    """

    toxic: ClassVar[str] = "reset_peer"
    by_hand: ClassVar[str] = f"{toxics.TOXIC_BY_HAND} It is healed when questions are answered."

    @property
    def unharmed(self) -> str:
        """What was seen instead."""
        return "connections were not reset"

    def look(self, scene: Scene, link: Link) -> toxics.Seen:
        """A question must meet it."""
        figures, error = toxics.round_trip(scene, link, toxics.PING_TIMEOUT_S + self.timeout_s)
        return toxics.Seen(error is not None and "timed out" not in error, figures)


class Slicer(toxics.StreamFault, frozen=True, forbid_unknown_fields=True):
    """``slicer``: what passes is cut into small pieces of ``average_size`` plus or minus ``size_variation``, each ``delay`` after the last.
    How small, how slow, which way.

    Models lines and proxies that tear messages: readers that take one read for one message break, and long answers come late. The
    delay is Toxiproxy's, in whole microseconds; it halves what it slices until the pieces are small enough, so that most of them are
    smaller than ``average_size``.
    """

    average_size_bytes: Bytes = 64
    size_variation_bytes: Bytes = 0
    delay_s: Seconds = 0.001

    toxic: ClassVar[str] = "slicer"
    by_hand: ClassVar[str] = f"{toxics.TOXIC_BY_HAND} It is healed when a transfer is as fast as before."

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


class LimitData(toxics.StreamFault, frozen=True, forbid_unknown_fields=True):
    """``limit_data``: a connection is closed after ``bytes`` have passed it in that direction. Short answers are whole, long ones torn.
    How much passes before the close, which way.

    Models middleboxes and proxies that cut long streams: snapshots, dumps and watches break where questions do not.
    """

    bytes_bytes: Bytes

    toxic: ClassVar[str] = "limit_data"
    by_hand: ClassVar[str] = f"{toxics.TOXIC_BY_HAND} It is healed when long transfers come whole."

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


class Down(Fault, frozen=True, forbid_unknown_fields=True):
    """``down``: the link refuses. Open connections are closed, new ones get a refusal at once, as from a port where nobody listens.

    Models a service that is not there for those who come this way, while it is well for all others. Toxiproxy's ``enabled: false``.
    """

    takes: ClassVar[tuple[str, ...]] = ("links",)
    of_connections: ClassVar[bool] = True
    by_hand: ClassVar[str] = f"Open the proxies {toxics.PROXY_BY_HAND} It is healed when questions are answered."

    port: str = ""

    @property
    def needs(self) -> frozenset[Capability]:
        """Links; of one port only, somebody who can tell it from the others."""
        return frozenset({Capability.LINKS, *toxics.of_port(self.port, cut=True)})

    @property
    def names(self) -> tuple[Reference, ...]:
        """The port is one of each node at the end of a link."""
        return toxics.port_named(self.port)

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Cut, ...]:  # noqa: ARG002 - links are named already
        """Every link refuses."""
        return tuple(Cut(link, "reject", port=self.port) for link in victims.links)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Close; a question on every link must be refused."""
        links = [link.at(self.port) for link in victims.links]
        with toxics.harm(scene, links, self.rules(victims, ()), self._look, "questions still passed", certain=True) as effect:
            yield effect

    def _look(self, scene: Scene, link: Link) -> toxics.Seen:
        figures, error = toxics.round_trip(scene, link)
        return toxics.Seen(error is not None and "timed out" not in error, figures)
