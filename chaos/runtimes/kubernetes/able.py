"""What cannot be done to the pods that were found, refused before anything is made in their cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chaos.core.capabilities import Capability
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.core.values import Allowed
from chaos.experiment.cluster import Resources
from chaos.experiment.faults import FaultSpec
from chaos.experiment.labels import meets
from chaos.experiment.pods import PodsSpec
from chaos.experiment.selectors import Named, Zone, label_of
from chaos.kube.api import Api, Thing
from chaos.kube.evict import evict
from chaos.kube.find import Pod, headless
from chaos.kube.ports import refuse_other_port
from chaos.net.needs import needs
from chaos.plan.attached import asked, client_name
from chaos.plan.capabilities import needed
from chaos.plan.plan import Plan
from chaos.plan.traits import made
from chaos.plugin import Deployment, NeedsLimits
from chaos.runtimes.base.agents.attached.bound import bound

POLICY: Final = "policy"
MAKERS: Final = "pods of a StatefulSet or a Deployment; or 'kill: {recovery: policy}', after which kubelet starts the container again"
WHERE: Final = "resources: {limits: {cpu: 500m, memory: 128Mi}} in the pod's own manifest: Nines changes no pod"


def refuse_beyond(plan: Plan, spec: PodsSpec, service: Thing | None, pods: Mapping[str, Pod]) -> None:
    """``CapabilityMissing`` for the first fault of a plan that these pods, or this Service, do not allow."""
    for where in asked(plan.experiment):
        if service is not None and where.host.partition(".")[0] == spec.service:
            refuse_other_port(service, where.port)
    for fault in plan.experiment.faults:
        _refuse_other_recovery(fault)
        _refuse_unlimited(fault, pods)
        _refuse_unreplaced(fault, pods)
        _refuse_names(fault, client_name(plan.experiment), spec, service)


def _who(fault: FaultSpec) -> str:
    return f"line {fault.line}: the fault '{fault.name}' cannot be done to these pods"


def _refuse_other_recovery(fault: FaultSpec) -> None:
    """What no capability tells: who brings a dead node back."""
    if made(fault).revival not in ("", POLICY):
        how = f"{fault.kind}: {{..., recovery: policy}}; kubelet alone starts a container again"
        raise CapabilityMissing(f"{_who(fault)}: it says 'recovery: {made(fault).revival}'", how=how)


def _refuse_unlimited(fault: FaultSpec, pods: Mapping[str, Pod]) -> None:
    """A load takes from its pod's own limits; without them it would take from the whole machine."""
    does = made(fault)
    if not isinstance(does, NeedsLimits):
        return
    for node, pod in pods.items():
        lack = does.lacks(as_resources(pod.limits))
        if lack:
            shown = f"the container '{pod.container}' of {pod.name} ({node}) has {_words(pod.limits)}"
            raise CapabilityMissing(
                f"{_who(fault)}: {lack[0]}; {shown}", how=WHERE if None in (pod.limits.cpus, pod.limits.memory_bytes) else lack[1]
            )


def _refuse_unreplaced(fault: FaultSpec, pods: Mapping[str, Pod]) -> None:
    """A pod that is given up must have somebody who makes the next one, elsewhere if its machine is closed."""
    needs = made(fault).needs
    if Capability.DELETES not in needs:
        return
    for node, pod in pods.items():
        if isinstance(fault.target, Named) and node not in fault.target.nodes:
            continue
        if (label := label_of(fault.target)) is not None and not meets(pod.labels, label):
            continue
        if pod.maker in ("", "Node"):
            why = "it belongs to no controller" if not pod.maker else "it is a static pod of its machine"
            raise CapabilityMissing(f"{_who(fault)}: nobody makes another pod in the place of {pod.name} ({node}), since {why}", how=MAKERS)
        if Capability.DRAINS in needs and pod.maker == "DaemonSet":
            raise CapabilityMissing(
                f"{_who(fault)}: {pod.name} ({node}) is a DaemonSet's, which drains leave alone: another one starts on the closed machine",
                how="'delete', 'partition: {by: host}' or 'power_off: {by: command}'",
            )


def refuse_held_back(api: Api, plan: Plan, namespace: str, pods: Mapping[str, Pod]) -> None:
    """``CapabilityMissing`` for a drain of pods that a disruption budget lets not go now, with all of them ready: it never would."""
    for fault in plan.experiment.faults:
        if Capability.DRAINS not in made(fault).needs or not isinstance(fault.target, Zone):
            continue
        for node, pod in pods.items():
            held = evict(api, namespace, pod.name, pod.uid, dry_run=True) if pod.machine == fault.target.zone else ""
            if held:
                raise CapabilityMissing(
                    f"{_who(fault)}: the pod {pod.name} ({node}) may not be evicted: {held}",
                    how="a PodDisruptionBudget that lets one pod go while all are ready (maxUnavailable: 1); 'delete' is bound by none",
                )


def as_resources(limits: Allowed) -> Resources:
    """The same in the words of an experiment."""
    return Resources(cpus=limits.cpus, memory_bytes=limits.memory_bytes, disk_bytes=limits.disk_bytes)


def _words(limits: Allowed) -> str:
    cpus = "no limit of cpu" if limits.cpus is None else f"a limit of {limits.cpus:g} cpu"
    memory = "none of memory" if limits.memory_bytes is None else f"{limits.memory_bytes} bytes of memory"
    return f"{cpus} and {memory}"


def _refuse_names(fault: FaultSpec, name: str, spec: PodsSpec, service: Thing | None) -> None:
    """Faults of the name need a name; and records of single pods, where one is to be left out."""
    does = made(fault)
    if not does.of_name:
        return
    if not name:
        raise CapabilityMissing(
            f"{_who(fault)}: clients know the pods' addresses and ask for no name",
            how='an operation that names the Service: {http: "http://store:8080/"}',
        )
    if does.names and not (name.partition(".")[0] == spec.service and headless(service)):
        raise CapabilityMissing(
            f"{_who(fault)}: '{name}' stands for one address of all pods, so no record of a single one can be left out",
            how="a headless Service (clusterIP: None) as 'service', or 'mode: wrong'",
        )


def refuse_moving(deployment: Deployment, *, traffic: bool = True) -> None:
    """What does not go with pods that are given up: what keeps to an address, which the next pod does not have."""
    plan = deployment.plan
    if Capability.DELETES not in needed(plan):
        return
    own = plan.experiment.cluster.attach is None
    found = bound(plan, needs(deployment), named=own or bool(client_name(plan.experiment)), traffic=traffic)
    if found is not None:
        raise CapabilityMissing(f"a deleted pod's successor has another address, and {found[0]}", how=found[1])
    if own and needed(plan) & {Capability.CGROUP, Capability.SHARED_DISK}:
        raise CapabilityMissing(
            "what loads a pod of ours stands beside that pod, and does not follow its node into the next one",
            how="an experiment of its own for 'delete' and 'drain'",
        )


def starts_nodes(plan: Plan) -> bool:
    """Whether Nines starts dead nodes again, and not kubelet. ``BadInput`` for an experiment that asks for both."""
    ways = {made(spec).revival for spec in plan.experiment.faults} - {""}
    if POLICY in ways and len(ways) > 1:
        raise BadInput(
            f"faults with 'recovery: {POLICY}' and with '{', '.join(sorted(ways - {POLICY}))}' in one experiment",
            right="one of them: a container that kubelet starts again runs, whatever the other one wants",
        )
    return POLICY not in ways
