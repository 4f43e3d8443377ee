"""Rates that change: every change takes place while there is traffic."""

from __future__ import annotations

from chaos.experiment.document import Experiment
from chaos.plan.cluster import refuse


def check_demand(experiment: Experiment, duration_s: float) -> None:
    """``BadInput`` for a change that begins when the traffic has ended, or would still go on then. ``duration_s``: of all traffic."""
    for name, spec in experiment.traffic.operations.items():
        for number, change in enumerate(spec.demand.then if spec.demand is not None else ()):
            ends_s = experiment.baseline_s + change.at_s + change.over_s
            if ends_s >= duration_s:
                path = f"traffic.operations.{name}.rate.then[{number}]"
                message = f"this change would be over at {ends_s:g}s (with the baseline), and traffic ends at {duration_s:g}s"
                raise refuse(experiment, path, message, f"an earlier change, or 'duration:' above {ends_s:g}s")
