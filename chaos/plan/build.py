"""Experiment + seed -> plan: every time and draw fixed, everything checked that can be checked before anything starts.

The same file and seed give the same plan, byte for byte. What is wrong in the file is ``BadInput`` with its place; what this
runtime cannot do is ``CapabilityMissing``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import BadInput, CapabilityMissing
from chaos.core.values import DNS, LEADER
from chaos.experiment.spec import Experiment, Resources
from chaos.experiment.target.spec import Target
from chaos.plan import calibration as calibrations
from chaos.plan.attached import check_attached
from chaos.plan.cluster import (
    check_dns,
    check_traffic,
    judged,
    known_or_refuse,
    planned_nodes,
    planned_operations,
    planned_parameters,
    planned_settings,
    refuse,
)
from chaos.plan.describe import PlanRow, describe
from chaos.plan.faults import Planned, check_capabilities, planned_faults, proxied_links
from chaos.plan.networks import check_networks
from chaos.plan.objectives import check_objectives, check_production
from chaos.plan.overlap import check_windows, planned_duration_s
from chaos.plan.plan import SCHEMA, Parameter, Plan, PlannedNode
from chaos.plan.proofs import check_proofs
from chaos.plan.resources import check_resources
from chaos.plan.rounds import rounds
from chaos.plan.windows import planned_windows

BY_CHANCE: Final = 0.05
"""Outages in a run that the system's own errors alone would make, at most."""

__all__ = ["PlanRow", "configuration_hash", "describe", "make_plan"]


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
    check_attached(experiment, experiment.faults, runtime)
    nodes = planned_nodes(experiment, target)
    settings = planned_settings(experiment, target)
    part = check_dns(experiment, target)
    operations = planned_operations(experiment, target, part, settings, runtime)
    judge = judged(experiment)
    check_traffic(experiment)
    check_objectives(experiment)
    _check_limits(experiment, nodes)
    faults = planned_faults(experiment, target, nodes, part)
    windows, looks_s = (planned_windows(experiment, seed), ()) if longest_s is None else rounds(experiment, faults, seed, longest_s)
    check_windows(experiment, faults, windows, len(nodes))
    duration_s = looks_s[-1] if looks_s else planned_duration_s(experiment, windows)
    experiment = told_apart(experiment, duration_s)
    replication, parameters = planned_parameters(experiment, target, settings)
    parameters, measured_in = _calibrated(experiment, settings, runtime, parameters)
    check_production(experiment, parameters, nodes)
    check_networks(experiment, target, faults, runtime)
    _check_runtime(experiment, target, nodes, runtime, faults)
    check_capabilities(faults, target, runtime, nodes)
    check_proofs(experiment, target, faults, runtime, nodes)
    check_resources(experiment, faults)
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
        proxied=proxied_links(faults, runtime, nodes),
        calibration=measured_in,
    )


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


def configuration_hash(experiment: Experiment, target: Target, runtime: str) -> str:
    """Equal for runs that may be compared: leaves out seed, question, objectives, and where the files lie."""
    faults = tuple(msgspec.structs.replace(spec, line=0, path="") for spec in experiment.faults)
    bare = msgspec.structs.replace(
        experiment, seed=0, question="", objectives=(), expect_verdict="", file="", faults=faults,
        cluster=msgspec.structs.replace(experiment.cluster, target=target.name, runtime=""),
        predict=msgspec.structs.replace(experiment.predict, calibration=""),
    )  # fmt: skip
    declared = msgspec.structs.replace(target, folder="", about="")
    return hashlib.sha256(msgspec.json.encode((bare, declared, runtime))).hexdigest()[:16]


def _check_limits(experiment: Experiment, nodes: tuple[PlannedNode, ...]) -> None:
    limits = experiment.limits
    for name in limits.protect:
        known_or_refuse(experiment, "limits.protect", "node", name, [node.name for node in nodes])
    if limits.nodes_down is not None and limits.nodes_down < 0:
        raise refuse(experiment, "limits.nodes_down", f"{limits.nodes_down} is out of range", "at least 0")


def _check_runtime(experiment: Experiment, target: Target, nodes: tuple[PlannedNode, ...], runtime: str, faults: Sequence[Planned]) -> None:
    for part in dict.fromkeys(node.part for node in nodes):
        declared = target.parts[part]
        if runtime == "local" and declared.local is None:
            how = f"add 'parts.{part}.local: {{command: [...]}}' to {target.folder}/target.yaml"
            raise CapabilityMissing(f"'{target.name}' does not say how its part '{part}' runs as a plain process", how=how)
        if runtime == "docker" and declared.docker is None:
            how = f"add 'parts.{part}.docker: {{image: ..., command: [...]}}' to {target.folder}/target.yaml"
            raise CapabilityMissing(f"'{target.name}' does not say how its part '{part}' runs as a container", how=how)
    if runtime == "docker":
        _check_names(experiment, faults)
        return
    if experiment.cluster.dns.balancer == "engine":
        how = "use 'health-checked' or 'round-robin', or the runtime 'docker'"
        raise CapabilityMissing(f"the balancer 'engine' is Docker's own name server, which the runtime '{runtime}' does not have", how=how)
    if experiment.cluster.resources != Resources():
        how = "leave 'cluster.resources' out, or use the runtime 'docker'"
        raise CapabilityMissing(f"the runtime '{runtime}' cannot limit what a node uses", how=how)


def _check_names(experiment: Experiment, faults: Sequence[Planned]) -> None:
    """Docker's own name server takes no orders of ours, and asks no node how it is."""
    if experiment.cluster.dns.balancer != "engine":
        return
    for planned in faults:
        if not planned.halts and any(DNS in (link.source, link.destination) for link in planned.links):
            who = f"line {planned.spec.line}: the fault '{planned.spec.name}' cuts links of 'dns', which the balancer 'engine' has not"
            raise CapabilityMissing(who, how="Docker's own name server checks no node; leave 'dns' out, or use 'health-checked'")
    named = next((spec for spec in experiment.faults if spec.kind == "dns"), None)
    if named is not None:
        who = f"line {named.line}: the fault '{named.name}' cannot be done with the balancer 'engine'"
        raise CapabilityMissing(who, how="Docker's own name server takes no orders; use 'health-checked' or 'round-robin'")
