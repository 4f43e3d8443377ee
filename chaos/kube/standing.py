"""A run's things in a cluster: made before it, found by its label, removed after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.api import Api, Refused, Thing
from chaos.kube.find import ROLE, RUN
from chaos.kube.objects import CLIENTS, GUESTS, HARNESS, Place

KINDS: Final = ("jobs", "daemonsets", "pods", "rolebindings", "roles", "serviceaccounts")
"""In the order in which they are removed: what makes pods first."""
OWN_KINDS: Final = ("jobs", "statefulsets", "pods", "services", "rolebindings", "roles", "serviceaccounts")
"""The same where the nodes are ours, too."""
DAEMONSETS: Final = "daemonsets"
CLAIMS: Final = "persistentvolumeclaims"
NAMESPACE: Final = "namespaces"
"""Of the run's own: with it goes all that is in it."""
RUNS_WITHIN_S: Final = 120.0
"""A pod of ours: its image may have to be pulled."""
GONE_WITHIN_S: Final = 60.0
LOOK_EVERY_S: Final = 0.25
HOPELESS: Final = frozenset({"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerError"})


class Whereabouts(msgspec.Struct, frozen=True):
    """Where a run's things are, as the registry keeps it."""

    context: str
    namespace: str
    kubeconfig: str = ""
    own: bool = False
    """A cluster of ours: the nodes are the run's, too."""
    whole: bool = False
    """So is the namespace."""
    loads: bool = False
    """Beside a cluster of ours stand guests that load it."""
    claims: bool = False
    """Its data is in claims."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the run may have made there."""
        kinds = (*([DAEMONSETS] if self.loads else []), *(OWN_KINDS if self.own else KINDS))
        return (*kinds, *([CLAIMS] if self.claims else []), *([NAMESPACE] if self.whole else []))

    @classmethod
    def parsed(cls, text: str) -> Whereabouts:
        """The reverse of ``written``."""
        return msgspec.json.decode(text, type=cls)

    @staticmethod
    def is_one(text: str) -> bool:
        """Whether the registry's word of a place is of this kind; others are addresses of engines."""
        return text.startswith("{")

    @property
    def written(self) -> str:
        """In one line."""
        return msgspec.json.encode(self).decode()

    def __str__(self) -> str:
        return f"in the namespace '{self.namespace}' of '{self.context}'"


def make(
    api: Api, place: Place, machines: Collection[str], lasts_s: float, keys: str, settings: Mapping[str, str], note: Callable[[str], None]
) -> str:  # fmt: skip
    """All of them; returns the name of the harness's pod when everything runs. What was made before a failure is found by its label."""
    namespace = place.namespace
    job = api.make("jobs", namespace, place.job(lasts_s, keys, settings))
    for kind, thing in (
        ("serviceaccounts", place.account(job, pull_secrets(api, namespace))), ("roles", place.role(job)),
        ("rolebindings", place.binding(job)), ("daemonsets", place.guests(job, machines)),
    ):  # fmt: skip
        api.make(kind, namespace, thing)
    api.change("jobs", namespace, place.name, {"spec": {"suspend": False}})
    note(f"{place.run}: waiting for its pods in the namespace '{namespace}'")
    harness = running(api, place, HARNESS, 1)[0]
    api.make("pods", namespace, place.clients(job, str(harness["spec"]["nodeName"])))
    running(api, place, CLIENTS, 1)
    running(api, place, GUESTS, len(machines) or _wanted(api, place))
    return str(harness["metadata"]["name"])


def pull_secrets(api: Api, namespace: str) -> list[Thing]:
    """By which the namespace's pods pull images, unless they say otherwise: ours have the account ``default``, but for the harness."""
    found = api.listed("serviceaccounts", namespace, fields="metadata.name=default")
    return [secret for account in found for secret in account.get("imagePullSecrets") or ()]


def running(api: Api, place: Place, role: str, count: int) -> list[Thing]:
    """So many pods of that role, once all run; ``EnvironmentUnusable`` with the cluster's own word for what hinders them."""
    until_s = time.monotonic() + RUNS_WITHIN_S
    while True:
        pods = api.listed("pods", place.namespace, f"{RUN}={place.run},{ROLE}={role}")
        up = [each for each in pods if each["status"].get("phase") == "Running" and each["status"].get("podIP")]
        if len(up) >= count:
            return up
        why = next((reason for each in pods if (reason := hindrance(each))), "")
        if why or time.monotonic() > until_s:
            raise EnvironmentUnusable(
                f"{len(up)} of {count} pods of ours ({role}) run in the namespace '{place.namespace}'"
                + (f": {why}" if why else f" after {RUNS_WITHIN_S:g} s{events(api, place.namespace, place.name)}"),
                how=f"the image {place.image} must be there or be pulled, and privileged pods be allowed (docs/kubernetes.md)",
            )
        time.sleep(LOOK_EVERY_S)


def _wanted(api: Api, place: Place) -> int:
    """How many machines the DaemonSet's controller has found for it."""
    until_s = time.monotonic() + RUNS_WITHIN_S
    while time.monotonic() < until_s:
        for each in api.listed("daemonsets", place.namespace, f"{RUN}={place.run}"):
            if count := int(each.get("status", {}).get("desiredNumberScheduled") or 0):
                return count
        time.sleep(LOOK_EVERY_S)
    return 1


def hindrance(pod: Thing) -> str:
    """Why it will never run, if that is known."""
    for each in (*(pod["status"].get("initContainerStatuses") or ()), *(pod["status"].get("containerStatuses") or ())):
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            return f"{waiting['reason']}: {waiting.get('message', '')}".strip()
        ended = (each.get("state") or {}).get("terminated") or {}
        if ended and (ended.get("exitCode") or each["name"] not in {own["name"] for own in pod["spec"].get("initContainers") or ()}):
            return f"its container ended ({ended.get('reason', '')}, exit status {ended.get('exitCode')})"
    return ""


def events(api: Api, namespace: str, *beginnings: str) -> str:
    """The last word of the cluster about things of ours, whose names begin so."""
    try:
        found = api.listed("events", namespace)
    except Refused:
        return ""
    said = [
        str(each.get("message", ""))
        for each in found
        if str(each.get("involvedObject", {}).get("name", "")).startswith(beginnings) and each.get("type") != "Normal"
    ]
    return f": {said[-1]}" if said else ""


def things(api: Api, where: Whereabouts, run: str) -> list[tuple[str, str]]:
    """(kind, name) of all that is left of a run."""
    found = [(kind, each) for kind in where.kinds for each in api.listed(kind, _of(kind, where), f"{RUN}={run}")]
    return [(kind, str(each["metadata"]["name"])) for kind, each in found]


def remove(api: Api, where: Whereabouts, run: str) -> list[tuple[str, str]]:
    """All of it, and until it is gone; what is still there after a minute. The run's own namespace goes last, and has a minute more."""
    until_s = time.monotonic() + GONE_WITHIN_S * (2 if where.whole else 1)
    told = False
    while left := things(api, where, run):
        if time.monotonic() > until_s:
            return left
        for kind, name in left:
            if kind == NAMESPACE and (told or len(left) > 1):
                continue  # one that is about to go cannot be told so again
            told = told or kind == NAMESPACE
            api.remove(kind, _of(kind, where), name, grace_s=0 if kind == "pods" else None)
        time.sleep(LOOK_EVERY_S)
    return []


def _of(kind: str, where: Whereabouts) -> str:
    """A namespace stands in none."""
    return "" if kind == NAMESPACE else where.namespace
