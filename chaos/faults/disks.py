"""Harm to the disk of a node's data: full, or read-only. See ``base/disks.py``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.system import SIGKILL
from chaos.core.units import Bytes, Ratio, show_bytes
from chaos.core.values import Room, Victims
from chaos.experiment.cluster import Resources
from chaos.faults.base import disks as filling
from chaos.faults.base.evidence import UNPREDICTED
from chaos.plugin import Effect, Fault, Scene

PAGES = 16 * 4096
"""So much more may be free than was asked: the disk counts in pages, and a system may have deleted something meanwhile."""


class DiskFull(Fault, frozen=True, forbid_unknown_fields=True):
    """``disk_full``: no space is left on the disk of the node's data, or little. Writes fail with ENOSPC; reads go on.
    How full: the share of the disk that is taken then, with what was there before; or so many bytes on top of that.

    The disk is one of limited size (``cluster.resources.disk``), kept in memory and held from outside the system, so it can be filled to
    its last page without the machine's own disk being touched. What fills it has no name: no program finds a file in the node's folder that
    it did not write. A node that dies of it is started again when the fault is taken back.
    """

    percent: Ratio | None = None
    bytes_bytes: Bytes | None = None

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.DISKS})
    pings: ClassVar[bool] = False
    unpredicted: ClassVar[str] = UNPREDICTED
    by_hand: ClassVar[str] = (
        "Delete what fills the disk; if the node is dead, start it again. It is healed when a write succeeds and the node answers."
    )

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


class ReadOnly(Fault, frozen=True, forbid_unknown_fields=True):
    """``read_only``: the disk of the node's data takes no more writes (EROFS); reads go on.
    When the system meets it.

    ``remount: restart`` is what a machine finds after a crash that hurt its file system: the node is killed, its disk made read-only, and
    the node started again on it. Many systems end at once then, and stay down until the fault is taken back; that is theirs to decide,
    and what the fault is for. ``remount: live`` makes the disk read-only under the running system. The kernel allows that only while no
    file is open for writing (EBUSY), which most databases never grant: then the fault is not effective, and says so. A kernel that
    gives up on a disk with files open does it by force, which no disk in memory can be made to do.

    A node that is dead when the fault is taken back is started again.
    """

    remount: Literal["restart", "live"] = "restart"

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.DISKS, Capability.REMOUNT})
    awaits: ClassVar[Literal["restart"]] = "restart"
    pings: ClassVar[bool] = False
    unpredicted: ClassVar[str] = UNPREDICTED
    by_hand: ClassVar[str] = (
        "Remount the disk for writing (`mount -o remount,rw`); if the node is dead, start it again. "
        "It is healed when a write succeeds and the node answers."
    )

    @property
    def takes_down(self) -> bool:
        """With a restart the node dies, and may not come back."""
        return self.remount == "restart"

    def lacks(self, resources: Resources) -> tuple[str, str] | None:
        """What of the cluster's resources is not such that this may begin: what is wrong, and what would be right."""
        return filling.lacks(resources)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Lock; a real write must fail with EROFS."""
        nodes = victims.nodes
        before = filling.figures(scene, filling.rooms(scene, nodes))
        started_ns: list[int] = []
        with filling.started_again(scene, nodes, started_ns), ExitStack() as undo:
            effective_ns = []
            mechanism = ""
            for node in nodes:
                undo.enter_context(scene.undo.intent("make writable", node))
                if self.takes_down:
                    effective_ns.append(scene.cluster.nodes[node].kill(SIGKILL))
                held = undo.enter_context(filling.disks_of(scene, node).lock())
                effective_ns.append(held.effective_at_ns)
                mechanism = held.mechanism
            if self.takes_down:
                mechanism = f"SIGKILL; {mechanism}; started again"
                for node in nodes:
                    scene.cluster.nodes[node].start()
            seen = filling.rooms(scene, nodes)
            during = filling.figures(scene, seen)
            writable = [f"{node} ({room.write_error or 'success'})" for node, room in seen.items() if room.write_error != "EROFS"]
            if writable:
                raise FaultNotEffective(f"a write did not end with EROFS: {', '.join(writable)}")
            effect = Effect(min(effective_ns), mechanism, before, during, lambda: filling.gone(scene, nodes))
            yield effect
            freed_ns = scene.clock.now_ns()
        effect.healed_at_ns = max(started_ns, default=freed_ns)
