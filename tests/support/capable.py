"""Whether a fault can be done somewhere, as a plan asks it."""

from __future__ import annotations

from chaos.experiment.target.spec import Target
from chaos.plan.capabilities import runtime_of, why_not
from chaos.plugin import Fault


def why(fault: Fault, runtime: str, target: Target, *, attached: bool = False) -> str:
    """Why not; empty if it can."""
    return why_not(fault, runtime_of(runtime), target, attached=attached)
