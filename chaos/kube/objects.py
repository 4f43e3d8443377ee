"""What a run makes in a cluster, as manifests: pure. All of it carries the run's label, and belongs to one Job, with which it goes.

    Job           the harness: one pod, privileged since it starts the prober in the clients' network
    Pod           the clients' place: a network of its own on the same machine, and nothing in it but what the harness starts there
    DaemonSet     on the machines that carry the nodes: where guests are started, each in the network of one pod
    ServiceAccount, Role, RoleBinding    the harness's rights: to see the pods, to start guests, to delete pods where a fault does that

The Job removes itself some time after its end, so that even a cluster whose user is gone is clean one day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from chaos.kube.api import Thing
from chaos.kube.find import ROLE, RUN

HARNESS: Final = "harness"
CLIENTS: Final = "clients"
GUESTS: Final = "guests"
CONTAINER: Final = "nines"
TOP: Final = "/nines"
"""In the harness's pod: the run folder, what was sent along, the registry."""
KEPT_S: Final = 3600
"""So long a harness whose command is gone keeps what was measured, for ``nines fetch``."""
HELD_S: Final = 8 * 3600
"""So long a cluster that is held for faults by hand stands at most."""
GONE_AFTER_S: Final = 60
HARNESS_CPU: Final = "500m"
GUESTS_CPU: Final = "50m"
"""A pod that requests nothing has 2 shares of a contended processor, where one of 500m has 512: what measures must not wait."""
OWN: Final[Mapping[str, str]] = {"NINES_POD": "metadata.name", "NINES_POD_ADDRESS": "status.podIP", "NINES_POD_MACHINE": "spec.nodeName"}
"""Variables by which what runs in a pod of ours knows which one it is."""
KEYS: Final = "nines/attached"
"""The annotation that says which pods the run attached to."""


class Place(msgspec.Struct, frozen=True):
    """One run's things in one namespace."""

    run: str
    namespace: str
    image: str
    not_on: frozenset[str] = frozenset()
    """Machines that faults take away: the harness stands on none of them."""
    evicts: bool = False
    """A fault asks pods to go."""

    @property
    def name(self) -> str:
        """Of everything that there is one of."""
        return f"nines-{self.run}"[:63].rstrip("-.").lower()

    def labels(self, role: str) -> dict[str, str]:
        """Whose and what."""
        return {RUN: self.run, ROLE: role, "app.kubernetes.io/managed-by": "nines"}

    def _metadata(self, name: str, role: str, owner: Thing | None) -> Thing:
        found: Thing = {"name": name, "namespace": self.namespace, "labels": self.labels(role)}
        if owner is not None:
            found["ownerReferences"] = [
                {"apiVersion": "batch/v1", "kind": "Job", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
            ]
        return found

    def job(self, lasts_s: float, keys: str, settings: Mapping[str, str]) -> Thing:
        """The harness; it waits for its account, so it is made suspended."""
        at_most_s = int(lasts_s) + KEPT_S
        metadata = self._metadata(self.name, HARNESS, None)
        metadata["annotations"] = {KEYS: keys}
        container = self._container(["sleep", str(at_most_s)], {"NINES_STATE": f"{TOP}/state", "NINES_IN_POD": "1", **settings})
        container["securityContext"] = {"privileged": True}
        container["resources"] = {"requests": {"cpu": HARNESS_CPU, "memory": "256Mi"}}
        container["volumeMounts"] = [{"name": "runs", "mountPath": TOP}]
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {
                "suspend": True,
                "backoffLimit": 0,
                "activeDeadlineSeconds": at_most_s,
                "ttlSecondsAfterFinished": GONE_AFTER_S,
                "template": {
                    "metadata": {"labels": self.labels(HARNESS)},
                    "spec": {
                        "serviceAccountName": self.name,
                        "restartPolicy": "Never",
                        "hostPID": True,
                        "terminationGracePeriodSeconds": 2,
                        "containers": [container],
                        "volumes": [{"name": "runs", "emptyDir": {}}],
                        "affinity": _on("NotIn", self.not_on) if self.not_on else {},
                    },
                },
            },
        }

    def account(self, owner: Thing, pull_secrets: Sequence[Thing] = ()) -> Thing:
        """Who the harness is there, and by which secrets its image is pulled."""
        found: Thing = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self._metadata(self.name, HARNESS, owner)}
        return found | ({"imagePullSecrets": list(pull_secrets)} if pull_secrets else {})

    def role(self, owner: Thing) -> Thing:
        """What it may."""
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": self._metadata(self.name, HARNESS, owner),
            "rules": self._rules(),
        }  # fmt: skip

    def _rules(self) -> list[Thing]:
        return [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "delete"]},
            {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
            *([{"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}] if self.evicts else []),
            {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
        ]

    def binding(self, owner: Thing) -> Thing:
        """That it may."""
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": self._metadata(self.name, HARNESS, owner),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": self.name},
            "subjects": [{"kind": "ServiceAccount", "name": self.name, "namespace": self.namespace}],
        }  # fmt: skip

    def clients(self, owner: Thing, machine: str) -> Thing:
        """Where the traffic comes from."""
        return self.empty_pod(CLIENTS, owner, machine)

    def empty_pod(self, role: str, owner: Thing, machine: str) -> Thing:
        """A network on the harness's own machine, and nothing in it but what the harness starts there."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self._metadata(f"{self.name}-{role}", role, owner),
            "spec": {
                "nodeName": machine, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
                "tolerations": [{"operator": "Exists"}], "containers": [self._container(["sleep", "infinity"], {})],
            },
        }  # fmt: skip

    def guests(self, owner: Thing, machines: Collection[str]) -> Thing:
        """On these machines and no others; on every machine where none is named."""
        container = self._container(["sleep", "infinity"], {})
        container["securityContext"] = {"privileged": True}
        container["resources"] = {"requests": {"cpu": GUESTS_CPU, "memory": "64Mi"}}
        return {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": self._metadata(f"{self.name}-{GUESTS}", GUESTS, owner),
            "spec": {
                "selector": {"matchLabels": {RUN: self.run, ROLE: GUESTS}},
                "template": {
                    "metadata": {"labels": self.labels(GUESTS)},
                    "spec": {
                        "affinity": _on("In", machines) if machines else {},
                        "hostPID": True, "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0,
                        "tolerations": [{"operator": "Exists"}], "containers": [container],
                    },
                },
            },
        }  # fmt: skip

    def _container(self, command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
        return {
            "name": CONTAINER, "image": self.image, "imagePullPolicy": "IfNotPresent", "command": list(command),
            "env": [{"name": name, "value": value} for name, value in environment.items()] + [
                {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in OWN.items()
            ],
        }  # fmt: skip


def _on(operator: str, machines: Collection[str]) -> Thing:
    """One term a machine where any will do (they are alternatives), one with all requirements where none will."""
    fields = [{"key": "metadata.name", "operator": operator, "values": [machine]} for machine in sorted(machines)]
    terms = [{"matchFields": fields}] if operator == "NotIn" else [{"matchFields": [each]} for each in fields]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
