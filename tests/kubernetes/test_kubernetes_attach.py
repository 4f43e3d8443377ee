"""Runs on a stranger's StatefulSet: the faults as Kubernetes itself tells of them, and nothing of a run left in the cluster."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from chaos.experiment.labels import meets
from tests.support.kubernetes import get, namespace, until
from tests.support.paths import ROOT
from tools.kubernetes.cluster import Cluster

RUN_TIMEOUT_S: Final = 540
READY_WITHIN_S: Final = 180
KINDS: Final = "pods,jobs,daemonsets,configmaps,secrets,serviceaccounts,roles,rolebindings,services,statefulsets,endpoints"
EXPERIMENT: Final = """
experiment: store
question: What do clients see of a pod that dies, freezes, or is cut off?
cluster:
  attach: {{kubernetes: {{namespace: {space}, service: store}}}}
  nodes: 3
traffic:
  operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}
  client: {{timeout: 500ms, attempts: 2, deadline: 1s}}
baseline: 4s
faults:
{faults}
settle: 30s
objectives: {{availability: ">= 50%"}}
"""
KILL_AND_CUT: Final = """
  - {name: death, kill: {recovery: policy}, target: {label: apps.kubernetes.io/pod-index=0}, at: [3s], for: 12s}
  - {name: cut, partition: {}, target: {label: "tier=cache,shard!=2"}, at: [24s], for: 4s}
"""
LONG_PAUSE: Final = """
  - {name: freeze, pause: {}, target: n3, at: [3s], for: 60s}
"""


@pytest.fixture
def store(cluster: Cluster, base_image: str) -> Iterator[str]:
    """The namespace of three replicas of a small server, as somebody wrote them down."""
    space = "shop"
    words = (Path(__file__).parent / "store.yaml").read_text(encoding="utf-8").replace("nines-base:IMAGE", base_image)
    with namespace(cluster, space):
        cluster.kubectl("apply", "-f", "-", text=words)
        until(lambda: get(cluster, space, "statefulset", "store")["status"].get("readyReplicas") == 3, READY_WITHIN_S, "three ready pods")
        yield space


def settings(cluster: Cluster, image: str, tmp_path: Path) -> Mapping[str, str]:
    """The environment of a command on the user's side: a kubeconfig, and no engine."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DOCKER_", "NINES_"))}
    return {
        **kept,
        "KUBECONFIG": str(cluster.layout.kubeconfig),
        "NINES_KUBERNETES_IMAGE": image,
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }


def nines(*words: str, folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "chaos", *words], cwd=folder, env=env, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
    )


def names(cluster: Cluster, space: str) -> set[str]:
    """All that stands in a namespace; events and what the control plane names by itself left out."""
    return {f"{each['kind']}/{each['metadata']['name']}" for each in get(cluster, space, KINDS)["items"]}


def containers(cluster: Cluster, space: str) -> dict[str, dict[str, Any]]:
    """Pod -> the status of its container, as kubelet tells it."""
    return {each["metadata"]["name"]: each["status"]["containerStatuses"][0] for each in get(cluster, space, "pods")["items"]
            if each["metadata"]["name"].startswith("store-")}  # fmt: skip


SELECTORS: Final = (
    "tier=cache", "tier!=cache", "tier", "!tier", "tier==cache,shard!=2", "shard in (1, 2)", "shard notin (2)", "shard>1", "shard<2,tier",
    "apps.kubernetes.io/pod-index in (0,2)", "statefulset.kubernetes.io/pod-name=store-1", "tier=", "app=store, !shard",
)  # fmt: skip


