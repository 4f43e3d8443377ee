"""Pods that their cluster gives up, or does not: those that a disruption budget holds back, a silent machine's, a Deployment's.

What Kubernetes did is told by its API and by a probe of the test's own. Both sides are printed: that is for docs/kubernetes.md.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from chaos.results.check_names import LIVED
from tests.kubernetes.test_kubernetes_attach import nines, settings
from tests.kubernetes.test_kubernetes_machines import (
    BUSY_S,
    SPACE,
    all_of,
    faults_of,
    image,
    lives,
    machine,
    names_are_answered_on,
    outage,
    pods,
    probe,
    ran,
    shop,
    watched,
)
from tests.kubernetes.test_kubernetes_predicted import told
from tests.support.kubernetes import apply, get, namespace, until
from tools.kubernetes.cluster import Cluster

__all__ = ["image", "shop"]
TOLERATED_S: Final = 20
CUT_S: Final = 100
RESTART_S: Final = 0.3
EXPERIMENT: Final = """
experiment: store
question: What do clients see of a pod that is given up?
cluster:
  attach: {{kubernetes: {{namespace: {space}, service: store}}}}
  nodes: {nodes}
traffic:
  operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}
  client: {{timeout: 500ms, attempts: 1, deadline: 1s, resolve: per-request}}
baseline: 4s
faults:
{faults}
settle: {settle}
limits: {{nodes_down: {down}}}
predict: {{parameters: {{restart: 300ms, stop: 10ms}}}}
"""
BUDGET: Final[dict[str, Any]] = {
    "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "store"},
    "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "store"}}},
}  # fmt: skip
Seen = list[tuple[float, Any]]


def write(folder: Path, faults: str, *, nodes: int, settle: str, down: int = 1) -> None:
    """The experiment."""
    text = EXPERIMENT.format(space=SPACE, faults=faults.rstrip(), nodes=nodes, settle=settle, down=down)
    (folder / "store.yaml").write_text(text, encoding="utf-8")


# --- a disruption budget ----------------------------------------------------------------------------------------------


def test_a_drain_that_a_budget_holds_back(cluster: Cluster, image: str, shop: str, tmp_path: Path) -> None:
    """One pod may go when the run is planned. When the machine is drained another one is frozen, and none may: the fault fails in the
    words of the API server, the machine is open again, and no pod went."""
    env = settings(cluster, image, tmp_path)
    apply(cluster, SPACE, BUDGET)
    until(lambda: get(cluster, SPACE, "pdb", "store")["status"].get("disruptionsAllowed") == 1, 60, "a budget of one pod")
    host = pods(cluster)["store-1"]["spec"]["nodeName"]
    before, first = all_of(cluster), lives(cluster)
    frozen = "  - {name: frozen, pause: {}, target: n1, at: [3s], for: 40s}\n"
    write(
        tmp_path, frozen + f"  - {{name: drained, drain: {{}}, target: {{host: {host}}}, at: [13s], for: 17s, overlap: true}}",
        nodes=3, settle="20s", down=2,
    )  # fmt: skip
    with watched(lambda: bool(machine(cluster, host)["spec"].get("unschedulable"))) as cordoned:
        done = nines("run", "store.yaml", "--folder", "run", folder=tmp_path, env=env)
    print(done.stdout, done.stderr)
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    (drained,) = [fault for fault in report["faults"] if fault["name"].startswith("drained")]
    print(drained)
    assert drained["status"] == "failed", drained
    assert "not emptied within 'for'" in drained["reason"]
    assert "disruption budget" in drained["reason"]
    assert done.returncode == 3, "a fault that did not do what it should makes a run invalid"
    times = [at for at, closed in cordoned if closed]
    assert times, "nobody saw the machine cordoned"
    assert not cordoned[-1][1], "the machine is open again"
    asked = [line for line in (tmp_path / "run" / "history.jsonl").read_text(encoding="utf-8").splitlines() if "held_back" in line]
    print("told of who is held back:", asked[-1][:600] if asked else "")
    assert lives(cluster) == first
    assert all_of(cluster) == before


# --- a machine that is silent for longer than its pods tolerate --------------------------------------------------------


@contextlib.contextmanager
def only_pod(cluster: Cluster, base: str, kind: str, host: str) -> Iterator[None]:
    """One replica, there as long as that machine takes pods; it tolerates the machine's silence for a while."""
    words = (Path(__file__).parent / "store.yaml").read_text(encoding="utf-8")
    there = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}
    tolerated = {
        "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATED_S
    }  # fmt: skip
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": there}]}}
    more = f"      affinity: {json.dumps(affinity)}\n      tolerations: [{json.dumps(tolerated)}]\n"
    words = words.replace("nines-base:IMAGE", base).replace("shop", SPACE).replace("replicas: 3", "replicas: 1")
    words = words.replace("      terminationGracePeriodSeconds", f"{more}      terminationGracePeriodSeconds")
    if kind == "Deployment":
        words = words.replace("kind: StatefulSet", "kind: Deployment").replace("  serviceName: store\n", "")
        words = words.replace("  podManagementPolicy: Parallel\n", "")
    with namespace(cluster, SPACE):
        cluster.kubectl("apply", "-f", "-", text=words)
        until(lambda: get(cluster, SPACE, kind, "store")["status"].get("readyReplicas") == 1, 180, "a ready pod")
        assert [each["spec"]["nodeName"] for each in pods(cluster).values()] == [host]
        yield


