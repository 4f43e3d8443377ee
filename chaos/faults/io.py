"""``io``: processes write durably and without pause to the disk that all nodes of the run share; whoever waits for that disk waits longer.

Models a backup, a compaction or a neighbour on the same disk. The files are ``workers`` times ``bytes``, in a volume of the run beside
the node's data and never in it, and they are deleted with it; nothing else of the disk is filled. The disk is the engine's own, so
other nodes, and whoever else uses it, feel the load too: the processes live within the victim's limits, their writes do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, ClassVar

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.clock import to_s
from chaos.core.errors import FaultNotEffective
from chaos.core.units import Bytes, show_bytes
from chaos.core.values import Load, Victims
from chaos.experiment.cluster import Resources
from chaos.faults.base import evidence as proof
from chaos.faults.base import load as stressing
from chaos.faults.base.evidence import UNPREDICTED
from chaos.plugin import Effect, Fault, Scene

LEAST_BYTES = 1_048_576
"""stress-ng's smallest file."""
MOST_BYTES = 512_000_000
"""Of all files of one node together."""
SPARE = 4
"""The disk must have so many times the size of the files free."""


class Io(Fault, frozen=True, forbid_unknown_fields=True):
    """How many processes write, each into a file of so many bytes."""

    workers: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    bytes_bytes: Bytes = 16_000_000

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.CGROUP, Capability.SHARED_DISK})
    unpredicted: ClassVar[str] = UNPREDICTED
    by_hand: ClassVar[str] = (
        "End the load inside the node's container (`pkill nines-tool`). It is healed when writes are as fast as before."
    )

    def __post_init__(self) -> None:
        """The files are bounded."""
        if self.bytes_bytes < LEAST_BYTES:
            raise ValueError("'bytes' is less than 1MiB")
        if self.workers * self.bytes_bytes > MOST_BYTES:
            raise ValueError(f"'workers' times 'bytes' is more than {show_bytes(MOST_BYTES)}")

    def lacks(self, resources: Resources) -> tuple[str, str] | None:
        """Without a limit the workers would also take the processors of the whole machine."""
        if resources.cpus is None:
            return "nothing limits the processor time of a node, which the writers need as well", "cluster.resources: {cpus: 1}"
        return None

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Write; the kernel must count it for those processes."""
        nodes = victims.nodes
        stressing.require_limits(scene, nodes, self.lacks)
        for node in nodes:
            room = stressing.loads_of(scene, node).scratch()
            if room.free_bytes < SPARE * self.workers * self.bytes_bytes * len(nodes):
                raise FaultNotEffective(f"the engine's disk has only {show_bytes(room.free_bytes)} left: it is not to be filled")
        before = self._figures(scene, nodes)
        with stressing.loaded(scene, dict.fromkeys(nodes, Load("io", self.workers, bytes=self.bytes_bytes))) as loads:
            first = stressing.works(scene, nodes)
            stressing.wait_window(scene)
            last = stressing.works(scene, nodes)
            rates = {
                node: (last[node].written_bytes - first[node].written_bytes) / to_s(last[node].at_ns - first[node].at_ns) for node in nodes
            }
            during = self._figures(scene, nodes) | {f"{node}.written_bytes_per_s": round(rate) for node, rate in rates.items()}
            idle = [node for node, rate in rates.items() if rate <= 0]
            if idle:
                raise FaultNotEffective(f"the load on {', '.join(idle)} wrote nothing")
            effect = stressing.effect(scene, loads, before, during)
            yield effect
        effect.healed_at_ns = scene.clock.now_ns()

    def _figures(self, scene: Scene, nodes: tuple[str, ...]) -> proof.Figures:
        """Among them how long a small durable write of ours takes on that disk."""
        figures = proof.node_figures(scene, proof.ask_nodes(scene, nodes))
        for node, room in proof.at_once(nodes, lambda node: stressing.loads_of(scene, node).scratch()).items():
            figures[f"{node}.write_s"] = room.write_s
        return figures
