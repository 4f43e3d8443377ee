"""``corrupt``: in each packet of a link one bit is turned over with the probability ``percent``, one way.

Models bad memory in a switch or a damaged cable. The checksums of TCP and UDP find almost all of it, so to the system it is mostly a
loss; what protects nothing of its own sees wrong data. Netem does it where packets leave, so it needs a kernel that has netem.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import msgspec

from chaos import trains
from chaos.kinds import Effect, Scene, Shaping, Train, Victims
from chaos.target import Target
from chaos.units import Ratio


class Corrupt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
        """Needs packets; whether the kernel has netem is asked before anything starts."""
        return trains.missing(runtime)

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Shaping, ...]:
        """One a link and way."""
        found = trains.links(victims, nodes, self.direction, self.include)
        return tuple(Shaping(link, "corrupt", self.percent, self.correlation) for link in found)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Damage; of a train of datagrams without checksums about so many must come wrong, or not at all: a bit of its header, then."""
        orders = self.rules(victims, list(scene.cluster.nodes))
        with trains.harm(scene, [rule.link for rule in orders], orders, self.percent, self.correlation, _damaged, "damaged") as effect:
            yield effect


def _damaged(train: Train) -> trains.Counted:
    return trains.Counted(train.sent - train.arrived, train.sent)
