"""What the faults on a node's own process share: strike, see them silent, bring them back; and ending nodes the polite way."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import ClassVar

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.clock import to_ns, to_s
from chaos.core.errors import FaultNotEffective
from chaos.core.system import SIGKILL
from chaos.core.values import Evidence, Status, Victims
from chaos.faults.base import evidence as proof
from chaos.plugin import Effect, Fault, Node, Scene

LOOK_EVERY_S = 0.005
SENT_WITHIN_S = 0.005
"""One after the other is asked to end, each after the last one was: so the order of their deaths is that of their names."""
HEALED_ALIVE = "It is healed when it answers and is voting again."


class Struck(msgspec.Struct, frozen=True):
    """What became of the victims: since when, by what means, and what was measured of it."""

    at_ns: int
    mechanism: str
    figures: proof.Figures = {}


class NodeFault(Fault, frozen=True, forbid_unknown_fields=True):
    """Strikes its victims one by one; they must be seen silent, and in the state ``leaves``. Leaving brings back those still in it."""

    takes: ClassVar[tuple[str, ...]] = ("nodes",)
    takes_down: ClassVar[bool] = True
    only_processes: ClassVar[bool] = True
    undoes: ClassVar[str] = "start"
    leaves: ClassVar[Status] = Status.DOWN

    @property
    def needs(self) -> frozenset[Capability]:
        """Processes that obey; and whoever is left dead is ours to start again."""
        return frozenset({Capability.SIGNALS, *([Capability.STARTS] if self.leaves is Status.DOWN else [])})

    @property
    def struck(self) -> str:
        """What was done to them, as ``still ran after ...`` ends."""
        return ""

    @property
    def certain(self) -> bool:
        """They stay as they are: one that is seen alive was not struck."""
        return True

    def hit(self, node: Node) -> int:
        """Strike one node; when it happened."""
        raise NotImplementedError

    def strike(self, scene: Scene, nodes: Sequence[str], undo: ExitStack) -> Struck:
        """Strike them all, the intent to undo it on disk before each."""
        at_ns = []
        for name in nodes:
            undo.enter_context(scene.undo.intent(self.undoes, name))
            at_ns.append(self.hit(scene.cluster.nodes[name]))
        return Struck(min(at_ns), self.mechanism)

    @property
    def mechanism(self) -> str:
        """For the report."""
        return ""

    def bring_back(self, scene: Scene, nodes: Sequence[str]) -> list[int]:
        """Whoever is down is started; when."""
        return start_dead(scene, nodes)

    def gone(self, scene: Scene, victims: Victims) -> Evidence:
        """All answer; of one that is never taken back, how they are."""
        if self.endless:
            return Evidence(ok=True, figures={f"{node}.process": str(scene.cluster.nodes[node].status()) for node in victims.nodes})
        return proof.nodes_answer(scene, victims.nodes)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Strike the victims, prove it, and bring them back. The time of effect is the first strike."""
        before = proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
        back_ns: list[int] = []
        with ExitStack() as undo:
            try:
                struck = self.strike(scene, victims.nodes, undo)
                answers = proof.ask_nodes(scene, victims.nodes)
                during = proof.node_figures(scene, answers) | struck.figures
                loud = {node for node, trip in answers.items() if trip.rtt_s is not None}
                loud |= {node for node in victims.nodes if scene.cluster.nodes[node].status() is not self.leaves}
                if loud and self.certain:
                    raise FaultNotEffective(f"{', '.join(sorted(loud))} still ran after {self.struck}")
                effect = Effect(struck.at_ns, struck.mechanism, before, during, lambda: self.gone(scene, victims))
                yield effect
            finally:
                back_ns += self.bring_back(scene, victims.nodes)
            effect.healed_at_ns = max(back_ns, default=None)


def start_dead(scene: Scene, nodes: Sequence[str]) -> list[int]:
    """Start those of them that are down; when each process began."""
    dead = [node for node in nodes if scene.cluster.nodes[node].status() is Status.DOWN]
    return [scene.cluster.nodes[node].start() for node in dead]


class Stopped(msgspec.Struct, frozen=True):
    """How one node ended."""

    node: str
    asked_ns: int
    died_ns: int
    forced: bool
    """It did not end within the grace and was killed."""

    @property
    def took_s(self) -> float:
        """From the request to its death."""
        return to_s(self.died_ns - self.asked_ns)


def stop_all(scene: Scene, nodes: Sequence[str], grace_s: float) -> list[Stopped]:
    """All of them dead, at most ``grace_s`` and a moment later. ``FaultNotEffective`` for one that does not run or does not die."""
    with ThreadPoolExecutor(max_workers=max(1, len(nodes)), thread_name_prefix="stop") as pool:
        asked = []
        for node in nodes:
            asked.append(pool.submit(_stop, scene, node, grace_s))
            wait(asked[-1:], timeout=SENT_WITHIN_S)
        return [each.result() for each in asked]


def mechanism(stopped: Sequence[Stopped], grace_s: float) -> str:
    """For the report."""
    forced = [each.node for each in stopped if each.forced]
    return f"SIGTERM; SIGKILL after {grace_s:g} s to {', '.join(forced)}" if forced else "SIGTERM"


def figures(stopped: Sequence[Stopped]) -> dict[str, float | str | None]:
    """How long each took to end."""
    return {f"{each.node}.took_s": each.took_s for each in stopped}


def _stop(scene: Scene, name: str, grace_s: float) -> Stopped:
    node, clock = scene.cluster.nodes[name], scene.clock
    asked_ns = clock.now_ns()
    until_ns = asked_ns + to_ns(grace_s)
    # A node's own verb waits for the death longer than a short grace: it waits in a thread, and a SIGKILL meanwhile ends its wait.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"stop {name}") as pool:
        gentle = pool.submit(node.kill, signal.SIGTERM)
        wait([gentle], timeout=grace_s)
        died_ns = gentle.result() if gentle.done() else asked_ns
        while node.status() is not Status.DOWN and clock.now_ns() < until_ns:
            clock.wait_until_ns(min(until_ns, clock.now_ns() + to_ns(LOOK_EVERY_S)))
            died_ns = clock.now_ns()
        if node.status() is Status.DOWN:
            return Stopped(name, asked_ns, died_ns, forced=False)
        try:
            return Stopped(name, asked_ns, node.kill(SIGKILL), forced=True)
        except FaultNotEffective:
            if node.status() is not Status.DOWN:
                raise
            return Stopped(name, asked_ns, clock.now_ns(), forced=False)  # it ended by itself in the last moment
