"""Faults that use up a node's limits need limits: what a plan's ``cluster.resources`` must say before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from chaos.core.units import show_bytes
from chaos.experiment.spec import Experiment, Resources
from chaos.plan.cluster import refuse
from chaos.plan.faults import Planned


@runtime_checkable
class NeedsLimits(Protocol):
    """A fault that may begin only where the nodes have limits."""

    def lacks(self, resources: Resources) -> tuple[str, str] | None:
        """What of the resources is not such that it may begin: what is wrong, and what would be right."""
        ...


def check_resources(experiment: Experiment, faults: Sequence[Planned]) -> None:
    """Raise ``BadInput``, at the fault's place, for the first fault that would harm the machine and not a node."""
    resources = experiment.cluster.resources
    for planned in faults:
        if isinstance(planned.fault, NeedsLimits):
            lack = planned.fault.lacks(resources)
            if lack:
                raise refuse(experiment, f"{planned.path}.{planned.spec.kind}", *lack)
    disk, memory = resources.disk_bytes, resources.memory_bytes
    if disk is not None and memory is not None and disk >= memory:
        wrong = f"a disk of {show_bytes(disk)} is kept in memory, and does not fit into the node's {show_bytes(memory)}"
        raise refuse(experiment, "cluster.resources.disk", wrong, "less, or more memory")
