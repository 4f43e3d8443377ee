"""The client libraries of a run: what the target's drivers import, where the plan's traffic uses a driver."""

from __future__ import annotations

from typing import Final

from chaos.experiment.target.spec import Target
from chaos.plan.plan import Plan

_DRIVER: Final = "driver"


def libraries(target: Target, plan: Plan) -> tuple[str, ...]:
    """Names of packages, none where no operation of the plan is asked by a driver."""
    driven = any(kind.probe == _DRIVER for kind in plan.operations.values())
    return target.libraries if driven else ()
