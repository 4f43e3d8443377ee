"""``read_only``: the disk of the node's data takes no more writes (EROFS); reads go on.

``remount: restart`` is what a machine finds after a crash that hurt its file system: the node is killed, its disk made read-only, and
the node started again on it. Many systems end at once then, and stay down until the fault is taken back; that is theirs to decide,
and what the fault is for. ``remount: live`` makes the disk read-only under the running system. The kernel allows that only while no
file is open for writing (EBUSY), which most databases never grant: then the fault is not effective, and says so. A kernel that
gives up on a disk with files open does it by force, which no disk in memory can be made to do.

A node that is dead when the fault is taken back is started again.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar, Literal

import msgspec

from chaos.core.errors import FaultNotEffective
from chaos.core.values import Victims
from chaos.experiment.spec import Resources
from chaos.experiment.target.spec import Target
from chaos.faults.base import disks as filling
from chaos.plugin import Effect, Scene


class ReadOnly(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the system meets it."""

    remount: Literal["restart", "live"] = "restart"

    takes: ClassVar[tuple[str, ...]] = ("nodes",)
    remounts: ClassVar[bool] = True

    @property
    def takes_down(self) -> bool:
        """With a restart the node dies, and may not come back."""
        return self.remount == "restart"

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - the same for every target
        """Needs disks of their own."""
        return filling.missing("read_only", runtime)

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
                    effective_ns.append(scene.cluster.nodes[node].kill(signal.SIGKILL))
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
