"""What goes on in a run, from the rows of its history as they are written: for the live lines of ``nines run`` and for ``nines top``.

It keeps no clock of its own: "now" is the stamp of the newest row, unless somebody says a later one.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from chaos.core.clock import to_s
from chaos.history.events import (
    Aborting,
    Awaited,
    FaultAsked,
    FaultEffective,
    FaultFailed,
    FaultGone,
    FaultHealed,
    FaultSkipped,
    NodeChanged,
    NodeUp,
    PhaseBegun,
    RoleChanged,
    Row,
    RunEnded,
    TrafficSecond,
    TrafficStarted,
)
from chaos.plan.plan import Plan

STRIP: Final = 300
"""Seconds of a service that are kept."""
GOOD, SOME, BAD, NONE = "▁", "▄", "█", " "
"""One second of a service: all requests good, some bad, half of them or more, none known. The height tells, not the colour."""


class GoingOn:
    """The state of one run by its newest row."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.phase = "starting"
        self.ended = False
        self.start_ns: int | None = None
        self.now_ns = 0
        self.nodes: dict[str, str] = {node.name: "starting" for node in plan.nodes}
        self.roles: dict[str, set[str]] = {}
        self.services: dict[str, str] = {}
        self.strips: dict[str, deque[str]] = {}
        self.faults: dict[str, str] = {}
        """Those that are asked for and not proven gone: id -> what is to be said of them."""
        self.done = 0
        self.came_to_nothing = 0

    def take(self, row: Row) -> str:
        """Update; returns what is worth a line of its own."""
        self.now_ns = max(self.now_ns, row.at_ns)
        match row:
            case PhaseBegun():
                self.phase = row.phase
            case TrafficStarted():
                self.start_ns = row.start_ns
            case TrafficSecond():
                self._second(row)
            case NodeUp():
                self.nodes[row.node] = "up"
            case NodeChanged():
                self.nodes[row.node] = row.status
            case RoleChanged():
                held = self.roles.setdefault(row.node, set())
                held.add(row.role) if row.holds else held.discard(row.role)
            case RunEnded():
                self.ended = True
            case _:
                return self._fault(row)
        return ""

    def _second(self, row: TrafficSecond) -> None:
        self.services[row.operation] = f"down {row.bad_run_s:.1f} s" if row.bad_run_s else "ok" if not row.bad else f"{row.bad} bad"
        mark = NONE if not row.due else GOOD if not row.bad else BAD if row.bad * 2 >= row.due else SOME
        self.strips.setdefault(row.operation, deque(maxlen=STRIP)).append(mark)

    def _fault(self, row: Row) -> str:
        match row:
            case FaultAsked():
                self.faults[row.id] = f"{row.id} on {', '.join(row.target)}"
            case FaultEffective():
                self.faults.setdefault(row.id, row.id)
            case FaultHealed():
                self.faults[row.id] = f"{row.id} rolled back"
            case FaultGone():
                self.faults.pop(row.id, None)
                self.done += 1
            case FaultSkipped():
                self.came_to_nothing += 1
                return f"{row.id} skipped: {row.reason}"
            case FaultFailed():
                self.faults.pop(row.id, None)
                self.came_to_nothing += 1
                return f"{row.id} {'LEFT OVER' if row.left_over else 'failed'}: {row.reason}"
            case Awaited(came=False):
                return f"{row.id}: condition '{row.condition}' not met within {row.waited_s:g} s"
            case Aborting():
                return f"ending early: {row.condition}"
        return ""

    # --- what is said of it ---------------------------------------------------------------------------------------------

    def gone_s(self) -> float | None:
        """Since the first request; None before it."""
        return None if self.start_ns is None else max(to_s(self.now_ns - self.start_ns), 0.0)

    def head(self) -> str:
        """``faults  34 of 75 s, 41 s left  faults 4 of 9 done, 1 in force``."""
        words = [self.phase]
        gone_s, whole_s = self.gone_s(), self.plan.duration_s
        if gone_s is not None:
            words.append(f"{min(gone_s, whole_s):.0f} of {whole_s:.0f} s, {max(whole_s - gone_s, 0.0):.0f} s left")
        words.append(self.counted())
        return "  ".join(word for word in words if word)

    def counted(self) -> str:
        """``4 of 9 faults done, 1 in force, 1 without effect``; empty where none is planned."""
        planned = len(self.plan.windows)
        if not planned:
            return ""
        told = [f"{self.done} of {planned} fault{'s' * (planned != 1)} done"]
        told += [f"{len(self.faults)} in force"] * bool(self.faults)
        told += [f"{self.came_to_nothing} without effect"] * bool(self.came_to_nothing)
        return ", ".join(told)

    def placed(self) -> str:
        """``n1 up  n2 up (leader)  n3 DOWN``."""
        return "  ".join(self._node(name, status) for name, status in self.nodes.items())

    def _node(self, name: str, status: str) -> str:
        roles = ", ".join(sorted(self.roles.get(name, ())))
        shown = status if status in ("up", "starting") else status.upper()
        return f"{name} {shown}{f' ({roles})' if roles and status == 'up' else ''}"

    def strip(self, service: str, seconds: int) -> str:
        """The last so many seconds of a service, the newest on the right."""
        return "".join(list(self.strips.get(service, ()))[-seconds:]).rjust(seconds)

    def line(self) -> str:
        """All that matters, in one line."""
        services = [f"{name} {state}" for name, state in self.services.items()]
        odd = [self._node(name, status) for name, status in self.nodes.items() if status not in ("up", "starting")]
        return "  ".join([self.head(), *services, *odd, *self.faults.values()])

    def block(self, width: int) -> list[str]:
        """The same as lines of at most ``width`` letters: time and faults, nodes and roles, a strip a service, faults in force."""
        name_width = max((len(name) for name in self.services), default=0)
        lines = [self.head(), self.placed()]
        for name, state in self.services.items():
            room = max(min(width - name_width - len(state) - 4, STRIP), 0)
            lines.append(f"{name:<{name_width}}  {self.strip(name, room)}  {state}")
        lines.append(f"in force: {', '.join(self.faults.values())}" if self.faults else "no fault in force")
        return [line[:width] for line in lines]
