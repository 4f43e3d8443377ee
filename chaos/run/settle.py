"""Whether the cluster has settled: no fault in force or unproven, every node up and voting, one leader where there is one to have, and
clients of the judged service well again, as far as the prober has told.

What begins after it was seen whole is no doing of the fault before, so that moment is written down once after each fault.
"""

from __future__ import annotations

from collections.abc import Collection

from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.values import LEADER, VOTING
from chaos.history.events import Settled
from chaos.plan.plan import Plan
from chaos.plugin import Cluster
from chaos.run.monitor import LiveState
from chaos.run.own_condition import OwnCondition
from chaos.run.scheduler import Agenda

LOOK_EVERY_S = 0.05
"""How often a healed fault is asked whether it is gone, and the cluster whether it has settled."""
PING_WITHIN_S = 0.2


class Settling:
    """Looks at cluster and clients between faults. ``in_force``: the faults not yet proven gone; it is looked at, never kept."""

    def __init__(
        self, plan: Plan, cluster: Cluster, clock: Clock, state: LiveState, agenda: Agenda, in_force: Collection[str],
        own: OwnCondition | None = None,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._cluster = cluster
        self._clock = clock
        self._state = state
        self._agenda = agenda
        self._in_force = in_force
        self._own = own
        self._gone_ns: int | None = None
        """When the last fault was proven gone, until the cluster has been seen settled after it."""
        self.left_dead: set[str] = set()
        """Nodes that a fault was asked not to bring back."""

    def begin(self, gone_ns: int) -> None:
        """The last fault was proven gone then: from now on look whether the cluster has settled."""
        self._gone_ns = gone_ns
        if self._own is not None:
            self._own.begin(gone_ns)
        self.look()

    def look(self) -> None:
        """Say so as soon as the cluster is whole again."""
        if self._in_force or self._gone_ns is None:
            return  # the next fault begins and its own end will look again, or it has been said
        now_ns = self._clock.now_ns()
        if self.is_settled():
            self.note()
        elif now_ns + to_ns(LOOK_EVERY_S) < self._agenda.end_ns:
            self._agenda.soon(LOOK_EVERY_S, self.look)

    def note(self) -> None:
        """Once after the last fault that was proven gone."""
        if self._gone_ns is not None:
            now_ns = self._clock.now_ns()
            self._state(Settled(at_ns=now_ns, waited_s=to_s(now_ns - self._gone_ns)))
            self._gone_ns = None

    def is_settled(self) -> bool:
        """Whether nodes and clients are well. A fault into an outage that goes on would show nothing of its own."""
        return not self._state.without_answer_s() and self.is_whole() and (self._own is None or self._own.holds())

    def lacks(self) -> str:
        """What is not well: said where a fault is left undone for it."""
        waited_s = self._state.without_answer_s()
        if waited_s and self.is_whole():
            return f"clients of {self._plan.judge} had been without an answer for {waited_s:.3g} s"
        if self._own is not None and not waited_s and self.is_whole():
            return f"{self._own.lacks}"
        return "the cluster had not settled"

    def is_whole(self) -> bool:
        """Whether the nodes are, now; those left dead by order are not waited for."""
        if self._in_force or self._state.down() - self.left_dead:
            return False
        if not self._plan.has_roles:
            alive = [node for node in self._cluster.nodes if node not in self.left_dead]
            return all(self._cluster.ping(node, PING_WITHIN_S).rtt_s is not None for node in alive)
        roles = self._cluster.roles()
        alive = [node for node in roles if node not in self.left_dead]
        declared = set().union(*roles.values()) if roles else set()
        voters = [node.name for node in self._plan.nodes if node.name in alive and self._plan.may_hold(VOTING, node)]
        voting = VOTING not in declared or all(VOTING in roles[node] for node in voters)
        return voting and sum(LEADER in roles[node] for node in alive) == 1
