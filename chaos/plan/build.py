"""Experiment + seed -> plan: every time and draw fixed, everything checked that can be checked before anything starts.

The same file and seed give the same plan, byte for byte. What is wrong in the file is ``BadInput`` with its place; what this
runtime cannot do is ``CapabilityMissing``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.core.values import LEADER
from chaos.experiment.document import Experiment
from chaos.experiment.forms import Mistakes
from chaos.experiment.target.operation import OperationKind
from chaos.experiment.target.spec import Target
from chaos.plan import calibration as calibrations
from chaos.plan.capabilities import check_attached, check_capabilities, check_networks, check_resources, check_runtime, offered, runtime_of
from chaos.plan.cluster import (
    check_clients,
    check_dns,
    check_settling,
    check_traffic,
    judged,
    known_or_refuse,
    planned_nodes,
    planned_operations,
    planned_parameters,
    planned_settings,
    refuse,
)
from chaos.plan.comparable import configuration_hash
from chaos.plan.data import check_data, planned_data
from chaos.plan.demand import check_demand
from chaos.plan.describe import PlanRow, describe
from chaos.plan.faults import planned_faults, proxied_links
from chaos.plan.hosts import check_hosts
from chaos.plan.objectives import check_objectives, check_production
from chaos.plan.overlap import check_windows, planned_duration_s
from chaos.plan.plan import SCHEMA, Parameter, Plan, PlannedNode
from chaos.plan.proofs import check_proofs
from chaos.plan.rounds import rounds
from chaos.plan.traits import declared
from chaos.plan.volumes import check_volumes
from chaos.plan.windows import planned_windows

BY_CHANCE: Final = 0.05
"""Outages in a run that the system's own errors alone would make, at most."""

__all__ = ["PlanRow", "describe", "make_plan"]


def make_plan(experiment: Experiment, target: Target, *, seed: int | None, runtime: str, longest_s: float | None = None) -> Plan:
    """The plan of this experiment on this runtime; ``seed`` overrides the experiment's own.

    ``longest_s``: a plan that goes on with further rounds of its faults for so long, unless a look after a round ends it before.

    Raises ``BadInput`` (exit 2) for what the file asks wrongly, ``CapabilityMissing`` (exit 5) for what the runtime cannot do.
    """
    try:
        return _plan(experiment, target, seed=seed, runtime=runtime, longest_s=longest_s)
    except CapabilityMissing as missing:
        raise missing.in_file(experiment.file) from None


def _plan(experiment: Experiment, target: Target, *, seed: int | None, runtime: str, longest_s: float | None) -> Plan:
    seed = experiment.seed if seed is None else seed
    place = runtime_of(runtime)
    check_attached(experiment, place)
    nodes, settings, part, operations, judge = _standing(experiment, target, here=Capability.HERE in place.offers)
    check_clients(experiment, nodes, part, operations, virtual=place.virtual)
    check_settling(experiment, target.parts[part].ports, virtual=place.virtual)
    faults = planned_faults(experiment, target, nodes, part)
    windows, looks_s = (planned_windows(experiment, seed), ()) if longest_s is None else rounds(experiment, faults, seed, longest_s)
    check_windows(experiment, faults, windows, len(nodes))
    duration_s = looks_s[-1] if looks_s else planned_duration_s(experiment, windows)
    check_demand(experiment, duration_s)
    experiment = told_apart(experiment, duration_s)
    replication, parameters = planned_parameters(experiment, target, settings, place.around(experiment))
    parameters, measured_in = _calibrated(experiment, settings, runtime, parameters)
    check_production(experiment, parameters, nodes)
    check_networks(experiment, target, faults, place)
    check_hosts(experiment, target, place, faults)
    check_runtime(experiment, target, nodes, place, faults)
    check_capabilities(faults, target, place, nodes, attached=experiment.cluster.attach is not None)
    check_volumes(experiment, target, faults, nodes)
    check_proofs(experiment, target, faults, place, nodes)
    if experiment.cluster.attach is None:  # what already runs has limits of its own, which are looked at when it is found
        check_resources(experiment, faults)
    check_data(experiment, target, place)
    data = planned_data(experiment, target, part, settings, here=Capability.HERE in place.offers)
    return Plan(
        schema=SCHEMA,
        experiment=experiment,
        seed=seed,
        runtime=runtime,
        nodes=nodes,
        settings=settings,
        operations=operations,
        judge=judge,
        windows=windows,
        duration_s=duration_s,
        links=tuple(sorted({link for planned in faults for link in planned.links})),
        replication=replication,
        parameters=parameters,
        has_roles=LEADER in target.roles,
        configuration=configuration_hash(experiment, target, runtime),
        looks_s=looks_s,
        proxied=proxied_links(faults, offered(place, attached=experiment.cluster.attach is not None), nodes),
        calibration=measured_in,
        virtual=place.virtual,
        role_parts=target.role_parts,
        traits={planned.spec.name: declared(planned.fault) for planned in faults},
        data=data,
    )


