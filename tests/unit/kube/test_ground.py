"""Where nodes of ours are to stand: zones and machines that an experiment names, found among those of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.api import order
from chaos.core.errors import BadInput, CapabilityMissing, EnvironmentUnusable
from chaos.elsewhere.own_in_cluster import parts_of, refuse_elsewhere
from chaos.experiment.document import Experiment
from chaos.experiment.pods import OursSpec
from chaos.kube.api import Api
from chaos.kube.find import ZONE
from chaos.kube.own import Group, OwnPlace, grouped
from chaos.kube.spots import machines
from chaos.plugin import Deployment, Spot
from chaos.runtimes.kubernetes.layout import Resolver
from chaos.runtimes.kubernetes.own.layout import OwnLayout
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime

TEXT = """\
experiment: ours
question: Do clients notice?
cluster: {{target: replicated_kv, nodes: {nodes}, runtime: kubernetes{more}}}
traffic: {{operations: {{write: 20/s, read: 20/s}}, judge: write}}
faults: [{{{fault}, target: {target}, at: [1s], for: 3s}}]
"""
FOUND = [Spot("m1", "eu-a"), Spot("m2", "eu-a"), Spot("m3", "eu-b")]
JOB = {"metadata": {"name": "j", "uid": "u"}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """Three machines in two zones; which experiments asked for them."""
    experiments: list[Experiment] = []

    def answer(experiment: Experiment) -> Sequence[Spot]:
        experiments.append(experiment)
        return FOUND

    monkeypatch.setattr(KubernetesRuntime, "ground", answer)
    return experiments


def ordered(folder: Path, target: str = "any", more: str = "", fault: str = "kill: {}", nodes: int = 3):
    file = folder / "ours.yaml"
    file.write_text(TEXT.format(target=target, more=more, fault=fault, nodes=nodes))
    return order(file)


def test_nobody_is_asked_where_nothing_is_named(asked: list[Experiment], tmp_path: Path) -> None:
    ordered(tmp_path)
    ordered(tmp_path, "{zone: a}", ", zones: {a: [n1], b: [n2, n3]}")
    assert not asked


def test_a_zone_that_is_named_is_one_of_the_machines(asked: list[Experiment], tmp_path: Path) -> None:
    """All nodes are spread over all of their zones, each zone with a StatefulSet."""
    found = ordered(tmp_path, "{zone: eu-b}", nodes=5)
    assert [node.zone for node in found.plan.nodes] == ["eu-a", "eu-b", "eu-a", "eu-b", "eu-a"]
    parts = parts_of(found.plan, found.target, {"data": "i"}, keeps=True)
    assert [(part.group, part.zone, part.count) for part in parts] == [(0, "eu-a", 3), (1, "eu-b", 2)]
    first, second = (OwnPlace("r", "n", "i").nodes(JOB, part, "") for part in parts)
    assert first["metadata"]["name"] + "-1" == second["metadata"]["name"]
    assert first["spec"]["serviceName"] == second["spec"]["serviceName"]
    assert first["spec"]["selector"] != second["spec"]["selector"]
    required = second["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required["nodeSelectorTerms"][0]["matchExpressions"] == [{"key": ZONE, "operator": "In", "values": ["eu-b"]}]


def test_a_machine_that_is_named_has_its_nodes(asked: list[Experiment], tmp_path: Path) -> None:
    """One zone after the other, so that few nodes stand in as many as there are."""
    found = ordered(tmp_path, "{host: m3}")
    assert [(node.host, node.zone) for node in found.plan.nodes] == [("m1", "eu-a"), ("m3", "eu-b"), ("m2", "eu-a")]
    parts = parts_of(found.plan, found.target, {"data": "i"}, keeps=True)
    pods = [
        {"metadata": {"name": f"x-{part.group}", "labels": {"nines.part": "data", "nines.group": str(part.group)}},
         "spec": {"nodeName": part.host}} for part in parts
    ]  # fmt: skip
    refuse_elsewhere(pods, parts)
    pods[1]["spec"]["nodeName"] = "m1"
    with pytest.raises(EnvironmentUnusable, match="the pod x-1 was to stand on the machine 'm3', and the cluster has put it on 'm1'"):
        refuse_elsewhere(pods, parts)


def test_a_node_that_moves_is_counted_where_it_is(asked: list[Experiment], tmp_path: Path) -> None:
    found = ordered(tmp_path, "{host: m3}", fault="drain: {}")
    deployment = Deployment(run="r", folder=tmp_path, plan=found.plan, target=found.target)
    addresses = {"n1": "10.1.0.1", "n2": "10.1.0.2", "n3": "10.1.0.3", "clients": "10.1.0.7", "dns": "10.1.0.8"}
    layout = OwnLayout(deployment, addresses, "10.1.0.9", "", Resolver("10.0.0.1", "x"), moves=True)
    info = layout.move("n2", "10.1.0.77", "m1")
    assert (info.host, info.zone) == ("m1", "eu-a")


def test_zones_of_the_file_are_placed_where_it_says_so(asked: list[Experiment], tmp_path: Path) -> None:
    """By their names where machines have such, else onto one that is free."""
    more = ", zones: {west: [n1], eu-b: [n2]}, kubernetes: {zones: machines}"
    found = ordered(tmp_path, "{zone: west}", more)
    assert found.experiment.cluster.kubernetes.within == {"n1": "eu-a", "n2": "eu-b"}
    assert [node.zone for node in found.plan.nodes] == ["west", "eu-b", None]
    assert found.experiment.cluster.kubernetes.lies == {"m1": "west", "m2": "west", "m3": "eu-b"}


def test_too_few_zones_are_refused_with_their_line(asked: list[Experiment], tmp_path: Path) -> None:
    more = ", zones: {a: [n1], b: [n2], c: [n3]}, kubernetes: {zones: machines}"
    with pytest.raises(BadInput, match=r"ours.yaml:3: cluster.zones: the experiment has 3 zones, and the cluster's machines have 2 \(eu-a"):
        ordered(tmp_path, "{zone: a}", more)
    with pytest.raises(BadInput, match=r"ours.yaml:3: cluster.kubernetes.zones: the experiment has no zones"):
        ordered(tmp_path, more=", kubernetes: {zones: machines}")


def test_what_no_machine_is_called_is_refused_with_its_line(asked: list[Experiment], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ours.yaml:5: faults\[0\].target"):
        ordered(tmp_path, "{host: m9}")


def test_the_same_experiment_elsewhere_is_comparable(asked: list[Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = ordered(tmp_path, "{host: m3}").plan.configuration
    monkeypatch.setattr(KubernetesRuntime, "ground", lambda _: [Spot("m3"), Spot("m4"), Spot("m5")])
    assert ordered(tmp_path, "{host: m3}").plan.configuration == one


def test_machines_are_not_switched_under_pods_of_ours(asked: list[Experiment], tmp_path: Path) -> None:
    assert ordered(tmp_path, "{host: m3}", fault="drain: {}").plan.windows
    for fault in ("power_off: {by: command}", "partition: {by: host}"):
        with pytest.raises(CapabilityMissing, match="attach to"):
            ordered(tmp_path, "{host: m3}", fault=fault)


def test_groups_are_numbered_within_their_part() -> None:
    ours = OursSpec(stand={"a": "m1", "b": "m2", "c": "m1"})
    assert grouped({"a": "data", "b": "data", "c": "data", "d": "etcd"}, ours) == {
        "a": Group("data", 0, "m1"), "b": Group("data", 1, "m2"), "c": Group("data", 0, "m1"), "d": Group("etcd", 0),
    }  # fmt: skip


def test_machines_that_take_no_pods_are_none() -> None:
    def machine(name: str, *, ready: str = "True", **spec: Any) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "labels": {ZONE: "a"}},
            "spec": spec,
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }

    class Answers:
        def listed(self, *_: str) -> list[dict[str, Any]]:
            return [
                machine("m2"), machine("m1"), machine("m3", unschedulable=True), machine("m4", ready="Unknown"),
                machine("m5", taints=[{"effect": "NoSchedule"}]), machine("m6", taints=[{"effect": "PreferNoSchedule"}]),
            ]  # fmt: skip

    assert machines(cast("Api", Answers())) == [Spot("m1", "a"), Spot("m2", "a"), Spot("m6", "a")]
