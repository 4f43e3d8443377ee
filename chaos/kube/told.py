"""What pods, their Service and the cluster's name servers say of themselves before a run, as parameters of the models.

    the pod        its readiness probe, its grace, how long its preStop hook sleeps, how long it tolerates that its machine is silent,
                   whether a Deployment makes the next one at once
    the Service    whether its name lists pods, or leads to one address that stands for all of them
    the container  how often it has died lately, as far as kubelet still remembers that
    the control    how long it waits for a silent machine: the word of its controller manager, else the default of its version
    CoreDNS        the TTL of its answers, whether it keeps them; on which machines it stands, and how long it tolerates their silence

What a container's first process does on SIGTERM, and how long a hook takes that runs a command, nobody can see from outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.pods import Past, PodsSpec
from chaos.kube.api import Api, Refused, Thing
from chaos.kube.find import RUN, Pod, controller, headless, in_order, pod_of, running, selector_of, service_of
from chaos.plugin import Told

POD_S: Final = 30.0
"""terminationGracePeriodSeconds, where a manifest does not say it."""
HEARS_S: Final = (0.01, 0.15)
"""Until kubelet acts on an order; assumed (docs/models.md, Orchestrators)."""
FIRST_S: Final = 10.0
LEVELS: Final = 5
"""Kubelet's waits: so many from the first on, each twice the last, and then the longest."""
MOST_S: Final = 300.0
NEVER: Final = 1_000_000
"""Probes that would have to fail, of a container that has none; seconds, of what is never given up."""
SILENT: Final = "node.kubernetes.io/unreachable"
"""The taint of a machine whose word is missed; it has no value."""
GIVES_UP: Final = "NoExecute"
"""The effect of that taint by which the pods there are deleted."""
COREDNS_TTL_S: Final = 5
"""Of the plugin ``kubernetes``, where its configuration says nothing."""
COREDNS_CACHE_S: Final = 3600
ZONE: Final = "cluster.local"
SYSTEM: Final = "kube-system"
CONTROL: Final = "component=kube-controller-manager"
"""As kubeadm and kind label it; clouds do not show it."""
LONGER_SINCE: Final = 32
"""The minor version of Kubernetes 1 with which the default of node-monitor-grace-period became 50 s."""
GRACE_BEFORE: Final = "40s"
DNS: Final = "k8s-app"
"""The label of what answers names, in every distribution: ``kube-dns``; ``node-local-dns`` where each machine has a server of its own."""


def told(api: Api, spec: PodsSpec) -> Told:
    """All of it that may be read. Nothing there is changed, and nothing of it is refused here."""
    service = service_of(api, spec)
    things = [
        each for each in api.listed("pods", spec.namespace, selector_of(spec, service)) if RUN not in each["metadata"].get("labels", {})
    ]
    container = pod_of(things[0], spec).container if things else ""
    known = of_service(service) | of_pods(things, container)
    past = of_lives(in_order(running(things, spec)), things, datetime.now(UTC))
    known |= of_version(api.version())
    try:
        known |= of_control(api.listed("pods", SYSTEM, CONTROL))
        found = api.listed("pods", SYSTEM, f"{DNS} in (kube-dns,node-local-dns)")
        settings = api.get("configmaps", SYSTEM, "coredns")
    except Refused as refused:
        if not refused.forbidden:
            raise
        why = f"where the cluster's name servers stand, and what they keep, may not be read: {refused.what}"
        return Told(known, past=past, unseen=why)
    known |= of_names(str(((settings or {}).get("data") or {}).get("Corefile") or ""))
    if any(each["metadata"].get("labels", {}).get(DNS) == "node-local-dns" for each in found):
        return Told(known, past=past)
    known |= {"name_eviction": tolerated(found[0])} if found else {}
    return Told(known, stand(found), past)


def at_first(read: Callable[[], Told]) -> Told:
    """The same where a cluster may be out of reach: a plan can be made without it, and says what it does not know."""
    try:
        return read()
    except EnvironmentUnusable as error:
        return Told({}, unseen=f"the cluster could not be asked: {error.what}")


def of_pods(things: Sequence[Thing], container: str) -> dict[str, str]:
    """By the first of them: pods of one kind are alike. ``container``: the one that is the node."""
    if not things:
        return {}
    spec = things[0]["spec"]
    own = next((each for each in spec["containers"] if each["name"] == container), spec["containers"][0])
    grace_s = float(spec.get("terminationGracePeriodSeconds", POD_S))
    hook_s = min(_hook_s(own), grace_s)
    found = {"grace": f"{grace_s:g}s", "eviction": tolerated(things[0])}
    if hook_s:  # else the lag is the runtime's own assumption, of which the cluster said nothing
        found["ending_lag"] = f"{HEARS_S[0] + hook_s:g}s..{HEARS_S[1] + hook_s:g}s"
    found |= _readiness(own.get("readinessProbe"))
    if controller(things[0]) in ("ReplicaSet", "ReplicationController"):
        found["successor"] = "at-once"
    return found


def of_version(version: str) -> dict[str, str]:
    """What was another default in an older Kubernetes."""
    found = re.match(r"v?1\.(\d+)", version)
    return {"machine_grace": GRACE_BEFORE} if found is not None and int(found[1]) < LONGER_SINCE else {}


