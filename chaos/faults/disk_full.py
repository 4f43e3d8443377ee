"""``disk_full``: no space is left on the disk of the node's data, or little. Writes fail with ENOSPC; reads go on.

The disk is one of limited size (``cluster.resources.disk``), kept in memory and held from outside the system, so it can be filled to
its last page without the machine's own disk being touched. What fills it has no name: no program finds a file in the node's folder that
it did not write. A node that dies of it is started again when the fault is taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar

import msgspec

from chaos.core.errors import FaultNotEffective
from chaos.core.units import Bytes, Ratio, show_bytes
from chaos.core.values import Room, Victims
from chaos.experiment.spec import Resources
from chaos.experiment.target.spec import Target
from chaos.faults.base import disks as filling
from chaos.plugin import Effect, Scene

PAGES = 16 * 4096
"""So much more may be free than was asked: the disk counts in pages, and a system may have deleted something meanwhile."""


class DiskFull(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How full: the share of the disk that is taken then, with what was there before; or so many bytes on top of that."""

    percent: Ratio | None = None
    bytes_bytes: Bytes | None = None

    takes: ClassVar[tuple[str, ...]] = ("nodes",)
    takes_down: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """One of the two, and more than nothing."""
        if self.percent is not None and self.bytes_bytes is not None:
            raise ValueError("'percent' and 'bytes' exclude each other")
        if self.percent == 0 or self.bytes_bytes == 0:
            raise ValueError("a disk with nothing more on it is no fault")

    @property
    def share(self) -> float | None:
        """The share that is taken then, all of it by default; None where bytes are given."""
        return None if self.bytes_bytes is not None else 1.0 if self.percent is None else self.percent

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - the same for every target
        """Needs disks of limited size."""
        return filling.missing("disk_full", runtime)

    def lacks(self, resources: Resources) -> tuple[str, str] | None:
        """What of the cluster's resources is not such that this may begin: what is wrong, and what would be right."""
        if self.bytes_bytes is not None and resources.disk_bytes is not None and self.bytes_bytes >= resources.disk_bytes:
            return f"{show_bytes(self.bytes_bytes)} do not fit on a disk of {show_bytes(resources.disk_bytes)}", "percent: 100%, to fill it"
        return filling.lacks(resources)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Fill; the disk must say so, and of a full one a real write must fail with ENOSPC."""
        nodes = victims.nodes
        rooms = filling.rooms(scene, nodes)
        before = filling.figures(scene, rooms)
        started_ns: list[int] = []
        with filling.started_again(scene, nodes, started_ns), ExitStack() as undo:
            held = []
            for node in nodes:
                undo.enter_context(scene.undo.intent("make room on", node))
                held.append(undo.enter_context(filling.disks_of(scene, node).fill(self.share, self.bytes_bytes)))
            seen = filling.rooms(scene, nodes)
            during = filling.figures(scene, seen)
            for node, room in seen.items():
                self._prove(node, rooms[node], room)
            effect = Effect(
                min(each.effective_at_ns for each in held), held[0].mechanism, before, during, lambda: filling.gone(scene, nodes)
            )
            yield effect
            freed_ns = scene.clock.now_ns()
        effect.healed_at_ns = max(started_ns, default=freed_ns)

    def _prove(self, node: str, before: Room, during: Room) -> None:
        if self.share == 1:
            if during.write_error != "ENOSPC":
                raise FaultNotEffective(f"a write to the disk of {node} ended with {during.write_error or 'success'}, not with ENOSPC")
            return
        left = before.free_bytes - (self.bytes_bytes or 0) if self.share is None else during.size_bytes * (1 - self.share)
        if during.free_bytes > max(0.0, left) + PAGES:
            raise FaultNotEffective(f"the disk of {node} still has {show_bytes(during.free_bytes)} free, asked were {show_bytes(left)}")
