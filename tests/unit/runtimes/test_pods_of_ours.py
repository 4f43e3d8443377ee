"""Nodes of ours in pods: which pod is which node, what each is started with, who answers its name, and whose clock a mark is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.api import order
from chaos.core.capabilities import Capability
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.core.values import Link
from chaos.experiment.target.spec import Ask
from chaos.history.events import Marked, RoleChanged, Row
from chaos.kube.own import Group
from chaos.plugin import Deployment
from chaos.runtimes.kubernetes.able import refuse_moving
from chaos.runtimes.kubernetes.layout import NOWHERE, Resolver
from chaos.runtimes.kubernetes.own.helpers import OwnHelpers
from chaos.runtimes.kubernetes.own.layout import OwnLayout
from chaos.runtimes.kubernetes.own.pods import pods_of
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime

EXPERIMENT = """\
experiment: ours
question: Do clients notice?
cluster: {{target: replicated_kv, nodes: 3, runtime: kubernetes{more}}}
traffic: {{operations: {{write: 20/s, read: 20/s}}, judge: write}}
faults: [{{{fault}, target: any, at: [1s], for: 3s}}{further}]
"""
ADDRESSES = {"n1": "10.1.0.1", "n2": "10.1.0.2", "n3": "10.1.0.3", "clients": "10.1.0.7", "dns": "10.1.0.8"}
NAMES = Resolver("10.96.0.10", "trials.svc.cluster.local")


def deployed(tmp_path: Path, more: str = "", fault: str = "kill: {}", further: str = "") -> Deployment:
    file = tmp_path / "ours.yaml"
    file.write_text(EXPERIMENT.format(more=more, fault=fault, further=further))
    found = order(file)
    return Deployment(run="ours-1", folder=tmp_path, plan=found.plan, target=found.target)


class Pods:
    """An API server that lists these, in the order of a server."""

    def __init__(self, *named: tuple[str, str, str]) -> None:
        self._things: list[dict[str, Any]] = [
            {
                "metadata": {"name": name, "uid": f"u-{name}", "labels": {"nines.part": part}},
                "status": {"podIP": address},
                "spec": {"nodeName": "w1", "containers": [{"name": "system"}]},
            }
            for name, part, address in named
        ]

    def listed(self, *_: str) -> list[dict[str, Any]]:
        return self._things


def test_a_node_is_the_pod_of_its_number_in_its_part() -> None:
    named = [(f"x-data-{number}", "data", f"10.0.0.{number + 1}") for number in (10, *range(10))] + [("x-etcd-0", "etcd", "10.0.0.99")]
    nodes = {"etcd-1": Group("etcd", 0), **{f"data-{number}": Group("data", 0) for number in range(1, 12)}}
    found = pods_of(Pods(*named), "trials", "r", nodes)  # type: ignore[arg-type]
    where = {node: (pod.name, pod.address) for node, pod in found.items()}
    assert where["etcd-1"] == ("x-etcd-0", "10.0.0.99")
    assert where["data-1"] == ("x-data-0", "10.0.0.1")
    assert where["data-11"] == ("x-data-10", "10.0.0.11")


@pytest.mark.parametrize("named", [[("x-data-0", "data", "10.0.0.1")], [("x-data-0", "data", "10.0.0.1"), ("x-data-1", "data", "")]])
def test_a_pod_that_is_not_there_or_has_no_address_is_missed(named: list[tuple[str, str, str]]) -> None:
    with pytest.raises(EnvironmentUnusable, match=r"the pod of n2 \(data, number 1\) is not there"):
        pods_of(Pods(*named), "trials", "r", {"n1": Group("data", 0), "n2": Group("data", 0)})  # type: ignore[arg-type]


def test_commands_name_the_addresses_that_pods_were_given(tmp_path: Path) -> None:
    layout = OwnLayout(deployed(tmp_path), ADDRESSES, "10.1.0.9", "", NAMES)
    words = layout.command("n2")
    assert words[words.index("--address") + 1] == "10.1.0.2"
    assert "n1=http://10.1.0.1:7001|http://10.1.0.1:7001" in words[words.index("--peers") + 1]
    assert layout.folders("n2") == ("/var/lib/replicated_kv",)
    assert layout.addresses().pairs(Link("clients", "n1")) == [("10.1.0.7", "10.1.0.1")]


def test_where_pods_are_given_up_peers_have_names(tmp_path: Path) -> None:
    """A node listens at its address, and is known by its name, of which every pod's file says where it is now."""
    layout = OwnLayout(deployed(tmp_path, fault="delete: {}"), ADDRESSES, "10.1.0.9", "", NAMES, moves=True)
    words = layout.command("n2")
    assert words[words.index("--address") + 1] == "10.1.0.2"
    assert "n1=http://n1.nines.test:7001|http://n1.nines.test:7001" in words[words.index("--peers") + 1]
    assert layout.move("n1", "10.1.0.77", "w9").address == "10.1.0.77"
    assert layout.hosts("n2", "x-data-1").splitlines() == [
        "127.0.0.1 localhost", "10.1.0.2 x-data-1", "10.1.0.77 n1.nines.test", "10.1.0.2 n2.nines.test", "10.1.0.3 n3.nines.test",
    ]  # fmt: skip
    assert layout.addresses().pairs(Link("clients", "n1")) == [("10.1.0.7", "10.1.0.77")]
    assert layout.ask(Ask(http="http://{address}:{client}/"), "n1").http == "http://10.1.0.77:7000/"


