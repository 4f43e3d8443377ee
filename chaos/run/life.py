"""One fault from harm to proof, step by step: what a fault of a schedule and one by hand have in common.

    begin -> asked -> effective | failed          heal -> healed | failed          seen_gone -> gone

Each step tells what came of it as a row of the history. When each is due is for whoever leads the fault: a life has no time of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from msgspec import structs

from chaos.core.errors import FaultNotEffective, NinesError
from chaos.core.values import LEADER, Evidence, NodeInfo, Victims
from chaos.experiment.faults import FaultSpec
from chaos.history.events import FaultAsked, FaultEffective, FaultFailed, FaultGone, FaultHealed, Row
from chaos.plan import selection as selectors
from chaos.plan.plan import Plan, PlannedNode
from chaos.plan.traits import made
from chaos.plugin import Cluster, Effect, Scene


class Life:
    """One fault on its victims."""

    def __init__(self, fault_id: str, spec: FaultSpec, victims: Victims, scene: Scene, tell: Callable[[Row], None]) -> None:
        self.id = fault_id
        self.spec = spec
        self.victims = victims
        self.healed = False
        """It was taken back, or that was tried."""
        self.left_over = False
        """It failed, and may still be in force."""
        self.effect: Effect
        self._scene = scene
        self._tell = tell
        self.fault = made(spec)
        self._manager: AbstractContextManager[Effect]

    def begin(self) -> bool:
        """Do harm; false if it did not take effect."""
        self._tell(
            FaultAsked(
                at_ns=self._scene.clock.now_ns(), id=self.id, fault=self.spec.name, kind=self.spec.kind,
                fault_class=f"{self.spec.kind}/{self.victims.role}", target=named(self.victims),
            )
        )  # fmt: skip
        self._manager = self.fault.inject(self._scene, self.victims)
        try:
            effect = self._manager.__enter__()
        except FaultNotEffective as error:
            return self.fail(str(error))
        except NinesError as error:
            return self.fail(f"failed, and could not be taken back: {error}", left_over=True)
        self.effect = effect
        self._tell(
            FaultEffective(at_ns=effect.effective_at_ns, id=self.id, mechanism=effect.mechanism, before=effect.before, during=effect.during)
        )
        return True

    def heal(self, why: FaultNotEffective | None = None) -> bool:
        """Take it back; false if it failed. ``why``: it came to nothing in the middle of its work."""
        self.healed = True
        try:
            self._manager.__exit__(None if why is None else type(why), why, None)
        except FaultNotEffective as error:
            why = why or error
        except NinesError as error:
            return self.fail(f"could not be taken back: {error}", left_over=True)
        if why is not None:
            return self.fail(str(why))
        if self.effect.healed_at_ns is not None:
            self._tell(FaultHealed(at_ns=self.effect.healed_at_ns, id=self.id))
        return True

    def seen_gone(self, evidence: Evidence, not_back: str = "") -> None:
        """Nothing of it is left. ``not_back``: which of its nodes do not run again, by no doing of ours."""
        self._tell(FaultGone(at_ns=self._scene.clock.now_ns(), id=self.id, after=evidence.figures, not_back=not_back))

    def not_gone(self, evidence: Evidence) -> None:
        """Its time to be gone is over."""
        self.fail(f"not proven gone: {evidence.why}", left_over=True)

    def fail(self, reason: str, *, left_over: bool = False) -> bool:
        """It ends here; never true. ``left_over``: it may still be in force."""
        self.left_over = left_over
        self._tell(FaultFailed(at_ns=self._scene.clock.now_ns(), id=self.id, reason=reason, left_over=left_over))
        return False


def named(victims: Victims) -> list[str]:
    """The victims one by one, as a history has them."""
    return list(victims.nodes) or [str(link) for link in victims.links] or [",".join(group) for group in victims.groups]


def _now(planned: PlannedNode, info: NodeInfo) -> PlannedNode:
    """With the host that it stands on by now, and the labels that it has by now."""
    labels = planned.labels if info.labels is None else info.labels
    place = (info.zone, info.host) if info.host else (planned.zone, planned.host)
    return structs.replace(planned, zone=place[0], host=place[1], labels=labels)


def pick(plan: Plan, cluster: Cluster, spec: FaultSpec, up: frozenset[str], draw: int, last: dict[str, Victims] | None = None) -> Victims:
    """Whom the selector means, now; ``up``: nodes whose process lives. ``BadInput`` if it matches nobody."""
    return selectors.resolve(
        spec.target,
        nodes=[_now(node, cluster.nodes[node.name].info) for node in plan.nodes],
        roles=cluster.roles(),
        up=up,
        protect=plan.experiment.limits.protect,
        draw=draw,
        last=last or {},
        part=plan.experiment.cluster.dns.part or plan.nodes[0].part,
        has_roles=plan.has_roles,
        leads=plan.role_parts.get(LEADER, ""),
        fault=made(spec),
    )
