"""Pods of ours whose data outlives them: seen in the volumes themselves, which stand on this machine; and nothing of a run left in them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kubernetes.test_kubernetes_attach import nines
from tests.kubernetes.test_kubernetes_own import (
    LONG,
    RUN_TIMEOUT_S,
    environment,
    faults_of,
    kill_once_frozen,
    standing,
    started,
    target_image,
)
from tests.kubernetes.test_kubernetes_own_moves import watched
from tests.support.kubernetes import until
from tools.kubernetes.cluster import Cluster

__all__ = ["environment", "started", "target_image"]
CLAIMS: Final = ("--set", "cluster.kubernetes.volumes=claims")
LOCAL: Final = (*CLAIMS, "--set", "cluster.kubernetes.storage_class=local")
LOOK_EVERY_S: Final = 0.5
GONE_WITHIN_S: Final = 120.0
MARKER: Final = "marker"
DELETED: Final = """
  - {name: asked, delete: {}, target: {any: 1, role: followers}, at: [3s], for: 20s}
  - {name: forced, delete: {forced: true}, target: leader, at: [28s], for: 20s}
  - {name: emptied, remove: {}, target: {any: 1, role: followers}, at: [53s], for: 3s}
"""
DRAINED: Final = """
  - {{name: drained, drain: {{}}, target: {{host: {host}}}, at: [2s], for: 15s}}
"""
Inodes = dict[str, int]


def claims(cluster: Cluster) -> dict[str, str]:
    """Pod of ours -> the volume of its claim."""
    items = json.loads(cluster.kubectl("get", "persistentvolumeclaims", "-A", "-o", "json"))["items"]
    return {each["metadata"]["name"].removeprefix("data-0-"): str(each["spec"].get("volumeName") or "") for each in items}


def folders(cluster: Cluster) -> dict[str, Path]:
    """Pod of ours -> where its data stands on this machine."""
    items = json.loads(cluster.kubectl("get", "persistentvolumes", "-o", "json"))["items"]
    paths = {each["metadata"]["name"]: Path(each["spec"]["hostPath"]["path"]).name for each in items if "hostPath" in each["spec"]}
    return {pod: cluster.layout.volumes / paths[volume] / "data" for pod, volume in claims(cluster).items() if volume in paths}


def volumes(cluster: Cluster) -> list[str]:
    """All there are in the cluster."""
    return cluster.kubectl("get", "persistentvolumes", "-o", "name").split()


def nothing_claimed(cluster: Cluster) -> bool:
    """No claim, no volume, and none of the folders."""
    return not claims(cluster) and not volumes(cluster) and not list(cluster.layout.volumes.iterdir())


class Watch:
    """Pod -> uid of each of its lives -> the files of its data, in the first look at that life and in the last."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.first: dict[str, dict[str, Inodes]] = {}
        self.last: dict[str, dict[str, Inodes]] = {}
        self.marked: dict[str, bool] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            with contextlib.suppress(subprocess.SubprocessError, FileNotFoundError):  # a busy API server, a folder that is on its way
                self._look()

    def _look(self) -> None:
        found = json.loads(self.cluster.kubectl("get", "pods", "-A", "-l", "nines.role=nodes", "-o", "json"))["items"]
        uids = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in found if pod["status"].get("podIP")}
        for pod, folder in folders(self.cluster).items():
            if pod not in uids or not folder.is_dir():
                continue
            files = {path.name: path.stat().st_ino for path in folder.iterdir() if path.is_file() and path.name != MARKER}
            if not files:
                continue
            if pod not in self.marked:
                (folder / MARKER).write_text(pod, encoding="ascii")
            self.marked[pod] = (folder / MARKER).exists()
            self.first.setdefault(pod, {}).setdefault(uids[pod], files)
            self.last.setdefault(pod, {})[uids[pod]] = files


def test_a_deleted_pod_has_its_data_again(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], environment: Mapping[str, str], tmp_path: Path
) -> None:
    """The files of the next pod are the very ones of the last; a node that is removed loses all of them; no volume is left."""
    before = standing(cluster)
    with Watch(cluster) as watch:
        command = started(DELETED, *CLAIMS)
        status = command.wait(RUN_TIMEOUT_S)
    said = (tmp_path / "said").read_text(encoding="utf-8")
    print(said)
    assert status in (0, 3), said  # 3: a machine too busy to judge times
    faults = faults_of(tmp_path)
    assert all(each["effective_at_s"] is not None and each["status"] == "healed" for each in faults.values()), faults
    pods = dict(zip(("n1", "n2", "n3"), sorted(watch.first), strict=True))
    struck = [pods[node] for fault in ("asked.1", "forced.1") for node in faults[fault]["target"]]
    assert sorted(map(len, watch.first.values())) == sorted(1 + struck.count(pod) for pod in pods.values())
    for pod in dict.fromkeys(struck):
        lives = list(watch.first[pod])
        for earlier, later in itertools.pairwise(lives):
            kept = set(watch.last[pod][earlier].items()) & set(watch.first[pod][later].items())
            print(f"{pod}: {len(kept)} of {len(watch.last[pod][earlier])} files of its last life, by their inodes")
            assert kept
    (emptied,) = faults["emptied.1"]["target"]
    assert {pod for pod, there in watch.marked.items() if not there} == {pods[emptied]}
    assert standing(cluster) == before
    assert not claims(cluster)
    until(lambda: nothing_claimed(cluster), GONE_WITHIN_S, "the volumes are gone")
    assert not nines("leftovers", folder=tmp_path, env=environment).stdout.strip()


