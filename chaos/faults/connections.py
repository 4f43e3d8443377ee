"""``connections``: so many idle connections are opened to the node, and held; whatever else wants one must find room beside them.

Models leaking clients, a pool that was set too high, a slow-loris. The kernel completes each of them, whether the process takes it up
or not: a process that does pays a descriptor and its own memory for each, one that does not leaves them in its queue, where they keep out
others once that is full. They come from where the clients are and end with whoever holds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, ClassVar

import msgspec

from chaos.agent.agent_parts.connections import room
from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Evidence, Status, Victims
from chaos.experiment.target.spec import Target
from chaos.faults.base import evidence as proof
from chaos.faults.base.evidence import UNPREDICTED
from chaos.plugin import Effect, Fault, GathersCrowds, LimitsFiles, Reference, Scene

MOST = 20_000
"""One address has some 28,000 ports for connections to another one (ip_local_port_range)."""


class Connections(Fault, frozen=True, forbid_unknown_fields=True):
    """How many to each victim, and to which port of it (by name; by default the first one of its part)."""

    count: Annotated[int, msgspec.Meta(ge=1, le=MOST)]
    port: str = ""

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.CONNECTIONS})
    unpredicted: ClassVar[str] = UNPREDICTED
    by_hand: ClassVar[str] = "End the process that holds them (`ss -tnp` at the clients' side names it). It is healed when none is left."

    @property
    def names(self) -> tuple[Reference, ...]:
        """The port is one that each victim has."""
        return (Reference("port", "port", self.port),) if self.port else ()

    def lacks_here(self, target: Target) -> str | None:
        """Where it is this process that holds them, it needs as many descriptors."""
        del target
        if self.count > room():
            return f"the limit of open files of this process lets {room()} connections: raise it (ulimit -Hn)"
        return None

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Open them; this side's kernel must hold that many."""
        if not isinstance(scene.cluster, GathersCrowds):
            raise FaultNotEffective("nobody can hold connections to the nodes of this cluster")
        before = _files(scene, victims) | proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
        told: proof.Figures = {}
        with ExitStack() as undo:
            crowds = {}
            for name in victims.nodes:
                undo.enter_context(scene.undo.intent("close", f"{self.count} connections to {name}"))
                crowds[name] = undo.enter_context(scene.cluster.crowd(name, self.port, self.count))
            effective_ns = scene.clock.now_ns()
            held = {name: crowd.established() for name, crowd in crowds.items()}
            few = [f"{name} ({number})" for name, number in held.items() if number < self.count]
            if few:
                raise FaultNotEffective(f"fewer than {self.count} connections stand: {', '.join(few)}")
            during: proof.Figures = {f"{name}.connections": float(number) for name, number in held.items()}
            during |= _files(scene, victims) | proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
            effect = Effect(effective_ns, "idle TCP connections", before, during, lambda: self._gone(scene, victims, told))
            yield effect
            told |= {f"{name}.connections_at_end": float(crowd.established()) for name, crowd in crowds.items()}
        told |= {f"{name}.connections": float(crowd.established()) for name, crowd in crowds.items()}
        effect.healed_at_ns = scene.clock.now_ns()

    def _gone(self, scene: Scene, victims: Victims, told: proof.Figures) -> Evidence:
        left = [name for name in victims.nodes if told.get(f"{name}.connections")]
        answers = proof.nodes_answer(scene, [name for name in victims.nodes if scene.cluster.nodes[name].status() is not Status.DOWN])
        why = "; ".join(part for part in (f"connections to {', '.join(left)} still stand" if left else "", answers.why) if part)
        return Evidence(ok=not why, figures=told | _files(scene, victims) | answers.figures, why=why)


def _files(scene: Scene, victims: Victims) -> proof.Figures:
    """What they cost the node, where that can be seen."""
    figures: proof.Figures = {}
    for name in victims.nodes:
        node = scene.cluster.nodes[name]
        if isinstance(node, LimitsFiles) and node.status() is not Status.DOWN:
            figures[f"{name}.files_open"] = float(node.open_files().open)
    return figures
