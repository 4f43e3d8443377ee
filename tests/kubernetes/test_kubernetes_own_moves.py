"""Pods of ours that are deleted, as the API server tells it: their nodes live on in other pods, and find their peers again."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.kubernetes.test_kubernetes_attach import nines
from tests.kubernetes.test_kubernetes_own import RUN_TIMEOUT_S, environment, faults_of, standing, started, target_image
from tools.kubernetes.cluster import Cluster

__all__ = ["environment", "started", "target_image"]
LOOK_EVERY_S = 0.5
DELETED = """
  - {name: asked, delete: {}, target: {any: 1, role: followers}, at: [2s], for: 20s}
  - {name: forced, delete: {forced: true}, target: leader, at: [27s], for: 20s}
  - {name: cut, partition: {}, target: {same: forced}, at: [52s], for: 3s}
  - {name: rolled, restart: {by: delete}, target: [n1, n2, n3], at: [62s], for: 60s}
"""


def pods(cluster: Cluster) -> dict[str, dict[str, tuple[str, str]]]:
    """Pod -> its uid -> (its machine, its address), of every node of ours anywhere."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for pod in json.loads(cluster.kubectl("get", "pods", "-A", "-l", "nines.role=nodes", "-o", "json"))["items"]:
        where = (str(pod["spec"].get("nodeName") or ""), str(pod["status"].get("podIP") or ""))
        found.setdefault(pod["metadata"]["name"], {})[pod["metadata"]["uid"]] = where
    return found


def watched(cluster: Cluster, command: subprocess.Popen[bytes], said: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """Every pod that there was, with its last word, until the command ends; which it must do well."""
    seen: dict[str, dict[str, tuple[str, str]]] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_EVERY_S):
            with contextlib.suppress(subprocess.SubprocessError):  # a busy API server
                for pod, lives in pods(cluster).items():
                    seen.setdefault(pod, {}).update({uid: where for uid, where in lives.items() if where[1]})

    thread = threading.Thread(target=look)
    thread.start()
    try:
        status = command.wait(RUN_TIMEOUT_S)
    finally:
        over.set()
        thread.join()
    text = said.read_text(encoding="utf-8")
    print(text)
    assert status in (0, 3), text  # 3: a machine too busy to judge times
    return seen


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The history."""
    return [json.loads(line) for line in (folder / "run" / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def test_deleted_pods_live_on_elsewhere(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], environment: Mapping[str, str], tmp_path: Path
) -> None:
    """One with its own grace, the leader at once, then each of them: every node is in another pod, and the history has each address."""
    before = standing(cluster)
    seen = watched(cluster, started(DELETED), tmp_path / "said")
    faults = faults_of(tmp_path)
    assert all(each["effective_at_s"] is not None and each["status"] == "healed" for each in faults.values()), faults
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert not [reason for reason in report["reasons"] if "harness died" in str(reason)]
    struck = [node for fault in ("asked.1", "forced.1") for node in faults[fault]["target"]]
    lives = {node: 2 + struck.count(node) for node in ("n1", "n2", "n3")}
    assert [len(seen[pod]) for pod in sorted(seen)] == list(lives.values())
    placed = {(row["container"], row["address"]) for row in rows_of(tmp_path) if "client_address" in row}
    assert placed == {(pod, address) for pod, each in seen.items() for _, address in each.values()}
    print(json.dumps(faults, indent=1)[:6000])
    assert standing(cluster) == before
    assert not nines("leftovers", folder=tmp_path, env=environment).stdout.strip()


ROLLS = """
  - {name: rolled, restart: {by: delete}, target: [n1, n2, n3], every: 24s, for: 22s, times: 8}
"""
"""Eight of them tell with a power of 83 % that a right prediction is right, to a margin of 1.5."""


def test_rolls_are_held_against_the_prediction(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Every pod in another place, eight times over: what clients lost, and what was predicted, for docs/kubernetes.md."""
    before = standing(cluster)
    seen = watched(cluster, started(ROLLS), tmp_path / "said")
    faults = faults_of(tmp_path)
    assert all(each["effective_at_s"] is not None and each["status"] == "healed" for each in faults.values()), faults
    assert [len(seen[pod]) for pod in sorted(seen)] == [9, 9, 9]
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    for row in report["agreement"]:
        print({key: row[key] for key in ("service", "class", "measure", "predicted", "observed", "p_value", "verdict", "low", "high")})
    print({name: round(each["recovery_s"], 2) for name, each in faults.items()})
    assert standing(cluster) == before


DRAINED = """
  - {{name: drained, drain: {{}}, target: {{host: {host}}}, at: [2s], for: 20s}}
  - {{name: zone, pause: {{}}, target: {{zone: {zone}}}, at: [35s], for: 2s}}
"""


def test_a_drained_machine_gives_its_pod_to_another_one(
    cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]], environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Each node stands on the machine that the plan says; the one that is drained on another one, until the end; a zone is a label."""
    before = standing(cluster)
    machines = {each["metadata"]["name"]: each for each in json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]}
    host, other = sorted(machines)[1], sorted(machines)[0]
    zone = machines[other]["metadata"]["labels"]["topology.kubernetes.io/zone"]
    seen = watched(cluster, started(DRAINED.format(host=host, zone=zone)), tmp_path / "said")
    faults = faults_of(tmp_path)
    assert all(each["effective_at_s"] is not None and each["status"] == "healed" for each in faults.values()), faults
    (drained,) = faults["drained.1"]["target"]
    assert faults["zone.1"]["target"] != []
    moved = [each for each in seen.values() if len(each) > 1]
    first, *_, last = (where for where, _ in moved[0].values())
    assert first == host
    assert last != host
    print(drained, json.dumps(faults, indent=1)[:3000])
    after = {each["metadata"]["name"]: each["spec"] for each in json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]}
    assert not any(spec.get("unschedulable") for spec in after.values())
    assert standing(cluster) == before
