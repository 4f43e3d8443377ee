"""Data of nodes that outlives their pods: as manifests, by the classes of a cluster, and in the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.api import order
from chaos.cli import doctor_kubernetes
from chaos.cli.doctor import MISSING, OK, OPTIONAL
from chaos.core.errors import BadInput, CapabilityMissing, EnvironmentUnusable
from chaos.elsewhere.own_in_cluster import class_of, said_of
from chaos.experiment.document import Experiment
from chaos.experiment.pods import OursSpec
from chaos.kube.api import Refused
from chaos.kube.classes import DEFAULT, StorageClass, chosen
from chaos.kube.own import Claims, OwnPlace, PartSpec
from chaos.kube.rights import FOR_CLAIMS, OF_CLASSES, OWN_RIGHTS, manifest, missing
from chaos.kube.standing import CLAIMS, Whereabouts
from chaos.plan.objectives import cautions
from chaos.plan.plan import Plan
from chaos.plugin import Spot
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime

JOB = {"metadata": {"name": "j", "uid": "u"}}
DATA = PartSpec("data", 3, "store:1", {"client": 7000}, ("/var/lib/store", "/logs"), keeps=True)
PLAIN = OwnPlace("r", "n", "i", moves=True)
CLAIMED = msgspec.structs.replace(PLAIN, claims=Claims("fast", 2 << 30))
EXPERIMENT = """\
experiment: ours
question: Do clients notice?
cluster: {{target: {target}, nodes: 3, runtime: kubernetes{more}}}
traffic: {{operations: {{write: 20/s, read: 20/s}}, judge: write}}
faults: [{{{fault}, at: [1s], for: 3s}}]
"""
DELETE = "delete: {}, target: any"
DRAIN = "drain: {}, target: {host: m1}"
VOLUMES = ", kubernetes: {volumes: claims}"


def planned(folder: Path, fault: str = DELETE, more: str = "", target: str = "replicated_kv") -> Plan:
    file = folder / "ours.yaml"
    file.write_text(EXPERIMENT.format(fault=fault, more=more, target=target))
    return order(file).plan


def test_each_folder_of_data_is_a_claim_that_goes_with_the_statefulset() -> None:
    spec = CLAIMED.nodes(JOB, DATA, "")["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Retain"}
    assert [each["metadata"]["name"] for each in spec["volumeClaimTemplates"]] == ["data-0", "data-1"]
    for each in spec["volumeClaimTemplates"]:
        assert each["metadata"]["labels"]["nines.run"] == "r"  # by which they are found, whatever becomes of the StatefulSet
        asked = {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "resources": {"requests": {"storage": "2147483648"}}}
        assert each["spec"] == asked
    pod = spec["template"]["spec"]
    assert pod["volumes"] == [{"name": "gate", "emptyDir": {}}]  # the gate's is of one pod
    (system,) = pod["containers"]
    mounts = {each["mountPath"]: each for each in system["volumeMounts"]}
    assert mounts["/var/lib/store"] == {"name": "data-0", "mountPath": "/var/lib/store", "subPath": "data"}
    assert pod["initContainers"][1]["volumeMounts"] == system["volumeMounts"][:3]


def test_a_class_that_nobody_names_is_left_to_the_cluster() -> None:
    unnamed = msgspec.structs.replace(PLAIN, claims=Claims("", 1))
    (first, _) = unnamed.nodes(JOB, DATA, "")["spec"]["volumeClaimTemplates"]
    assert "storageClassName" not in first["spec"]


def test_without_claims_everything_goes_with_the_pod() -> None:
    spec = PLAIN.nodes(JOB, DATA, "")["spec"]
    assert not {"volumeClaimTemplates", "persistentVolumeClaimRetentionPolicy"} & set(spec)
    assert all(each.keys() == {"name", "emptyDir"} for each in spec["template"]["spec"]["volumes"])
    assert not any("subPath" in each for each in spec["template"]["spec"]["initContainers"][1]["volumeMounts"])


def test_claims_are_looked_for_after_a_run_that_made_some() -> None:
    where = Whereabouts("here", "n", own=True, whole=True, claims=True)
    assert CLAIMS in where.kinds
    assert where.kinds.index("pods") < where.kinds.index(CLAIMS) < where.kinds.index("namespaces")
    assert Whereabouts.parsed(where.written) == where
    assert CLAIMS not in Whereabouts.parsed('{"context": "a", "namespace": "b", "own": true}').kinds


class Server:
    """An API server with these classes; None: they may not be read."""

    access = "there"

    def __init__(self, *found: dict[str, Any] | None) -> None:
        self._found = found

    def close(self) -> None: ...

    def listed(self, kind: str, namespace: str) -> list[dict[str, Any]]:
        assert (kind, namespace) == ("storageclasses", "")
        if None in self._found:
            raise Refused(403, "forbidden", "")
        return [each for each in self._found if each is not None]

    def ask(self, _method: str, _path: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"status": {"allowed": "persistent" not in body["spec"]["resourceAttributes"]["resource"]}}


def a_class(name: str, *, default: bool = False, made: str = "", **more: str) -> dict[str, Any]:
    noted = {"annotations": {DEFAULT: "true"}} if default else {}
    return {"metadata": {"name": name, "creationTimestamp": made, **noted}, "provisioner": "p", **more}


def found_in(*classes: dict[str, Any] | None, name: str = "") -> StorageClass | None:
    return class_of(Server(*classes), OursSpec(volumes="claims", storage_class=name))  # type: ignore[arg-type]


def test_of_two_defaults_the_newer_one_counts_as_the_cluster_itself_has_it() -> None:
    old, new = (a_class(name, default=True, made=made) for name, made in (("a", "2026-01-01T00:00:00Z"), ("b", "2026-01-02T00:00:00Z")))
    assert found_in(old, new) == found_in(new, old) == StorageClass("b", "p", default=True, made="2026-01-02T00:00:00Z")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fast", r"no StorageClass 'fast'; there is: slow \(p\)"),
        ("", r"no default StorageClass; there is: slow \(p\)"),
        ("slow", r"reclaimPolicy: Retain"),
    ],
)
def test_what_is_not_there_or_would_stay_is_refused_with_what_there_is(name: str, why: str) -> None:
    with pytest.raises(EnvironmentUnusable, match=why) as refused:
        found_in(a_class("slow", reclaimPolicy="Retain"), name=name)
    assert refused.value.exit_code == 5
    with pytest.raises(EnvironmentUnusable, match="there is: none"):
        chosen([], name)


def test_classes_that_may_not_be_read_hinder_nobody() -> None:
    """The cluster says it then, when claims find no volume."""
    assert found_in(None) is None
    assert "may not be read" in said_of(None, OursSpec(volumes="claims"))
    waits = found_in(a_class("disk", volumeBindingMode="WaitForFirstConsumer"), name="disk")
    assert said_of(waits, OursSpec()).endswith("each volume is made where its pod stands")


def test_rights_are_asked_for_only_where_there_are_claims() -> None:
    """Who makes claims is the StatefulSet's controller."""
    (claims,) = FOR_CLAIMS
    assert claims.verbs == ("list", "delete")
    assert claims not in OWN_RIGHTS
    server = Server()
    assert missing(server, "n", own=True) == []  # type: ignore[arg-type]
    assert len(missing(server, "n", own=True, claims=True)) == 2  # type: ignore[arg-type]
    plain, with_claims = (manifest("n", own=True, claims=claims) for claims in (False, True))
    assert not any("persistentvolumeclaims" in rule["resources"] for rule in plain[0]["rules"])
    assert any("persistentvolumeclaims" in rule["resources"] for rule in with_claims[0]["rules"])
    (role,) = (each for each in with_claims if each["kind"] == "ClusterRole")
    assert [rule["resources"] for rule in role["rules"]] == [[OF_CLASSES[0].resource]]
    assert len(plain) == 2
    assert "storageclasses" in doctor_kubernetes.rbac("n", "me", own=True, claims=True)