def test_what_knows_an_address_does_not_go_with_pods_that_are_given_up(tmp_path: Path) -> None:
    refuse_moving(deployed(tmp_path, fault="delete: {}"))
    refuse_moving(deployed(tmp_path, further=', {latency: {latency: 50ms}, target: {link: "clients -> any"}, at: [9s], for: 3s}'))
    with pytest.raises(CapabilityMissing, match="the proxies of stream faults stand before the old one"):
        refuse_moving(
            deployed(
                tmp_path, fault="delete: {}", further=', {latency: {latency: 50ms}, target: {link: "clients -> any"}, at: [9s], for: 3s}'
            )
        )


def test_a_target_whose_nodes_know_each_other_by_addresses_is_not_moved(tmp_path: Path) -> None:
    target = deployed(tmp_path).target
    assert KubernetesRuntime.lacks(Capability.DELETES, target) == ""
    part = target.parts["data"]
    old = msgspec.structs.replace(part, env={"PEERS": "{peers:{address}}"})
    found = KubernetesRuntime.lacks(Capability.DELETES, msgspec.structs.replace(target, parts={"data": old}))
    assert "part 'data' says {peers:{address}}, not {name}" in found


def test_our_name_server_answers_unless_the_cluster_is_to(tmp_path: Path) -> None:
    ours = OwnLayout(deployed(tmp_path), ADDRESSES, "10.1.0.9", "", NAMES)
    assert (ours.name, ours.domain, ours.nameserver) == ("data.nines.test", "nines.test", ("10.1.0.8", 53))
    addresses = {end: address for end, address in ADDRESSES.items() if end != "dns"}
    theirs = OwnLayout(deployed(tmp_path, ", dns: {balancer: engine}"), addresses, "10.1.0.9", "nines-1-data", NAMES)
    assert theirs.name == "nines-1-data.trials.svc.cluster.local"
    assert theirs.nameserver == ("10.96.0.10", 53)
    assert theirs.dns_address == NOWHERE


class Ahead:
    """An agent on a machine whose clock is a second ahead."""

    def here_ns(self, there_ns: int) -> int:
        return there_ns - 1_000_000_000


def test_a_mark_is_of_the_nodes_clock_and_all_else_is_of_ours() -> None:
    rows: list[Row] = []
    helpers = OwnHelpers.__new__(OwnHelpers)
    helpers._sink = rows.append
    helpers._agents = {"n1": Ahead()}  # type: ignore[dict-item]
    role = RoleChanged(at_ns=5, node="n1", role="leader", holds=True, resolution_s=0.1)
    for row in (Marked(at_ns=3_000_000_000, node="n1", mark="leader_elected"), role, Marked(at_ns=7, node="n9", mark="x")):
        helpers._mapped(row)
    assert [row.at_ns for row in rows] == [2_000_000_000, 5, 7]
