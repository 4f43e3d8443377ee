"""What is predicted of pods, beside what a probe of the test's own saw: kills 1 to 4 of a container, and rolls.

Each prints both sides: what they come to is for docs/kubernetes.md, since a busy machine makes times of its own.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.test_kubernetes_attach import nines, settings
from tests.kubernetes.test_kubernetes_machines import SPACE, faults_of, image, lives, pods, probe, ran, shop, store, write
from tests.support.kubernetes import get
from tools.kubernetes.cluster import Cluster

__all__ = ["image", "shop"]
KILLS = """
  - {name: first, kill: {recovery: policy}, target: n1, at: [4s], for: 10s}
  - {name: second, kill: {recovery: policy}, target: n1, at: [20s], for: 30s}
  - {name: third, kill: {recovery: policy}, target: n1, at: [54s], for: 45s}
  - {name: fourth, kill: {recovery: policy}, target: n1, at: [102s], for: 75s}
"""
"""Each is over before the next one: kubelet waits for 0, 10, 20 and 40 s, and looks 17 s later at most."""


def told(report: dict[str, Any]) -> None:
    """Both sides, as the report has them."""
    for service, predicted in (report.get("predicted") or {}).get("services", {}).items():
        for name, one in predicted["by_fault"].items():
            print(f"predicted {service} {name}: recovery {one['recovery_s']}, outage {one['outage_s']}, share {one['share']}")
    for outage in report["observed"]["outages"]:
        print("observed", json.dumps(outage)[:300])


def restarts(cluster: Cluster) -> dict[str, int]:
    """Name of a pod -> how often kubelet has started its container again."""
    return {name: each["status"]["containerStatuses"][0]["restartCount"] for name, each in pods(cluster).items()}


@pytest.fixture
def alone(cluster: Cluster, base_image: str) -> Iterator[str]:
    """One pod behind the name: as long as it is away clients miss all of the store."""
    with store(cluster, base_image, 1) as found:
        yield found


def test_kills_one_to_four_of_an_only_pod(cluster: Cluster, image: str, alone: str, tmp_path: Path) -> None:
    """Each is an outage as long as kubelet waits: four of them decide, by the test of agreement and by a probe of the test's own."""
    env = settings(cluster, image, tmp_path)
    write(tmp_path, KILLS.rstrip(), settle="20s")
    experiment = tmp_path / "store.yaml"
    experiment.write_text(experiment.read_text(encoding="utf-8").replace("nodes: 3", "nodes: 1"), encoding="utf-8")
    with probe(cluster, alone, pods(cluster)["store-0"]["spec"]["nodeName"]) as read:
        report = ran(tmp_path, env)
        seen = read()
    told(report)
    found = faults_of(report)
    print({name: round(each["recovery_s"], 2) for name, each in found.items()}, report["agreement"][0])
    errors = [at for at, said in seen if said.startswith("-")]
    began = [errors[0]] + [after for before, after in itertools.pairwise(errors) if after - before > 5.0]
    ended = [before for before, after in itertools.pairwise(errors) if after - before > 5.0] + [errors[-1]]
    print("the probe missed it for", [round(end_s - start_s, 2) for start_s, end_s in zip(began, ended, strict=True)])
    assert restarts(cluster) == {"store-0": 4}
    assert [len(each["outage_ids"]) for each in found.values()] == [1, 1, 1, 1]
    assert report["agreement_overall"] == "consistent", report["agreement"]
    planned = nines("plan", "store.yaml", folder=tmp_path, env=env)
    said = " ".join((planned.stdout + planned.stderr).split())
    assert "the runtime remembers 4 of its deaths" in said, said


def test_two_rolls(cluster: Cluster, image: str, shop: str, tmp_path: Path) -> None:
    """Three pods, one after the other, twice."""
    env = settings(cluster, image, tmp_path)
    write(tmp_path, "  - {name: rolled, restart: {by: delete}, target: [n1, n2, n3], at: [4s, 56s], for: 50s}", settle="20s")
    first = lives(cluster)
    with probe(cluster, shop, pods(cluster)["store-1"]["spec"]["nodeName"]) as read:
        report = ran(tmp_path, env)
        seen = read()
    told(report)
    assert report["agreement_overall"] != "inconsistent", report["agreement"]
    print(json.dumps(faults_of(report)["rolled"])[:1500])
    errors = [at for at, said in seen if said.startswith("-")]
    print(f"the probe: {len(errors)} errors of {len(seen)}, from the first to the last {errors[-1] - errors[0] if errors else 0:.1f} s")
    began = sorted(each["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] for each in pods(cluster).values())
    made = sorted(each["metadata"]["creationTimestamp"] for each in pods(cluster).values())
    print("pods were made at", made, "and their containers began at", began)
    assert get(cluster, SPACE, "statefulset", "store")["status"]["readyReplicas"] == 3
    assert all(lives(cluster)[name][0] != uid for name, (uid, _) in first.items()), "each pod is another one"
