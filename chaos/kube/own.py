"""A cluster of ours in a cluster, as manifests: pure. Beside what every run makes there (``objects.py``):

    Namespace      where the experiment names none: it goes with the run
    StatefulSet    of each part: a pod for each node, the agent as a sidecar (an init container that goes on), a gate; with ``volumes:
                   claims`` a PersistentVolumeClaim for each data folder of a node, which outlives its pods and goes with the StatefulSet
    Service        of each part, headless: under its name clients find the nodes, with ``balancer: engine``
    Pod            the name server's place, where the name server is ours

The nodes need no privileged container: the agent has NET_ADMIN, and the pod's containers see each other's processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from chaos.core.values import Allowed
from chaos.experiment.pods import OursSpec
from chaos.experiment.target.spec import Ask
from chaos.kube import gate
from chaos.kube.api import Thing
from chaos.kube.find import ROLE, RUN, ZONE
from chaos.kube.objects import Place

NODES: Final = "nodes"
DNS: Final = "dns"
PART: Final = "nines.part"
GROUP: Final = "nines.group"
"""Of the nodes of a part that are to stand in one place: its number."""
SYSTEM: Final = "system"
"""The container of the system under test."""
AGENT: Final = "agent"
AGENT_CPU: Final = "50m"
NODE_CPU: Final = 200
"""In thousandths. What nothing is requested for has 2 shares of a contended processor, and would wait for everybody else."""
NODE_MEMORY_BYTES: Final = 64 << 20
GATE_VOLUME: Final = "gate"
GRACE_S: Final = 30
"""Kubernetes' default. What is removed after a run has none."""
PRIVILEGED: Final = "pod-security.kubernetes.io/enforce"
HOST_LABEL: Final = "kubernetes.io/hostname"
OURS: Final = "nines.test"
"""Below it stand the names that our own name server answers."""


class Probe(msgspec.Struct, frozen=True):
    """How kubelet asks whether a node is ready, with the waits that the plan's parameters say."""

    ask: Ask
    every_s: float
    timeout_s: float
    fall: int
    rise: int


class PartSpec(msgspec.Struct, frozen=True):
    """The nodes of a part."""

    part: str
    count: int
    image: str
    ports: Mapping[str, int]
    data: tuple[str, ...]
    """Folders of its own, which outlive its containers."""
    keeps: bool
    """Nines starts its nodes again, not kubelet."""
    probe: Probe | None = None
    allowed: Allowed = Allowed()
    """What its system may use at most."""
    becomes: bool = False
    """Its systems run as another user than their gates: whoever stands in a gate may become anybody."""
    group: int = 0
    """Which of the part's, of which each has a StatefulSet."""
    host: str = ""
    """The machine that these stand on, if that takes them."""
    zone: str = ""
    """The zone of machines that these stand in."""


class Claims(msgspec.Struct, frozen=True):
    """How the volumes of a node's data are asked for."""

    storage_class: str
    """Empty: whichever the cluster takes for its default one."""
    size_bytes: int


class Group(msgspec.Struct, frozen=True):
    """The nodes of a part that are to stand in one place, if one is named."""

    part: str
    number: int
    host: str = ""
    zone: str = ""


def grouped(nodes: Mapping[str, str], ours: OursSpec) -> dict[str, Group]:
    """Node -> its group, numbered within its part in the order of the nodes. ``nodes``: node -> its part."""
    numbers: dict[tuple[str, str, str], int] = {}
    found = {}
    for node, part in nodes.items():
        host, zone = ours.stand.get(node, ""), ours.within.get(node, "")
        number = numbers.setdefault((part, host, zone), sum(its == part for its, _, _ in numbers))
        found[node] = Group(part, number, host, zone)
    return found


