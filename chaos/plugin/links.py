"""Harm to links and to the name in front of a cluster, and what can be measured of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import msgspec

from chaos.core.values import Link, LookUp, NameHarm, NamesHarmed, Passage, RoundTrip, Rule, Train


class Layer(msgspec.Struct):
    """A set of rules in force: since when, and by what means they were brought about. The net fills ``healed_at_ns`` while it is left."""

    effective_at_ns: int
    mechanism: str
    healed_at_ns: int | None = None
    """When the last of the rules was gone; None while they are in force, and where that could not be told."""


class Net(Protocol):
    """Harm to links. Layers stack: leaving one removes its rules and no others."""

    def layer(self, rules: Sequence[Rule]) -> AbstractContextManager[Layer]:
        """Entering puts the rules in force and reads them back; leaving removes them and reads that back."""
        ...

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        """One question from where the link starts, by the way its traffic takes, to the node at its end."""
        ...


@runtime_checkable
class Gauge(Protocol):
    """A net that can send bytes of its own through what harms a link, to measure more of it than a round trip shows."""

    def passage(self, link: Link, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """Send so many bytes ``upstream`` or ``downstream``, to a partner of ours, through the toxics that are in force on the link."""
        ...


@runtime_checkable
class Line(Protocol):
    """A net that can send packets of its own over a link itself, past no harm that is on it, and count what arrives at its end."""

    def train(self, link: Link, datagrams: int, timeout_s: float) -> Train:
        """So many datagrams, a few at a time; ``timeout_s`` is how long the last ones may be under way."""
        ...

    def flow(self, link: Link, size_bytes: int, timeout_s: float) -> Passage:
        """So many bytes on one connection; the first quarter only fills the line, so that ``last_s`` and ``bytes`` begin after it."""
        ...


@runtime_checkable
class HasNetworks(Protocol):
    """A net of nodes that stand on several networks, each of which can be cut alone."""

    def networks_of(self, link: Link) -> tuple[str, ...]:
        """The names of those that both its ends stand on, in their order; empty where networks have none."""
        ...

    def measure_on(self, link: Link, network: str, timeout_s: float) -> RoundTrip:
        """How long a connection of ours takes to open over this link on one of them."""
        ...


@runtime_checkable
class HasAddresses(Protocol):
    """A net whose ends may have more addresses than the plan knows (IPv6). Each is a way of its own, harmed and proven like the rest."""

    def beyond(self, link: Link) -> tuple[str, ...]:
        """Those of the link's end that can be reached from its start and measured."""
        ...

    def measure_to(self, link: Link, there: str, timeout_s: float) -> RoundTrip:
        """How long a connection of ours takes to open to one of them."""
        ...

    def train_to(self, link: Link, there: str, datagrams: int, timeout_s: float) -> Train:
        """``Line.train`` to one of them."""
        ...


class Names(Protocol):
    """Harm to the name in front of the cluster. Several at a time add up; leaving one takes away that one."""

    def harm(self, order: NameHarm) -> AbstractContextManager[NamesHarmed]:
        """Entering tells the server and waits until it says that it does so; ``FaultNotEffective`` if it does not."""
        ...

    def look_up(self, timeout_s: float) -> LookUp:
        """Ask the name server for the cluster's name, as a client without a cache would."""
        ...


@runtime_checkable
class HasNames(Protocol):
    """A cluster whose name server takes orders."""

    @property
    def names(self) -> Names: ...
