"""Harm to single packets of a link, one way, by chance: lost, doubled, damaged, early. See ``base/packets.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from chaos.core import values as kinds
from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.units import Seconds
from chaos.core.values import CLIENTS, DNS, Link, Shaping, Train, Victims
from chaos.experiment.selectors import LinkTo, Selector
from chaos.faults.base import evidence
from chaos.faults.base import packets as trains
from chaos.plugin import Reference

LEAST_DELAY_S = 0.005
"""A train must have its packets nearer to each other than this, or there is nothing to overtake."""
MOST_DELAY_S = 0.25


class Loss(trains.PacketFault, frozen=True, forbid_unknown_fields=True):
    """``loss``: each packet of a link is lost with the probability ``percent``, one way, TCP and UDP alike.
    How many, and between whom if nodes are the target: ``to`` them, ``from`` them or both.

    Models a bad line, a full buffer, a failing switch port: TCP sends again and slows down, so that small questions are late by a
    retransmission time-out now and then, long before anything fails. Dice are thrown where packets arrive, by a packet rule; with
    ``correlation`` where they leave, by netem, if the kernel has it. Toxiproxy cannot do it: a stream has no packets. With ``port`` only
    packets to that port of a link's end are lost; its answers pass.
    """

    port: str = ""

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.PACKET_RULES})
    what: ClassVar[str] = "loss"
    by_hand: ClassVar[str] = f"{trains.BY_HAND} It is healed when nothing is missing any more."
    word: ClassVar[str] = "lost"

    def __post_init__(self) -> None:
        """Netem knows no ports."""
        super().__post_init__()
        if self.port and self.correlation:
            raise ValueError("'port' and 'correlation' exclude each other: the queue that keeps a correlation knows no ports")
        if self.port and self.direction == "from" and "peers" not in self.include:
            raise ValueError("'port' is one of the end that packets go to, and clients and name server have none")

    def refuses(self, target: Selector) -> tuple[str, str] | None:
        """A port needs an end that has one."""
        if self.port and isinstance(target, LinkTo) and not target.both and target.destination in (CLIENTS, DNS):
            return f"'port' is one of the end that packets go to, and {target.destination} has none", "turn the arrow round, or use <->"
        return super().refuses(target)

    @property
    def names(self) -> tuple[Reference, ...]:
        """The port is one of each victim's."""
        return (Reference("port", "port", self.port),) if self.port else ()

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Shaping | kinds.Loss, ...]:
        """One a link and way; with a port, those that end at a node."""
        return tuple(rule for rule in super().rules(victims, nodes) if not self.port or rule.link.destination in nodes)

    def rule(self, link: Link) -> Shaping | kinds.Loss:
        """Where packets arrive; dice that remember are netem's."""
        return super().rule(link) if self.correlation else kinds.Loss(link, self.percent, self.port)

    def proven_on(self, link: Link) -> Link:
        """To that port."""
        return link.at(self.port)

    def spares(self, orders: Sequence[Shaping | kinds.Loss], look: Callable[[evidence.Way], trains.Counted]) -> None:
        """What goes to other ports of a link passes."""
        if not self.port:
            return
        others: list[evidence.Way] = [(rule.link, "") for rule in orders]
        hit = [f"{way[0]}: {seen.share:.2%}" for way, seen in evidence.at_once(others, look).items() if seen.share > self.percent / 2]
        if hit:
            raise FaultNotEffective(f"packets to other ports are lost as well: {'; '.join(hit)}")

    def count(self, train: Train) -> trains.Counted:
        """Those that are missing."""
        return trains.Counted(train.sent - train.arrived - train.damaged, train.sent)


class Duplicate(trains.PacketFault, frozen=True, forbid_unknown_fields=True):
    """``duplicate``: each packet of a link arrives twice with the probability ``percent``, one way.
    How many, and between whom if nodes are the target: ``to`` them, ``from`` them or both.

    Models routes that change and switches that learn: TCP throws the copies away and may take them for a sign of loss; what is built on
    datagrams gets every copy. Netem does it where packets leave, so it needs a kernel that has netem.
    """

    what: ClassVar[str] = "duplicate"
    by_hand: ClassVar[str] = f"{trains.BY_HAND} It is healed when nothing comes twice."
    word: ClassVar[str] = "doubled"

    def count(self, train: Train) -> trains.Counted:
        """Those that came twice."""
        return trains.Counted(train.doubled, train.sent)


class Corrupt(trains.PacketFault, frozen=True, forbid_unknown_fields=True):
    """``corrupt``: in each packet of a link one bit is turned over with the probability ``percent``, one way.
    How many, and between whom if nodes are the target: ``to`` them, ``from`` them or both.

    Models bad memory in a switch or a damaged cable. The checksums of TCP and UDP find almost all of it, so to the system it is mostly a
    loss; what protects nothing of its own sees wrong data. Netem does it where packets leave, so it needs a kernel that has netem.
    """

    what: ClassVar[str] = "corrupt"
    by_hand: ClassVar[str] = f"{trains.BY_HAND} It is healed when nothing is missing any more."
    word: ClassVar[str] = "damaged"

    def count(self, train: Train) -> trains.Counted:
        """Those that came wrong, without checksums, or not at all: a bit of its header, then."""
        return trains.Counted(train.sent - train.arrived, train.sent)


class Reorder(trains.PacketFault, frozen=True, forbid_unknown_fields=True):
    """``reorder``: each packet of a link overtakes those before it with the probability ``percent``, one way.
    How many, by how much, and between whom if nodes are the target: ``to`` them, ``from`` them or both.

    All packets are held back by ``delay``, but for those that overtake, which are sent at once. Models several ways to one place: TCP takes
    what overtakes for a sign of loss and sends again what was only late. Netem does it, so it needs a kernel that has netem.
    """

    delay_s: Seconds = 0.02

    what: ClassVar[str] = "reorder"
    by_hand: ClassVar[str] = f"{trains.BY_HAND} It is healed when a round trip is as short as before."
    word: ClassVar[str] = "early"

    def __post_init__(self) -> None:
        """What could not be proven is refused."""
        super().__post_init__()
        if not LEAST_DELAY_S <= self.delay_s <= MOST_DELAY_S:
            raise ValueError(f"a 'delay' of {LEAST_DELAY_S * 1e3:g}ms to {MOST_DELAY_S * 1e3:g}ms can be shown to be overtaken")

    def rule(self, link: Link) -> Shaping:
        """What does not overtake is held back."""
        return Shaping(link, "reorder", self.percent, self.correlation, delay_s=self.delay_s)

    def count(self, train: Train) -> trains.Counted:
        """Those that came before one that was sent earlier."""
        return trains.Counted(train.early, train.arrived)
