"""Faults within pods of a stranger, by the word of the kernel, of kubelet and of the cluster's own DNS; and by hand, as on containers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.test_kubernetes_attach import containers, names, nines, settings, store  # noqa: F401 - a fixture
from tests.support.kubernetes import get, until
from tools.kubernetes.cluster import Cluster
from tools.soak.pods_look import differences, look

UP_WITHIN_S = 180.0
HELD = """
experiment: held
question: What do faults by hand do to these pods?
cluster: {{attach: {{kubernetes: {{namespace: {space}, service: store}}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}}}
faults:
  - {{cpu: {{}}, target: n1, at: [1s], for: 5s}}
  - {{memory: {{percent: 50%, recovery: policy}}, target: n1, at: [20s], for: 5s}}
  - {{io: {{}}, target: n1, at: [40s], for: 5s}}
  - {{dns: {{mode: servfail}}, at: [60s], for: 5s}}
"""
STARVED = """
experiment: starved
question: What do clients see of a pod that runs out of memory?
cluster: {{attach: {{kubernetes: {{namespace: {space}, service: store}}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}, client: {{timeout: 500ms, attempts: 2}}}}
baseline: 2s
faults:
  - {{memory: {{percent: 100%, recovery: policy}}, target: n1, at: [1s], for: 15s}}
settle: 30s
"""
Stranger = tuple[Cluster, str, Mapping[str, str], Path]


@pytest.fixture
def stranger(cluster: Cluster, nines_image: str, store: str, tmp_path: Path) -> Stranger:  # noqa: F811
    return cluster, store, settings(cluster, nines_image, tmp_path), tmp_path


def groups(container: str, controller: str) -> Path:
    """The control group of a container, on the machine whose kernel all machines of the cluster share."""
    top = Path("/sys/fs/cgroup")
    tree = top if (top / "cgroup.controllers").exists() else top / controller
    return next(path for path in tree.rglob(f"*{container}*") if path.is_dir())


def used_s(container: str) -> float:
    """Processor time of a container."""
    first = groups(container, "cpuacct") / "cpuacct.usage"
    if first.exists():
        return int(first.read_text()) / 1e9
    return int((groups(container, "cpu") / "cpu.stat").read_text().split()[1]) / 1e6


def busy() -> bool:
    """Whether something of this machine waited for a processor for more than a third of the last ten seconds, as the kernel tells."""
    try:
        some = Path("/proc/pressure/cpu").read_text(encoding="ascii").split()
    except OSError:
        return os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
    return float(next(word for word in some if word.startswith("avg10=")).partition("=")[2]) > 33.0


def memory_bytes(container: str) -> int:
    group = groups(container, "memory")
    return int(next(group / name for name in ("memory.usage_in_bytes", "memory.current") if (group / name).exists()).read_text())


def id_of(cluster: Cluster, space: str, pod: str) -> str:
    return str(containers(cluster, space)[pod]["containerID"]).rpartition("/")[2]


@contextlib.contextmanager
def held(folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """``nines up``; the name of the run. Ended by ``nines down``."""
    with (folder / "said").open("wb") as said:
        command = subprocess.Popen(
            [sys.executable, "-m", "chaos", "up", "held.yaml", "--folder", "run"], cwd=folder, env=env, stdout=said, stderr=said
        )
    try:
        until(lambda: "is up" in (folder / "said").read_text() or command.poll() is not None, UP_WITHIN_S, "the cluster is up")
        assert command.poll() is None, (folder / "said").read_text()
        (row,) = json.loads(nines("status", "--json", folder=folder, env=env).stdout)
        assert row["takes_orders"], row
        yield str(row["run"])
        done = nines("down", str(row["run"]), folder=folder, env=env)
        assert done.returncode == 0, done.stderr
        assert command.wait(60) in (0, 143), (folder / "said").read_text()
    finally:
        command.kill()
        command.wait()


@contextlib.contextmanager
def injected(folder: Path, env: Mapping[str, str], *words: str) -> Iterator[dict[str, Any]]:
    """A fault by hand, seen to be in force in the block; what came of it is in the dictionary after it."""
    came: dict[str, Any] = {}
    command = subprocess.Popen(
        [sys.executable, "-m", "chaos", "inject", *words], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stderr is not None
    heard = [command.stderr.readline()]
    while "in force" not in heard[-1] and heard[-1]:
        heard.append(command.stderr.readline())
    assert "in force" in heard[-1], heard
    yield came
    out, err = command.communicate(timeout=120)
    came["exit"], came["out"] = command.returncode, out + err
    assert command.returncode == 0, "".join(heard) + out + err


def test_loads_by_hand(stranger: Stranger) -> None:
    """The kernel counts the load in the container that was named and in no other."""
    cluster, space, env, folder = stranger
    before = look(cluster, space)
    (folder / "held.yaml").write_text(HELD.format(space=space), encoding="utf-8")
    first, second = id_of(cluster, space, "store-0"), id_of(cluster, space, "store-1")
    with held(folder, env) as run:
        with injected(folder, env, "cpu", "--to", "n1", "--for", "6s", "--run", run):
            began_s, used, other = time.monotonic(), used_s(first), used_s(second)
            until(lambda: time.monotonic() - began_s > 3.0, 10, "three seconds")
            span_s = time.monotonic() - began_s
            share, beside = (used_s(first) - used) / span_s, (used_s(second) - other) / span_s
            print(f"cpu: {share:.2f} processors in store-0, whose limit is 0.5; {beside:.2f} in store-1")
            assert share < 0.6, "more than the limit"
            assert share > 0.25 or busy(), "less, although this machine had time for it"
            assert beside < 0.2
        quiet = memory_bytes(first)
        with injected(folder, env, "memory", "--to", "n1", "--for", "6s", "--run", run, "--set", "percent=50%", "--set", "recovery=policy"):
            taken = memory_bytes(first) - quiet
            print(f"memory: {taken} bytes more in store-0, half of whose limit is {64 << 20}")
            assert taken > 0.8 * (64 << 20)
        until(lambda: memory_bytes(first) < quiet + (16 << 20), 10, "the memory is given back")
        with injected(folder, env, "io", "--to", "n1", "--for", "4s", "--run", run):
            pass
    assert {pod: each["restartCount"] for pod, each in containers(cluster, space).items()} == {f"store-{n}": 0 for n in range(3)}
    assert differences(before, look(cluster, space)) == []


def test_a_pod_that_runs_out_of_memory(stranger: Stranger) -> None:
    """Kubelet's own word for it; and the log of both lives is in the run folder."""
    cluster, space, env, folder = stranger
    before = names(cluster, space)
    (folder / "store.yaml").write_text(STARVED.format(space=space), encoding="utf-8")
    done = nines("run", "store.yaml", "--folder", "run", folder=folder, env=env)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: a machine too busy to judge times
    (fault,) = json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))["faults"]
    assert (fault["status"], fault["effective_at_s"] is not None) == ("healed", True), fault
    ended = containers(cluster, space)["store-0"]["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    said = (folder / "run" / "logs" / "n1.log").read_text(encoding="utf-8")
    assert said.count("serves") == 1, said
    assert "after 1 restarts" in said
    assert names(cluster, space) == before


def test_one_container_of_several(cluster: Cluster, nines_image: str, store: str, tmp_path: Path) -> None:  # noqa: F811
    """Whose main process is not pid 1, since the pod's containers share the namespace of processes: the other one lives on."""
    env = settings(cluster, nines_image, tmp_path)
    beside = {"name": "beside", "image": get(cluster, store, "statefulset", "store")["spec"]["template"]["spec"]["containers"][0]["image"],
              "command": ["sleep", "infinity"]}  # fmt: skip
    change = {"spec": {"template": {"spec": {"shareProcessNamespace": True, "containers": [beside]}}}}
    cluster.kubectl("patch", "statefulset", "-n", store, "store", "-p", json.dumps(change))
    cluster.kubectl("delete", "pod", "-n", store, "-l", "app=store", "--grace-period=0", "--force")
    until(lambda: get(cluster, store, "statefulset", "store")["status"].get("readyReplicas") == 3, 180, "three pods of two containers")
    asked = ("inject", "pause", "--to", "n1", "--for", "2s", "--kubernetes", f"{store}/store", "--yes")
    refused = nines(*asked, folder=tmp_path, env=env)
    assert refused.returncode == 5
    assert "has several containers: " in refused.stderr
    note = {"metadata": {"annotations": {"kubectl.kubernetes.io/default-container": "store"}}}
    for number in range(3):
        cluster.kubectl("patch", "pod", "-n", store, f"store-{number}", "-p", json.dumps(note))
    before = names(cluster, store)
    killed = nines(
        "inject", "kill", "--to", "label:apps.kubernetes.io/pod-index=0", "--for", "20s", "--set", "recovery=policy",
        "--kubernetes", f"{store}/store", "--yes",
        folder=tmp_path, env=env,
    )  # fmt: skip
    assert killed.returncode == 0, killed.stdout + killed.stderr
    (pod,) = (each for each in get(cluster, store, "pods")["items"] if each["metadata"]["name"] == "store-0")
    restarts = {each["name"]: each["restartCount"] for each in pod["status"]["containerStatuses"]}
    assert restarts == {"store": 1, "beside": 0}
    assert names(cluster, store) == before
