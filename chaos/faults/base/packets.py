"""What the faults by packets share: fields, rules, the links they are about, numbered datagrams of ours over each, the proof.

What is asked is a chance, so it is proven by counting: the share that was hit must be one that such a chance gives. The range that
stands in the report is the 99 % one; what is held against a fault is a far wider one, since a run has many links and many faults.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

import msgspec

from chaos.core import values as kinds
from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective, NinesError
from chaos.core.units import Ratio
from chaos.core.values import CLIENTS, DNS, Evidence, Link, Passage, Shaping, Train, Victims
from chaos.experiment.selectors import LinkTo, Selector
from chaos.faults.base import evidence as proof
from chaos.faults.base import streams as toxics
from chaos.plugin import Effect, Fault, HasAddresses, Line, Scene

Direction = Literal["both", "to", "from"]
Include = tuple[Literal["peers", "clients", "dns"], ...]

LEAST = 0.005
"""Less could not be told from nothing by a measurement that is over soon."""
HITS = 100
"""So many datagrams are to be hit in a measurement."""
FEWEST, MOST = 500, 20_000
QUIET_S = 0.3
BY_HAND = (
    "In the network namespace of each end remove packet rules and queues (`nft delete table inet nines`, `tc qdisc del dev eth0 root`)."
)
Z_99 = 2.576
Z_PROOF = 6.0
"""Beyond so many standard errors (one measurement in 500 million) it was not by chance."""


class Counted(msgspec.Struct, frozen=True):
    """So many of so many datagrams were hit."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        """None sent: none hit."""
        return self.hits / self.of if self.of else 0.0

    def around(self, z: float) -> tuple[float, float]:
        """The chances that give such a count (Wilson's score interval)."""
        if not self.of:
            return 0.0, 1.0
        n, p = self.of, self.share
        middle = p + z * z / (2 * n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        whole = 1 + z * z / n
        return max(0.0, (middle - half) / whole) if self.hits else 0.0, min(1.0, (middle + half) / whole)


class PacketFault(Fault, frozen=True, forbid_unknown_fields=True):
    """How many, and between whom if nodes are the target: ``to`` them, ``from`` them or both."""

    percent: Ratio
    direction: Direction = "both"
    include: Include = ("peers",)
    correlation: Ratio = 0.0

    takes: ClassVar[tuple[str, ...]] = ("nodes", "links")
    unpredicted: ClassVar[str] = "what a lost or late packet costs is up to TCP's own timers"
    what: ClassVar[str]
    """Netem's word."""
    word: ClassVar[str]
    """What has happened to a packet that was hit."""

    def __post_init__(self) -> None:
        """What could not be proven is refused, and harm that is done to nobody."""
        if self.percent < LEAST:
            raise ValueError(f"a 'percent' below {LEAST:.1%} cannot be told from nothing by counting")
        if not self.include:
            raise ValueError("'include' names nobody")

    @property
    def needs(self) -> frozenset[Capability]:
        """Packets, and the kernel's queue in front of them."""
        return frozenset({Capability.PACKET_RULES, Capability.NETEM})

    def refuses(self, target: Selector) -> tuple[str, str] | None:
        """A link says by itself which way."""
        if isinstance(target, LinkTo) and self.direction != "both":
            return "a link has its direction by its arrow", "leave 'direction' out: ->, or <-> for both"
        return None

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Shaping | kinds.Loss, ...]:
        """One a link and way."""
        return tuple(self.rule(link) for link in links(victims, nodes, self.direction, self.include))

    def rule(self, link: Link) -> Shaping | kinds.Loss:
        """Netem's, where packets leave."""
        return Shaping(link, self.what, self.percent, self.correlation)

    def proven_on(self, link: Link) -> Link:
        """The link that datagrams of ours take to prove it."""
        return link

    def spares(self, orders: Sequence[Shaping | kinds.Loss], look: Callable[[proof.Way], Counted]) -> None:
        """``FaultNotEffective`` if it harms what it is to spare."""

    @abstractmethod
    def count(self, train: Train) -> Counted:
        """How many of a train were hit."""

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Put the rules in force; of a train of datagrams on each link as many must be hit as asked."""
        orders = self.rules(victims, list(scene.cluster.nodes))
        net = scene.cluster.net
        on: list[proof.Way] = [(self.proven_on(rule.link), "") for rule in orders]
        further = [(self.proven_on(link), there) for link, there in proof.beyond(net, [rule.link for rule in orders])]
        datagrams = round(min(max(HITS / self.percent, FEWEST), MOST))

        def look(way: proof.Way) -> Counted:
            return self.count(_train(scene, way, datagrams))

        before = proof.at_once([*on, *further], look)
        on += [way for way in further if before[way].hits < before[way].of]  # where nothing arrives there is no way, and nothing to harm
        with scene.undo.intent("restore", ", ".join(str(rule.link) for rule in orders)):
            with scene.cluster.net.layer(orders) as layer:
                during = proof.at_once(on, look)
                wrong = [
                    f"{proof.way_text(way)}: {seen.share:.2%} {self.word} of {seen.of}"
                    for way, seen in during.items()
                    if not self._as_asked(seen, before[way].share)
                ]
                if wrong:
                    raise FaultNotEffective(f"asked was {self.percent:.2%}; {'; '.join(wrong)}")
                self.spares(orders, look)
                effect = Effect(
                    layer.effective_at_ns, layer.mechanism, figures(before, self.word), figures(during, self.word),
                    lambda: self._gone(on, look, before),
                )  # fmt: skip
                yield effect
            effect.healed_at_ns = layer.healed_at_ns or scene.clock.now_ns()

    def _as_asked(self, seen: Counted, usual: float) -> bool:
        low, high = seen.around(Z_PROOF)
        if self.correlation:
            return low > usual  # dice that remember give another spread, and in netem another mean
        return low <= usual + (1 - usual) * self.percent <= high and seen.share > usual + self.percent / 2

    def _gone(self, on: Sequence[proof.Way], look: Callable[[proof.Way], Counted], before: dict[proof.Way, Counted]) -> Evidence:
        try:
            after = proof.at_once(on, look)
        except FaultNotEffective as error:
            return Evidence(False, {}, str(error))  # asked again: what cannot be measured now may be a moment later
        still = [proof.way_text(way) for way, seen in after.items() if seen.share > before[way].share + self.percent / 2]
        return Evidence(not still, figures(after, self.word), f"still {self.word}: {', '.join(still)}" if still else "")


def links(victims: Victims, nodes: Sequence[str], direction: str, include: Sequence[str]) -> tuple[Link, ...]:
    """Those named, or those between the victims and everybody else that is included; each is one way."""
    if victims.links:
        return tuple(sorted(set(victims.links)))
    others = [node for node in nodes if node not in victims.nodes] if "peers" in include else []
    others += [end for end in (CLIENTS, DNS) if end in include]
    found: set[Link] = set()
    for node in victims.nodes:
        found |= {Link(other, node) for other in others if direction != "from"}
        found |= {Link(node, other) for other in others if direction != "to"}
    return tuple(sorted(found))


def figures(seen: dict[proof.Way, Counted], word: str) -> proof.Figures:
    """The share of each link, and the chances that it is in keeping with (99 %)."""
    found: proof.Figures = {}
    for way, counted in seen.items():
        low, high = counted.around(Z_99)
        link = proof.way_text(way)
        found |= {
            f"{link}.{word}": counted.share, f"{link}.{word}_low": low, f"{link}.{word}_high": high, f"{link}.datagrams": float(counted.of),
        }  # fmt: skip
    return found


def _train(scene: Scene, way: proof.Way, datagrams: int) -> Train:
    net = scene.cluster.net
    link, there = way
    if not isinstance(net, Line):
        raise FaultNotEffective(f"nothing here can send packets over {link}, so what it does could not be seen")
    try:
        if there and isinstance(net, HasAddresses):
            return net.train_to(link, there, datagrams, QUIET_S)
        return net.train(link, datagrams, QUIET_S)
    except NinesError as error:
        raise FaultNotEffective(f"what passes {link} could not be counted: {error}") from error


def flow(scene: Scene, link: Link, size_bytes: int, timeout_s: float) -> Passage:
    """Bytes of ours over the link itself."""
    net = scene.cluster.net
    if not isinstance(net, Line):
        raise FaultNotEffective(f"nothing here can send bytes over {link}, so what it does could not be seen")
    try:
        return net.flow(link, size_bytes, timeout_s)
    except NinesError as error:
        raise FaultNotEffective(f"what passes {link} could not be measured: {error}") from error


def directed(link: Link, stream: toxics.Stream) -> tuple[Link, ...]:
    """The ways of a connection's packets: ``upstream`` from who opens it, ``downstream`` to it."""
    ways = {"upstream": link, "downstream": Link(link.destination, link.source)}
    return tuple(ways[each] for each in toxics.streams(stream))
