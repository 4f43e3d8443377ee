"""A Kubernetes cluster for a test session (that of $NINES_KUBERNETES, if it is up), and what tests do with it."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.support.needs import need
from tools.kubernetes import cluster as clusters
from tools.kubernetes import programs
from tools.kubernetes.cluster import Cluster
from tools.kubernetes.places import layout

NODES: Final = 3
HOW: Final = "root, and Go for a first build: https://go.dev/dl"
_LOOK_S: Final = 0.2


@contextlib.contextmanager
def session_cluster() -> Iterator[Cluster]:
    """A cluster of three nodes; one that is up already stays up."""
    need("a Kubernetes cluster", programs.may(), HOW)
    with clusters.running(layout(), NODES, lambda text: print(text, file=sys.stderr)) as found:
        yield found


@contextlib.contextmanager
def namespace(cluster: Cluster, name: str) -> Iterator[str]:
    """A namespace for one test, removed after it with all that is in it."""
    cluster.kubectl("create", "namespace", name)
    try:
        until(lambda: "default" in cluster.kubectl("get", "serviceaccount", "-n", name), 120, f"the service account of {name}")
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=true", "--timeout=300s", timeout_s=330)


def apply(cluster: Cluster, space: str, *objects: dict[str, Any]) -> None:
    """Create or change objects in a namespace."""
    cluster.kubectl("apply", "-n", space, "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def get(cluster: Cluster, space: str, *what: str) -> dict[str, Any]:
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
