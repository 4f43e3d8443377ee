"""What a plan can tell of a regression before it is run: how many faults of each class find outages that are half as long again.

Outages are drawn from what the history has of this configuration, else from the prediction, and go through the comparison that will judge
the run (``needed``). The error is shared by all rows of that comparison, as its correction does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.core.errors import BadInput
from chaos.evidence import needed
from chaos.evidence.compare import LEAST_LAW, MARGIN, MEASURES, REGRESSION
from chaos.evidence.ratio_test import LEVEL
from chaos.evidence.rows import TRUSTED
from chaos.evidence.sides import counted
from chaos.evidence.store import open_usual
from chaos.plan.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

REFERENCE: Final = 40
"""So many earlier faults are taken for granted where the history has none: eight runs of five."""


class Promise(msgspec.Struct, frozen=True):
    """Of one fault class."""

    fault_class: str
    planned: int
    """Faults of this plan."""
    earlier: int
    """Noticed faults that the history has of this configuration; where it has none, the number that is assumed."""
    measured: bool
    """Whether outages are drawn from the history."""
    finds: int | None
    """Faults that call outages ``factor`` times as long worse, with 80 %; None: no number does."""
    shows: int | None
    """Faults that show outages to be no worse than ``margin`` times, with 80 %."""
    factor: float = REGRESSION
    margin: float = MARGIN


def promises(plan: Plan) -> list[Promise]:
    """One for each class that is predicted, or known from earlier runs; empty where nothing is known."""
    predicted = _predicted(plan)
    seen = _seen(plan)
    classes = list(dict.fromkeys([*predicted, *seen]))
    level = LEVEL / (len(classes) + len(MEASURES) - 1) if classes else LEVEL
    found = []
    for name in classes:
        law, planned = predicted.get(name, (np.zeros(0), 0))
        earlier = seen.get(name, np.zeros(0))
        measured = len(earlier) >= LEAST_LAW
        law = earlier if measured else law
        if not law.any():
            continue
        old = len(earlier) if measured else REFERENCE
        design = needed.Design(law, old, level)
        found.append(Promise(name, planned, old, measured, needed.to_find(design, REGRESSION), needed.to_show(design, MARGIN)))
    return found


def _predicted(plan: Plan) -> Mapping[str, tuple[Floats, int]]:
    """Class -> outages that clients notice, in s, and how many faults of it the plan has."""
    from chaos.predict.run import draws, facts_from_plan

    try:
        drawn = draws(plan, facts_from_plan(plan), plan.judge) if plan.windows else {}
    except BadInput:
        return {}
    return {name: (each.downtime_s[each.downtime_s > 0], sum(each.faults)) for name, each in drawn.items()}


def _seen(plan: Plan) -> Mapping[str, Floats]:
    """Class -> outages that earlier runs of this configuration noticed, in s."""
    store = open_usual()
    if store is None:
        return {}
    with store:
        trials = store.trials(f"configuration = ? AND {counted()}", (plan.configuration, *TRUSTED))
    outages, classes = np.array(trials.outage_s, dtype=np.float64), np.array(trials.fault_class, dtype=object)
    found = {name: outages[(classes == name) & (outages > 0)] for name in dict.fromkeys(trials.fault_class)}
    return {name: each for name, each in found.items() if len(each)}
