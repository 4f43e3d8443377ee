"""What a plan's faults need of this machine: programs and libraries, looked for before anything is started.

A plan says what a run would do, wherever it is made; so what is installed here is asked of the run, never of the plan.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec

from chaos.core import plugins as tables
from chaos.core.errors import CapabilityMissing, Place
from chaos.experiment.target.spec import Target
from chaos.plan.plan import Plan


@runtime_checkable
class NeedsOfMachine(Protocol):
    """A fault that some machines cannot do."""

    def lacks_here(self, runtime: str, target: Target) -> str | None:
        """What this machine lacks for it, and how to get it; None if nothing."""
        ...


def require(plan: Plan, target: Target) -> None:
    """``CapabilityMissing`` (exit 5) for the first fault of the plan that this machine cannot do."""
    planned = {window.fault for window in plan.windows}
    for spec in plan.experiment.faults:
        fault = msgspec.convert(spec.params, tables.find("faults", spec.kind))
        if spec.name not in planned or not isinstance(fault, NeedsOfMachine):
            continue
        why = fault.lacks_here(plan.runtime, target)
        if why:
            where = Place(plan.experiment.file, spec.line)
            raise CapabilityMissing(f"{where}: the fault '{spec.name}' cannot be done on the runtime '{plan.runtime}' here", how=why)
