"""What there is in a cluster and in the pods of a stranger, by the API server's word and the kernel's: before and after can be compared.

The machines of the test cluster are namespaces of this very kernel: networks and processes of pods are seen without any program in them.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tools.kubernetes.cluster import Cluster

KINDS: Final = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,daemonsets,jobs,endpoints"
LOAD: Final = "nines-tool"
_PASSING: Final = ("resourceVersion", "uid", "creationTimestamp", "managedFields", "generation", "ownerReferences", "generateName")
"""What of an object's metadata is another one's after a pod was made anew, as a fault may have it."""


class Look(msgspec.Struct, frozen=True):
    """All that a run must leave as it was."""

    objects: dict[str, str]
    """Kind, namespace and name -> what is wanted of it, as JSON."""
    networks: dict[str, str]
    """Pod -> packet rules and queues in its network."""
    troubled: tuple[str, ...]
    """Processes of pods that are frozen; loads, wherever they are."""
    unready: tuple[str, ...]
    """Pods of the stranger's that do not serve."""


def look(cluster: Cluster, space: str) -> Look:
    """Now."""
    items = json.loads(cluster.kubectl("get", KINDS, "-A", "-o", "json", timeout_s=120))["items"]
    pods = [each for each in items if each["kind"] == "Pod" and each["metadata"]["namespace"] == space and _others(each)]
    return Look(
        objects={_called(each): json.dumps(_wanted(each), sort_keys=True) for each in items},
        networks={each["metadata"]["name"]: network_of(each["metadata"]["uid"]) for each in pods},
        troubled=tuple(sorted(_troubled({each["metadata"]["uid"]: each["metadata"]["name"] for each in pods}))),
        unready=tuple(each["metadata"]["name"] for each in pods if not _ready(each)),
    )


def differences(before: Look, after: Look) -> list[str]:
    """What is not as it was."""
    found = [f"more than before: {name}" for name in sorted(after.objects.keys() - before.objects.keys())]
    found += [f"fewer than before: {name}" for name in sorted(before.objects.keys() - after.objects.keys())]
    both = before.objects.keys() & after.objects.keys()
    found += [f"changed: {name}" for name in sorted(both) if before.objects[name] != after.objects[name]]
    found += [f"the network of {pod} has {rules!r}, not {before.networks.get(pod)!r}" for pod, rules in after.networks.items()
              if rules != before.networks.get(pod)]  # fmt: skip
    found += [each for each in after.troubled if each not in before.troubled]
    return found + [f"{pod} is not ready" for pod in after.unready]


# --- by the API server -------------------------------------------------------------------------------------------------


def _called(item: dict[str, Any]) -> str:
    metadata = item["metadata"]
    return f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def _wanted(item: dict[str, Any]) -> dict[str, Any]:
    """Without what becomes of it: its status, and for pods where they are and what kubelet mounts there; addresses of endpoints."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in _PASSING}
    metadata["annotations"] = {key: value for key, value in metadata.get("annotations", {}).items() if "endpoints" not in key}
    found = {key: value for key, value in item.items() if key not in ("status", "subsets")} | {"metadata": metadata}
    if item["kind"] == "Pod":
        spec = {key: value for key, value in item["spec"].items() if key != "nodeName"}
        found["spec"] = json.loads(re.sub(r"kube-api-access-[a-z0-9]+", "kube-api-access", json.dumps(spec)))
    return found


def _others(pod: dict[str, Any]) -> bool:
    """It is not of a run."""
    return "nines.run" not in pod["metadata"].get("labels", {})


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    gone = "deletionTimestamp" in pod["metadata"]
    return not gone and any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


# --- by the kernel -----------------------------------------------------------------------------------------------------


def processes(uid: str) -> list[int]:
    """Of a pod: its sandbox's, its containers', and whatever else counts against them."""
    return [pid for pid, entry in _all() if uid in _read(entry / "cgroup")]


def started_by(uid: str, word: str) -> list[int]:
    """Those of a pod whose command line holds that word."""
    return [pid for pid in processes(uid) if word in _read(Path(f"/proc/{pid}/cmdline"))]


def network_of(uid: str) -> str:
    """Packet rules and queues in a pod's network."""
    for pid in sorted(processes(uid)):
        said = []
        for words in (("nft", "--stateless", "list", "ruleset"), ("tc", "qdisc", "show")):
            done = subprocess.run(["nsenter", "-t", str(pid), "-n", *words], capture_output=True, text=True, timeout=30, check=False)
            if done.returncode:
                break
            said.append(done.stdout.strip())
        else:
            return "\n".join(said)
    return "no process"


def _troubled(pods: dict[str, str]) -> Iterator[str]:
    for pid, entry in _all():
        stat = _read(entry / "stat")
        name, state = stat[stat.find("(") + 1 : stat.rfind(")")], stat[stat.rfind(")") + 2 :][:1]
        if name == LOAD and state not in "ZX":
            yield f"load {pid} ({_read(entry / 'cmdline').replace(chr(0), ' ').strip()})"
        group = _read(entry / "cgroup")
        whose = next((pod for uid, pod in pods.items() if uid in group), None)
        if whose is not None and state in ("T", "t"):
            yield f"process {pid} of {whose} is frozen"
        if whose is not None and _read(entry / "oom_score_adj").strip() == "1000" and "pause" not in name:
            yield f"process {pid} of {whose} is the first to be killed when memory runs out"


def _all() -> Iterator[tuple[int, Path]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield int(entry.name), entry


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""  # it ended while we looked