def of_control(things: Sequence[Thing]) -> dict[str, str]:
    """The command of the controller manager, as far as it says it."""
    words = [str(word) for each in things for one in each["spec"]["containers"] for word in (*one.get("command", ()), *one.get("args", ()))]
    found = {}
    for flag, name in (("node-monitor-grace-period", "machine_grace"), ("node-monitor-period", "machine_look")):
        said = [word.partition("=")[2] for word in words if word.startswith(f"--{flag}=")]
        if said and (time_s := _go_s(said[0])) is not None:
            found[name] = f"{time_s:g}s"
    return found


def _go_s(text: str) -> float | None:
    """``1m30s``, as Go writes a duration."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    whole = "".join(number + unit for number, unit in parts)
    return sum(float(number) * {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}[unit] for number, unit in parts) if whole == text else None


def of_lives(pods: Sequence[Pod], things: Sequence[Thing], now: datetime) -> dict[str, Past]:
    """Node -> what kubelet remembers of its container, for each that was started again since its pod is there.

    Kubelet keeps no count that could be read, and ``restartCount`` never falls. The last wait tells it: one of 10 s was the second death's.
    """
    states = {thing["metadata"]["name"]: thing["status"].get("containerStatuses") or () for thing in things}
    found = {}
    for number, pod in enumerate(pods, 1):
        (state,) = [each for each in states[pod.name] if each["name"] == pod.container] or [{}]
        began = ((state.get("state") or {}).get("running") or {}).get("startedAt")
        ended = ((state.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
        if pod.restarts and began:
            waited_s = (_at(began) - _at(ended)).total_seconds() if ended else 0.0
            owed = sum(FIRST_S * 2**level <= waited_s for level in range(LEVELS)) + (waited_s >= MOST_S)
            found[f"n{number}"] = Past(min(1 + owed, pod.restarts), (_at(began) - now).total_seconds())
    return found


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _hook_s(container: Thing) -> float:
    """How long its preStop hook sleeps, where it says so; of a command, 0."""
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    if "sleep" in hook:
        return float(hook["sleep"].get("seconds", 0))
    words = [str(each) for each in (hook.get("exec") or {}).get("command") or ()]
    slept = re.fullmatch(r"(?:\S*sh -c )?(?:exec )?(?:/bin/)?sleep (\d+(?:\.\d+)?)s?", " ".join(words))
    return float(slept[1]) if slept else 0.0


def tolerated(thing: Thing) -> str:
    """How long it may stay on a machine that is silent, as the taint manager reads its tolerations: the first that fits decides.

    The API server writes 300 s into pods that say nothing of it. ``NEVER`` stands for one that tolerates silence without an end.
    """
    for each in thing["spec"].get("tolerations") or ():
        exists = each.get("operator") == "Exists"
        fits = each.get("effect") in (None, "", GIVES_UP) and each.get("key") in (None, "", SILENT) and (exists or not each.get("value"))
        if fits:
            return f"{max(0, each.get('tolerationSeconds', NEVER))}s"
    return "0s"


def _readiness(probe: Thing | None) -> dict[str, str]:
    """Without a probe a container that runs is ready, and one that is silent stays so; that it runs is seen once a second."""
    if not probe:
        return {
            "readiness_every": "1s", "readiness_timeout": "0s", "readiness_fall": str(NEVER), "readiness_rise": "1",
            "probes_look": "false",
        }  # fmt: skip
    return {
        "readiness_every": f"{probe.get('periodSeconds', 10)}s",
        "readiness_timeout": f"{probe.get('timeoutSeconds', 1)}s",
        "readiness_fall": str(probe.get("failureThreshold", 3)),
        "readiness_rise": str(probe.get("successThreshold", 1)),
    }


def of_service(service: Thing | None) -> dict[str, str]:
    """Of the name that clients resolve."""
    return {} if service is None or headless(service) else {"name_leads_to": "one-address"}


def of_names(corefile: str) -> dict[str, str]:
    """What the servers of the cluster's names do with answers, by their configuration; nothing of one that is not CoreDNS's."""
    block = _block(corefile, f"kubernetes {ZONE}") or _block(corefile, "kubernetes")
    if block is None:
        return {}
    ttl_s = _number(block, r"^\s*ttl\s+(\d+)", COREDNS_TTL_S)
    cache = re.search(r"^\s*cache\b(?P<words>[^\n{]*)(?P<block>\{[^}]*\})?", corefile, re.MULTILINE)
    kept_s = 0
    if cache is not None and not re.search(rf"^\s*disable\s+success(\s+{re.escape(ZONE)}|\s*$)", cache["block"] or "", re.MULTILINE):
        success = _number(cache["block"] or "", r"^\s*success\s+\d+\s+(\d+)", COREDNS_CACHE_S)
        kept_s = min(ttl_s, _number(cache["words"], r"^\s*(\d+)", success))
    return {"name_ttl": f"{ttl_s}s", "name_cache": f"{kept_s}s"}


def stand(things: Sequence[Thing]) -> dict[str, int]:
    """Machine -> how many of these pods are there and ready."""
    found: dict[str, int] = {}
    for each in things:
        ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in each.get("status", {}).get("conditions") or ())
        if ready and (machine := str(each["spec"].get("nodeName") or "")):
            found[machine] = found.get(machine, 0) + 1
    return found


def _block(text: str, head: str) -> str | None:
    found = re.search(rf"^\s*{re.escape(head)}\b[^\n{{]*(\{{[^}}]*\}})?", text, re.MULTILINE)
    return None if found is None else found[1] or ""


def _number(text: str, pattern: str, otherwise: int) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    return otherwise if found is None else int(found[1])
