"""Ephemeral containers (kubernetes.io, "Ephemeral Containers"): one of ours in a pod of somebody else's, in the pod's network.

They need no privileged pod and no DaemonSet. But nobody can take one out of a pod again: ended, it stays in the pod's description until the
pod goes. And it sees no process of the pod's other containers, so it can act on the pod's network and on nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.api import Api, Refused, Thing, place
from chaos.kube.objects import HARNESS, Place
from chaos.kube.rights import RIGHTS as ALL_RIGHTS
from chaos.kube.rights import Right
from chaos.kube.standing import pull_secrets, running
from chaos.kube.streams import run

PATCH: Final = "application/strategic-merge-patch+json"
RUNS_WITHIN_S: Final = 120.0
LOOK_EVERY_S: Final = 0.25
END_WITHIN_S: Final = 10.0
IMAGE: Final = "NINES_POD_IMAGE"
LASTS: Final = "NINES_POD_LASTS_S"
"""What the harness is told of the containers that it adds."""
LODGED: Final = "nines/lodged"
"""The annotation of a Job whose guests stand in ephemeral containers; their image."""
RESOURCE: Final = "pods/ephemeralcontainers"
RIGHTS: Final = (
    *(right for right in ALL_RIGHTS if right.resource != "daemonsets"),
    Right("", RESOURCE, ("patch",), "to add a container to a pod that runs"),
)
CAPABILITIES: Final = ["NET_ADMIN"]
ENDS: Final = ("kill", "-TERM", "1")
"""Its own first process, which waits for just that."""


def container(run_name: str, image: str, lasts_s: float, number: int = 0) -> Thing:
    """It waits in the pod, and guests are started in it; it ends by itself after so long."""
    waits = ["sh", "-c", f'trap "exit 0" TERM; sleep {int(lasts_s)} & wait']
    return {
        "name": name_of(run_name, number), "image": image, "imagePullPolicy": "IfNotPresent", "command": waits,
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False, "capabilities": {"add": CAPABILITIES}},
    }  # fmt: skip


def name_of(run_name: str, number: int = 0) -> str:
    """A label of the DNS, of this run alone. ``number``: of a further one, where the one before has ended."""
    end = f"-{number}" if number else ""
    return f"nines-{run_name.lower()}"[: 63 - len(end)].rstrip("-.").replace(".", "-").replace("_", "-") + end


def unprivileged(job: Thing) -> Thing:
    """The harness's Job, where it starts nothing on its machine: it is the clients' place itself, and changes its own network only."""
    spec = job["spec"]["template"]["spec"]
    spec.pop("hostPID", None)
    (only,) = spec["containers"]
    only["securityContext"] = {"runAsUser": 0, "capabilities": {"add": CAPABILITIES}}
    return job


def make(api: Api, place_: Place, lasts_s: float, keys: str, note: Callable[[str], None]) -> str:
    """The run's things: no DaemonSet, no pod of the clients, and nothing privileged; returns the name of the harness's pod."""
    namespace, settings = place_.namespace, {IMAGE: place_.image, LASTS: str(int(lasts_s))}
    note(f"{place_.run}: each pod gets the ephemeral container '{name_of(place_.run)}'")
    wanted = unprivileged(place_.job(lasts_s, keys, settings))
    wanted["metadata"]["annotations"][LODGED] = place_.image
    job = api.make("jobs", namespace, wanted)
    role = place_.role(job)
    role["rules"].append({"apiGroups": [""], "resources": [RESOURCE], "verbs": ["patch"]})
    account = place_.account(job, pull_secrets(api, namespace))
    for kind, thing in (("serviceaccounts", account), ("roles", role), ("rolebindings", place_.binding(job))):
        api.make(kind, namespace, thing)
    api.change("jobs", namespace, place_.name, {"spec": {"suspend": False}})
    return str(running(api, place_, HARNESS, 1)[0]["metadata"]["name"])


def add(api: Api, namespace: str, pod: str, wanted: Thing, *, dry: bool = False) -> None:
    """Into a pod. ``EnvironmentUnusable`` with the server's own words if it may not be."""
    query = {"dryRun": "All"} if dry else {}
    path = f"{place('pods', namespace, pod)}/ephemeralcontainers"
    try:
        api.ask("PATCH", path, {"spec": {"ephemeralContainers": [wanted]}}, kind=PATCH, **query)
    except Refused as refused:
        raise EnvironmentUnusable(
            f"the pod {pod} may not be given an ephemeral container with NET_ADMIN: {refused.what.partition(': ')[2] or refused.what}",
            how="the right 'patch pods/ephemeralcontainers', and a namespace that admits NET_ADMIN; without it a run can only delete pods",
        ) from refused


def alive(thing: Thing, run_name: str) -> str:
    """The name of this run's ephemeral container that runs in a pod; empty if none does."""
    states = thing.get("status", {}).get("ephemeralContainerStatuses") or []
    ours = [each for each in states if str(each["name"]).startswith(name_of(run_name))]
    return next((str(each["name"]) for each in ours if "running" in (each.get("state") or {})), "")


def ensure(api: Api, namespace: str, pod: str, run_name: str, image: str, lasts_s: float) -> str:
    """The name of the one that runs there, added if there is none."""
    thing = _pod(api, namespace, pod)
    found = alive(thing, run_name)
    if found:
        return found
    there = [str(each["name"]) for each in thing["spec"].get("ephemeralContainers") or () if each["name"].startswith(name_of(run_name))]
    add(api, namespace, pod, container(run_name, image, lasts_s, len(there)))
    until_s = time.monotonic() + RUNS_WITHIN_S
    while not (found := alive(_pod(api, namespace, pod), run_name)):
        if time.monotonic() > until_s:
            raise EnvironmentUnusable(
                f"the ephemeral container in the pod {pod} does not run after {RUNS_WITHIN_S:g} s",
                how=f"kubectl -n {namespace} describe pod {pod}; the image {image} must be there or be pulled",
            )
        time.sleep(LOOK_EVERY_S)
    return found


def end(api: Api, namespace: str, pod: str, run_name: str) -> str:
    """Have it end; what is left of it but its name in the pod's description."""
    thing = api.get("pods", namespace, pod)
    found = "" if thing is None else alive(thing, run_name)
    if not found:
        return ""
    until_s = time.monotonic() + END_WITHIN_S
    while time.monotonic() < until_s:
        run(api, namespace, pod, found, ENDS, END_WITHIN_S)
        thing = api.get("pods", namespace, pod)
        if thing is None or not alive(thing, run_name):
            return ""
        time.sleep(LOOK_EVERY_S)
    return f"the ephemeral container {found} still runs"


def refuse_unadmitted(api: Api, where: Place, pods: list[str]) -> None:
    """``EnvironmentUnusable`` before anything is made, where one of these pods may not be given one."""
    for pod in pods:
        add(api, where.namespace, pod, container(where.run, where.image, 1.0), dry=True)


def _pod(api: Api, namespace: str, pod: str) -> Thing:
    found = api.get("pods", namespace, pod)
    if found is None:
        raise EnvironmentUnusable(f"the pod {pod} is gone", how="wait until its successor runs")
    return found
