"""Which pods are meant, and which container of each: pure, from what the API server says of them.

A pod is found again by its name; one whose controller gives its successor another name (a Deployment) by taking the place of the one that
is gone. Their order is that of their names, in which 2 comes before 10.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.core.values import Allowed
from chaos.experiment.pods import PodsSpec
from chaos.kube.api import Api, Thing
from chaos.kube.limits import allowed

RUN: Final = "nines.run"
"""The label of all that is ours: the run."""
ROLE: Final = "nines.role"
DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
ZONE: Final = "topology.kubernetes.io/zone"
BY_CLUSTER: Final = "DeletionByTaintManager"
"""The reason of a pod's condition whose machine was silent for longer than it tolerates."""


class Pod(msgspec.Struct, frozen=True):
    """One pod, as far as we care."""

    name: str
    uid: str
    machine: str
    """The Kubernetes node that it is on."""
    address: str
    container: str
    """The name of the container that is the node."""
    container_id: str
    """Its present life; empty while it has none."""
    image: str
    ready: bool
    ending: bool
    """It is being deleted."""
    restarts: int
    shared: bool = False
    """Its containers share the namespace of processes."""
    limits: Allowed = Allowed()
    """What that container may use at most."""
    given_up: bool = False
    """It is being deleted by the cluster itself, since its machine was silent."""
    maker: str = ""
    """The kind of what makes another one in its place (``StatefulSet``); empty: nobody does."""
    labels: dict[str, str] = {}
    """As they are now."""


def service_of(api: Api, spec: PodsSpec) -> Thing | None:
    """The Service whose name clients resolve; ``EnvironmentUnusable`` if it is named and not there."""
    if not spec.service:
        return None
    found = api.get("services", spec.namespace, spec.service)
    if found is None:
        there = ", ".join(sorted(each["metadata"]["name"] for each in api.listed("services", spec.namespace))) or "none"
        raise EnvironmentUnusable(f"the namespace '{spec.namespace}' has no Service '{spec.service}'", how=f"it has: {there}")
    return found


def selector_of(spec: PodsSpec, service: Thing | None) -> str:
    """As the API takes it: that of the experiment, else the Service's."""
    if spec.selector:
        return spec.selector
    wanted = (service or {}).get("spec", {}).get("selector") or {}
    if not wanted:
        how = "kubernetes: {..., selector: app=store}"
        raise EnvironmentUnusable(f"the Service '{spec.service}' has no selector: it does not say which pods are behind it", how=how)
    return ",".join(f"{key}={value}" for key, value in sorted(wanted.items()))


def choose(things: Sequence[Thing], spec: PodsSpec, selector: str, count: int) -> list[Pod]:
    """A running pod for each node; ``EnvironmentUnusable`` unless it comes out even, ``CapabilityMissing`` for pods we cannot act on."""
    for each in things:
        if not _is_ours(each):
            refuse_unable(each)
    alive, found = living(things, spec), running(things, spec)
    if len(found) != count:
        rest = f", and {len(alive) - len(found)} that do not" if len(alive) > len(found) else ""
        how = f"cluster: {{nodes: {len(found)}}}, or wait until the others run" if found else "nothing of yours is started here"
        what = f"{len(found)} pods{rest} run with the labels '{selector}' in the namespace '{spec.namespace}'"
        raise EnvironmentUnusable(f"{what}, and the experiment says {count}", how=how)
    return in_order(found)


def living(things: Sequence[Thing], spec: PodsSpec) -> list[Pod]:
    """Those that are not over, and not ours."""
    return [pod_of(each, spec) for each in things if not _is_ours(each) and each["status"].get("phase") not in ("Succeeded", "Failed")]


def running(things: Sequence[Thing], spec: PodsSpec) -> list[Pod]:
    """Those of them that have a life and an address, and are to keep them."""
    return [pod for pod in living(things, spec) if pod.container_id and pod.address and not pod.ending]


def _is_ours(thing: Thing) -> bool:
    return RUN in thing["metadata"].get("labels", {})


def in_order(pods: Sequence[Pod]) -> list[Pod]:
    """By name."""
    return sorted(pods, key=lambda pod: [(int(word), "") if word.isdecimal() else (0, word) for word in re.split(r"(\d+)", pod.name)])


def refuse_unable(thing: Thing) -> None:
    """``CapabilityMissing`` for a pod whose network is not its own."""
    if thing["spec"].get("hostNetwork"):
        raise CapabilityMissing(
            f"the pod {thing['metadata']['name']} has no network of its own (hostNetwork)", how="rules there would reach its whole machine"
        )


def pod_of(thing: Thing, spec: PodsSpec) -> Pod:
    """``EnvironmentUnusable`` where nothing says which of its containers is meant."""
    metadata, status = thing["metadata"], thing.get("status", {})
    name = _container(thing, spec)
    states: list[Thing] = status.get("containerStatuses") or []
    state: Thing = next((each for each in states if each["name"] == name), {})
    runs = "running" in (state.get("state") or {})
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in status.get("conditions") or ())
    return Pod(
        name=metadata["name"], uid=metadata["uid"], machine=str(thing["spec"].get("nodeName") or ""),
        address=str(status.get("podIP") or ""), container=name,
        container_id=str(state.get("containerID") or "").rpartition("/")[2] if runs else "",
        image=str(state.get("imageID") or ""), ready=ready, ending="deletionTimestamp" in metadata,
        restarts=int(state.get("restartCount") or 0),
        shared=bool(thing["spec"].get("shareProcessNamespace")), limits=allowed(thing, name),
        given_up=any(each.get("reason") == BY_CLUSTER and each.get("status") == "True" for each in status.get("conditions") or ()),
        maker=controller(thing), labels=dict(metadata.get("labels") or {}),
    )  # fmt: skip


def controller(thing: Thing) -> str:
    """The kind of what makes another pod in its place; empty: nobody does."""
    owners = thing["metadata"].get("ownerReferences") or ()
    return next((str(each["kind"]) for each in owners if each.get("controller")), "")


def _container(thing: Thing, spec: PodsSpec) -> str:
    names = [str(each["name"]) for each in thing["spec"]["containers"]]
    chosen = spec.container or thing["metadata"].get("annotations", {}).get(DEFAULT_CONTAINER, "")
    if chosen in names:
        return chosen
    if len(names) == 1 and not spec.container:
        return names[0]
    pod = thing["metadata"]["name"]
    how = f"kubernetes: {{..., container: {names[0]}}}"
    if spec.container:
        raise EnvironmentUnusable(f"the pod {pod} has no container '{spec.container}', but {', '.join(names)}", how=how)
    raise EnvironmentUnusable(f"the pod {pod} has several containers: {', '.join(names)}", how=how)


def headless(service: Thing | None) -> bool:
    """Whether its name leads to the pods themselves, and not to an address that stands for all."""
    return service is not None and service["spec"].get("clusterIP") == "None"
