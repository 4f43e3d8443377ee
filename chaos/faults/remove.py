"""``remove``: the node dies at once, and with ``volumes`` (the default) its data is deleted. It comes back as a new machine would.

Models a lost disk or a replaced machine: the process that returns has its name, its address and its configuration, and nothing
else; whatever it knew it must get from its peers. A system that counts on what a replica has once acknowledged (votes, log
entries) may lose writes by it, which is what the fault is for. Without ``volumes`` only the machine goes and the data stays: on
plain processes that is a kill.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar

import msgspec

from chaos.core.errors import FaultNotEffective
from chaos.core.values import Status, Victims
from chaos.experiment.target.spec import Target
from chaos.faults.base import evidence as proof
from chaos.plugin import Effect, Removable, Scene


class Remove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Does its data go too?"""

    volumes: bool = True

    takes: ClassVar[tuple[str, ...]] = ("nodes",)
    takes_down: ClassVar[bool] = True
    only_processes: ClassVar[bool] = True

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - the same for every target
        """Somebody must know where the data lies."""
        if runtime == "fake":
            return "virtual nodes have no data that could be lost; use 'kill', or the runtime 'local'"
        if runtime not in {"local", "docker"}:
            return f"the runtime '{runtime}' cannot remove a node and bring it back; use 'kill', or the runtime 'local'"
        return None

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Kill and delete; the victims must be seen dead and silent, their data gone. Leaving starts them empty."""
        before = proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
        started_ns: list[int] = []
        with ExitStack() as undo:
            try:
                deaths_ns = []
                for name in victims.nodes:
                    node = scene.cluster.nodes[name]
                    if not isinstance(node, Removable):
                        raise FaultNotEffective(f"{name} cannot be removed by this runtime")
                    undo.enter_context(scene.undo.intent("start", name))
                    deaths_ns.append(node.remove(data=self.volumes))
                answers = proof.ask_nodes(scene, victims.nodes)
                alive = {node for node, trip in answers.items() if trip.rtt_s is not None}
                alive |= {node for node in victims.nodes if scene.cluster.nodes[node].status() is not Status.DOWN}
                if alive:
                    raise FaultNotEffective(f"{', '.join(sorted(alive))} still ran after it was removed")
                how = "SIGKILL, data deleted" if self.volumes else "SIGKILL, data kept"
                during = proof.node_figures(scene, answers)
                effect = Effect(min(deaths_ns), how, before, during, lambda: proof.nodes_answer(scene, victims.nodes))
                yield effect
            finally:
                dead = [node for node in victims.nodes if scene.cluster.nodes[node].status() is Status.DOWN]
                started_ns += [scene.cluster.nodes[node].start() for node in dead]
            effect.healed_at_ns = max(started_ns, default=None)
