"""Pods of ours that are held for faults by hand, and runs that are ended before their time: by the kernel's and kubelet's own word."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.kubernetes.test_kubernetes_attach import containers, names, nines, settings, store  # noqa: F401 - a fixture
from tests.kubernetes.test_kubernetes_own import environment, lives, standing, target_image  # noqa: F401 - fixtures
from tests.kubernetes.test_pods_faults import UP_WITHIN_S, injected, memory_bytes, used_s
from tests.support.kubernetes import until
from tools.kubernetes.cluster import Cluster

LIMIT_BYTES: Final = 128_000_000
STARVED_TIMES: Final = 2
HELD: Final = """
experiment: held
question: What do faults by hand do to nodes of ours?
cluster:
  target: replicated_kv
  nodes: 3
  runtime: kubernetes
  resources: {cpus: 0.5, memory: 128MB}
traffic: {operations: {write: 20/s, read: 20/s}, judge: write}
faults:
  - {cpu: {}, target: n1, at: [1s], for: 5s}
  - {memory: {percent: 50%}, target: n1, at: [20s], for: 5s}
  - {io: {}, target: n1, at: [40s], for: 5s}
settle: 5s
"""
LONG: Final = """
experiment: long
question: Does a run that is ended early leave anything behind?
cluster: {target: replicated_kv, nodes: 3, runtime: kubernetes}
traffic: {operations: {write: 20/s, read: 20/s}, judge: write}
faults:
  - {name: freeze, pause: {}, target: n3, at: [3s], for: 120s}
