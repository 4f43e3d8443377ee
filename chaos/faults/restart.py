"""``restart``: nodes are stopped as ``stop`` does it and started again at once: a configuration change, an upgrade.

    rolling     one after the other: the next is stopped when the last one answers, votes again (where the target has such a role),
                and ``gap`` is over
    leader-last the same, but whoever leads is taken when no other is left: leadership moves once, and never to a node that is yet to stop
    together    all stopped, then all started

``by: delete`` gives each node up through whoever runs it, in the order of an orchestrator (from the last name to the first), and waits
until another one is ready in its place: as ``kubectl rollout restart`` does to a StatefulSet, without a change of the StatefulSet itself.

It is its own undo, and healed as soon as the last node is back. The schedule's ``for`` is the time within which that must happen:
what has not been restarted by then is left alone, and the fault counts as failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.core.clock import to_ns, to_s
from chaos.core.errors import FaultNotEffective
from chaos.core.units import Seconds
from chaos.core.values import LEADER, VOTING, Evidence, Status, Victims
from chaos.faults.base import evidence as proof
from chaos.faults.base import nodes as stopping
from chaos.plugin import Deletable, Effect, Scene

LOOK_EVERY_S = 0.05
GRACE_S = 10.0


class Restart(stopping.NodeFault, frozen=True, forbid_unknown_fields=True):
    """How gently, in what order, with what pause between two nodes."""

    grace_s: Seconds | None = None
    """None: 10 s; of a node that is deleted, its own."""
    order: Literal["rolling", "leader-last", "together"] = "rolling"
    gap_s: Seconds = 0.0
    by: Literal["process", "delete"] = "process"
    """Its process is stopped and started, or it is given up, and another one takes its place."""

    leader: ClassVar[Literal["ends"]] = "ends"
    awaits: ClassVar[Literal["restart"]] = "restart"
    polite: ClassVar[bool] = True
    by_hand: ClassVar[str] = "Start whichever of the nodes is down. It is healed when all of them answer and vote."

    @property
    def needs(self) -> frozenset[Capability]:
        """Processes that obey, or somebody who makes another node in the place of one that is given up."""
        return frozenset({Capability.DELETES}) if self.by == "delete" else super().needs

    @property
    def ends_within_s(self) -> float | None:
        """Whoever gives a node up leaves its grace to it."""
        return GRACE_S if self.grace_s is None and self.by == "process" else self.grace_s

    @property
    def last_first(self) -> bool:
        """As an orchestrator rolls its nodes."""
        return self.by == "delete" and self.order == "rolling"

    def __post_init__(self) -> None:
        """Who makes the next one decides when, for each by itself."""
        if self.by == "delete" and self.order == "together":
            raise ValueError("'order: together' is not how pods are rolled: leave 'by: delete' out, or use 'delete' on several nodes")

    def cuts(self, victims: Victims, nodes: Sequence[str]) -> frozenset[str]:  # noqa: ARG002 - whoever else there is
        """Those that are down at one time: of a rolling restart one, whichever."""
        return frozenset(victims.nodes if self.order == "together" else victims.nodes[:1])

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Restart the first node, or all together; the others follow in steps. Each must be seen dead and silent in between."""
        before = proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
        roll = _Roll(self, scene, victims.nodes)
        with ExitStack() as undo:
            for node in victims.nodes if self.by == "process" else ():
                undo.enter_context(scene.undo.intent("start", node))
            try:
                asked_ns = roll.take()
                during = dict(roll.figures)
                effect = Effect(asked_ns, roll.mechanism, before, during, roll.gone, step=roll.step)
                yield effect
            finally:
                roll.bring_back()
            effect.healed_at_ns = roll.started_ns
            if roll.left:
                done = f"{len(victims.nodes) - len(roll.left)} of {len(victims.nodes)} nodes were restarted within 'for'"
                raise FaultNotEffective(f"{done}; {', '.join(roll.left)} never was")


