"""What a run makes in a cluster: every thing is found by its label, belongs to the Job, and may no more than the user gives away."""

from __future__ import annotations

from typing import Any

from chaos.kube import ephemeral
from chaos.kube.objects import Place
from chaos.kube.rights import RIGHTS, manifest

PLACE = Place("shop-20260101-000000-ab12", "shop", "chaos-nines:1")
JOB = {"metadata": {"name": PLACE.name, "uid": "u"}}
ALL: list[dict[str, Any]] = [
    PLACE.job(60, "{}", {}), PLACE.account(JOB), PLACE.role(JOB), PLACE.binding(JOB), PLACE.clients(JOB, "m1"),
    PLACE.guests(JOB, {"m2", "m1"}),
]  # fmt: skip


def test_everything_carries_the_run_and_goes_with_the_job() -> None:
    for each in ALL:
        assert each["metadata"]["namespace"] == "shop"
        assert each["metadata"]["labels"]["nines.run"] == PLACE.run
        if each["kind"] != "Job":
            assert each["metadata"]["ownerReferences"] == [{"apiVersion": "batch/v1", "kind": "Job", "name": PLACE.name, "uid": "u"}]


def test_the_job_is_one_pod_that_ends_and_goes_by_itself() -> None:
    spec = ALL[0]["spec"]
    assert spec["suspend"] is True
    assert spec["backoffLimit"] == 0
    assert spec["ttlSecondsAfterFinished"] == 60
    assert spec["activeDeadlineSeconds"] == 60 + 3600
    assert spec["template"]["spec"]["containers"][0]["command"] == ["sleep", str(60 + 3600)]


def test_guests_stand_on_the_machines_of_the_nodes_alone() -> None:
    affinity = ALL[5]["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    fields = [term["matchFields"] for term in affinity["nodeSelectorTerms"]]
    assert fields == [[{"key": "metadata.name", "operator": "In", "values": [name]}] for name in ("m1", "m2")]


def test_names_are_short_enough_for_a_label_of_the_dns() -> None:
    long = Place("a" * 80, "shop", "i")
    assert len(long.name) <= 63


def test_the_user_has_every_right_that_the_harness_is_given() -> None:
    """Kubernetes refuses to let anybody give away more than he has."""
    has = {(right.group, right.resource, verb) for right in RIGHTS for verb in right.verbs}
    role = next(each for each in ALL if each["kind"] == "Role")
    given = {(rule["apiGroups"][0], resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert given <= has
    for thing in ALL:
        kind = f"{thing['kind'].lower()}s"
        assert any(resource == kind and verb == "create" for _, resource, verb in has), kind


def test_the_manifest_is_of_one_namespace() -> None:
    role, binding = manifest("shop", "jane")
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "shop")
    assert binding["subjects"] == [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]
    assert not any("*" in rule["verbs"] + rule["resources"] for rule in role["rules"])


def test_rights_on_machines_are_asked_for_alone() -> None:
    """They are of the whole cluster, so who needs none of them is not given any."""
    assert not any(each["kind"].startswith("Cluster") for each in manifest("shop"))
    *_, role, binding = manifest("shop", hosts=True)
    assert (role["kind"], binding["kind"]) == ("ClusterRole", "ClusterRoleBinding")
    assert "namespace" not in role["metadata"]
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"nodes"}


def test_the_harness_pulls_its_image_by_the_secrets_of_the_namespace() -> None:
    """Its account is its own, so it would have none of those that every other pod there has."""
    place = Place("r", "shop", "registry.shop.test/chaos-nines:1")
    job = {"metadata": {"name": "r", "uid": "u"}}
    assert "imagePullSecrets" not in place.account(job)
    assert place.account(job, [{"name": "registry"}])["imagePullSecrets"] == [{"name": "registry"}]


def test_the_manifest_for_ephemeral_guests_names_no_daemonset() -> None:
    """Whoever may make one could make it privileged; and the container in the pod is a right of its own."""
    role, _ = manifest("shop", "jane", rights=ephemeral.RIGHTS)
    verbs = {resource: rule["verbs"] for rule in role["rules"] for resource in rule["resources"]}
    assert "daemonsets" not in verbs
    assert verbs["pods/ephemeralcontainers"] == ["patch"]
