"""``membership``: a node leaves the cluster while it serves, and joins again; or its disk is lost and a new machine takes its place.

    leave     the other nodes take it out of their members, then its process is asked to end
    replace   it is killed and its data deleted, then the other nodes take it out of their members

Healing starts its process and lets it join. The target says how (``membership:``). The proof is what the other nodes say: that it is
no member any more, and that it is one again and answers. A replaced node comes back under its old name and address.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.core.clock import to_ns
from chaos.core.errors import FaultNotEffective, NotHealed
from chaos.core.units import Seconds
from chaos.core.values import Evidence, Victims
from chaos.faults.base import evidence as proof
from chaos.faults.base import nodes as stopping
from chaos.plugin import HasMembers, Removable, Scene

if TYPE_CHECKING:
    from chaos.experiment.target.spec import Target

CHANGED_WITHIN_S = 10.0
"""How long the others may take to agree on a change: an election may come between."""
ASKED_EVERY_S = 0.1
LEAVE = "leave"
JOIN = "join"


class Membership(stopping.NodeFault, frozen=True, forbid_unknown_fields=True):
    """Which change, and how long a node that leaves may take to end."""

    change: Literal["leave", "replace"] = "leave"
    grace_s: Seconds = 10.0

    leader: ClassVar[Literal["ends"]] = "ends"
    awaits: ClassVar[Literal["restart"]] = "restart"
    drawn: ClassVar[tuple[str, ...]] = ()
    unpredicted: ClassVar[str] = "what a change of members costs is the system's own"
    struck: ClassVar[str] = "it had left"
    by_hand: ClassVar[str] = (
        "Start the process again with the same address, then let it join as the system has it. "
        "It is healed when the others list it and it votes."
    )

    @property
    def needs(self) -> frozenset[Capability]:
        """A replaced node loses its data."""
        return frozenset({Capability.SIGNALS, Capability.MEMBERS} | ({Capability.DATA} if self.change == "replace" else set()))

    @property
    def mechanism(self) -> str:
        """For the report."""
        return "left its cluster, then SIGTERM" if self.change == "leave" else "SIGKILL, data deleted, taken out of its cluster"

    def target_lacks(self, target: Target) -> str | None:
        """How nodes join and leave."""
        return None if target.membership is not None else "'membership': how nodes join and leave"

    def strike(self, scene: Scene, nodes: Sequence[str], undo: ExitStack) -> stopping.Struck:
        """One after the other, so that a quorum of the old members is one of the new ones too."""
        at_ns, figures = [], dict[str, float | str | None]()
        for name in nodes:
            undo.enter_context(scene.undo.intent("start", name))
            before = _listed(scene, name)
            if not any(before.values()):
                raise FaultNotEffective(f"{name} is no member, by what the others say")
            node = scene.cluster.nodes[name]
            at_ns.append(scene.clock.now_ns())
            if self.change == "replace":
                if not isinstance(node, Removable):
                    raise FaultNotEffective(f"{name} cannot be removed by this runtime")
                at_ns[-1] = node.remove(data=True)
            _changed(scene, LEAVE, name)
            if self.change == "leave":
                figures |= stopping.figures(stopping.stop_all(scene, [name], self.grace_s))
            figures |= _figures(name, before, _listed(scene, name))
        return stopping.Struck(min(at_ns), self.mechanism, figures)

    def bring_back(self, scene: Scene, nodes: Sequence[str]) -> list[int]:
        """Started, and members again."""
        started_ns = super().bring_back(scene, nodes)
        for name in nodes:
            listed = _listed(scene, name)
            if listed and all(listed.values()):
                continue
            try:
                _changed(scene, JOIN, name)
            except FaultNotEffective as refused:
                raise NotHealed(str(refused)) from refused
        return started_ns

    def gone(self, scene: Scene, victims: Victims) -> Evidence:
        """They answer, and every other node lists them."""
        seen = super().gone(scene, victims)
        figures, missing = dict(seen.figures), []
        for name in victims.nodes:
            listed = _listed(scene, name)
            figures[f"{name}.listed_by"] = ", ".join(node for node, member in listed.items() if member) or "nobody"
            missing += [] if listed else [f"no other node says whether {name} is a member"]
            missing += [f"{node} does not list {name}" for node, member in listed.items() if not member]
        return Evidence(seen.ok and not missing, figures, "; ".join(filter(None, (seen.why, *missing))))


def _listed(scene: Scene, name: str) -> dict[str, bool]:
    """Whether it is a member, as each other node says that answers."""
    cluster = scene.cluster
    if not isinstance(cluster, HasMembers):
        raise FaultNotEffective("this runtime cannot ask nodes for their members")
    return {node: member for node, member in cluster.lists(name, proof.PING_TIMEOUT_S).items() if member is not None}


def _changed(scene: Scene, change: str, name: str) -> None:
    """Asked of the other nodes until one has done it and all that answer say so; ``FaultNotEffective`` if that does not come."""
    cluster, clock = scene.cluster, scene.clock
    assert isinstance(cluster, HasMembers)
    until_ns, refusal = clock.now_ns() + to_ns(CHANGED_WITHIN_S), "nobody answered"
    wanted = change == JOIN
    while clock.now_ns() < until_ns:
        listed = _listed(scene, name)
        if listed and all(member is wanted for member in listed.values()):
            return
        if not listed or any(member is not wanted for member in listed.values()):
            refusal = cluster.change_members(change, name, CHANGED_WITHIN_S / 4) or refusal
        clock.wait_until_ns(min(until_ns, clock.now_ns() + to_ns(ASKED_EVERY_S)))
    raise FaultNotEffective(f"{name} did not {change} within {CHANGED_WITHIN_S:g} s: {refusal}")


def _figures(name: str, before: dict[str, bool], during: dict[str, bool]) -> dict[str, float | str | None]:
    """Who listed it before, and who still does."""
    told = {"before": before, "during": during}
    return {
        f"{name}.listed_by, {when}": ", ".join(node for node, member in each.items() if member) or "nobody" for when, each in told.items()
    }