def _standing(
    experiment: Experiment, target: Target, *, here: bool
) -> tuple[tuple[PlannedNode, ...], dict[str, str], str, dict[str, OperationKind], str]:
    """What stands before any fault: nodes, settings, the part behind the name, operations, and the judged one. All mistakes are told."""
    mistakes = Mistakes()
    nodes = mistakes.of(planned_nodes, experiment, target) or ()
    settings = mistakes.of(planned_settings, experiment, target)
    part = mistakes.of(check_dns, experiment, target)
    operations = {}
    if settings is not None and part is not None:
        operations = mistakes.of(planned_operations, experiment, target, part, settings, here=here) or {}
    judge = mistakes.of(judged, experiment) or ""
    for check in (check_traffic, check_objectives):
        mistakes.of(check, experiment)
    if nodes:
        mistakes.of(_check_limits, experiment, nodes)
    mistakes.tell()
    return nodes, settings or {}, part or "", operations, judge


def told_apart(experiment: Experiment, duration_s: float) -> Experiment:
    """The same with an outage rule that the system's own errors do not meet: with a share e of requests that fail by themselves, k of
    them in a row begin e^k (1 - e) times a request by chance, and not once in twenty runs is little enough."""
    errors, traffic = experiment.baseline_errors, experiment.traffic
    if not errors:
        return experiment
    requests = max(spec.rate_per_s for spec in traffic.operations.values()) * duration_s
    opens = traffic.outage.open
    while requests * (1 - errors) * errors**opens > BY_CHANCE:
        opens += 1
    outage = msgspec.structs.replace(traffic.outage, open=opens)
    return msgspec.structs.replace(experiment, traffic=msgspec.structs.replace(traffic, outage=outage))


def _calibrated(
    experiment: Experiment, settings: dict[str, str], runtime: str, given: tuple[Parameter, ...]
) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    """The parameters with those that a calibration measured, and the runs that it measured them in."""
    written = experiment.predict.calibration
    if not written:
        return given, ()
    path = calibrations.located(written, experiment.file)
    name = Path(experiment.cluster.target).name
    if not path.exists():
        raise refuse(experiment, "predict.calibration", f"there is no file '{written}'", f"nines calibrate RUN... -o {written}")
    try:
        calibration = calibrations.load(path)
        return calibrations.applied(calibration, given, target=name, runtime=runtime, settings=settings), calibration.runs
    except BadInput as refusal:
        if refusal.place is not None:
            raise
        raise refuse(experiment, "predict.calibration", f"{written}: {refusal.message}", refusal.right) from None


def _check_limits(experiment: Experiment, nodes: tuple[PlannedNode, ...]) -> None:
    limits = experiment.limits
    for name in limits.protect:
        known_or_refuse(experiment, "limits.protect", "node", name, [node.name for node in nodes])
    if limits.nodes_down is not None and limits.nodes_down < 0:
        raise refuse(experiment, "limits.nodes_down", f"{limits.nodes_down} is out of range", "at least 0")
