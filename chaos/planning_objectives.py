"""What of a plan is judged and predicted, checked before anything starts: can it be decided at all, can a model carry it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.experiment import PLANNED, ZONE, Experiment, ProductionRate
from chaos.plan import Parameter, PlannedNode
from chaos.planning_cluster import refuse
from chaos.units import show_s

OF_FAULTS: Final = ("recovery", "agreement")
"""Measures that speak of faults: without any there is nothing to judge."""
_BACK: Final = {ZONE: ("zone_outage_s",), PLANNED: ("stop_s", "restart_s", "resync_s")}
"""What passes before a node is back, by the kind of fault; for all others its restart."""


def check_objectives(experiment: Experiment) -> None:
    """Raise ``BadInput`` for an objective that nothing in this run could decide."""
    if experiment.faults:
        return
    for spec in experiment.objectives:
        if spec.measure in OF_FAULTS:
            message = f"'{spec.measure}' speaks of faults, and none is planned: nothing could decide it"
            raise refuse(experiment, f"objectives.{spec.measure}", message, "leave it out, or plan a fault")


def check_production(experiment: Experiment, parameters: Sequence[Parameter], nodes: Sequence[PlannedNode]) -> None:
    """Raise ``BadInput`` for a rate at which a node fails again before it is back, on average: no model has an answer to that."""
    known = {parameter.name: parameter.value for parameter in parameters}
    for rate in experiment.predict.production:
        back_s = sum(known.get(name, 0.0) for name in _BACK.get(rate.kind, ("restart_s",)))
        each_s = _between_s(rate, len(nodes))
        if each_s <= back_s:
            whom = "zone" if rate.per == ZONE else "node"
            message = f"'{rate.text}' strikes a {whom} every {show_s(each_s)}, and it takes {show_s(back_s)} to come back"
            raise refuse(experiment, f"predict.production.{rate.kind}", message, f"fewer: at most 1 per {show_s(back_s)} for each")


def _between_s(rate: ProductionRate, nodes: int) -> float:
    """From one fault of a node (or zone) to its next, on average."""
    return (nodes if rate.per == "cluster" else 1) / rate.per_s
