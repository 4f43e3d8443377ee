"""A cluster of ours in a Kubernetes cluster, seen from here: made before a harness is sent there, and all of it gone after it.

    rights, version, images, StorageClass checked -> Namespace, Job, account, role -> harness, places of clients and name server
    -> the nodes' pods -> ...

The nodes' pods wait behind their gates: what they are to start, the harness tells them, once it knows all addresses.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.core.values import Allowed
from chaos.elsewhere.in_cluster import InCluster, image_of, refuse_packages, until_removed
from chaos.experiment.pods import OursSpec
from chaos.experiment.target.spec import Target
from chaos.history.folder import RunFolder
from chaos.kube.api import Api, Thing
from chaos.kube.classes import StorageClass, chosen, classes
from chaos.kube.find import ROLE, RUN
from chaos.kube.objects import CLIENTS, GUESTS, HARNESS, HELD_S, KEPT_S
from chaos.kube.own import DNS, GROUP, NODES, PART, SYSTEM, Claims, OwnPlace, PartSpec, Probe, grouped
from chaos.kube.rights import refuse_unable
from chaos.kube.standing import Whereabouts, events, hindrance, pull_secrets, running
from chaos.plan.capabilities import needed
from chaos.plan.plan import Plan
from chaos.plugin import Deployment
from chaos.registry import runs as registry
from chaos.runtimes.base.machines.errands import Errands, paid
from chaos.runtimes.base.machines.orders import Terms
from chaos.runtimes.kubernetes.able import refuse_moving, starts_nodes

NAMESPACE: Final = "NINES_KUBERNETES_NAMESPACE"
TARGET_IMAGE: Final = "NINES_KUBERNETES_TARGET_IMAGE"
OLDEST: Final = (1, 29)
"""From this version on an init container may go on beside the others without being asked for specially."""
RUNS_WITHIN_S: Final = 180.0
LOOK_EVERY_S: Final = 0.25
CLAIMED: Final = "their claims must get volumes ('kubectl get persistentvolumeclaims' and its events say why one does not); "
DATA_INSIDE: Final = "/var/lib/nines"
"""``{data}`` of a part that declares no folder of its own."""


@contextmanager
def standing(
    api: Api, plan: Plan, target: Target, folder: RunFolder, note: Callable[[str], None], *, held: bool = False
) -> Iterator[InCluster]:
    """The run's pods, while they stand; refused before anything is made where it could not be done. ``held``: for faults by hand."""
    spec = plan.experiment.cluster.kubernetes
    refuse_packages(plan)
    keeps = held or starts_nodes(plan)
    refuse_old(api)
    named = spec.namespace or os.environ.get(NAMESPACE, "").strip()
    moves, drains = (each in needed(plan) for each in (Capability.DELETES, Capability.DRAINS))
    refuse_moving(Deployment(run=folder.run, folder=folder.path, plan=plan, target=target))
    place = OwnPlace(folder.run, named, image_of(spec.image), evicts=drains, moves=moves)
    place = place if named else msgspec.structs.replace(place, namespace=place.short)
    loads, claims = is_loaded(plan), spec.outlives
    refuse_unable(api, place.namespace, hosts=drains, own=True, whole=not named, loads=loads, claims=claims)
    if claims:
        kind = class_of(api, spec)
        place = msgspec.structs.replace(place, claims=Claims(kind.name if kind else spec.storage_class, spec.size_bytes))
        note(f"{folder.run}: {said_of(kind, spec)}")
    parts = parts_of(plan, target, images(plan, target), keeps=keeps)
    where = Whereabouts(api.access.name, place.namespace, spec.kubeconfig, own=True, whole=not named, loads=loads, claims=claims)
    with registry.claim(folder.run, folder.path, plan.runtime, place=where.written) as claim:
        claim.begins()
        errands = Errands(Terms(folder.run, str(folder.path.absolute()), where.context, where.kubeconfig, {}))
        with until_removed(api, place, where, claim), paid(errands, claim):
            if where.whole:
                api.make("namespaces", "", place.namespace_of_its_own())
            pod = _make(api, place, parts, plan, note, (HELD_S if held else plan.duration_s) + KEPT_S)
            refuse_elsewhere(api.listed("pods", place.namespace, f"{RUN}={place.run},{ROLE}={NODES}"), parts)
            yield InCluster(api, place.namespace, pod, errands)


