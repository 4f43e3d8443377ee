"""``cpu``: something in the node takes the processor time that the node may have; its system gets what the kernel's scheduler leaves it.

Models a runaway thread, a compaction, a noisy co-tenant inside the node's limits. ``load`` is the share of what the node may use
(``cluster.resources.cpus``). At 100 % the workers never rest: the kernel holds the node at its limit, and the system gets its fair share
among them, so more workers leave it less. Below, they rest so often that together they take that share, and the rest is the system's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, ClassVar

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.units import Ratio
from chaos.core.values import Load, Victims
from chaos.experiment.cluster import Resources
from chaos.faults.base import evidence as proof
from chaos.faults.base import load as stressing
from chaos.faults.base.evidence import UNPREDICTED
from chaos.plugin import Effect, Fault, Scene

ENOUGH = 0.5
"""So much of the load that was asked for must be seen to run or to wait for a processor: a busy machine may not let it run."""


class Cpu(Fault, frozen=True, forbid_unknown_fields=True):
    """How many processes work, and how much of the node's processor time they take together."""

    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    load: Ratio = 1.0

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.CGROUP})
    unpredicted: ClassVar[str] = UNPREDICTED
    by_hand: ClassVar[str] = (
        "End the load inside the node's container (`pkill nines-tool`). It is healed when the node answers as fast as before."
    )

    def __post_init__(self) -> None:
        """A load of nothing is no fault."""
        if self.load <= 0:
            raise ValueError("a 'load' of 0% is no fault")

    def lacks(self, resources: Resources) -> tuple[str, str] | None:
        """What of the cluster's resources is not such that this may begin: what is wrong, and what would be right."""
        if resources.cpus is None:
            return "nothing limits the processor time of a node, so this would take from the whole machine", "cluster.resources: {cpus: 1}"
        wanted = self.load * resources.cpus
        if self.workers is not None and self.workers < wanted - 1e-9:
            return f"{self.workers} workers cannot keep {wanted:g} processors busy", f"workers: {math.ceil(wanted)}, or a lower load"
        return None

    def load_for(self, cpus: float) -> Load:
        """For a node that may use so many processors. By default one worker for each processor that the limit begins."""
        workers = self.workers or max(1, math.ceil(cpus))
        return Load("cpu", workers, busy=1.0 if self.load >= 1 else min(1.0, self.load * cpus / workers))

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Load the victims; their processes must be seen to run, or to wait for a processor."""
        nodes = victims.nodes
        stressing.require_limits(scene, nodes, self.lacks)
        orders = {node: self.load_for(stressing.loads_of(scene, node).allowed.cpus or 1.0) for node in nodes}
        before = self._figures(scene, nodes, stressing.busy(scene, nodes))
        with stressing.loaded(scene, orders) as loads:
            used = stressing.busy(scene, nodes)
            during = self._figures(scene, nodes, used)
            idle = [
                f"{node}: its load wanted {used[node].wanted:.2f} processors, asked were {order.workers * order.busy:.2f}"
                for node, order in orders.items()
                if used[node].wanted < ENOUGH * order.workers * order.busy
            ]
            if idle:
                raise FaultNotEffective("; ".join(idle))
            effect = stressing.effect(scene, loads, before, during)
            yield effect
        effect.healed_at_ns = scene.clock.now_ns()

    def _figures(self, scene: Scene, nodes: tuple[str, ...], seen: dict[str, stressing.Busy]) -> proof.Figures:
        figures = proof.node_figures(scene, proof.ask_nodes(scene, nodes))
        for node, each in seen.items():
            figures[f"{node}.cpus"] = round(each.used, 4)
            figures[f"{node}.load_wants_cpus"] = round(each.wanted, 4)
            figures[f"{node}.throttled"] = round(each.throttled, 4)
        return figures
