"""``memory``: something in the node takes memory of the node's own limit and keeps it.

Models a leak or a cache that grows. Below 100 % the system has the rest; if it needs more than that, the kernel ends it for want of
memory. ``percent: 100%`` is more than fits, and asks for just that: the out-of-memory kill. The node's own processes are marked as the
first to go, as if one of them had grown, so it is the node that dies and not what we put there. The engine must call it an
out-of-memory kill, else the fault is not effective. Dead nodes come back as after a ``kill``: ``recovery: restart`` (the harness, after
the schedule's ``for``) or ``policy`` (the container's own restart policy).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar, Literal

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.clock import to_ns
from chaos.core.errors import FaultNotEffective
from chaos.core.units import Bytes, Ratio, show_bytes
from chaos.core.values import Evidence, Load, Loaded, Status, Usage, Victims
from chaos.experiment.cluster import Resources
from chaos.faults.base import evidence as proof
from chaos.faults.base import load as stressing
from chaos.faults.base.evidence import UNPREDICTED
from chaos.plugin import Effect, Fault, Scene

TAKEN_WITHIN_S = 10.0
LOOK_EVERY_S = 0.05
TOLD_WITHIN_S = 2.0
"""The engine tells of an out-of-memory kill a moment after the death."""
ENOUGH = 0.8
LEAST_BYTES = 4_194_304


class Memory(Fault, frozen=True, forbid_unknown_fields=True):
    """How much is taken: so many bytes, or a share of the node's limit; and what brings back a node that dies of it."""

    percent: Ratio | None = None
    bytes_bytes: Bytes | None = None
    recovery: Literal["restart", "policy"] = "restart"

    awaits: ClassVar[Literal["restart"]] = "restart"
    unpredicted: ClassVar[str] = UNPREDICTED
    by_hand: ClassVar[str] = (
        "End the load inside the node's container (`pkill nines-tool`); if the node is dead, start it again. It is healed when it answers."
    )

    def __post_init__(self) -> None:
        """One of the two, and more than nothing."""
        if (self.percent is None) == (self.bytes_bytes is None):
            raise ValueError("how much? one of 'percent: 80%' and 'bytes: 64MB' belongs here")
        if self.percent == 0 or (self.bytes_bytes is not None and self.bytes_bytes < LEAST_BYTES):
            raise ValueError(f"less than {show_bytes(LEAST_BYTES)} is no fault")

    @property
    def takes_down(self) -> bool:
        """It is meant to kill, where it takes all there is."""
        return self.percent is not None and self.percent >= 1

    @property
    def needs(self) -> frozenset[Capability]:
        """Limits that the kernel keeps; and where it is the runtime's to start a dead node again, that it does."""
        return frozenset({Capability.CGROUP, *([Capability.RESTART_POLICY] if self.recovery == "policy" else [])})

    @property
    def revival(self) -> str:
        """As it is written."""
        return self.recovery

    def lacks(self, resources: Resources) -> tuple[str, str] | None:
        """What of the cluster's resources is not such that this may begin: what is wrong, and what would be right."""
        limit = resources.memory_bytes
        if limit is None:
            return "nothing limits the memory of a node, so this would take from the whole machine", "cluster.resources: {memory: 256MB}"
        if self.bytes_bytes is not None and self.bytes_bytes >= limit:
            return f"{show_bytes(self.bytes_bytes)} is all that a node has", "percent: 100%, which is meant to end in an out-of-memory kill"
        if self.percent is not None and self.percent * limit < LEAST_BYTES:
            return f"{self.percent:.3g} of {show_bytes(limit)} is less than {show_bytes(LEAST_BYTES)}", "more of it"
        return None

    def load_for(self, limit_bytes: int) -> Load:
        """For a node with that limit."""
        taken = self.bytes_bytes if self.bytes_bytes is not None else round((self.percent or 0) * limit_bytes)
        return Load("memory", 1, bytes=taken)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Take it; the control groups must show it, or the engine an out-of-memory kill."""
        nodes = victims.nodes
        stressing.require_limits(scene, nodes, self.lacks)
        orders = {node: self.load_for(stressing.loads_of(scene, node).allowed.memory_bytes or 0) for node in nodes}
        used = stressing.usages(scene, nodes)
        before = proof.node_figures(scene, proof.ask_nodes(scene, nodes)) | {
            f"{node}.memory_bytes": used[node].memory_bytes for node in nodes
        }
        started_ns: list[int] = []
        with ExitStack() as undo:
            for node in nodes:
                undo.enter_context(scene.undo.intent("start", node))
            try:
                with stressing.loaded(scene, orders) as loads:
                    during: proof.Figures = {}
                    for node in nodes:
                        during |= self._await(scene, node, orders[node], used[node], loads[node])
                    during |= proof.node_figures(scene, proof.ask_nodes(scene, nodes))
                    effect = Effect(
                        min(load.died_ns() or load.effective_at_ns for load in loads.values()), next(iter(loads.values())).mechanism,
                        before, during, lambda: self._gone(scene, loads),
                    )  # fmt: skip
                    yield effect
            finally:
                started_ns += self._recover(scene, nodes)
            effect.healed_at_ns = max(started_ns, default=scene.clock.now_ns())

    def _await(self, scene: Scene, node: str, order: Load, before: Usage, load: Loaded) -> proof.Figures:
        """Until it is taken, or the node has died of it."""
        until_ns = scene.clock.now_ns() + to_ns(TAKEN_WITHIN_S)
        held_bytes = 0.0
        while scene.clock.now_ns() < until_ns:
            if load.died_ns() is not None or (self.takes_down and load.out_of_memory()):
                self._must_be_starved(scene, node, load)
                return {f"{node}.memory_bytes": None, f"{node}.oom_kill": "yes"}
            try:
                held_bytes = stressing.loads_of(scene, node).usage().memory_bytes - before.memory_bytes
            except FaultNotEffective:
                continue  # it has died since we looked
            if held_bytes >= ENOUGH * order.bytes and not self.takes_down:
                return {f"{node}.memory_bytes": before.memory_bytes + held_bytes, f"{node}.oom_kill": "no"}
            scene.clock.wait_until_ns(scene.clock.now_ns() + to_ns(LOOK_EVERY_S))
        seen = f"{node} held {show_bytes(held_bytes)} more after {TAKEN_WITHIN_S:g} s, asked were {show_bytes(order.bytes)}"
        raise FaultNotEffective(f"{seen}, and nothing was killed")

    def _must_be_starved(self, scene: Scene, node: str, load: Loaded) -> None:
        until_ns = scene.clock.now_ns() + to_ns(TOLD_WITHIN_S)
        while not load.out_of_memory():
            if scene.clock.now_ns() > until_ns:
                raise FaultNotEffective(f"{node} died, but the engine knows of no out-of-memory kill")
            scene.clock.wait_until_ns(scene.clock.now_ns() + to_ns(LOOK_EVERY_S))
        # The engine may know of the shortage before the node is seen dead, and the death is what took effect.
        while load.died_ns() is None and scene.clock.now_ns() < until_ns:
            scene.clock.wait_until_ns(scene.clock.now_ns() + to_ns(LOOK_EVERY_S))

    def _recover(self, scene: Scene, nodes: tuple[str, ...]) -> list[int]:
        if self.recovery == "policy":
            return []
        dead = [node for node in nodes if scene.cluster.nodes[node].status() is Status.DOWN]
        return [scene.cluster.nodes[node].start() for node in dead]

    def _gone(self, scene: Scene, loads: dict[str, Loaded]) -> Evidence:
        seen = stressing.gone(scene, loads)
        killed: proof.Figures = {f"{node}.oom_kill": "yes" if load.out_of_memory() else "no" for node, load in loads.items()}
        return msgspec.structs.replace(seen, figures=seen.figures | killed)
