"""A cluster of ours as manifests: whose all of it is, who may what, and what stands in a node's pod."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.api import order
from chaos.core.errors import BadInput, CapabilityMissing, EnvironmentUnusable
from chaos.core.values import Allowed
from chaos.elsewhere.own_in_cluster import built_name, gate_stands, images, is_loaded, parts_of, refuse_old
from chaos.experiment import parameters
from chaos.experiment.target.load import load_target
from chaos.experiment.target.spec import Ask
from chaos.kube import gate
from chaos.kube.objects import Place
from chaos.kube.own import OwnPlace, PartSpec, Probe, readiness, within
from chaos.kube.rights import FOR_DRAINS, FOR_LOADS, OWN_RIGHTS, RIGHTS, WHOLE_RIGHTS, manifest, refuse_unable
from chaos.kube.standing import KINDS, OWN_KINDS, Whereabouts, hindrance
from chaos.runtimes.kubernetes.able import starts_nodes
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime

PLACE = OwnPlace("quickstart-20260101-000000-ab12", "nines-1", "chaos-nines:1")
JOB = {"metadata": {"name": PLACE.name, "uid": "u"}}
PORTS = {"client": 7000, "peer": 7001}
DATA = PartSpec("data", 3, "store:1", PORTS, ("/var/lib/store", "/logs"), keeps=True)
ALL: list[dict[str, Any]] = [
    PLACE.job(60, "", {}), PLACE.account(JOB), PLACE.role(JOB), PLACE.binding(JOB), PLACE.clients(JOB, "m1"), PLACE.names(JOB, "m1"),
    PLACE.service(JOB, DATA), PLACE.nodes(JOB, DATA, "10.0.0.9"),
]  # fmt: skip
EXPERIMENT = """\
experiment: ours
question: Do clients notice?
cluster: {{target: replicated_kv, nodes: 3, runtime: kubernetes{more}}}
traffic: {{operations: {{write: 20/s, read: 20/s}}, judge: write}}
faults: [{{{fault}, target: any, at: [1s], for: 3s}}{further}]
"""


def ordered(tmp_path: Path, fault: str = "kill: {}", more: str = "", further: str = ""):
    file = tmp_path / "ours.yaml"
    file.write_text(EXPERIMENT.format(fault=fault, more=more, further=further))
    return order(file)


def pod() -> dict[str, Any]:
    found: dict[str, Any] = ALL[-1]["spec"]["template"]["spec"]
    return found


def test_everything_carries_the_run_and_goes_with_the_job() -> None:
    for each in ALL:
        assert each["metadata"]["namespace"] == PLACE.namespace
        assert each["metadata"]["labels"]["nines.run"] == PLACE.run
        if each["kind"] != "Job":
            assert each["metadata"]["ownerReferences"] == [{"apiVersion": "batch/v1", "kind": "Job", "name": PLACE.name, "uid": "u"}]
    assert ALL[-1]["spec"]["template"]["metadata"]["labels"]["nines.run"] == PLACE.run


def test_everything_that_is_made_is_looked_for_afterwards() -> None:
    where = Whereabouts("here", "nines-1", own=True, whole=True)
    assert {f"{thing['kind'].lower()}s" for thing in (*ALL, PLACE.namespace_of_its_own())} == set(where.kinds)
    loaded = Whereabouts("here", "nines-1", own=True, loads=True).kinds
    assert set(loaded) == {f"{thing['kind'].lower()}s" for thing in (*ALL, PLACE.guests(JOB, {"m1"}))}
    assert OWN_KINDS.index("statefulsets") < OWN_KINDS.index("pods")  # it would make them anew
    assert Whereabouts.parsed(where.written) == where
    assert Whereabouts.parsed('{"context": "a", "namespace": "b"}').kinds == KINDS  # as an older one wrote it


def test_the_user_has_every_right_that_the_harness_is_given_and_no_more_than_is_used() -> None:
    has = {(right.group, right.resource, verb) for right in OWN_RIGHTS for verb in right.verbs}
    role = next(each for each in ALL if each["kind"] == "Role")
    given = {(rule["apiGroups"][0], resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert given <= has
    makes = {resource for _, resource, verb in has if verb == "create" and "/" not in resource}
    assert makes == {f"{each['kind'].lower()}s" for each in ALL}
    assert FOR_LOADS[0].resource == "daemonsets"
    assert any("daemonsets" in rule["resources"] for rule in manifest("a", own=True)[0]["rules"])
    assert {right.resource for right in WHOLE_RIGHTS} == {"namespaces"}
    assert all("statefulsets" not in rule["resources"] for rule in manifest("a")[0]["rules"])
    assert not any(right.resource == "statefulsets" for right in RIGHTS)


def test_the_agent_is_a_sidecar_and_nothing_of_a_node_is_privileged() -> None:
    spec = pod()
    prepare, agent = spec["initContainers"]
    assert "restartPolicy" not in prepare
    assert agent["restartPolicy"] == "Always"
    assert agent["securityContext"] == {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}
    (system,) = spec["containers"]
    assert "securityContext" not in system
    assert spec["shareProcessNamespace"] is True
    assert not spec.get("hostPID")
    assert [mount["mountPath"] for mount in system["volumeMounts"]] == ["/nines/gate", "/var/lib/store", "/logs"]
    assert agent["volumeMounts"] == system["volumeMounts"]
    assert system["image"] == "store:1"
    assert system["command"][:2] == ["/bin/sh", "-c"]
    assert system["command"][-1] == "keeps"


def test_a_node_asks_our_name_server_where_it_is_ours() -> None:
    assert pod()["dnsConfig"]["nameservers"] == ["10.0.0.9"]
    assert "dnsConfig" not in PLACE.nodes(JOB, DATA, "")["spec"]["template"]["spec"]


def test_where_pods_are_given_up_the_harness_may_do_it_and_their_names_are_mounted() -> None:
    moving = OwnPlace("r", "n", "i", moves=True, evicts=True)
    (rules, *_) = (each["rules"] for each in (moving.role(JOB),))
    has = {(right.group, right.resource, verb) for right in (*OWN_RIGHTS, *FOR_DRAINS) for verb in right.verbs}
    given = {(rule["apiGroups"][0], resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert given <= has
    assert {("", "pods", "delete"), ("", "pods", "watch"), ("", "pods/eviction", "create")} <= given
    (system,) = moving.nodes(JOB, DATA, "")["spec"]["template"]["spec"]["containers"]
    assert {"name": "gate", "mountPath": "/etc/hosts", "subPath": "hosts"} in system["volumeMounts"]
    stays = next(each for each in ALL if each["kind"] == "Role")["rules"]
    assert all(verb not in rule["verbs"] for rule in stays for verb in ("delete", "watch"))


def test_a_system_behind_a_gate_that_stays_is_told_to_end() -> None:
    def hook(part: PartSpec) -> object:
        (system,) = PLACE.nodes(JOB, part, "")["spec"]["template"]["spec"]["containers"]
        return system.get("lifecycle")

    assert hook(DATA) == {"preStop": {"exec": {"command": gate.stop()}}}
    assert hook(msgspec.structs.replace(DATA, keeps=False)) is None  # the gate is the system then


def test_names_are_short_enough() -> None:
    """Kubernetes adds a dash and ten letters to the name of a StatefulSet, and a pod's own has 63."""
    place = OwnPlace("a" * 80, "n", "i")
    assert len(place.named("b" * 60)) <= 52 - 11
    assert place.short != OwnPlace("b" * 80, "n", "i").short
    assert len(place.name) <= 63