def all_pods(cluster: Cluster, host: str) -> tuple[bool, dict[str, tuple[str, bool, bool]]]:
    """Whether the machine is Ready; uid of a pod -> its machine, whether it is being deleted, and whether it is ready."""
    found = {}
    for each in get(cluster, SPACE, "pods", "-l", "app=store")["items"]:
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in each["status"].get("conditions") or ())
        where = str(each["spec"].get("nodeName") or "")
        found[each["metadata"]["uid"]] = (where, "deletionTimestamp" in each["metadata"], ready)
    return cluster.nodes_ready()[host], found


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_machine_that_is_silent_for_longer_than_its_pod_tolerates(
    cluster: Cluster, image: str, base_image: str, tmp_path: Path, kind: str
) -> None:
    """A Deployment's next pod is made elsewhere at once, a StatefulSet's when the machine is back; the prediction knows which, and when."""
    env = settings(cluster, image, tmp_path)
    names_on = names_are_answered_on(cluster)
    host, elsewhere = sorted(cluster.record.nodes, key=lambda each: each == names_on)[:2]
    with only_pod(cluster, base_image, kind, host):
        ((first, _),) = all_pods(cluster, host)[1].items()
        cut = f"  - {{name: cut, partition: {{by: host}}, target: {{host: {host}}}, at: [3s], for: {CUT_S}s}}"
        write(tmp_path, cut, nodes=1, settle="45s")
        with probe(cluster, base_image, elsewhere) as read, watched(lambda: all_pods(cluster, host)) as seen:
            report = ran(tmp_path, env)
            began_s, ended_s, _ = outage(read())
        missed_s, deleted_s, next_s = _when(seen, first)
        print(f"{kind}: missed {missed_s - began_s:.1f} s after the first error, deleted {deleted_s - missed_s:.1f} s after that")
        print(f"the next pod was ready {next_s - began_s:.1f} s after the first error, whose last came after {ended_s - began_s:.1f} s")
        told(report)
        print(report["agreement_overall"], [each for each in report["checks"] if each["verdict"] != "pass"])
        faults_of(report)
        assert TOLERATED_S - 2 < deleted_s - missed_s < TOLERATED_S + BUSY_S
        if kind == "Deployment":
            assert ended_s - began_s < CUT_S, "the next pod answered while the machine was cut off"
            assert all(where != host for where, _, _ in seen[-1][1][1].values())
        else:
            assert ended_s - began_s > CUT_S, "the machine was awaited"
            assert all(len(found) <= 1 for _, (_, found) in seen), "never two pods of one name"
        assert report["agreement_overall"] != "inconsistent", report["agreement"]
        assert not [each for each in report["checks"] if each["name"] == LIVED and each["verdict"] == "fail"]
        assert not nines("leftovers", folder=tmp_path, env=env).stdout.strip()


def _when(seen: Seen, first: str) -> tuple[float, float, float]:
    """When the machine was missed, the pod was to go, and the next one was ready."""
    missed_s = next(at for at, (is_ready, _) in seen if not is_ready)
    deleted_s = next(at for at, (_, found) in seen if first not in found or found[first][1])
    next_s = next(at for at, (_, found) in seen if any(ready and not ends for uid, (_, ends, ready) in found.items() if uid != first))
    return missed_s, deleted_s, next_s


# --- a Deployment ------------------------------------------------------------------------------------------------------


@pytest.fixture
def deployment(cluster: Cluster, base_image: str) -> Iterator[str]:
    """Three replicas with other names in each life."""
    words = (Path(__file__).parent / "store.yaml").read_text(encoding="utf-8")
    words = words.replace("nines-base:IMAGE", base_image).replace("shop", SPACE).replace("DoNotSchedule", "ScheduleAnyway")
    words = words.replace("kind: StatefulSet", "kind: Deployment").replace("  serviceName: store\n", "")
    with namespace(cluster, SPACE):
        cluster.kubectl("apply", "-f", "-", text=words.replace("  podManagementPolicy: Parallel\n", ""))
        until(lambda: get(cluster, SPACE, "deployment", "store")["status"].get("readyReplicas") == 3, 180, "three ready pods")
        yield base_image


def test_a_deployment_is_rolled_and_one_of_its_pods_deleted(cluster: Cluster, image: str, deployment: str, tmp_path: Path) -> None:
    """Each pod is replaced by one of another name; never more than one is missing; the Deployment itself is not changed."""
    env = settings(cluster, image, tmp_path)
    first, before = set(lives(cluster)), get(cluster, SPACE, "deployment", "store")
    roll = "  - {name: rolled, restart: {by: delete}, target: [n1, n2, n3], at: [3s], for: 60s}\n"
    write(tmp_path, roll + "  - {name: gone, delete: {forced: true}, target: n2, at: [80s], for: 20s}", nodes=3, settle="20s")
    elsewhere = next(iter(pods(cluster).values()))["spec"]["nodeName"]

    def ready() -> int:
        return int(get(cluster, SPACE, "deployment", "store")["status"].get("readyReplicas") or 0)

    with probe(cluster, deployment, elsewhere) as read, watched(ready) as counts:
        report = ran(tmp_path, env)
        asked = read()
    errors = [said for _, said in asked if said.startswith("-")]
    told(report)
    print(f"the probe: {len(errors)} errors of {len(asked)}; ready pods: {[count for _, count in counts]}; {report['agreement_overall']}")
    print([each for each in report["checks"] if each["verdict"] != "pass"])
    faults_of(report)
    assert not first & set(lives(cluster)), "each pod is another one"
    after = get(cluster, SPACE, "deployment", "store")
    assert (after["spec"], after["metadata"]["generation"]) == (before["spec"], before["metadata"]["generation"])
    assert min(count for _, count in counts) >= 2
    assert report["agreement_overall"] != "inconsistent", report["agreement"]
    assert not nines("leftovers", folder=tmp_path, env=env).stdout.strip()
