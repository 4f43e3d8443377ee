"""The StorageClass of the claims of a cluster of ours: found before anything is made, with what can be said of its volumes.

    provisioner           who makes them; some are known to make folders or disks of one machine
    volumeBindingMode     whether a volume is made where the first pod stands (WaitForFirstConsumer), or before a pod is placed (Immediate)
    reclaimPolicy         whether a volume goes with its claim

Whether a volume can follow a pod to another machine is written on the volume, once there is one. Of a class nobody can tell, unless its
provisioner is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.api import Api, Refused, Thing

DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"
ON_ONE_MACHINE: Final = frozenset({
    "kubernetes.io/no-provisioner", "rancher.io/local-path", "openebs.io/local", "topolvm.io", "k8s.io/minikube-hostpath",
    "microk8s.io/hostpath",
})  # fmt: skip
"""Provisioners whose volumes are folders or disks of the machine where the first pod stood: kind, k3d, minikube and MicroK8s have one."""
HOW: Final = "kubernetes: {volumes: claims, storage_class: NAME}, or volumes: pods, with which the data of a deleted pod is gone"


class StorageClass(msgspec.Struct, frozen=True):
    """One of a cluster."""

    name: str
    provisioner: str
    waits: bool = False
    """A volume is made once a pod needs it, where that pod stands."""
    keeps: bool = False
    """A volume outlives its claim."""
    default: bool = False
    made: str = ""
    """When; of two defaults the cluster takes the newer one."""

    def __str__(self) -> str:
        return f"{self.name} ({self.provisioner}{', default' if self.default else ''})"


def classes(api: Api) -> list[StorageClass] | None:
    """All of them; None where they may not be read."""
    try:
        return [_one(each) for each in api.listed("storageclasses", "")]
    except Refused as refused:
        if refused.forbidden:
            return None
        raise


def _one(thing: Thing) -> StorageClass:
    metadata = thing["metadata"]
    return StorageClass(
        name=str(metadata["name"]), provisioner=str(thing.get("provisioner") or ""),
        waits=thing.get("volumeBindingMode") == "WaitForFirstConsumer", keeps=thing.get("reclaimPolicy") == "Retain",
        default=(metadata.get("annotations") or {}).get(DEFAULT) == "true", made=str(metadata.get("creationTimestamp") or ""),
    )  # fmt: skip


def chosen(found: Sequence[StorageClass], name: str) -> StorageClass:
    """That of this name, else the cluster's default one. ``EnvironmentUnusable`` if there is none, or if its volumes would stay."""
    there = ", ".join(map(str, found)) or "none"
    if name:
        choice = next((each for each in found if each.name == name), None)
        if choice is None:
            raise EnvironmentUnusable(f"the cluster has no StorageClass '{name}'; there is: {there}", how=HOW)
    else:
        choice = max((each for each in found if each.default), key=lambda each: each.made, default=None)
        if choice is None:
            raise EnvironmentUnusable(f"the cluster has no default StorageClass; there is: {there}", how=HOW)
    if choice.keeps:
        raise EnvironmentUnusable(
            f"volumes of the StorageClass '{choice.name}' stay when their claims are gone (reclaimPolicy: Retain): a run leaves nothing",
            how=f"a class with 'reclaimPolicy: Delete'; there is: {there}",
        )
    return choice