def test_the_cluster_itself_removes_claims_of_a_command_that_is_killed(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], environment: Mapping[str, str], tmp_path: Path
) -> None:
    """It takes the end of the Job, which comes by itself after an hour: here it is removed by hand, and ``heal`` does the rest."""
    before = standing(cluster)
    kill_once_frozen(started(LONG, *CLAIMS), tmp_path / "said")
    assert "persistentvolumeclaims" in nines("leftovers", folder=tmp_path, env=environment).stdout
    assert len(claims(cluster)) == 3
    cluster.kubectl("delete", "jobs", "-A", "-l", "app.kubernetes.io/managed-by=nines", "--wait=false")
    until(lambda: nothing_claimed(cluster), GONE_WITHIN_S, "claims and volumes are gone")
    healed = nines("heal", folder=tmp_path, env=environment)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert standing(cluster) == before


def test_a_class_that_is_not_there_is_said_before_anything_starts(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """With those that are."""
    before = standing(cluster)
    command = started(LONG, *CLAIMS, "--set", "cluster.kubernetes.storage_class=fast")
    assert command.wait(RUN_TIMEOUT_S) == 5
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert "no StorageClass 'fast'" in said
    assert "local (kubernetes.io/no-provisioner), shared (kubernetes.io/host-path, default)" in said
    assert standing(cluster) == before


@pytest.fixture
def disks(cluster: Cluster) -> Iterator[list[str]]:
    """The machines, each with one volume of its own disk (StorageClass ``local``)."""
    names = list(cluster.record.nodes)
    made: list[dict[str, Any]] = []
    for name in names:
        (cluster.layout.host(name) / "disk-0").mkdir(exist_ok=True)
        terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}]}]
        made.append({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"disk-{name}"},
            "spec": {
                "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "local", "local": {"path": "/mnt/disk-0"}, "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
            },
        })  # fmt: skip
    cluster.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    yield names
    cluster.kubectl("delete", "persistentvolumes", *(f"disk-{name}" for name in names), "--timeout=60s")


def test_a_pod_of_a_drained_machine_waits_for_its_volume(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], environment: Mapping[str, str], disks: list[str], tmp_path: Path
) -> None:
    """Its volume is a folder of that machine: the next pod stands there once it is open again, and the plan knows that."""
    before = standing(cluster)
    host = disks[1]
    seen = watched(cluster, started(DRAINED.format(host=host), *LOCAL), tmp_path / "said")
    faults = faults_of(tmp_path)
    assert all(each["effective_at_s"] is not None and each["status"] == "healed" for each in faults.values()), faults
    (moved,) = (each for each in seen.values() if len(each) > 1)
    assert {machine for machine, _ in moved.values()} == {host}
    plan = json.loads((tmp_path / "run" / "plan.json").read_text(encoding="utf-8"))
    (place,) = (each for each in plan["parameters"] if each["name"] == "successor_place")
    assert place["word"] == "same-machine"
    assert place["origin"] == "volumes of kubernetes.io/no-provisioner"
    assert standing(cluster) == before
    assert not claims(cluster)


ETCD: Final = """
experiment: etcd
question: What do clients of etcd see of pods that are deleted, if the data outlives them?
cluster:
  target: etcd
  nodes: 3
  dns: {balancer: health-checked, ttl: 1s, check: {what: /version}}
  kubernetes: {volumes: claims}
traffic:
  operations: {write: 10/s, read: 10/s}
  client: {timeout: 250ms, attempts: 2, other_address: true, deadline: 600ms, resolve: ttl}
  judge: write
baseline: 4s
faults:
  - {name: asked, delete: {}, target: {any: 1, role: followers}, at: [2s], for: 20s}
  - {name: forced, delete: {forced: true}, target: leader, at: [27s], for: 20s}
  - {name: rolled, restart: {by: delete}, target: [n1, n2, n3], at: [52s], for: 60s}
settle: 20s
seed: 7
"""


def test_members_of_etcd_are_deleted_and_join_again(
    cluster: Cluster, docker_host: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Each twice or so; etcd takes nobody back who has lost his data, so each has it. Without claims it is refused at once."""
    tag = "nines.test/etcd:1"
    words = [sys.executable, "-m", "chaos", "image", "--target", "etcd", "--tag", tag]
    subprocess.run(words, check=True, timeout=600, env={**os.environ, "DOCKER_HOST": docker_host})
    cluster.load(tag)
    env = {**environment, "NINES_KUBERNETES_TARGET_IMAGE": tag}
    before = standing(cluster)
    (tmp_path / "etcd.yaml").write_text(ETCD, encoding="utf-8")
    refused = nines("run", "etcd.yaml", "--runtime", "kubernetes", "--set", "cluster.kubernetes.volumes=pods", folder=tmp_path, env=env)
    assert refused.returncode == 5
    assert "volumes: claims" in refused.stderr
    done = nines("run", "etcd.yaml", "--runtime", "kubernetes", "--folder", "run", "-q", folder=tmp_path, env=env)
    print(done.stdout)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: a machine too busy to judge times
    faults = faults_of(tmp_path)
    assert all(each["effective_at_s"] is not None and each["status"] == "healed" for each in faults.values()), faults
    logs = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in (tmp_path / "run" / "logs").glob("n*.log")}
    assert sorted(logs) == ["n1.log", "n2.log", "n3.log"]
    assert not any("already been bootstrapped" in text for text in logs.values())
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    seen, predicted = (report[each]["mttr_s"]["value"] for each in ("observed", "predicted"))
    print(f"etcd: {report['agreement_overall']}, MTTR seen {seen}, predicted {predicted}, verdict {report['state']}")
    assert standing(cluster) == before
    assert not claims(cluster)
    until(lambda: nothing_claimed(cluster), GONE_WITHIN_S, "the volumes are gone")
