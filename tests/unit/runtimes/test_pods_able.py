"""Faults that the pods that were found do not allow are refused, with the line, the pod and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from chaos.api import order
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.core.values import Allowed
from chaos.kube.api import Api, Refused
from chaos.kube.find import Pod
from chaos.plugin import Spot
from chaos.runtimes.kubernetes.able import refuse_beyond, refuse_held_back
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime

EXPERIMENT = """\
experiment: shop
question: Do customers notice?
cluster: {{attach: {{kubernetes: {{namespace: shop, {pods}: {of}}}}}, nodes: 2}}
traffic: {{operations: {{home: {{http: "http://{host}:8080/", rate: 20/s}}}}}}
faults: [{{{fault}, at: [1s], for: 3s}}]
"""
ANY = ", target: any"
HEADLESS: dict[str, Any] = {"metadata": {"name": "store"}, "spec": {"clusterIP": "None"}}
ONE_ADDRESS: dict[str, Any] = {"metadata": {"name": "store"}, "spec": {"clusterIP": "10.96.1.1", "ports": [{"port": 8080}]}}


def refuse(
    tmp_path: Path, fault: str, limits: Allowed = Allowed(), service: dict[str, Any] = HEADLESS, maker: str = "StatefulSet", **more: str  # noqa: B008
) -> None:  # fmt: skip
    file = tmp_path / "shop.yaml"
    file.write_text(EXPERIMENT.format(**{"fault": fault, "host": "store", "pods": "service", "of": "store", **more}), encoding="utf-8")
    plan = order(file).plan
    pods = {
        node.name: Pod(f"store-{number}", f"uid{number}", "w1", "10.1.0.9", "app", "c" * 64, "", True, False, 0, limits=limits, maker=maker)
        for number, node in enumerate(plan.nodes)
    }
    attach = plan.experiment.cluster.attach
    assert attach is not None
    assert attach.pods is not None
    refuse_beyond(plan, attach.pods, service, pods)


@pytest.mark.parametrize("fault", ["cpu: {}", "io: {}", "memory: {percent: 50%, recovery: policy}"])
def test_a_load_needs_limits_of_the_pod(tmp_path: Path, fault: str) -> None:
    with pytest.raises(CapabilityMissing, match=r"line 5: .* the container 'app' of store-0 \(n1\) has no limit of cpu and none of memory"):
        refuse(tmp_path, fault + ANY)
    refuse(tmp_path, fault + ANY, Allowed(cpus=0.5, memory_bytes=1 << 27))


def test_too_few_workers_for_the_limit(tmp_path: Path) -> None:
    with pytest.raises(CapabilityMissing, match="1 workers cannot keep 3 processors busy"):
        refuse(tmp_path, "cpu: {workers: 1}" + ANY, Allowed(cpus=3.0, memory_bytes=1 << 27))


def test_kubelet_alone_brings_a_dead_container_back(tmp_path: Path) -> None:
    with pytest.raises(CapabilityMissing, match="'recovery: restart'"):
        refuse(tmp_path, "memory: {percent: 50%}" + ANY, Allowed(cpus=0.5, memory_bytes=1 << 27))


def test_faults_of_the_name_need_one(tmp_path: Path) -> None:
    with pytest.raises(CapabilityMissing, match="ask for no name"):
        refuse(tmp_path, "dns: {mode: down}", host="{address}", pods="selector", of="app=store")
    refuse(tmp_path, "dns: {mode: down}")
    refuse(tmp_path, "dns: {mode: down}", service=ONE_ADDRESS)


def test_one_record_of_a_name_that_has_one_for_all(tmp_path: Path) -> None:
    refuse(tmp_path, "dns: {mode: missing, record: n1}")
    with pytest.raises(CapabilityMissing, match="stands for one address of all pods"):
        refuse(tmp_path, "dns: {mode: missing, record: n1}", service=ONE_ADDRESS)


@pytest.mark.parametrize("fault", ["delete: {}", "restart: {by: delete}"])
@pytest.mark.parametrize(("maker", "why"), [("", "it belongs to no controller"), ("Node", "it is a static pod of its machine")])
def test_a_pod_that_nobody_makes_again_is_not_given_up(tmp_path: Path, fault: str, maker: str, why: str) -> None:
    with pytest.raises(CapabilityMissing, match=rf"line 5: .* in the place of store-1 \(n2\), since {why}"):
        refuse(tmp_path, fault + ", target: n2", maker=maker)
    for made_by in ("StatefulSet", "ReplicaSet", "DaemonSet"):
        refuse(tmp_path, fault + ", target: n2", maker=made_by)


class Budget:
    """An API server that lets the pods of one machine go, or not; what it was asked."""

    def __init__(self, held: bool) -> None:
        self._held = held
        self.asked: list[dict[str, Any]] = []

    def ask(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert (method, path) == ("POST", f"api/v1/namespaces/shop/pods/{body['metadata']['name']}/eviction")
        self.asked.append(body)
        if self._held:
            said = "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget store needs 2 healthy pods"
            raise Refused(429, f"the API server refuses POST x: {said} and has 2 currently", "")
        return {}


@pytest.mark.parametrize("held", [True, False])
def test_a_drain_that_a_budget_holds_back_for_ever_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    """Only the pods on its machine are asked of, and none of them goes by that."""
    monkeypatch.setattr(KubernetesRuntime, "spots", lambda *_: [Spot("m1"), Spot("m2")])
    file = tmp_path / "shop.yaml"
    file.write_text(EXPERIMENT.format(fault="drain: {}, target: {host: m2}", host="store", pods="service", of="store"), encoding="utf-8")
    plan, api = order(file).plan, Budget(held)
    pods = {
        f"n{number}": Pod(f"store-{number}", f"uid{number}", f"m{number}", "10.1.0.9", "app", "c", "", True, False, 0, maker="StatefulSet")
        for number in (1, 2)
    }
    if held:
        with pytest.raises(CapabilityMissing, match=r"line 5: .* store-2 \(n2\) may not be evicted: .* needs 2 healthy pods") as refused:
            refuse_held_back(cast("Api", api), plan, "shop", pods)
        assert "maxUnavailable: 1" in str(refused.value)
    else:
        refuse_held_back(cast("Api", api), plan, "shop", pods)
    assert [(each["metadata"]["name"], each["deleteOptions"]["dryRun"]) for each in api.asked] == [("store-2", ["All"])]


def test_a_daemon_set_s_pod_is_not_drained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KubernetesRuntime, "spots", lambda *_: [Spot("m1"), Spot("m2")])
    with pytest.raises(CapabilityMissing, match="is a DaemonSet's, which drains leave alone"):
        refuse(tmp_path, "drain: {}, target: {host: m2}", maker="DaemonSet")


def test_a_port_that_the_service_has_not(tmp_path: Path) -> None:
    """Clients would be refused, whatever the pods do."""
    other = {**ONE_ADDRESS, "spec": {"clusterIP": "10.96.1.1", "ports": [{"port": 80, "targetPort": 8080}]}}
    with pytest.raises(EnvironmentUnusable, match="the Service 'store' has no port 8080"):
        refuse(tmp_path, "pause: {}" + ANY, service=other)
