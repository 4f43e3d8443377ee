"""Faults on machines of a Kubernetes cluster in a plan: what is meant by a host, what is refused, and where the harness may not stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.api import order
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.kube.objects import Place
from chaos.plan.hosts import struck_hosts
from chaos.plan.objectives import cautions
from chaos.plan.plan import Plan
from chaos.plugin import Spot, Told
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime

TEXT = """\
experiment: shop
question: Do customers notice?
cluster: {{attach: {{kubernetes: {{namespace: shop, service: store{more}}}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}}}
faults: [{{{fault}, target: {target}, at: [1s], for: 30s}}]
"""
POWER = ", hosts: {m2: {power_off: 'virsh destroy m2', power_on: virsh start m2}}"


@pytest.fixture(autouse=True)
def three_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pod on each, in two zones."""
    monkeypatch.setattr(KubernetesRuntime, "spots", lambda *_: [Spot("m1", "a"), Spot("m2", "b"), Spot("m3", "b")])


def planned(folder: Path, fault: str, target: str = "{host: m2}", more: str = "") -> Plan:
    file = folder / "shop.yaml"
    file.write_text(TEXT.format(fault=fault, target=target, more=more))
    return order(file).plan


def test_a_machine_is_switched_off_by_its_commands(tmp_path: Path) -> None:
    plan = planned(tmp_path, "power_off: {by: command}", more=POWER)
    attach = plan.experiment.cluster.attach
    assert attach is not None
    assert attach.pods is not None
    assert attach.pods.hosts["m2"].power_off == ("virsh", "destroy", "m2")
    assert struck_hosts(plan.experiment) == {"m2"}


@pytest.mark.parametrize(
    ("fault", "target", "more", "says"),
    [
        ("power_off: {by: command}", "{host: m3}", POWER, "nothing says how 'm3' is switched off"),
        ("power_off: {by: command}", "{zone: b}", POWER, "switches one host off, by its own command"),
        ("drain: {}", "{zone: b}", "", "the fault 'drain-1' empties one host"),
        ("drain: {}", "n2", "", "the fault 'drain-1' empties one host"),
        ("partition: {by: host}", "n2", "", "the fault 'partition-1' cuts one host off"),
        ("partition: {by: host, behavior: reject}", "{host: m2}", "", "leave the other fields out"),
        ("pause: {}", "any", ", hosts: {m2: {power_off: x}}", "missing key 'power_on'|'power_on' is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(tmp_path: Path, fault: str, target: str, more: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        planned(tmp_path, fault, target, more)


def test_rules_alone_do_not_start_a_pod_again(tmp_path: Path) -> None:
    with pytest.raises(CapabilityMissing, match="kubelet alone starts a container again"):
        planned(tmp_path, "power_off: {}")


def test_a_drain_and_a_pod_s_own_partition_leave_the_machine_alone(tmp_path: Path) -> None:
    assert not struck_hosts(planned(tmp_path, "drain: {}").experiment)
    assert not struck_hosts(planned(tmp_path, "partition: {}").experiment)
    assert struck_hosts(planned(tmp_path, "partition: {by: host}").experiment) == {"m2"}


def test_the_harness_stands_on_no_machine_that_goes() -> None:
    """All requirements of one term must hold; the terms of the DaemonSet are alternatives."""
    place = Place("run-1", "shop", "i", frozenset({"m3", "m2"}))
    affinity = place.job(60, "{}", {})["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [(each["operator"], each["values"]) for each in term["matchFields"]] == [("NotIn", ["m2"]), ("NotIn", ["m3"])]


@pytest.mark.parametrize("evicts", [False, True])
def test_the_harness_may_evict_only_where_a_fault_does(evicts: bool) -> None:
    rules = Place("run-1", "shop", "i", evicts=evicts).role({"metadata": {"name": "x", "uid": "u"}})["rules"]
    assert ("pods/eviction" in [resource for rule in rules for resource in rule["resources"]]) is evicts


@pytest.mark.parametrize(
    ("servers", "said"),
    [({"m2": 2}, "2 of 2 servers of the cluster's names stand on m2. Until it is back all"),
     ({"m2": 1, "m1": 1}, "1 of 2 servers of the cluster's names stand on m2. Until the cluster misses it some"), ({"m1": 1}, "")],
)  # fmt: skip
def test_plan_says_that_names_go_with_a_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: dict[str, int], said: str
) -> None:
    """Where its power or its network goes; a drain takes none."""
    monkeypatch.setattr(KubernetesRuntime, "told", lambda _: Told(name_servers=servers))
    found = [each for each in cautions(planned(tmp_path, "power_off: {by: command}", more=POWER)) if "names" in each]
    assert len(found) == bool(said)
    assert all(said in each for each in found)
    assert not [each for each in cautions(planned(tmp_path, "drain: {}")) if "names" in each]


@pytest.mark.parametrize(("more", "said"), [("", True), ("predict: {parameters: {stop: 2s}}\n", False)])
def test_plan_says_that_it_cannot_see_what_a_first_process_does(tmp_path: Path, more: str, said: bool) -> None:
    """On SIGTERM; nothing of leaders that hand over, since there is none."""
    file = tmp_path / "shop.yaml"
    file.write_text(TEXT.format(fault="restart: {by: delete}", target="[n1, n2, n3]", more="") + more)
    found = [each for each in cautions(order(file).plan) if "SIGTERM" in each or "stopping" in each]
    assert len(found) == said
    assert all("'restart-1' asks processes to end" in each and "stop: 1h for never" in each for each in found)