@pytest.mark.parametrize(
    ("classes", "state"),
    [
        ((a_class("a", default=True),), OK),
        ((a_class("a"),), OPTIONAL),  # one that is named will do
        ((None,), OPTIONAL),
        ((), MISSING),
        ((a_class("a", default=True, reclaimPolicy="Retain"),), MISSING),
    ],
)
def test_the_doctor_looks_for_a_default_class(classes: tuple[dict[str, Any] | None, ...], state: str) -> None:
    assert doctor_kubernetes._class(Server(*classes)).state == state  # type: ignore[arg-type]  # noqa: SLF001


@pytest.mark.parametrize("key", ["storage_class: fast", "size: 2GiB"])
def test_what_is_of_claims_goes_with_claims(tmp_path: Path, key: str) -> None:
    with pytest.raises(BadInput, match="volumes: claims"):
        planned(tmp_path, more=f", kubernetes: {{{key}}}")
    found = planned(tmp_path, more=f", kubernetes: {{volumes: claims, {key}}}").experiment.cluster.kubernetes
    assert found.outlives
    assert (found.storage_class, found.size_bytes) in (("fast", 1 << 30), ("", 2 << 30))


def test_the_plan_knows_whether_the_next_pod_has_the_data(tmp_path: Path) -> None:
    def words(fault: str, more: str = "") -> dict[str, str]:
        return {each.name: each.word for each in planned(tmp_path, fault, more).parameters if each.name.startswith("successor")}

    assert words(DELETE) == {"successor_data": "lost"}
    assert words(DELETE, VOLUMES) == {"successor_data": "kept"}
    assert words("kill: {}, target: any", VOLUMES) == {}


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who makes the volumes, as the cluster says it; three machines."""
    said = [""]

    def told(_experiment: Experiment) -> str:
        return said[0]

    monkeypatch.setattr(KubernetesRuntime, "ground", lambda _experiment: [Spot(f"m{number}") for number in (1, 2, 3)])
    monkeypatch.setattr(KubernetesRuntime, "keeper", told)
    return said


@pytest.mark.parametrize(
    ("classes", "keeper"), [((a_class("a", default=True),), "p"), ((a_class("a"),), ""), ((None,), "")],
)  # fmt: skip
def test_the_class_itself_says_who_makes_its_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: tuple[dict[str, Any] | None, ...], keeper: str
) -> None:
    """Where that is not known, or nobody can be asked, a plan can be made all the same."""
    experiment = planned(tmp_path, more=VOLUMES).experiment
    monkeypatch.setattr("chaos.kube.access.read", lambda *_: "there")
    monkeypatch.setattr("chaos.kube.api.Api", lambda _: Server(*classes))
    assert KubernetesRuntime.keeper(experiment) == keeper

    def unreachable(*_: object) -> None:
        raise EnvironmentUnusable("no kubeconfig", how="")

    monkeypatch.setattr("chaos.kube.access.read", unreachable)
    assert KubernetesRuntime.keeper(experiment) == ""


def test_a_drain_says_whether_volumes_can_follow(tmp_path: Path, keeper: list[str]) -> None:
    def said(more: str = VOLUMES) -> tuple[str, str]:
        plan = planned(tmp_path, DRAIN, more)
        word = next((each.word for each in plan.parameters if each.name == "successor_place"), "")
        return word, " ".join(each for each in cautions(plan) if "'drain-1': " in each and "volumes" in each)

    word, caution = said()
    assert word == ""
    assert "whether volumes can follow a pod" in caution
    keeper[0] = "csi.of.somebody"
    assert "volumes of csi.of.somebody can follow" in said()[1]
    keeper[0] = "rancher.io/local-path"
    word, caution = said()
    assert word == "same-machine"
    assert "rancher.io/local-path stay on their machine" in caution
    assert said("") == ("", "")


def test_a_system_that_takes_nobody_back_without_data_is_deleted_only_with_claims(tmp_path: Path) -> None:
    with pytest.raises(CapabilityMissing, match=r"(?s)yaml:5: .*'etcd' \(data\) that has lost its data.*volumes: claims"):
        planned(tmp_path, target="etcd")
    assert planned(tmp_path, more=VOLUMES, target="etcd").windows
    assert planned(tmp_path, "kill: {}, target: any", target="etcd").windows
