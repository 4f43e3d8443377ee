"""Faults that the pods that were found do not allow are refused, with the line, the pod and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.api import order
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.core.values import Allowed
from chaos.kube.find import Pod
from chaos.runtimes.kubernetes.able import refuse_beyond

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


def refuse(tmp_path: Path, fault: str, limits: Allowed = Allowed(), service: dict[str, Any] = HEADLESS, **more: str) -> None:  # noqa: B008
    file = tmp_path / "shop.yaml"
    file.write_text(EXPERIMENT.format(**{"fault": fault, "host": "store", "pods": "service", "of": "store", **more}), encoding="utf-8")
    plan = order(file).plan
    pods = {
        node.name: Pod(f"store-{number}", f"uid{number}", "w1", "10.1.0.9", "app", "c" * 64, "", True, False, 0, limits=limits)
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


def test_a_port_that_the_service_has_not(tmp_path: Path) -> None:
    """Clients would be refused, whatever the pods do."""
    other = {**ONE_ADDRESS, "spec": {"clusterIP": "10.96.1.1", "ports": [{"port": 80, "targetPort": 8080}]}}
    with pytest.raises(EnvironmentUnusable, match="the Service 'store' has no port 8080"):
        refuse(tmp_path, "pause: {}" + ANY, service=other)
