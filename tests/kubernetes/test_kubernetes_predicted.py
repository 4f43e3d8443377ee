"""What is predicted of pods, beside what a probe of the test's own saw: kills 1 to 4 of a container, and rolls.

Each prints both sides: what they come to is for docs/kubernetes.md, since a busy machine makes times of its own.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from tests.kubernetes.test_kubernetes_attach import settings
from tests.kubernetes.test_kubernetes_machines import SPACE, faults_of, image, lives, pods, probe, ran, shop, write
from tests.support.kubernetes import get
from tools.kubernetes.cluster import Cluster

__all__ = ["image", "shop"]
KILLS = """
  - {name: k1, kill: {recovery: policy}, target: n1, at: [4s], for: 10s}
  - {name: k1b, kill: {recovery: policy}, target: n2, at: [16s], for: 10s}
  - {name: k1c, kill: {recovery: policy}, target: n3, at: [28s], for: 10s}
  - {name: k2, kill: {recovery: policy}, target: n1, at: [40s], for: 30s}
  - {name: k2b, kill: {recovery: policy}, target: n2, at: [72s], for: 30s}
  - {name: k2c, kill: {recovery: policy}, target: n3, at: [104s], for: 30s}
  - {name: k3, kill: {recovery: policy}, target: n1, at: [136s], for: 45s}
  - {name: k4, kill: {recovery: policy}, target: n1, at: [184s], for: 75s}
"""
"""Each pod has a back-off of its own: the first two kills of three pods, and two more of one."""


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


def errors_after(seen: list[tuple[float, str]], began_s: float, until_s: float) -> list[float]:
    """The probe's errors in a time, from its beginning."""
    return [at - began_s for at, said in seen if said.startswith("-") and began_s <= at < until_s]


def test_kills_one_to_four(cluster: Cluster, image: str, shop: str, tmp_path: Path) -> None:
    """When the container runs again, by kubelet; what the probe saw of it; what the report says."""
    env = settings(cluster, image, tmp_path)
    write(tmp_path, KILLS.rstrip(), settle="30s")
    with probe(cluster, shop, pods(cluster)["store-1"]["spec"]["nodeName"]) as read:
        report = ran(tmp_path, env)
        seen = read()
    told(report)
    assert report["agreement_overall"] != "inconsistent", report["agreement"]
    found = faults_of(report)
    assert all(each["effective_at_s"] is not None for each in found.values()), found
    print({name: (each["effective_at_s"], each.get("healed_at_s"), each.get("gone_at_s")) for name, each in found.items()})
    errors = [at for at, said in seen if said.startswith("-")]
    gaps = [errors[0]] + [after for before, after in itertools.pairwise(errors) if after - before > 5.0]
    print("bursts of errors of the probe began at", [round(at - gaps[0], 2) for at in gaps])
    for began_s in gaps:
        burst = errors_after(seen, began_s, began_s + 5.0)
        print(f"  {len(burst)} errors, the last one {burst[-1]:.2f} s after the first")
    assert restarts(cluster) == {"store-0": 4, "store-1": 2, "store-2": 2}


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
