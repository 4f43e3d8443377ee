"""The runtime on pods: what it offers, who is chosen for them, and where names are answered in a pod."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.api import order
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.core.values import Link
from chaos.net.addresses import UNNAMED, Addresses
from chaos.runtimes.kubernetes.layout import resolver

EXPERIMENT = """\
experiment: shop
question: Do customers notice?
cluster: {{attach: {{kubernetes: {{namespace: shop, service: store}}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}}}
faults: [{{{fault}, target: any, at: [1s], for: 3s}}]
"""


def ordered(tmp_path: Path, fault: str, runtime: str | None = None):
    file = tmp_path / "shop.yaml"
    file.write_text(EXPERIMENT.format(fault=fault))
    return order(file, runtime=runtime)


def test_pods_are_for_the_runtime_that_attaches_to_pods(tmp_path: Path) -> None:
    found = ordered(tmp_path, "kill: {recovery: policy}")
    assert found.plan.runtime == "kubernetes"
    assert list(found.target.parts) == ["store"]
    with pytest.raises(CapabilityMissing, match="the runtime 'docker' has no pods to attach to"):
        ordered(tmp_path, "kill: {recovery: policy}", "docker")


def test_a_fault_after_which_nines_would_start_a_node_is_refused(tmp_path: Path) -> None:
    for fault in ("kill: {}", "stop: {}", "power_off: {}", "restart: {}"):
        with pytest.raises(CapabilityMissing, match="kubelet alone starts a container again"):
            ordered(tmp_path, fault)
    for fault in ("pause: {}", "partition: {}"):
        assert ordered(tmp_path, fault).plan.windows


def test_a_runtime_of_containers_has_no_pods(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(EXPERIMENT.format(fault="pause: {}").replace("kubernetes: {namespace: shop, service: store}", "label: app=store"))
    with pytest.raises(CapabilityMissing, match="the runtime 'kubernetes' has no containers to attach to"):
        order(file, runtime="kubernetes")


def test_a_kubeconfig_is_found_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(EXPERIMENT.format(fault="pause: {}").replace("service: store}", "service: store, kubeconfig: here/config}"))
    attach = order(file).experiment.cluster.attach
    assert attach is not None
    assert attach.pods is not None
    assert attach.pods.kubeconfig == str(tmp_path / "here" / "config")


@pytest.mark.parametrize(
    ("written", "server", "domain"),
    [
        ("search shop.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\n", "10.96.0.10", "store.svc.cluster.local"),
        ("nameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch a.svc.corp.test svc.corp.test corp.test\n", "10.0.0.2", "store.svc.corp.test"),
        ("nameserver 10.0.0.2\n", "10.0.0.2", "store.svc.cluster.local"),
    ],
)  # fmt: skip
def test_a_pod_knows_who_answers_names_and_below_what(tmp_path: Path, written: str, server: str, domain: str) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(written)
    found = resolver("store", file)
    assert (found.server, found.domain) == (server, domain)


def test_who_moves_is_known_by_the_new_address_alone() -> None:
    ends = Addresses({UNNAMED: {"clients": "10.0.0.1", "n1": "10.0.0.2"}})
    ends.learn("n1", ["10.0.0.2", "fd00::2"])
    ends.move("n1", "10.0.0.9")
    assert ends.pairs(Link("clients", "n1")) == [("10.0.0.1", "10.0.0.9")]


def test_nothing_says_which_pods(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(EXPERIMENT.format(fault="pause: {}").replace("service: store", "context: a"))
    with pytest.raises(BadInput, match=r"x.yaml:3: cluster.attach.kubernetes: nothing says which pods"):
        order(file)


def test_kubelets_waits_are_in_the_plan(tmp_path: Path) -> None:
    """The defaults of Kubernetes, unless an experiment says otherwise."""
    found = {each.name: each for each in ordered(tmp_path, "kill: {recovery: policy}").plan.parameters}
    assert (found["back_off_s"].value, found["back_off_most_s"].value, found["back_off_forgets_s"].value) == (10.0, 300.0, 600.0)
    assert "kubelet" in found["back_off_s"].origin


def test_pods_are_deleted_and_nothing_else_is(tmp_path: Path) -> None:
    """With its own grace, another one, or at once: never with two of them."""
    for fault in ("delete: {}", "delete: {grace: 2s}", "delete: {forced: true}"):
        assert ordered(tmp_path, fault).plan.windows
    with pytest.raises(BadInput, match="'forced' is without any grace"):
        ordered(tmp_path, "delete: {forced: true, grace: 2s}")
    file = tmp_path / "x.yaml"
    file.write_text(EXPERIMENT.format(fault="delete: {}").replace("kubernetes: {namespace: shop, service: store}", "label: app=store"))
    with pytest.raises(CapabilityMissing, match="nobody makes another node"):
        order(file)
