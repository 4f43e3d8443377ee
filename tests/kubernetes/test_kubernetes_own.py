"""A cluster of ours in pods: what its faults did, as kubelet tells it, and nothing of a run left in the whole cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.kubernetes.test_kubernetes_attach import nines, settings
from tests.support.kubernetes import namespace, until
from tools.kubernetes.cluster import Cluster

TARGET_IMAGE: Final = "nines.test/replicated-kv:1"
KINDS: Final = "namespaces,pods,services,statefulsets,daemonsets,jobs,serviceaccounts,roles,rolebindings,configmaps,secrets"
RUN_TIMEOUT_S: Final = 400.0
LOOK_EVERY_S: Final = 1.0
EXPERIMENT: Final = """
experiment: ours
question: What do clients see of a leader that dies, and of a follower that is cut off?
cluster:
  target: replicated_kv
  nodes: 3
  dns: {{balancer: health-checked, ttl: 1s, check: {{what: ready, every: 250ms, timeout: 200ms, fall: 2, rise: 2}}}}
traffic:
  operations: {{write: 20/s, read: 20/s}}
  client: {{timeout: 250ms, attempts: 2, other_address: true, deadline: 600ms, resolve: ttl}}
  judge: write
baseline: 4s
faults:
{faults}
settle: 15s
seed: 7
objectives: {{availability: ">= 50%"}}
"""
RESTARTS: Final = """
  - {name: death, kill: {recovery: restart}, target: leader, every: 6s, for: 1.8s, times: 3}
  - {name: cut, partition: {}, target: any, at: [24s], for: 3s}
"""
POLICY: Final = """
  - {name: death, kill: {recovery: policy}, target: n1, at: [3s], for: 12s}
  - {name: cut, partition: {}, target: n2, at: [22s], for: 3s}
"""
LONG: Final = """
  - {name: freeze, pause: {}, target: n3, at: [3s], for: 120s}
"""


class Life(msgspec.Struct, frozen=True):
    """A system's container as kubelet tells of it."""

    container: str
    restarts: int
    address: str
    exit_status: int | None


@pytest.fixture(scope="session")
def target_image(cluster: Cluster, docker_host: str) -> str:
    """What the nodes run in, on every machine."""
    command = [sys.executable, "-m", "chaos", "image", "--target", "replicated_kv", "--tag", TARGET_IMAGE]
    subprocess.run(command, check=True, timeout=900, env={**os.environ, "DOCKER_HOST": docker_host})
    cluster.load(TARGET_IMAGE)
    return TARGET_IMAGE


@pytest.fixture
def environment(cluster: Cluster, nines_image: str, target_image: str, tmp_path: Path) -> Mapping[str, str]:
    """Of a command on the user's side."""
    return {**settings(cluster, nines_image, tmp_path), "NINES_KUBERNETES_TARGET_IMAGE": target_image}


def standing(cluster: Cluster) -> set[str]:
    """All that stands in the whole cluster, but what the control plane puts into each namespace in its own time."""
    items = json.loads(cluster.kubectl("get", KINDS, "-A", "-o", "json"))["items"]
    items = [each for each in items if each["metadata"]["name"] != "kube-root-ca.crt"]
    return {f"{each['kind']} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}" for each in items}


def lives(cluster: Cluster) -> dict[str, Life]:
    """Pod -> its system, of every node of ours anywhere."""
    found = {}
    for pod in json.loads(cluster.kubectl("get", "pods", "-A", "-l", "nines.role=nodes", "-o", "json"))["items"]:
        states: list[dict[str, Any]] = pod["status"].get("containerStatuses") or []
        for each in states:
            ended = (each.get("lastState") or {}).get("terminated") or {}
            found[pod["metadata"]["name"]] = Life(
                str(each.get("containerID")), each["restartCount"], str(pod["status"].get("podIP")), ended.get("exitCode")
            )
    return found


