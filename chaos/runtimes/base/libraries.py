"""The client libraries of a run: what the target's drivers import, where the plan's traffic uses a driver."""

from __future__ import annotations

from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.core.packages import versions_of
from chaos.experiment.target.spec import Target
from chaos.plan.plan import Plan

_DRIVER: Final = "driver"


def libraries(target: Target, plan: Plan) -> tuple[str, ...]:
    """Names of packages, none where no operation of the plan is asked by a driver."""
    driven = any(kind.probe == _DRIVER for kind in plan.operations.values())
    return target.libraries if driven else ()


def require_in_image(target: Target, plan: Plan) -> None:
    """``EnvironmentUnusable`` where the image of Nines that we run in lacks one of them."""
    try:
        versions_of(libraries(target, plan))
    except EnvironmentUnusable as error:
        raise EnvironmentUnusable(
            f"the image of Nines in the cluster lacks packages: {error.what.removesuffix(', not installed here')}",
            how=f"nines image --for {target.name}, then load or push it, and name it: NINES_KUBERNETES_IMAGE (docs/kubernetes.md)",
        ) from error