def test_a_run_on_pods_of_a_stranger(cluster: Cluster, nines_image: str, store: str, tmp_path: Path) -> None:
    """Kubelet counts one restart, by SIGKILL, in the pod that was named by its labels; the other pods keep their lives, and all of ours is
    gone. Selectors mean to us what they mean to the API server."""
    env = settings(cluster, nines_image, tmp_path)
    cluster.kubectl("label", "pod", "-n", store, "store-1", "tier=cache")
    cluster.kubectl("label", "pod", "-n", store, "store-2", "tier=cache", "shard=2")
    labels = {each["metadata"]["name"]: each["metadata"]["labels"] for each in get(cluster, store, "pods")["items"]}
    for selector in SELECTORS:
        theirs = {each["metadata"]["name"] for each in get(cluster, store, "pods", "-l", selector)["items"]}
        assert theirs == {pod for pod, its in labels.items() if meets(its, selector)}, selector
    (tmp_path / "store.yaml").write_text(EXPERIMENT.format(space=store, faults=KILL_AND_CUT.rstrip()), encoding="utf-8")
    before, lives = names(cluster, store), containers(cluster, store)
    done = nines("run", "store.yaml", "--folder", "run", folder=tmp_path, env=env)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: a machine too busy to judge times
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    faults = {fault["name"].partition(".")[0]: fault for fault in report["faults"]}
    assert all(faults[name]["effective_at_s"] is not None for name in ("death", "cut")), report["faults"]
    assert all(faults[name]["status"] == "healed" for name in ("death", "cut")), report["faults"]
    assert [faults[name]["target"] for name in ("death", "cut")] == [["n1"], ["n2"]]
    after = containers(cluster, store)
    assert after["store-0"]["restartCount"] == lives["store-0"]["restartCount"] + 1
    assert after["store-0"]["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGKILL
    assert all(after[pod]["containerID"] == lives[pod]["containerID"] for pod in ("store-1", "store-2"))
    assert names(cluster, store) == before
    assert not nines("leftovers", folder=tmp_path, env=env).stdout.strip()


def test_a_command_that_is_killed_leaves_nothing_frozen(cluster: Cluster, nines_image: str, store: str, tmp_path: Path) -> None:
    """SIGKILL while a pod is frozen: the harness there thaws it by itself, ``fetch`` brings the run folder, ``heal`` removes the rest."""
    env = settings(cluster, nines_image, tmp_path)
    (tmp_path / "store.yaml").write_text(EXPERIMENT.format(space=store, faults=LONG_PAUSE.rstrip()), encoding="utf-8")
    before, lives = names(cluster, store), containers(cluster, store)

    def ready() -> bool:
        return bool(containers(cluster, store)["store-2"]["ready"])

    with running(tmp_path, env) as command:
        until(lambda: not ready() or command.poll() is not None, 240, "a pod that kubelet no longer calls ready")
        assert command.poll() is None, (tmp_path / "said").read_text(encoding="utf-8")
        command.kill()
    until(ready, 60, "the frozen pod answers kubelet's probe again, without any command")
    (kept,) = nines("fetch", folder=tmp_path, env=env).stdout.split()
    answers: list[subprocess.CompletedProcess[str]] = []

    def ended() -> bool:
        answers.append(nines("fetch", kept, folder=tmp_path, env=env))
        return "goes on" not in answers[-1].stderr

    until(ended, 90, "the harness has ended the run by itself")
    assert (tmp_path / "runs" / kept / "report.json").exists(), answers[-1].stdout + answers[-1].stderr
    frozen = json.loads((tmp_path / "runs" / kept / "report.json").read_text(encoding="utf-8"))["faults"][0]
    assert frozen["effective_at_s"] is not None, frozen
    healed = nines("heal", folder=tmp_path, env=env)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    until(lambda: names(cluster, store) == before, 120, "all of the run is gone")
    assert {pod: each["containerID"] for pod, each in containers(cluster, store).items()} == {
        pod: each["containerID"] for pod, each in lives.items()
    }


@contextlib.contextmanager
def running(folder: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A run in the background; dead when the block ends."""
    with (folder / "said").open("wb") as said:
        command = subprocess.Popen(
            [sys.executable, "-m", "chaos", "run", "store.yaml", "--folder", "run"], cwd=folder, env=env, stdout=said, stderr=said
        )
        try:
            yield command
        finally:
            command.kill()
            command.wait()
