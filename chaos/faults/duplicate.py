"""``duplicate``: each packet of a link arrives twice with the probability ``percent``, one way.

Models routes that change and switches that learn: TCP throws the copies away and may take them for a sign of loss; what is built on
datagrams gets every copy. Netem does it where packets leave, so it needs a kernel that has netem.
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


class Duplicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
        return tuple(Shaping(link, "duplicate", self.percent, self.correlation) for link in found)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Double; of a train of datagrams on every link about so many must come twice."""
        orders = self.rules(victims, list(scene.cluster.nodes))
        with trains.harm(scene, [rule.link for rule in orders], orders, self.percent, self.correlation, _doubled, "doubled") as effect:
            yield effect


def _doubled(train: Train) -> trains.Counted:
    return trains.Counted(train.doubled, train.sent)