class OwnPlace(Place, frozen=True):
    """One run's things, the nodes among them."""

    moves: bool = False
    """A fault gives nodes up: their next pods have other addresses, so their peers know them by names."""
    claims: Claims | None = None
    """None: a node's data goes with its pod."""

    @property
    def short(self) -> str:
        """As the run, in few letters: a pod's name has 63, and Kubernetes adds some of its own."""
        return f"nines-{hashlib.sha256(self.run.encode()).hexdigest()[:8]}"

    def named(self, part: str) -> str:
        """The StatefulSet of a part, and its Service."""
        return f"{self.short}-{part}"[:40].rstrip("-").lower()

    def namespace_of_its_own(self) -> Thing:
        """Open to privileged pods: the harness's is one."""
        return {
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": {**self.labels(NODES), PRIVILEGED: "privileged"}},
        }  # fmt: skip

    def _rules(self) -> list[Thing]:
        """The harness sees pods, reads what they said, and starts agents in them; it deletes some where a fault does that."""
        return [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", *(["watch", "delete"] if self.moves else [])]},
            {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
            *([{"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}] if self.evicts else []),
        ]

    def names(self, owner: Thing, machine: str) -> Thing:
        """The name server's place: a network of its own on the harness's machine."""
        return self.empty_pod(DNS, owner, machine)

    def service(self, owner: Thing, part: PartSpec) -> Thing:
        """Its name leads to those of its pods that are ready."""
        ports = [{"name": name.replace("_", "-").lower()[:15], "port": port} for name, port in part.ports.items()]
        return {
            "apiVersion": "v1", "kind": "Service", "metadata": self._metadata(self.named(part.part), NODES, owner),
            "spec": {"clusterIP": "None", "selector": self._of(part), "ports": ports},
        }  # fmt: skip

    def nodes(self, owner: Thing, part: PartSpec, nameserver: str) -> Thing:
        """``nameserver``: of ours; empty where the cluster's own answers."""
        service = self.named(part.part)
        name = f"{service}-{part.group}" if part.group else service
        labels = {**self._of(part), GROUP: str(part.group)}
        return {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": self._metadata(name, NODES, owner),
            "spec": {
                "serviceName": service,
                "replicas": part.count,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": {**self.labels(NODES), **labels}}, "spec": self._pod(part, nameserver)},
                **self._claimed(part),
            },
        }

    def _claimed(self, part: PartSpec) -> Thing:
        """Claims go with the StatefulSet, which goes with the Job: by the cluster itself, if nobody else is there to remove them."""
        if self.claims is None:
            return {}
        asked: Thing = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": str(self.claims.size_bytes)}}}
        if self.claims.storage_class:
            asked["storageClassName"] = self.claims.storage_class
        templates = [{"metadata": {"name": name, "labels": self.labels(NODES)}, "spec": asked} for name in _data(part)]
        return {
            "volumeClaimTemplates": templates,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
        }

    def _of(self, part: PartSpec) -> dict[str, str]:
        return {RUN: self.run, ROLE: NODES, PART: part.part}

    def _pod(self, part: PartSpec, nameserver: str) -> Thing:
        mounts = [{"name": GATE_VOLUME, "mountPath": gate.FOLDER}]
        # A folder inside of a claimed volume: a disk may have some of its own at its top (lost+found).
        inside = {} if self.claims is None else {"subPath": "data"}
        mounts += [{"name": name, "mountPath": folder, **inside} for name, folder in _data(part).items()]
        pod: Thing = {
            "shareProcessNamespace": True,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": GRACE_S,
            "affinity": self._where(part),
            "initContainers": [
                {"name": "make-gate", "image": self.image, "imagePullPolicy": "IfNotPresent", "command": list(gate.MAKE),
                 "volumeMounts": mounts[:1]},
                self._agent(mounts),
            ],
            "containers": [self._system(part, mounts)],
            "volumes": [{"name": mount["name"], "emptyDir": {}} for mount in (mounts if self.claims is None else mounts[:1])],
        }  # fmt: skip
        if nameserver:
            pod["dnsPolicy"] = "None"
            pod["dnsConfig"] = {"nameservers": [nameserver], "searches": [OURS]}
        return pod

    def _where(self, part: PartSpec) -> Thing:
        """On a machine of its own, or on the one that is named unless that is closed; in the zone that is named, or nowhere."""
        apart = {"labelSelector": {"matchLabels": {RUN: self.run, ROLE: NODES}}, "topologyKey": HOST_LABEL}
        if part.host:
            term = {"weight": 100, "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [part.host]}]}}
            return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}
        found: Thing = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": apart}]}}
        if part.zone:
            terms = [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": [part.zone]}]}]
            found["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        return found

    def _agent(self, mounts: Sequence[Thing]) -> Thing:
        """It waits, and the harness starts the agent in it: its standard streams are then the harness's own."""
        return {
            **self._container(["sleep", "infinity"], {}),
            "name": AGENT,
            "restartPolicy": "Always",
            "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}},
            "resources": {"requests": {"cpu": AGENT_CPU, "memory": "64Mi"}},
            "volumeMounts": list(mounts),
        }

    def _system(self, part: PartSpec, mounts: Sequence[Thing]) -> Thing:
        system: dict[str, Any] = {
            "name": SYSTEM,
            "image": part.image,
            "imagePullPolicy": "IfNotPresent",
            "command": gate.command(keeps=part.keeps),
            "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}],
            "ports": [{"containerPort": port} for port in dict.fromkeys(part.ports.values())],
            "resources": within(part.allowed),
            "volumeMounts": list(mounts),
        }
        if part.becomes:
            system["securityContext"] = {"runAsUser": 0, "runAsNonRoot": False}
        if self.moves:
            system["volumeMounts"].append({"name": GATE_VOLUME, "mountPath": "/etc/hosts", "subPath": gate.HOSTS})
        if part.keeps:
            system["lifecycle"] = {"preStop": {"exec": {"command": gate.stop()}}}
        if part.probe is not None:
            system["readinessProbe"] = readiness(part.probe, part.ports)
        return system


def _data(part: PartSpec) -> dict[str, str]:
    """Volume -> the folder that it is."""
    return {f"data-{number}": folder for number, folder in enumerate(part.data)}


def within(allowed: Allowed) -> Thing:
    """The resources of a container that may use so much; it requests no more than that."""
    requests, limits = {"cpu": f"{NODE_CPU}m", "memory": str(NODE_MEMORY_BYTES)}, {}
    if allowed.cpus is not None:
        millis = max(1, round(allowed.cpus * 1000))
        limits["cpu"], requests["cpu"] = f"{millis}m", f"{min(NODE_CPU, millis)}m"
    if allowed.memory_bytes is not None:
        limits["memory"], requests["memory"] = str(allowed.memory_bytes), str(min(NODE_MEMORY_BYTES, allowed.memory_bytes))
    return {"requests": requests} | ({"limits": limits} if limits else {})


def readiness(probe: Probe, ports: Mapping[str, int]) -> Thing:
    """Kubelet asks by HTTP, or by a connection; what stands in the answer it cannot tell."""
    waits = {
        "periodSeconds": max(1, round(probe.every_s)), "timeoutSeconds": max(1, round(probe.timeout_s)),
        "failureThreshold": max(1, probe.fall), "successThreshold": max(1, probe.rise),
    }  # fmt: skip
    text = probe.ask.http or probe.ask.tcp or ""
    port = next((number for name, number in ports.items() if f"{{{name}}}" in text), next(iter(ports.values())))
    if probe.ask.http is None or probe.ask.http.startswith("https"):
        return {"tcpSocket": {"port": port}, **waits}
    path = probe.ask.http.partition("://")[2].partition("/")[2]
    return {"httpGet": {"path": f"/{path}", "port": port}, **waits}
