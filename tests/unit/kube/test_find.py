"""Which pods are meant: from what an API server says of them, as recorded from a real one and cut down."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.experiment.pods import PodsSpec
from chaos.kube.find import choose, headless, pod_of, selector_of

SPEC = PodsSpec("shop", selector="app=store")
ID = "0123456789abcdef" * 4


def thing(name: str, *, containers: tuple[str, ...] = ("store",), state: str = "running", **more: Any) -> dict[str, Any]:
    statuses = [
        {"name": each, "state": {state: {}}, "containerID": f"containerd://{ID}", "imageID": "sha256:1", "restartCount": 2}
        for each in containers
    ]
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": {"app": "store"}, **more.get("metadata", {})},
        "spec": {"nodeName": "m1", "containers": [{"name": each} for each in containers], **more.get("spec", {})},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "containerStatuses": statuses,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def test_pods_are_nodes_in_the_order_of_their_names() -> None:
    found = choose([thing("store-10"), thing("store-2"), thing("store-1")], SPEC, "app=store", 3)
    assert [pod.name for pod in found] == ["store-1", "store-2", "store-10"]
    first = found[0]
    assert (first.uid, first.machine, first.address, first.container, first.container_id) == ("uid-store-1", "m1", "10.0.0.1", "store", ID)
    assert first.ready
    assert first.restarts == 2


def test_pods_that_are_ending_or_ours_or_over_do_not_count() -> None:
    ending = thing("store-1", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    ours = thing("nines-x", metadata={"labels": {"app": "store", "nines.run": "x"}})
    over = thing("store-9")
    over["status"]["phase"] = "Failed"
    assert [pod.name for pod in choose([ending, ours, over, thing("store-0")], SPEC, "app=store", 1)] == ["store-0"]
    with pytest.raises(EnvironmentUnusable, match="1 pods, and 1 that do not run with the labels 'app=store'") as refused:
        choose([ending, thing("store-0")], SPEC, "app=store", 2)
    assert "nodes: 1" in str(refused.value)


def test_a_pod_whose_container_waits_has_no_life_to_look_at() -> None:
    assert pod_of(thing("store-0", state="waiting"), SPEC).container_id == ""


def test_a_pod_in_the_network_of_its_machine_is_refused() -> None:
    with pytest.raises(CapabilityMissing, match="hostNetwork"):
        choose([thing("store-0", spec={"hostNetwork": True})], SPEC, "app=store", 1)


def test_of_several_containers_one_is_named_or_annotated() -> None:
    two = thing("store-0", containers=("proxy", "store"))
    with pytest.raises(EnvironmentUnusable, match="several containers: proxy, store"):
        pod_of(two, SPEC)
    assert pod_of(two, PodsSpec("shop", selector="a=b", container="store")).container == "store"
    annotated = thing(
        "store-0", containers=("proxy", "store"), metadata={"annotations": {"kubectl.kubernetes.io/default-container": "store"}}
    )
    assert pod_of(annotated, SPEC).container == "store"
    with pytest.raises(EnvironmentUnusable, match="no container 'db', but proxy, store"):
        pod_of(two, PodsSpec("shop", selector="a=b", container="db"))


def test_a_service_says_which_pods_are_behind_it() -> None:
    service = {"spec": {"clusterIP": "None", "selector": {"tier": "front", "app": "store"}}}
    assert selector_of(PodsSpec("shop", service="store"), service) == "app=store,tier=front"
    assert selector_of(SPEC, service) == "app=store"
    assert headless(service)
    assert not headless({"spec": {"clusterIP": "10.1.2.3"}})
    with pytest.raises(EnvironmentUnusable, match="has no selector"):
        selector_of(PodsSpec("shop", service="store"), {"spec": {}})
