"""What the faults of a plan want of a runtime beyond nodes, links and names, by flags in their classes: no run has what none wants.

clocks    nodes whose wall clocks are their own          surges    a second prober, loaded and waiting
crowds    somebody who can hold connections where the clients are
"""

from __future__ import annotations

from chaos.core import plugins as tables
from chaos.plan.plan import Plan

CLOCKS = "clocks"
SURGES = "surges"
CROWDS = "crowds"


def skews(plan: Plan) -> bool:
    """Whether a clock of it is to run at another rate."""
    return any(spec.kind == "clock" and spec.params.get("mode") == "skew" for spec in plan.experiment.faults)


def wants(plan: Plan, what: str) -> bool:
    """Whether any fault of the plan does."""
    return any(getattr(tables.find("faults", spec.kind), what, False) for spec in plan.experiment.faults)