@pytest.fixture
def started(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """``nines run`` in the background; dead when the test ends."""
    running: list[subprocess.Popen[bytes]] = []

    def start(faults: str, *words: str) -> subprocess.Popen[bytes]:
        (tmp_path / "ours.yaml").write_text(EXPERIMENT.format(faults=faults.rstrip()), encoding="utf-8")
        command = [sys.executable, "-m", "chaos", "run", "ours.yaml", "--runtime", "kubernetes", "--folder", "run", *words]
        with (tmp_path / "said").open("wb") as said:
            running.append(subprocess.Popen(command, cwd=tmp_path, env=dict(environment), stdout=said, stderr=said))
        return running[-1]

    yield start
    for command in running:
        command.kill()
        command.wait()


def watched(cluster: Cluster, command: subprocess.Popen[bytes], said: Path) -> dict[str, list[Life]]:
    """Pod -> its lives, each once, until the command ends; which it must do well."""
    found: dict[str, list[Life]] = {}
    until_s = time.monotonic() + RUN_TIMEOUT_S
    while command.poll() is None:
        assert time.monotonic() < until_s, said.read_text(encoding="utf-8")
        for pod, life in lives(cluster).items():
            if "containerd" in life.container and life not in found.setdefault(pod, []):
                found[pod].append(life)
        time.sleep(LOOK_EVERY_S)  # a look costs the machine a moment
    assert command.returncode in (0, 3), said.read_text(encoding="utf-8")  # 3: a machine too busy to judge times
    return found


def kill_once_frozen(command: subprocess.Popen[bytes], said: Path) -> None:
    """SIGKILL to a run of ``LONG`` whose fault is in force."""

    def frozen() -> bool:
        assert command.poll() is None, said.read_text(encoding="utf-8")
        return "freeze" in said.read_text(encoding="utf-8")

    until(frozen, 240, "a frozen node")
    command.kill()
    command.wait()


def faults_of(folder: Path) -> dict[str, dict[str, Any]]:
    """By name."""
    report = json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))
    return {fault["id"]: fault for fault in report["faults"]}


def test_nines_starts_dead_nodes_again_and_kubelet_notices_nothing(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Three deaths within 15 s, after which kubelet would wait for 10 s and 20 s; each container and address is the same all the time."""
    before = standing(cluster)
    found = watched(cluster, started(RESTARTS), tmp_path / "said")
    assert len(found) == 3
    assert all(len(each) == 1 and each[0].restarts == 0 for each in found.values()), found
    faults = faults_of(tmp_path)
    assert len(faults) == 4
    assert all(each["effective_at_s"] is not None and each["status"] == "healed" for each in faults.values()), faults
    rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    placed = {row["address"]: row["container"] for row in rows if row.get("type") == "node_up" or "client_address" in row}
    assert placed == {each[0].address: pod for pod, each in found.items()}
    assert standing(cluster) == before
    assert not nines("leftovers", folder=tmp_path, env=environment).stdout.strip()


def test_kubelet_starts_what_died_with_its_container(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], environment: Mapping[str, str], tmp_path: Path
) -> None:
    """One restart, by SIGKILL, in the first pod, at the same address; in a namespace that was there before, and stays."""
    with namespace(cluster, "own-trials") as space:
        before = standing(cluster)
        found = watched(cluster, started(POLICY, "--set", f"cluster.kubernetes.namespace={space}"), tmp_path / "said")
        killed = next(each for pod, each in found.items() if pod.endswith("-0"))
        assert [life.restarts for life in killed][-1] == 1
        assert killed[-1].exit_status == 128 + signal.SIGKILL
        assert {life.address for life in killed} == {killed[0].address}
        assert all(life.restarts == 0 for pod, each in found.items() if not pod.endswith("-0") for life in each), found
        faults = faults_of(tmp_path)
        assert all(each["effective_at_s"] is not None and each["status"] == "healed" for each in faults.values()), faults
        assert standing(cluster) == before
    assert not nines("leftovers", folder=tmp_path, env=environment).stdout.strip()


def test_a_command_that_is_killed_leaves_what_heal_removes(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], environment: Mapping[str, str], tmp_path: Path
) -> None:
    """SIGKILL while a node is frozen: ``fetch`` brings the run folder, ``heal`` removes all of it, its namespace too."""
    before = standing(cluster)
    kill_once_frozen(started(LONG), tmp_path / "said")
    assert "namespaces" in nines("leftovers", folder=tmp_path, env=environment).stdout
    (kept,) = nines("fetch", folder=tmp_path, env=environment).stdout.split()

    def ended() -> bool:
        return "goes on" not in nines("fetch", kept, folder=tmp_path, env=environment).stderr

    until(ended, 120, "the harness has ended the run by itself")
    report = json.loads((tmp_path / "runs" / kept / "report.json").read_text(encoding="utf-8"))
    assert report["faults"][0]["effective_at_s"] is not None
    healed = nines("heal", folder=tmp_path, env=environment)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert standing(cluster) == before


def test_a_missing_image_is_said_before_anything_starts(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """With its name, and how to get it there; and nothing stays."""
    before = standing(cluster)
    command = started(LONG, "--set", "cluster.kubernetes.images.data=nines.test/nobody-has-it:1")
    assert command.wait(RUN_TIMEOUT_S) == 5
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert "nines.test/nobody-has-it:1" in said
    assert "nines image --target replicated_kv" in said
    assert not (tmp_path / "run" / "observations.bin").exists()
    assert standing(cluster) == before
