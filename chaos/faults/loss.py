"""``loss``: each packet of a link is lost with the probability ``percent``, one way, TCP and UDP alike.

Models a bad line, a full buffer, a failing switch port: TCP sends again and slows down, so that small questions are late by a
retransmission time-out now and then, long before anything fails. Dice are thrown where packets arrive, by a packet rule; with
``correlation`` where they leave, by netem, if the kernel has it. Toxiproxy cannot do it: a stream has no packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import msgspec

from chaos import kinds, trains
from chaos.kinds import Effect, Scene, Shaping, Train, Victims
from chaos.target import Target
from chaos.units import Ratio


class Loss(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many, and between whom if nodes are the target: ``to`` them, ``from`` them or both."""

    percent: Ratio
    direction: trains.Direction = "both"
    include: trains.Include = ("peers",)
    correlation: Ratio = 0.0

    takes: ClassVar[tuple[str, ...]] = ("nodes", "links")
    takes_down: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """What could not be proven is refused."""
        trains.check(self.percent, self.include)

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - it is the same for every target
        """Needs packets."""
        return trains.missing(runtime)

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[kinds.Loss | Shaping, ...]:
        """One a link and way."""
        found = trains.links(victims, nodes, self.direction, self.include)
        if self.correlation:
            return tuple(Shaping(link, "loss", self.percent, self.correlation) for link in found)
        return tuple(kinds.Loss(link, self.percent) for link in found)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Lose; of a train of datagrams on every link about so many must be missing."""
        orders = self.rules(victims, list(scene.cluster.nodes))
        with trains.harm(scene, [rule.link for rule in orders], orders, self.percent, self.correlation, _lost, "lost") as effect:
            yield effect


def _lost(train: Train) -> trains.Counted:
    return trains.Counted(train.sent - train.arrived - train.damaged, train.sent)
