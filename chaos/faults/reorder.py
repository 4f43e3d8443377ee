"""``reorder``: each packet of a link overtakes those before it with the probability ``percent``, one way.

All packets are held back by ``delay``, but for those that overtake, which are sent at once. Models several ways to one place: TCP takes
what overtakes for a sign of loss and sends again what was only late. Netem does it, so it needs a kernel that has netem.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import msgspec

from chaos import trains
from chaos.kinds import Effect, Scene, Shaping, Train, Victims
from chaos.target import Target
from chaos.units import Ratio, Seconds

LEAST_DELAY_S = 0.005
"""A train must have its packets nearer to each other than this, or there is nothing to overtake."""
MOST_DELAY_S = 0.25


class Reorder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many, by how much, and between whom if nodes are the target: ``to`` them, ``from`` them or both."""

    percent: Ratio
    delay_s: Seconds = 0.02
    direction: trains.Direction = "both"
    include: trains.Include = ("peers",)
    correlation: Ratio = 0.0

    takes: ClassVar[tuple[str, ...]] = ("nodes", "links")
    takes_down: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """What could not be proven is refused."""
        trains.check(self.percent, self.include)
        if not LEAST_DELAY_S <= self.delay_s <= MOST_DELAY_S:
            raise ValueError(f"a 'delay' of {LEAST_DELAY_S * 1e3:g}ms to {MOST_DELAY_S * 1e3:g}ms can be shown to be overtaken")

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - it is the same for every target
        """Needs packets; whether the kernel has netem is asked before anything starts."""
        return trains.missing(runtime)

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Shaping, ...]:
        """One a link and way."""
        found = trains.links(victims, nodes, self.direction, self.include)
        return tuple(Shaping(link, "reorder", self.percent, self.correlation, delay_s=self.delay_s) for link in found)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Let overtake; of a train of datagrams on every link about so many must come before one that was sent earlier."""
        orders = self.rules(victims, list(scene.cluster.nodes))
        with trains.harm(scene, [rule.link for rule in orders], orders, self.percent, self.correlation, _early, "early") as effect:
            yield effect


def _early(train: Train) -> trains.Counted:
    return trains.Counted(train.early, train.arrived)
