"""What a plan's faults need of this machine: programs and libraries, looked for before anything is started.

A plan says what a run would do, wherever it is made; so what is installed here is asked of the run, never of the plan.
"""

from __future__ import annotations

import sys

from chaos.core.capabilities import Capability
from chaos.core.errors import CapabilityMissing, Place
from chaos.experiment.target.spec import Target
from chaos.plan.capabilities import runtime_of
from chaos.plan.plan import Plan
from chaos.plan.traits import made
from chaos.plugin import NeedsOfMachine


def require(plan: Plan, target: Target) -> None:
    """``CapabilityMissing`` (exit 5) for a runtime, or for the first fault of the plan, that this machine cannot do."""
    if Capability.HERE in runtime_of(plan.runtime).offers and sys.platform != "linux":
        raise CapabilityMissing(
            f"the runtime 'local' starts nodes as processes on loopback addresses, which only Linux can (this is {sys.platform})",
            how="--runtime docker, with any engine that the docker command reaches: docs/engines.md; or --runtime fake, in virtual time",
        )
    if Capability.HERE not in runtime_of(plan.runtime).offers:
        return
    planned = {window.fault for window in plan.windows}
    for spec in plan.experiment.faults:
        fault = made(spec)
        if spec.name not in planned or not isinstance(fault, NeedsOfMachine):
            continue
        why = fault.lacks_here(target)
        if why:
            where = Place(plan.experiment.file, spec.line)
            raise CapabilityMissing(f"{where}: the fault '{spec.name}' cannot be done on the runtime '{plan.runtime}' here", how=why)