class _Roll:
    """How far a restart has come."""

    def __init__(self, fault: Restart, scene: Scene, nodes: Sequence[str]) -> None:
        self._fault = fault
        self._scene = scene
        self._nodes = tuple(nodes)
        self._taken: tuple[str, ...] = ()
        self._whole_ns: int | None = None
        self._voting = _voting_parts(scene, scene.cluster.roles())
        """Whether its nodes are such that vote. Between two leaders none may: that says nothing."""
        self._asked_ns = 0
        self.left = list(nodes)
        self.started_ns: int | None = None
        self.mechanism = "SIGTERM"
        self.figures: proof.Figures = {}

    def take(self) -> int:
        """Stop and start the next one, or all; when the first was asked to end."""
        self._taken = self._next()
        return self._give_up() if self._fault.by == "delete" else self._stop()

    def _stop(self) -> int:
        grace_s = GRACE_S if self._fault.grace_s is None else self._fault.grace_s
        stopped = stopping.stop_all(self._scene, self._taken, grace_s)
        answers = proof.ask_nodes(self._scene, self._taken)
        alive = sorted(node for node, trip in answers.items() if trip.rtt_s is not None)
        if alive:
            raise FaultNotEffective(f"{', '.join(alive)} still answered after it was stopped")
        self.bring_back()
        self.left = [node for node in self.left if node not in self._taken]
        self._whole_ns = None
        assert self.started_ns is not None
        self.mechanism = f"{stopping.mechanism(stopped, grace_s)}, then started; {self._fault.order}"
        self.figures |= stopping.figures(stopped)
        self.figures |= {f"{each.node}.down_s": to_s(self.started_ns - each.died_ns) for each in stopped}
        return min(each.asked_ns for each in stopped)

    def _give_up(self) -> int:
        """Ordered; that it went is seen by another one in its place."""
        (name,) = self._taken
        node = self._scene.cluster.nodes[name]
        if not isinstance(node, Deletable):
            raise FaultNotEffective(f"{name} cannot be deleted by this runtime")
        self.mechanism = f"deleted, and another one ready in its place; {self._fault.order}"
        self._asked_ns = node.delete(self._fault.grace_s)
        self.left = [each for each in self.left if each != name]
        self._whole_ns = None
        return self._asked_ns

    def _next(self) -> tuple[str, ...]:
        """``leader-last`` goes by who leads at this moment."""
        if self._fault.order == "together":
            return tuple(self.left)
        roles = self._scene.cluster.roles() if self._fault.order == "leader-last" else {}
        left = self.left[::-1] if self._fault.by == "delete" else self.left
        return tuple(sorted(left, key=lambda node: LEADER in roles.get(node, ()))[:1])

    def step(self) -> int | None:
        """What is due now; when to look again, or None when the last node is back."""
        now_ns = self._scene.clock.now_ns()
        if self._whole_ns is None:
            if not self._back():
                return now_ns + to_ns(LOOK_EVERY_S)
            self._whole_ns = now_ns
        if not self.left:
            return None
        due_ns = self._whole_ns + to_ns(self._fault.gap_s)
        if now_ns < due_ns:
            return due_ns
        self.take()
        return self._scene.clock.now_ns() + to_ns(LOOK_EVERY_S)

    def bring_back(self) -> None:
        """Start whoever of them is down."""
        for name in self._taken if self._fault.by == "process" else ():
            node = self._scene.cluster.nodes[name]
            if node.status() is Status.DOWN:
                self.started_ns = node.start()

    def gone(self) -> Evidence:
        """All answer; how long each took to end and was away."""
        seen = proof.nodes_answer(self._scene, self._nodes)
        return Evidence(seen.ok, seen.figures | self.figures, seen.why)

    def _back(self) -> bool:
        """The last ones answer, and vote where anybody does; of one that was given up, another one in its place."""
        if self._fault.by == "delete" and not self._replaced():
            return False
        if not proof.nodes_answer(self._scene, self._taken).ok:
            return False
        roles = self._scene.cluster.roles()
        self._voting |= _voting_parts(self._scene, roles)
        voters = [node for node in self._taken if self._scene.cluster.nodes[node].info.part in self._voting]
        return all(VOTING in roles.get(node, ()) for node in voters)

    def _replaced(self) -> bool:
        nodes = self._scene.cluster.nodes
        if not all(isinstance(node, Deletable) and node.replaced() for node in map(nodes.__getitem__, self._taken)):
            return False
        self.started_ns = self._scene.clock.now_ns()
        self.figures |= {f"{name}.replaced_s": to_s(self.started_ns - self._asked_ns) for name in self._taken}
        return True


def _voting_parts(scene: Scene, roles: Mapping[str, frozenset[str]]) -> set[str]:
    """The parts of which some node votes: of the others none ever will."""
    return {scene.cluster.nodes[node].info.part for node, held in roles.items() if VOTING in held}
