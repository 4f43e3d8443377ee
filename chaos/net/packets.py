"""Which packets are not to pass in which namespace: from what is done to links to what is done to packets at their ends. Pure values.

A link is cut where it begins *and* where it ends, so that it holds whatever becomes of either end. Where several rules meet on a link, a
reject is stronger than a drop, and all packets are more than new connections. A loss throws dice for each packet, once: where it arrives,
or where it leaves if only there an agent stands. How a kernel is told of it stands in ``nft``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from chaos.core.values import Cut, Link, Loss
from chaos.net.addresses import Addresses

INPUT: Final = "input"
OUTPUT: Final = "output"
MILLION: Final = 1_000_000
DROP: Final = "drop"
REJECT: Final = "reject"
NO_PORTS: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType({})


class PacketCut(msgspec.Struct, frozen=True, order=True):
    """Packets to (``output``) or from (``input``) a peer do not pass.

    With ``since``: only those of connections that began under this layer or a later one.
    """

    hook: str
    peer: str
    verdict: str
    since: int = 0
    port: int = 0
    """Only packets to this port of the link's end; 0: all packets."""
    answers: bool = False
    """Those that come from that port instead."""


class PacketLoss(msgspec.Struct, frozen=True, order=True):
    """Of packets to or from a peer so many in a million are dropped, by chance; ``layer`` tells two of the same share apart."""

    hook: str
    peer: str
    per_million: int
    layer: int
    port: int = 0
    """Only of packets to this port of the link's end; 0: of all packets."""


class Redirect(msgspec.Struct, frozen=True, order=True):
    """TCP connections to this address and port go to a proxy that listens at 127.0.0.1 on port ``to``."""

    address: str
    port: int
    to: int


class Namespace(msgspec.Struct, frozen=True):
    """All that is wanted in one namespace."""

    gateway: str
    cuts: frozenset[PacketCut] = frozenset()
    redirects: tuple[Redirect, ...] = ()
    tracked: bool = False
    """Connections are known from their first packet on: what *new connections only* needs."""
    losses: frozenset[PacketLoss] = frozenset()
    control: int | None = None
    """We came late, to a system that has lived without us and has a network of its own to mind: the port of our proxies' control."""


def packet_cuts(
    layers: Iterable[tuple[int, Iterable[Cut]]], addresses: Addresses, ports: Mapping[str, Mapping[str, int]] = NO_PORTS
) -> dict[str, frozenset[PacketCut]]:
    """For each end of a cut link the rules that belong into its namespace: the union of all layers, the strongest of each pair.

    ``ports``: of each node, by name.
    """
    found: dict[str, dict[tuple[str, str], set[PacketCut]]] = {}

    def add(end: str, cut: PacketCut) -> None:
        found.setdefault(end, {}).setdefault((cut.hook, cut.peer), set()).add(cut)

    for number, cuts in layers:
        for cut in cuts:
            since = number if cut.existing == "keep" else 0
            source, destination = cut.link.source, cut.link.destination
            port = ports[destination][cut.port] if cut.port else 0
            for here, there in addresses.pairs(cut.link, cut.network):
                add(source, PacketCut(OUTPUT, there, cut.behavior, since, port))
                add(destination, PacketCut(INPUT, here, DROP, since, port))
                if port:
                    add(source, PacketCut(INPUT, there, DROP, since, port, answers=True))
                    add(destination, PacketCut(OUTPUT, here, cut.behavior, since, port, answers=True))
    return {end: frozenset(cut for some in pairs.values() for cut in _strongest(some)) for end, pairs in found.items()}


def _strongest(cuts: set[PacketCut]) -> set[PacketCut]:
    """Without those that another one of the same pair covers: an earlier one, of the same or a stronger verdict, of as many ports."""

    def covers(other: PacketCut, one: PacketCut) -> bool:
        wide = not other.port or (other.port, other.answers) == (one.port, one.answers)
        return other != one and wide and other.since <= one.since and other.verdict in {one.verdict, REJECT}

    return {one for one in cuts if not any(covers(other, one) for other in cuts)}


def packet_losses(
    layers: Iterable[tuple[int, Iterable[Loss]]],
    addresses: Addresses,
    agents: Container[str],
    ports: Mapping[str, Mapping[str, int]] = NO_PORTS,
) -> dict[str, frozenset[PacketLoss]]:
    """For each end the losses that belong into its namespace: where packets arrive, or where they leave if only there an agent stands."""
    found: dict[str, set[PacketLoss]] = {}
    for number, losses in layers:
        for loss in losses:
            end = thrower(loss.link, agents)
            hook = INPUT if end == loss.link.destination else OUTPUT
            port = ports[loss.link.destination][loss.port] if loss.port else 0
            for here, there in addresses.pairs(loss.link):
                peer = here if hook == INPUT else there
                found.setdefault(end, set()).add(PacketLoss(hook, peer, round(loss.share * MILLION), number, port))
    return {end: frozenset(losses) for end, losses in found.items()}


def thrower(link: Link, agents: Container[str]) -> str:
    """Which end of a link throws the dice of its losses."""
    return link.destination if link.destination in agents else link.source


def ends_of(rules: Iterable[Cut | Loss]) -> list[str]:
    """Whose namespaces they concern."""
    return sorted({end for rule in rules for end in (rule.link.source, rule.link.destination)})
