"""``drain``: a host is emptied before work on it, as ``kubectl drain`` does it: closed to new pods, then its pods are asked to go.

    drain: {}                a pod that a disruption budget holds back is asked again every 5 s
    drain: {grace: 5s}       with another grace than the pods' own

Only pods that are nodes of this run are asked: what else stands on the host is nobody's that the experiment names. The host stays closed
until ``for`` is over, then it is opened again. Whoever runs the pods makes others in their place, on other hosts if they have room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import ClassVar, Final, Literal

from chaos.core.capabilities import Capability
from chaos.core.clock import to_ns, to_s
from chaos.core.errors import FaultNotEffective
from chaos.core.units import Seconds
from chaos.core.values import Evidence, Victims
from chaos.faults.base import evidence as proof
from chaos.plugin import Effect, Evictable, Fault, HasHosts, Scene

AGAIN_S: Final = 5.0
"""As ``kubectl drain`` waits before it asks again."""
LOOK_EVERY_S: Final = 0.25
ZONE: Final = "zone:"


class Drain(Fault, frozen=True, forbid_unknown_fields=True):
    """How long a pod may take to end; none: as it says itself."""

    grace_s: Seconds | None = None

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.DRAINS, Capability.DELETES})
    takes: ClassVar[tuple[str, ...]] = ("nodes",)
    takes_down: ClassVar[bool] = True
    only_processes: ClassVar[bool] = True
    leader: ClassVar[Literal["ends"]] = "ends"
    awaits: ClassVar[Literal["restart"]] = "restart"
    polite: ClassVar[bool] = True
    by_hand: ClassVar[str] = "`kubectl uncordon` of the host. It is healed when the host takes pods again, and all nodes answer."

    @property
    def ends_within_s(self) -> float | None:
        """With the grace that it names, else with the pods' own."""
        return self.grace_s

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Close the host, ask its pods to go; what is held back is asked again in steps. Leaving opens it."""
        cluster, host = scene.cluster, victims.role.removeprefix(ZONE)
        if not isinstance(cluster, HasHosts):
            raise FaultNotEffective("this cluster stands on no hosts that could be drained")
        before = proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
        emptied = _Emptied(self, scene, victims.nodes)
        opened_ns: list[int] = []
        with ExitStack() as undo:
            undo.enter_context(scene.undo.intent("uncordon", host))
            try:
                cordoned_ns = cluster.cordon(host)
                emptied.ask()
                during: proof.Figures = {f"{host}.cordoned": "yes", **emptied.figures}
                mechanism = "cordoned, then its pods evicted"
                effect = Effect(cordoned_ns, mechanism, before, during, emptied.gone, step=emptied.step)
                yield effect
            finally:
                cluster.uncordon(host)
                opened_ns.append(scene.clock.now_ns())
            effect.healed_at_ns = max(opened_ns)
            if emptied.held:
                why = "; ".join(f"{node}: {said}" for node, said in emptied.held.items())
                raise FaultNotEffective(f"not emptied within 'for': {why}")


class _Emptied:
    """Who went, and who is held back."""

    def __init__(self, fault: Drain, scene: Scene, nodes: Sequence[str]) -> None:
        self._fault = fault
        self._scene = scene
        self._nodes = tuple(nodes)
        self._asked_ns: dict[str, int] = {}
        self._again_ns = 0
        self.held: dict[str, str] = dict.fromkeys(nodes, "not asked yet")
        """Node -> why it may not go now."""
        self.figures: proof.Figures = {}

    def ask(self) -> None:
        """Those that have not been granted it."""
        for name in list(self.held):
            node = self._scene.cluster.nodes[name]
            if not isinstance(node, Evictable):
                raise FaultNotEffective(f"{name} cannot be evicted by this runtime")
            at_ns = self._scene.clock.now_ns()
            held = node.evict(self._fault.grace_s)
            if held:
                self.held[name] = held
                self.figures[f"{name}.held_back"] = held
            else:
                del self.held[name]
                self._asked_ns[name] = at_ns
        self._again_ns = self._scene.clock.now_ns() + to_ns(AGAIN_S)

    def step(self) -> int | None:
        """Ask again when it is time; notes who has been replaced. The host is opened by the schedule, so this never ends it."""
        now_ns = self._scene.clock.now_ns()
        if self.held and now_ns >= self._again_ns:
            self.ask()
        self._note_replaced(now_ns)
        return now_ns + to_ns(LOOK_EVERY_S)

    def _note_replaced(self, now_ns: int) -> None:
        for name in list(self._asked_ns):
            node = self._scene.cluster.nodes[name]
            assert isinstance(node, Evictable)
            if node.replaced():
                self.figures[f"{name}.replaced_s"] = to_s(now_ns - self._asked_ns.pop(name))

    def gone(self) -> Evidence:
        """All are replaced and answer; the host was seen open when it was opened."""
        self._note_replaced(self._scene.clock.now_ns())
        seen = proof.nodes_answer(self._scene, self._nodes)
        waits = ", ".join(sorted(self._asked_ns))
        why = f"{seen.why}{'; ' * bool(seen.why and waits)}{f'no other pod is ready in the place of {waits}' if waits else ''}"
        return Evidence(seen.ok and not waits, seen.figures | self.figures, why)
