"""What a run knows of itself that a fault may wait for (``when``), gathered from the rows of its history as they are written."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.core.values import Status
from chaos.experiment.schedules import Condition, OnFault, OnNode, OnRole, OnService
from chaos.history.events import (
    FaultAsked,
    FaultEffective,
    FaultFailed,
    FaultGone,
    FaultHealed,
    NodeChanged,
    RoleChanged,
    Row,
    TrafficSecond,
)

HAIR_S = 1e-6


class Known:
    """Feed it with rows, ask it whether a condition holds.

    A service is down by the prober's last second if that had ``least_bad`` bad slots, or ended without a good slot for so long as
    ``down_after_s`` says; it is up if it had good slots and no bad one.
    """

    def __init__(self, down_after_s: Mapping[str, float], least_bad: int = 2) -> None:
        self._down_after_s = down_after_s
        self._least_bad = least_bad
        self._names: dict[str, str] = {}
        self._faults: dict[str, str] = {}
        self._holders: dict[str, str] = {}
        self._changed_ns: dict[str, int] = {}
        self._seconds: dict[str, TrafficSecond] = {}
        self._nodes: dict[str, str] = {}

    def take(self, row: Row) -> None:
        """One row, in the order they are written."""
        match row:
            case FaultAsked():
                self._names[row.id] = row.fault
                self._faults[row.fault] = "asked"
            case FaultEffective():
                self._faults[self._names.get(row.id, row.id)] = "effective"
            case FaultHealed() | FaultFailed():
                self._faults[self._names.get(row.id, row.id)] = "healed"
            case FaultGone():
                self._faults[self._names.get(row.id, row.id)] = "gone"
            case RoleChanged(holds=True):
                if self._holders.get(row.role, row.node) != row.node:
                    self._changed_ns[row.role] = row.at_ns
                self._holders[row.role] = row.node
            case NodeChanged():
                self._nodes[row.node] = row.status
            case TrafficSecond():
                self._seconds[row.operation] = row
            case _:
                pass

    def without_answer_s(self, service: str) -> float:
        """For how long a service is without a good answer, by the prober's last second; 0 if that is no outage."""
        second = self._seconds.get(service)
        if second is None or second.bad_run_s < self._down_after_s.get(service, 0.0) - HAIR_S:
            return 0.0
        return second.bad_run_s

    def holds(self, condition: Condition, since_ns: int) -> bool:
        """Whether it holds now; a change of role counts if it came after ``since_ns``."""
        match condition:
            case OnFault(fault=fault, state=state):
                return self._faults.get(fault) == state
            case OnRole(role=role):
                return self._changed_ns.get(role, since_ns) > since_ns
            case OnNode(node=node, state=state):
                return (self._nodes.get(node, Status.UP) == Status.UP) == (state == "up")
            case OnService(service=service, state=state):
                second = self._seconds.get(service)
                if second is None:
                    return False
                is_down = second.bad >= self._least_bad or second.bad_run_s >= self._down_after_s[service] - HAIR_S
                return is_down if state == "down" else second.good > 0 and second.bad == 0
