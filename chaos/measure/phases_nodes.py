"""What the nodes were able to do at each moment: who ran, who could reach whom, and when enough of them could again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from chaos.core.values import CLIENTS, DNS, Status
from chaos.measure.faults import FaultRecord
from chaos.measure.timeline import Timeline
from chaos.plan.plan import Plan

ARROW = " -> "


class Abilities:
    """Questions about the nodes of the part behind the name, answered from node changes and from the faults in force."""

    def __init__(self, plan: Plan, timeline: Timeline) -> None:
        part = plan.experiment.cluster.dns.part or (plan.nodes[0].part if plan.nodes else "")
        self._nodes = [node.name for node in plan.nodes if node.part == part]
        self._changes: dict[str, list[tuple[float, str]]] = {}
        for moment in timeline.statuses:
            self._changes.setdefault(moment.node, []).append((moment.at_s, moment.what))
        cluster = plan.experiment.cluster
        severing = (fault for fault in timeline.faults if fault.traits.severs and not cluster.spares_peers(fault.traits.network))
        self._cuts = [fault for fault in severing if fault.effective_s is not None]
        edges = [at_s for changes in self._changes.values() for at_s, _ in changes]
        edges += [at_s for fault in self._cuts for at_s in (fault.effective_s, fault.healed_s) if at_s is not None]
        self._edges = sorted(edges)

    def is_up(self, node: str, at_s: float) -> bool:
        """Its process ran; a node that nothing is known of did."""
        status: str = Status.UP
        for changed_s, what in self._changes.get(node, []):
            if changed_s > at_s:
                break
            status = what
        return status == Status.UP

    def quorum_back_s(self, since_s: float, until_s: float) -> float | None:
        """When a majority could talk to each other again; infinite if it could not by ``until_s``, None if it always could."""
        return self._back_s(self._has_quorum, since_s, until_s)

    def any_back_s(self, since_s: float, until_s: float) -> float | None:
        """The same for at least one node that runs."""
        return self._back_s(lambda at_s: any(self.is_up(node, at_s) for node in self._nodes), since_s, until_s)

    def victims(self, fault: FaultRecord) -> set[str]:
        """The nodes that a fault was done to; of a link, where it leads to."""
        named = {entry.split(ARROW)[1] if ARROW in entry else entry for entry in fault.target}
        return {node for entry in named for node in entry.split(",")} - {CLIENTS, DNS}

    def victims_back_s(self, faults: Sequence[FaultRecord], since_s: float) -> float:
        """When the last of the victims runs again and its links are healed; infinite if that was not seen."""
        backs = [0.0]
        for fault in faults:
            ups = [self._next_up_s(node, since_s) for node in self.victims(fault) if node in self._changes]
            down = [at_s for at_s in ups if at_s is not None]
            healed_s = math.inf if fault.healed_s is None else fault.healed_s
            backs += down or [healed_s]
        return max(backs)

    def _next_up_s(self, node: str, since_s: float) -> float | None:
        """The first time that it ran again after it had not, from just before ``since_s`` on; None if it ran throughout."""
        was_away = False
        for changed_s, what in self._changes.get(node, []):
            if what != Status.UP:
                was_away = True
            elif was_away and changed_s > since_s:
                return changed_s
            else:
                was_away = False
        return math.inf if was_away else None

    def _back_s(self, able: Callable[[float], bool], since_s: float, until_s: float) -> float | None:
        times = [since_s, *(at_s for at_s in self._edges if since_s < at_s <= until_s)]
        ables = [able(at_s) for at_s in times]
        if all(ables):
            return None
        if not ables[-1]:
            return math.inf
        return max(later_s for (was, _), (now, later_s) in pairwise(zip(ables, times, strict=True)) if now and not was)

    def _has_quorum(self, at_s: float) -> bool:
        up = [node for node in self._nodes if self.is_up(node, at_s)]
        quorum = len(self._nodes) // 2 + 1
        cuts = [self._severed(fault) for fault in self._cuts if _in_force(fault, at_s)]
        if not cuts:
            return len(up) >= quorum
        return any(sum(other == node or not any(cut(node, other) for cut in cuts) for other in up) >= quorum for node in up)

    def _severed(self, fault: FaultRecord) -> Callable[[str, str], bool]:
        """Whether this partition stands between two nodes, in either direction: agreement needs both."""
        links = {frozenset(entry.split(ARROW)) for entry in fault.target if ARROW in entry}
        if links:
            return lambda one, other: frozenset((one, other)) in links
        groups = [entry.split(",") for entry in fault.target]
        if all(len(group) == 1 for group in groups):
            groups = [[group[0] for group in groups]]  # isolated nodes stay together
        side = {node: number for number, group in enumerate(groups) for node in group}
        return lambda one, other: side.get(one, -1) != side.get(other, -1)


def _in_force(fault: FaultRecord, at_s: float) -> bool:
    assert fault.effective_s is not None
    return fault.effective_s <= at_s and (fault.healed_s is None or at_s < fault.healed_s)
