"""A Kubernetes cluster for a test session (that of $NINES_KUBERNETES, if it is up), and what tests do with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from chaos.registry import processes as proc
from tests.support.needs import need
from tools.kubernetes import cluster as clusters
from tools.kubernetes import programs
from tools.kubernetes.cluster import Cluster
from tools.kubernetes.places import layout

NODES: Final = 3
HOW: Final = "root, and Go for a first build: https://go.dev/dl"
_LOOK_S: Final = 0.2
KINDS: Final = (
    "nodes,namespaces,pods,services,deployments,daemonsets,statefulsets,replicasets,jobs,cronjobs,configmaps,secrets,serviceaccounts,"
    "roles,rolebindings,clusterroles,clusterrolebindings,networkpolicies,poddisruptionbudgets,persistentvolumeclaims,persistentvolumes"
)
_ITS_OWN: Final = ("resourceVersion", "managedFields", "generation", "creationTimestamp", "uid")
"""Of an object's metadata: the API server writes these by itself."""


class HasKubectl(Protocol):
    """A cluster, however it was made."""

    def kubectl(self, *arguments: str, text: str | None = None, timeout_s: float = ...) -> str:
        """What kubectl printed."""
        ...


@contextlib.contextmanager
def session_cluster() -> Iterator[Cluster]:
    """A cluster of three nodes; one that is up already stays up."""
    need("a Kubernetes cluster", programs.may(), HOW)
    with clusters.running(layout(), NODES, lambda text: print(text, file=sys.stderr)) as found:
        yield found


@contextlib.contextmanager
def namespace(cluster: HasKubectl, name: str) -> Iterator[str]:
    """A namespace for one test, removed after it with all that is in it."""
    cluster.kubectl("create", "namespace", name)
    try:
        until(lambda: "default" in cluster.kubectl("get", "serviceaccount", "-n", name), 120, f"the service account of {name}")
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=true", "--timeout=300s", timeout_s=330)


def apply(cluster: HasKubectl, space: str, *objects: dict[str, Any]) -> None:
    """Create or change objects in a namespace."""
    cluster.kubectl("apply", "-n", space, "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def get(cluster: HasKubectl, space: str, *what: str) -> dict[str, Any]:
    """Objects as the API has them."""
    found: dict[str, Any] = json.loads(cluster.kubectl("get", "-n", space, *what, "-o", "json"))
    return found


def until(true: Callable[[], object], within_s: float, what: str) -> float:
    """Wait until it is true; how long that took. ``AssertionError`` if it does not become true."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < within_s:
        if true():
            return time.monotonic() - began_s
        time.sleep(_LOOK_S)
    raise AssertionError(f"{what}: not within {within_s:g} s")


def standing(cluster: HasKubectl) -> dict[str, str]:
    """Kind, namespace and name of all that stands on the cluster -> what its owners wrote down of it."""
    items = json.loads(cluster.kubectl("get", KINDS, "-A", "-o", "json"))["items"]
    return {_called(each): json.dumps(_written(each), sort_keys=True) for each in items}


def changed(cluster: HasKubectl, before: dict[str, str], within_s: float) -> list[str]:
    """What is not as it was, once the garbage collector and kubelet had that time."""
    until_s = time.monotonic() + within_s
    while True:
        after = standing(cluster)
        others = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if not others or time.monotonic() > until_s:
            return [f"{name}: {'made' if name not in before else 'gone' if name not in after else 'changed'}" for name in others]
        time.sleep(1.0)


def _called(each: dict[str, Any]) -> str:
    return f"{each['kind']} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}"


def _written(each: dict[str, Any]) -> dict[str, Any]:
    """Without status, and without what the API server writes by itself."""
    metadata = {key: value for key, value in each["metadata"].items() if key not in _ITS_OWN}
    return {key: value for key, value in each.items() if key not in ("status", "metadata")} | {"metadata": metadata}


def pods(cluster: Cluster, selector: str) -> list[dict[str, Any]]:
    """In all namespaces."""
    found: list[dict[str, Any]] = json.loads(cluster.kubectl("get", "pods", "-A", "-l", selector, "-o", "json"))["items"]
    return found


@contextlib.contextmanager
def silenced(cluster: Cluster, program: str, for_s: float) -> Iterator[None]:
    """A program of the control plane stands still for at least so long: its connections stay, and nobody answers."""
    address = str(cluster.record.addresses.control)
    found = [pid for pid in proc.pids() if _runs(pid, program, address)]
    assert len(found) == 1, found
    until_s = time.monotonic() + for_s
    os.kill(found[0], signal.SIGSTOP)
    try:
        yield
        time.sleep(max(0.0, until_s - time.monotonic()))  # what the test is about
    finally:
        os.kill(found[0], signal.SIGCONT)


def _runs(pid: int, program: str, word: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    except OSError:
        return False
    return Path(words[0]).name == program and word in words
