"""The lanes of the time axis: what each node, role, fault and phase, and the name's set, was at each time. For the eye only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaos.history.events import DnsChanged, NodeChanged, NodeUp, PhaseBegun, RoleChanged, Row
from chaos.measure.faults import FaultRecord
from chaos.results.observed import Interval, Lane

Steps = list[tuple[float, str]]
"""From each time on, this state; an empty state is none."""


def lanes(rows: Sequence[Row], faults: Sequence[FaultRecord], to_s: Callable[[int], float], end_s: float) -> list[Lane]:
    """Nodes, roles, the name, faults and phases, from t = 0 to the end of the traffic. ``rows`` are in order of time."""
    nodes: dict[str, Steps] = {}
    names: dict[str, Steps] = {}
    roles: dict[tuple[str, str], Steps] = {}
    phases: Steps = []
    for row in rows:
        at_s = to_s(row.at_ns)
        match row:
            case NodeUp():
                nodes.setdefault(row.node, []).append((at_s, "up"))
            case NodeChanged():
                nodes.setdefault(row.node, []).append((at_s, row.status))
            case RoleChanged():
                roles.setdefault((row.role, row.node), []).append((at_s, row.node if row.holds else ""))
            case DnsChanged():
                names.setdefault(row.name, []).append((at_s, ", ".join(row.nodes) or "nobody"))
            case PhaseBegun():
                phases.append((at_s, row.phase))
            case _:
                pass
    return [
        *(Lane("node", node, _intervals(steps, end_s)) for node, steps in nodes.items()),
        *(Lane("role", role, _of_role(role, roles, end_s)) for role in dict.fromkeys(role for role, _ in roles)),
        *(Lane("dns", name, _intervals(steps, end_s)) for name, steps in names.items()),
        *(Lane("fault", name, _of_fault(name, faults, end_s)) for name in dict.fromkeys(fault.name for fault in faults)),
        *([Lane("phase", "run", _intervals(phases, end_s))] if phases else []),
    ]


def alternating(kind: str, name: str, down: Sequence[tuple[float, float]], outside: str, inside: str, end_s: float) -> Lane:
    """A lane of two states, from the intervals of one of them (in order, apart)."""
    steps: Steps = [(0.0, outside)]
    for from_s, to_s in down:
        steps += [(from_s, inside), (to_s, outside)]
    return Lane(kind, name, _intervals(steps, end_s))


def _intervals(steps: Steps, end_s: float) -> list[Interval]:
    """Cut to 0..``end_s``; equal neighbours joined, empty stretches and empty states left out."""
    out: list[Interval] = []
    for place, (at_s, state) in enumerate(steps):
        until_s = steps[place + 1][0] if place + 1 < len(steps) else end_s
        from_s, until_s = max(at_s, 0.0), min(until_s, end_s)
        if not state or until_s <= from_s:
            continue
        if out and out[-1].state == state and out[-1].end_s == from_s:
            out[-1] = Interval(out[-1].start_s, until_s, state)
        else:
            out.append(Interval(from_s, until_s, state))
    return out


def _of_role(role: str, roles: dict[tuple[str, str], Steps], end_s: float) -> list[Interval]:
    """Who held it when; intervals overlap where several did."""
    held = [each for (name, _), steps in roles.items() if name == role for each in _intervals(steps, end_s)]
    return sorted(held, key=lambda each: (each.start_s, each.state))


def _of_fault(name: str, faults: Sequence[FaultRecord], end_s: float) -> list[Interval]:
    out = []
    for fault in faults:
        if fault.name != name or fault.effective_s is None:
            continue
        from_s = min(max(fault.effective_s, 0.0), end_s)
        # What the system itself brought back (recovery: policy, a deleted pod) nobody rolled back: it was seen gone.
        over_s = fault.gone_s if fault.healed_s is None else fault.healed_s
        until_s = end_s if over_s is None else min(max(over_s, from_s), end_s)
        out.append(Interval(from_s, until_s, ", ".join(fault.target) or fault.fault_class))
    return out
