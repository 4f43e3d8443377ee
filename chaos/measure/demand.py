"""What became of the requests of a rate that changes, level by level: those of the even grid and those beyond together."""

from __future__ import annotations

from typing import Final

import numpy as np

from chaos.core.clock import NS_PER_S
from chaos.experiment.demand import Piece
from chaos.history.observations import Outcome, late_ns
from chaos.measure.slots import GOOD, MISSING
from chaos.measure.timeline import Timeline
from chaos.plan.plan import Plan
from chaos.results.observed import DemandLevel

LATE_S: Final = 0.05
"""A request beyond the even ones that is sent so much later belongs to no instant of a changing rate any more."""


def changes(plan: Plan) -> bool:
    """Whether any rate does."""
    return any(spec.demand is not None for spec in plan.experiment.traffic.operations.values())


def levels(plan: Plan, seen: Timeline, records: np.ndarray) -> list[DemandLevel]:
    """Every piece of every changing rate up to the end of the run. ``records``: of the requests beyond the even ones."""
    found: list[DemandLevel] = []
    changing = [(name, spec.demand) for name, spec in plan.experiment.traffic.operations.items() if spec.demand is not None]
    for number, (name, demand) in enumerate(changing):
        mine = records[records["operation"] == number]
        due_s = (mine["due"] - seen.start_ns) / NS_PER_S
        waits_s = (mine["done"] - mine["due"]) / NS_PER_S
        deadline_s = plan.experiment.traffic.client.deadline_s
        good = (mine["outcome"] == Outcome.OK) & (waits_s <= deadline_s)
        late_s = (mine["sent"] - mine["due"]) / NS_PER_S
        told = (mine["outcome"] != Outcome.UNSENT) & (mine["sent"] > 0) & (late_s <= max(LATE_S, late_ns(0.0) / NS_PER_S))
        slots = seen.services[name].slots
        even_good, even_told = slots.state == GOOD, slots.state != MISSING
        all_due_s = np.concatenate([slots.due_s, due_s])
        all_good = np.concatenate([even_good, good & told])
        all_told = np.concatenate([even_told, told])
        all_waits_s = np.concatenate([slots.done_s - slots.due_s, waits_s])
        for piece in demand.pieces(plan.experiment.baseline_s, seen.end_s):
            inside = (all_due_s >= piece.begin_s) & (all_due_s < piece.end_s)
            found.append(_level(name, piece, int(inside.sum()), all_told[inside], all_good[inside], all_waits_s[inside]))
    return found


def _level(service: str, piece: Piece, recorded: int, told: np.ndarray, good: np.ndarray, waits_s: np.ndarray) -> DemandLevel:
    waits = waits_s[good]
    p50_s, p99_s = (float(np.quantile(waits, share, method="higher")) if len(waits) else None for share in (0.5, 0.99))
    due = max(recorded, round(piece.requests))
    return DemandLevel(
        service, piece.begin_s, piece.end_s, piece.from_per_s, piece.to_per_s, due, int(told.sum()), int(good.sum()), p50_s, p99_s
    )
