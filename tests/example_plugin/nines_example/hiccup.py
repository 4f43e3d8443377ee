"""``hiccup``: the node is frozen again and again, each time for as long as it may go on in between.

Models a machine that swaps, or a collector of garbage that runs all the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar, Literal

from chaos.plugin import (
    Capability,
    Case,
    Effect,
    Fault,
    FaultNotEffective,
    Model,
    Scenario,
    Scene,
    Seconds,
    Status,
    Victims,
    evidence,
    to_ns,
)

LEAST_S = 0.02


class Hiccup(Fault, frozen=True, forbid_unknown_fields=True):
    """How long it is frozen at a time."""

    every_s: Seconds = 0.1
    """A stop, and a pause between two of them."""

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SIGNALS})
    takes_down: ClassVar[bool] = True
    only_processes: ClassVar[bool] = True
    hangs: ClassVar[bool] = True
    leader: ClassVar[Literal["outlasts"]] = "outlasts"
    unpredicted: ClassVar[str] = "what a system does between two stops is its own"
    awaits: ClassVar[Literal["resume"]] = "resume"
    by_hand: ClassVar[str] = "`kill -CONT <pid>` of the node's process. It is healed when it answers."

    def __post_init__(self) -> None:
        """What could not be seen is refused, with the line of the file."""
        if self.every_s < LEAST_S:
            raise ValueError(f"an 'every' below {LEAST_S * 1e3:g}ms cannot be seen")

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Freeze the victims, and let ``step`` go on; they must be seen frozen."""
        nodes = {name: scene.cluster.nodes[name] for name in victims.nodes}
        before = evidence.node_figures(scene, evidence.ask_nodes(scene, victims.nodes))
        healed_ns = []
        with ExitStack() as undo:
            try:
                frozen_ns = []
                for name, node in nodes.items():
                    undo.enter_context(scene.undo.intent("resume", name))
                    frozen_ns.append(node.pause())
                awake = [name for name, node in nodes.items() if node.status() is not Status.PAUSED]
                if awake:
                    raise FaultNotEffective(f"{', '.join(awake)} still ran after it was frozen")
                during = evidence.node_figures(scene, evidence.ask_nodes(scene, victims.nodes))
                next_ns = scene.clock.now_ns() + to_ns(self.every_s)

                def step() -> int:
                    nonlocal next_ns
                    if scene.clock.now_ns() >= next_ns:
                        for node in nodes.values():
                            if node.status() is Status.PAUSED:
                                node.resume()
                            elif node.status() is Status.UP:
                                node.pause()
                        next_ns = scene.clock.now_ns() + to_ns(self.every_s)
                    return next_ns

                yield (effect := Effect(
                    min(frozen_ns), "SIGSTOP, SIGCONT", before, during, lambda: evidence.nodes_answer(scene, victims.nodes), step=step
                ))  # fmt: skip
            finally:
                healed_ns += [node.resume() for node in nodes.values() if node.status() is Status.PAUSED]
            effect.healed_at_ns = max(healed_ns, default=scene.clock.now_ns())


def scenario(case: Case) -> Scenario | None:
    """One stop that outlasts the fault is a pause, which is known; what a system does between several is not modelled."""
    from chaos.predict.scenarios.crash import pause

    return pause(case) if case.for_s.max() <= case.number("every_s") else None


MODEL = Model(scenario)