@pytest.mark.parametrize(
    ("ask", "probe"),
    [
        (Ask(http="http://{address}:{peer}/a/b", json="x"), {"httpGet": {"path": "/a/b", "port": 7001}}),
        (Ask(tcp="{address}:{client}"), {"tcpSocket": {"port": 7000}}),
        (Ask(http="https://{address}:{client}/"), {"tcpSocket": {"port": 7000}}),
    ],
)  # fmt: skip
def test_kubelet_asks_what_it_can(ask: Ask, probe: dict[str, Any]) -> None:
    found = readiness(Probe(ask, 10.0, 1.0, 3, 1), PORTS)
    waits = {"periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3, "successThreshold": 1}
    assert found == probe | waits


def test_kubelet_asks_where_its_word_decides_the_name(tmp_path: Path) -> None:
    ours, theirs = ordered(tmp_path), ordered(tmp_path, more=", dns: {balancer: engine}")
    named = dict.fromkeys(("data",), "i")
    assert parts_of(ours.plan, ours.target, named, keeps=True)[0].probe is None
    probe = parts_of(theirs.plan, theirs.target, named, keeps=True)[0].probe
    assert probe is not None
    assert (probe.every_s, probe.timeout_s, probe.fall, probe.rise) == (10.0, 1.0, 3, 1)


def test_kubelets_waits_are_in_the_plan_only_where_containers_die(tmp_path: Path) -> None:
    def names(fault: str) -> set[str]:
        return {each.name for each in ordered(tmp_path, fault).plan.parameters}

    assert {"back_off_s", "death_seen_s", "readiness_every_s"} <= names("kill: {recovery: policy}")
    assert not {"back_off_s", "death_seen_s"} & names("kill: {}")
    assert "readiness_every_s" in names("kill: {}")


def test_the_next_pod_of_ours_takes_longer_than_that_of_others(tmp_path: Path) -> None:
    """Its agent and its gate come before the system: a range of its own, with whose word it is."""
    (found,) = [each for each in ordered(tmp_path, "delete: {}").plan.parameters if each.name == "replacement_s"]
    theirs = parameters.read("replacement", KubernetesRuntime.surroundings["replacement"].text)
    assert found.value > theirs.low
    assert found.high is not None
    assert found.high > theirs.high
    assert found.origin.startswith("measured")


def test_who_starts_dead_nodes_is_one_or_the_other(tmp_path: Path) -> None:
    assert starts_nodes(ordered(tmp_path).plan)
    assert not starts_nodes(ordered(tmp_path, "kill: {recovery: policy}").plan)
    with pytest.raises(BadInput, match="recovery: policy"):
        starts_nodes(ordered(tmp_path, further=", {kill: {recovery: policy}, target: any, at: [9s], for: 3s}").plan)


def test_the_image_of_a_part_is_said_by_the_experiment_the_environment_or_the_target(tmp_path: Path) -> None:
    plain, named = ordered(tmp_path), ordered(tmp_path, more=", kubernetes: {images: {data: r.test/a:1}}")
    assert images(plain.plan, plain.target, {}) == {"data": built_name("replicated_kv")} == {"data": "nines-target-replicated-kv"}
    environment = {"NINES_KUBERNETES_TARGET_IMAGE": "r.test/b:2"}
    assert images(plain.plan, plain.target, environment) == {"data": "r.test/b:2"}
    assert images(named.plan, named.target, environment) == {"data": "r.test/a:1"}


class Versioned:
    access = "there"

    def __init__(self, version: str) -> None:
        self._version = version

    def version(self) -> str:
        return self._version


@pytest.mark.parametrize(("version", "does"), [("v1.34.4", True), ("v1.29.0+k3s1", True), ("v1.28.15", False), ("v2.0.0", True)])
def test_a_cluster_without_sidecars_is_refused(version: str, does: bool) -> None:
    if does:
        refuse_old(Versioned(version))  # type: ignore[arg-type]
        return
    with pytest.raises(CapabilityMissing, match=r"(?s)no sidecars.*Kubernetes 1\.29"):
        refuse_old(Versioned(version))  # type: ignore[arg-type]


class Strict:
    """An API server that allows what is listed."""

    access = "there"

    def __init__(self, *resources: str) -> None:
        self.allowed = resources

    def ask(self, _method: str, _path: str, body: dict[str, Any]) -> dict[str, Any]:
        asked = body["spec"]["resourceAttributes"]
        assert (asked["namespace"] == "") == (asked["resource"] == "namespaces")
        return {"status": {"allowed": asked["resource"] in self.allowed}}


ALLOWED = ("pods", "services", "statefulsets", "events", "serviceaccounts", "roles", "rolebindings", "jobs")


def test_what_may_not_be_done_is_said_with_what_would_do() -> None:
    refuse_unable(Strict(*ALLOWED), "trials", own=True)  # type: ignore[arg-type]
    refuse_unable(Strict(*ALLOWED, "namespaces"), "nines-1", own=True, whole=True)  # type: ignore[arg-type]
    with pytest.raises(EnvironmentUnusable, match=r"(?s)create statefulsets\.apps \(for the nodes\).*--kubernetes trials --rbac --own"):
        refuse_unable(Strict(*(set(ALLOWED) - {"statefulsets"})), "trials", own=True)  # type: ignore[arg-type]
    with pytest.raises(EnvironmentUnusable, match=r"(?s)make a namespace.*NINES_KUBERNETES_NAMESPACE") as refused:
        refuse_unable(Strict(), "nines-1", own=True, whole=True)  # type: ignore[arg-type]
    assert "statefulsets" not in str(refused.value)  # which somebody who names a namespace may well have


def status(**containers: dict[str, Any]) -> dict[str, Any]:
    states = [{"name": name, "state": state} for name, state in containers.items()]
    return {"spec": {"initContainers": [{"name": "make_gate"}, {"name": "agent"}]}, "status": {"podIP": "10.0.0.1",
            "initContainerStatuses": [each for each in states if each["name"] != "system"],
            "containerStatuses": [each for each in states if each["name"] == "system"]}}  # fmt: skip


def test_a_gate_stands_when_its_container_runs() -> None:
    assert gate_stands(status(make_gate={"terminated": {"exitCode": 0}}, agent={"running": {}}, system={"running": {}}))
    assert not gate_stands(status(agent={"running": {}}, system={"waiting": {"reason": "PodInitializing"}}))
    assert not gate_stands({"status": {"podIP": "10.0.0.1"}})


def test_what_hinders_a_pod_is_told_and_an_init_container_that_is_done_hinders_nobody() -> None:
    fine = status(make_gate={"terminated": {"exitCode": 0}}, agent={"running": {}}, system={"waiting": {"reason": "PodInitializing"}})
    assert hindrance(fine) == ""
    assert hindrance(status(make_gate={"terminated": {"exitCode": 1, "reason": "Error"}})).endswith("exit status 1)")
    lacks = status(system={"waiting": {"reason": "ErrImagePull", "message": "no such image"}})
    assert hindrance(lacks) == "ErrImagePull: no such image"
    assert hindrance(status(system={"terminated": {"exitCode": 0, "reason": "Completed"}})).startswith("its container ended")


@pytest.mark.parametrize(
    ("fault", "more", "why"),
    [
        ("clock: {offset: 5s}", "", "not been tried in pods"),
        ("kill: {process: serving}", "", "not been tried in pods"),
    ],
)  # fmt: skip
def test_what_is_not_done_to_pods_of_ours_is_refused(tmp_path: Path, fault: str, more: str, why: str) -> None:
    with pytest.raises(CapabilityMissing, match=why):
        ordered(tmp_path, fault, more)


def test_what_a_node_may_use_is_a_limit_of_its_system_alone(tmp_path: Path) -> None:
    """It requests no more than that; the agent's own container has none."""
    assert within(Allowed()) == {"requests": {"cpu": "200m", "memory": str(64 << 20)}}
    assert within(Allowed(cpus=0.1, memory_bytes=32 << 20)) == {
        "requests": {"cpu": "100m", "memory": str(32 << 20)}, "limits": {"cpu": "100m", "memory": str(32 << 20)},
    }  # fmt: skip
    asked = ordered(tmp_path, "cpu: {}", ", resources: {cpus: 0.5, memory: 128MB}")
    (part,) = parts_of(asked.plan, asked.target, {"data": "i"}, keeps=True)
    assert part.allowed == Allowed(0.5, 128_000_000)
    spec = PLACE.nodes(JOB, part, "")["spec"]["template"]["spec"]
    assert "limits" in spec["containers"][0]["resources"]
    assert "limits" not in spec["initContainers"][1]["resources"]


def test_guests_on_the_machines_are_for_loads_alone(tmp_path: Path) -> None:
    limits = ", resources: {cpus: 0.5, memory: 128MB}"
    assert is_loaded(ordered(tmp_path, "memory: {percent: 50%}", limits).plan)
    assert is_loaded(ordered(tmp_path, "io: {}", limits).plan)
    assert not is_loaded(ordered(tmp_path, "kill: {}", limits).plan)
    with pytest.raises(CapabilityMissing, match="no disks of limited size"):
        ordered(tmp_path, "kill: {}", ", resources: {disk: 64MB}")


def test_a_gate_that_becomes_another_user_is_roots() -> None:
    """A part whose systems run as whoever its image says keeps that user."""
    assert KubernetesRuntime.target_lacks(load_target("patroni"), "data") is None
    assert "securityContext" not in pod()["containers"][0]
    becomes = PartSpec("data", 3, "store:1", PORTS, ("/data",), keeps=True, becomes=True)
    (system,) = PLACE.nodes(JOB, becomes, "")["spec"]["template"]["spec"]["containers"]
    assert system["securityContext"]["runAsUser"] == 0


def test_a_place_of_others_is_as_it_was() -> None:
    role = Place("r", "shop", "i").role(JOB)
    assert any("services" in rule["resources"] for rule in role["rules"])
