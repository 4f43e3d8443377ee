"""What a fault is, by the word of its own class: the one place where a plan's entry becomes the fault that it names.

``Traits`` are those of its declarations that models and judgement go by. The plan writes them down, so that a run folder can be judged
where the package that brings the fault is not installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chaos.core import plugins as tables
from chaos.core.errors import NinesError
from chaos.experiment.faults import FaultSpec
from chaos.plan.plan import Plan, Traits
from chaos.plugin import Capability, Fault


def made(spec: FaultSpec) -> Fault:
    """The fault itself, with the fields that the file gives it."""
    return make(spec.kind, spec.params)


def make(kind: str, params: Mapping[str, Any]) -> Fault:
    """A fault of this kind with these fields, as a plan writes them down."""
    found: Fault = msgspec.convert(params, tables.find("faults", kind))
    return found


def declared(fault: Fault) -> Traits:
    """What its class says of it."""
    return Traits(
        leader=fault.leader,
        polite=fault.polite,
        severs=fault.severs,
        of_name=fault.of_name,
        awaits=fault.awaits,
        network=fault.network,
        order=fault.order,
        last_first=fault.last_first,
        role=fault.role,
        side=fault.side,
        whom=fault.whom,
        unpredicted=fault.unpredicted,
    )


def traits(plan: Plan, spec: FaultSpec) -> Traits:
    """As the plan has them; of a plan without them, as the class says now; of a fault that nobody knows here, nothing."""
    return plan.traits[spec.name] if spec.name in plan.traits else known(spec.kind, spec.params)


def known(kind: str, params: Mapping[str, Any]) -> Traits:
    """What the class of this kind says; nothing where no such fault is known here."""
    try:
        return declared(make(kind, params))
    except (NinesError, msgspec.ValidationError):
        return Traits()


def gives_up(kind: str, params: Mapping[str, Any]) -> bool:
    """Whether its nodes are given up through whoever runs them, so that others come in their places."""
    try:
        return Capability.DELETES in make(kind, params).needs
    except (NinesError, msgspec.ValidationError):
        return False


def ends_within_s(kind: str, params: Mapping[str, Any]) -> float | None:
    """So long its nodes may take to end; None where it is left to them, or no such fault is known here."""
    try:
        return make(kind, params).ends_within_s
    except (NinesError, msgspec.ValidationError):
        return None