settle: 5s
"""
ATTACHED: Final = """
experiment: attached
question: Does a run that is ended early leave anything behind?
cluster: {{attach: {{kubernetes: {{namespace: {space}, service: store}}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}}}
faults:
  - {{name: freeze, pause: {{}}, target: n3, at: [3s], for: 120s}}
settle: 5s
"""
Ours = tuple[Cluster, Mapping[str, str], Path]


@pytest.fixture
def ours(cluster: Cluster, environment: Mapping[str, str], tmp_path: Path) -> Ours:  # noqa: F811
    return cluster, environment, tmp_path


class Command:
    """``nines`` in the background; what it says is in a file. Dead when the block ends."""

    def __init__(self, folder: Path, env: Mapping[str, str], *words: str) -> None:
        self.file = folder / "said"
        with self.file.open("wb") as said:
            self.process = subprocess.Popen([sys.executable, "-m", "chaos", *words], cwd=folder, env=dict(env), stdout=said, stderr=said)

    @property
    def said(self) -> str:
        return self.file.read_text(encoding="utf-8")

    def await_word(self, word: str, within_s: float) -> None:
        until(lambda: word in self.said or self.process.poll() is not None, within_s, word)
        assert self.process.poll() is None, self.said

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def system_of(cluster: Cluster) -> dict[str, str]:
    """Pod -> the id of its system's container."""
    return {pod: life.container.rpartition("/")[2] for pod, life in lives(cluster).items() if "containerd" in life.container}


def test_faults_by_hand(ours: Ours) -> None:
    """Each is seen from outside and taken back; kubelet knows of a want of memory at most; ``down`` leaves the cluster as it was."""
    cluster, env, folder = ours
    before = standing(cluster)
    (folder / "held.yaml").write_text(HELD, encoding="utf-8")
    with Command(folder, env, "up", "held.yaml", "--folder", "run") as up:
        up.await_word("is up", UP_WITHIN_S)
        (row,) = json.loads(nines("status", "--json", folder=folder, env=env).stdout)
        assert row["takes_orders"], row
        run = str(row["run"])
        began = lives(cluster)
        first = next(name for pod, name in system_of(cluster).items() if pod.endswith("-0"))
        other = next(name for pod, name in system_of(cluster).items() if pod.endswith("-1"))
        for words in (
            ("kill", "--to", "leader"), ("pause", "--to", "n2"), ("partition", "--to", "n3"), ("dns", "--set", "mode=servfail"),
            ("latency", "--to", "clients -> n2", "--set", "latency=50ms"),
        ):  # fmt: skip
            done = nines("inject", *words, "--for", "3s", "--run", run, folder=folder, env=env)
            print(done.stdout)
            assert done.returncode == 0, (words, done.stdout + done.stderr)
        with injected(folder, env, "cpu", "--to", "n1", "--for", "6s", "--run", run):
            seen_s, used, beside = up_s(), used_s(first), used_s(other)
            until(lambda: up_s() - seen_s > 3.0, 10, "three seconds")
            span_s = up_s() - seen_s
            share, quiet = (used_s(first) - used) / span_s, (used_s(other) - beside) / span_s
            print(f"cpu: {share:.2f} processors in n1, whose limit is 0.5; {quiet:.2f} in n2")
            assert share > 0.25
            assert share < 0.6
        before_bytes = memory_bytes(first)
        with injected(folder, env, "memory", "--to", "n1", "--for", "5s", "--run", run, "--set", "percent=50%"):
            taken = memory_bytes(first) - before_bytes
            print(f"memory: {taken} bytes more in n1, half of whose limit is {LIMIT_BYTES // 2}")
            assert taken > 0.8 * LIMIT_BYTES / 2
        with injected(folder, env, "io", "--to", "n1", "--for", "4s", "--run", run):
            pass
        for _ in range(STARVED_TIMES):
            starved = nines("inject", "memory", "--to", "n1", "--for", "4s", "--run", run, "--set", "percent=100%", folder=folder, env=env)
            print(starved.stdout)
            assert starved.returncode == 0, starved.stdout + starved.stderr
            print(f"restarts by kubelet: {[life.restarts for life in lives(cluster).values()]}")
        assert lives(cluster) == began  # the system died each time, its container never did
        done = nines("down", run, "--within", "180", folder=folder, env=env)
        assert done.returncode == 0, done.stderr
        assert up.process.wait(60) == 0, up.said
    assert standing(cluster) == before
    assert not nines("leftovers", folder=folder, env=env).stdout.strip()
    kinds = [json.loads(line).get("kind") for line in (folder / "run" / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [kind for kind in kinds if kind].count("memory") == 1 + STARVED_TIMES


def up_s() -> float:
    """Of the machine."""
    return float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])


def test_a_run_is_stopped_with_a_fault_in_force(ours: Ours) -> None:
    """What was measured is here and judged; nothing is left in the cluster. A second one is ended while its pods start."""
    cluster, env, folder = ours
    before = standing(cluster)
    (folder / "long.yaml").write_text(LONG, encoding="utf-8")
    with Command(folder, env, "run", "long.yaml", "--folder", "run") as run:
        run.await_word("freeze", UP_WITHIN_S)
        (row,) = json.loads(nines("status", "--json", folder=folder, env=env).stdout)
        assert not row["takes_orders"], row
        done = nines("stop", str(row["run"]), "--within", "180", folder=folder, env=env)
        assert done.returncode == 0, done.stderr
        assert run.process.wait(60) == 143, run.said
    report = json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["state"] == "interrupted", report["state"]
    (fault,) = report["faults"]
    assert (fault["status"], fault["effective_at_s"] is not None) == ("healed", True), fault
    assert standing(cluster) == before
    with Command(folder, env, "up", "long.yaml", "--folder", "held") as up:
        up.await_word("waiting for its pods", UP_WITHIN_S)
        (row,) = json.loads(nines("status", "--json", folder=folder, env=env).stdout)
        done = nines("down", str(row["run"]), "--within", "180", folder=folder, env=env)
        assert done.returncode == 0, done.stderr
        assert up.process.wait(60) == 143, up.said
    assert standing(cluster) == before
    assert not nines("leftovers", folder=folder, env=env).stdout.strip()


def test_a_run_on_pods_of_others_is_stopped(cluster: Cluster, nines_image: str, store: str, tmp_path: Path) -> None:  # noqa: F811
    """Whoever was frozen goes on, and no container was started anew."""
    env = settings(cluster, nines_image, tmp_path)
    before, lived = names(cluster, store), containers(cluster, store)
    (tmp_path / "attached.yaml").write_text(ATTACHED.format(space=store), encoding="utf-8")
    with Command(tmp_path, env, "run", "attached.yaml", "--folder", "run") as run:
        run.await_word("freeze", UP_WITHIN_S)
        (row,) = json.loads(nines("status", "--json", folder=tmp_path, env=env).stdout)
        done = nines("stop", str(row["run"]), "--within", "180", folder=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        assert run.process.wait(60) == 143, run.said
    assert (tmp_path / "run" / "report.json").exists()
    assert names(cluster, store) == before
    assert {pod: each["containerID"] for pod, each in containers(cluster, store).items()} == {
        pod: each["containerID"] for pod, each in lived.items()
    }
    with Command(tmp_path, env, "up", "attached.yaml", "--folder", "held") as up:
        up.await_word("is up", UP_WITHIN_S)
        refused = nines("inject", "dns", "--for", "3s", "--set", "mode=servfail", folder=tmp_path, env=env)
        assert refused.returncode == 5
        assert "not prepared for 'dns'" in refused.stderr, refused.stderr
        assert "nines run X.yaml" in refused.stderr
        (row,) = json.loads(nines("status", "--json", folder=tmp_path, env=env).stdout)
        assert nines("down", str(row["run"]), "--within", "180", folder=tmp_path, env=env).returncode == 0
        up.process.wait(60)
    assert names(cluster, store) == before