def refuse_old(api: Api) -> None:
    """``CapabilityMissing`` for a cluster without sidecars."""
    version = api.version()
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is not None and (int(found[1]), int(found[2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise CapabilityMissing(
            f"the API server {api.access} is of {version}, whose pods have no sidecars (init containers that go on)",
            how=f"Kubernetes {wanted} or newer; or attach to pods that run there",
        )


def class_of(api: Api, spec: OursSpec) -> StorageClass | None:
    """The StorageClass of the nodes' claims; None where nobody may read which there are. ``EnvironmentUnusable`` if there is none."""
    found = classes(api)
    return None if found is None else chosen(found, spec.storage_class)


def said_of(kind: StorageClass | None, spec: OursSpec) -> str:
    """What is known of the volumes before there are any, for people."""
    if kind is None:
        return f"data in claims of {spec.storage_class or 'the default StorageClass'}, which may not be read: it is not checked"
    when = "where its pod stands" if kind.waits else "before its pod is placed"
    return f"data in claims of the StorageClass {kind}; each volume is made {when}"


def images(plan: Plan, target: Target, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Part -> the image of its nodes: the experiment's word, the environment's, the target's, else what ``nines image --target`` builds."""
    spec: OursSpec = plan.experiment.cluster.kubernetes
    found = {}
    for part in dict.fromkeys(node.part for node in plan.nodes):
        form = target.parts[part].docker
        of_target = form.image if form is not None else None
        found[part] = spec.images.get(part) or environment.get(TARGET_IMAGE, "").strip() or of_target or built_name(target.name)
    return found


def built_name(target: str) -> str:
    """What ``nines image --target`` calls what it builds, where nobody says."""
    return f"nines-target-{re.sub(r'[^a-z0-9]+', '-', target.lower()).strip('-')}"


def is_loaded(plan: Plan) -> bool:
    """Whether a fault loads nodes: that takes guests on their machines, who may enter their control groups."""
    return bool(needed(plan) & {Capability.CGROUP, Capability.SHARED_DISK})


def parts_of(plan: Plan, target: Target, named: Mapping[str, str], *, keeps: bool) -> list[PartSpec]:
    """As their pods are to be. ``keeps``: their gates outlive the systems."""
    known = {each.name: each.value for each in plan.parameters}
    limits = plan.experiment.cluster.resources
    allowed = Allowed(limits.cpus, limits.memory_bytes)
    groups = grouped({node.name: node.part for node in plan.nodes}, plan.experiment.cluster.kubernetes)
    found = []
    for name in dict.fromkeys(node.part for node in plan.nodes):
        part = target.parts[name]
        probe = None
        if plan.experiment.cluster.dns.balancer == "engine" and "readiness_every_s" in known:
            every_s, timeout_s, fall, rise = (known[f"readiness_{each}"] for each in ("every_s", "timeout_s", "fall", "rise"))
            probe = Probe(part.ready.ask, every_s, timeout_s, round(fall), round(rise))
        whole = PartSpec(name, 0, named[name], part.ports, part.data or (DATA_INSIDE,), keeps, probe, allowed, bool(part.user))
        its = [group for group in groups.values() if group.part == name]
        for group in dict.fromkeys(its):
            where = {"group": group.number, "host": group.host, "zone": group.zone}
            found.append(msgspec.structs.replace(whole, count=its.count(group), **where))
    return found


def _make(api: Api, place: OwnPlace, parts: Sequence[PartSpec], plan: Plan, note: Callable[[str], None], lasts_s: float) -> str:
    """All of it; the name of the harness's pod when everything runs. What was made before a failure is found by its label."""
    namespace = place.namespace
    job = api.make("jobs", namespace, place.job(lasts_s, "", {}))
    for kind, thing in (
        ("serviceaccounts", place.account(job, pull_secrets(api, namespace))), ("roles", place.role(job)),
        ("rolebindings", place.binding(job)),
    ):  # fmt: skip
        api.make(kind, namespace, thing)
    api.change("jobs", namespace, place.name, {"spec": {"suspend": False}})
    note(f"{place.run}: waiting for its pods in the namespace '{namespace}'")
    harness = running(api, place, HARNESS, 1)[0]
    machine = str(harness["spec"]["nodeName"])
    api.make("pods", namespace, place.clients(job, machine))
    ours = plan.experiment.cluster.dns.ours
    if ours:
        api.make("pods", namespace, place.names(job, machine))
    nameserver = str(running(api, place, DNS, 1)[0]["status"]["podIP"]) if ours else ""
    for part in parts:
        if not part.group:
            api.make("services", namespace, place.service(job, part))
        api.make("statefulsets", namespace, place.nodes(job, part, nameserver))
    running(api, place, CLIENTS, 1)
    pods = _await_nodes(api, place, parts, plan.experiment.cluster.target)
    if is_loaded(plan):
        machines = {str(each["spec"]["nodeName"]) for each in pods}
        api.make("daemonsets", namespace, place.guests(job, machines))
        running(api, place, GUESTS, len(machines))
    return str(harness["metadata"]["name"])


def _await_nodes(api: Api, place: OwnPlace, parts: Sequence[PartSpec], target: str) -> list[Thing]:
    """Each, once it has an address and its gate stands; ``EnvironmentUnusable`` with the cluster's own word for what hinders them."""
    count = sum(part.count for part in parts)
    until_s = time.monotonic() + RUNS_WITHIN_S
    while True:
        pods = api.listed("pods", place.namespace, f"{RUN}={place.run},{ROLE}={NODES}")
        up = [each for each in pods if gate_stands(each)]
        if len(up) == count:
            return up
        why = next((reason for each in pods if (reason := hindrance(each))), "")
        if why or time.monotonic() > until_s:
            said = why or f"after {RUNS_WITHIN_S:g} s{events(api, place.namespace, 'nines-', 'data-')}"
            names = ", ".join(dict.fromkeys(part.image for part in parts))
            claimed = CLAIMED if place.claims else ""
            raise EnvironmentUnusable(
                f"{len(up)} of {count} pods of the nodes run in the namespace '{place.namespace}': {said}",
                how=f"{claimed}the machines must have the image {names}, or be able to pull it: "
                f"'nines image --target {target} --tag NAME', then push it and set {TARGET_IMAGE}, or load it "
                "(kind load docker-image NAME); docs/kubernetes.md",
            )
        time.sleep(LOOK_EVERY_S)


def refuse_elsewhere(pods: Sequence[Thing], parts: Sequence[PartSpec]) -> None:
    """``EnvironmentUnusable`` for a pod that does not stand on its machine: a fault there would be done to another node than is planned."""
    for part in parts:
        for pod in pods:
            its = pod["metadata"]["labels"]
            machine = str(pod["spec"].get("nodeName") or "")
            if part.host and (its.get(PART), its.get(GROUP)) == (part.part, str(part.group)) and machine != part.host:
                name = pod["metadata"]["name"]
                raise EnvironmentUnusable(
                    f"the pod {name} was to stand on the machine '{part.host}', and the cluster has put it on '{machine}'",
                    how=f"'{part.host}' may have no room for it: see 'kubectl describe node {part.host}'",
                )


def gate_stands(pod: Thing) -> bool:
    """Its system's container runs: what runs in it is the gate."""
    states = pod["status"].get("containerStatuses") or ()
    return bool(pod["status"].get("podIP")) and any(each["name"] == SYSTEM and "running" in (each.get("state") or {}) for each in states)
