"""What pods, Services and CoreDNS say of themselves: manifests and configurations as they are written, and what they mean to the models."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.api import order
from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.pods import Past, PodsSpec
from chaos.kube.api import Api, Refused
from chaos.kube.find import pod_of
from chaos.kube.told import NEVER, at_first, of_control, of_lives, of_names, of_pods, of_service, of_version, stand, told
from chaos.plan.objectives import cautions
from chaos.plugin import Told
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime
from tests.unit.kube.test_find import thing

KUBEADM = """.:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 30
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
}
"""
K3S = """.:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    cache 30
}
"""
"""And kubeadm's until v1.32, but for its ``ttl 30``."""


@pytest.mark.parametrize(
    ("corefile", "ttl_s", "kept_s"),
    [
        (KUBEADM, 30, 0),
        (K3S, 5, 5),  # the plugin's own 5 s, kept no longer than that
        (K3S.replace("pods insecure", "ttl 30"), 30, 30),
        (K3S.replace("pods insecure", "ttl 60"), 60, 30),
        (K3S.replace("    cache 30\n", ""), 5, 0),
        (K3S.replace("cache 30", "cache {\n success 9984 2\n }"), 5, 2),
        (K3S.replace("cache 30", "cache"), 5, 5),
    ],
)
def test_what_coredns_keeps(corefile: str, ttl_s: int, kept_s: int) -> None:
    assert of_names(corefile) == {"name_ttl": f"{ttl_s}s", "name_cache": f"{kept_s}s"}


def test_a_server_of_another_kind_says_nothing() -> None:
    assert of_names("") == {}
    assert of_names(".:53 {\n forward . 1.1.1.1\n}") == {}


def pod(owner: str = "StatefulSet", grace_s: int | None = None, **container: Any) -> dict[str, Any]:
    found = thing("store-0", metadata={"ownerReferences": [{"kind": owner, "controller": True}]})
    found["spec"]["containers"][0] |= container
    return found if grace_s is None else found | {"spec": {**found["spec"], "terminationGracePeriodSeconds": grace_s}}


@pytest.mark.parametrize(
    ("hook", "lag"),
    [
        (None, None),  # the cluster said nothing of it
        ({"sleep": {"seconds": 5}}, "5.01s..5.15s"),
        ({"exec": {"command": ["sleep", "5"]}}, "5.01s..5.15s"),
        ({"exec": {"command": ["/bin/sh", "-c", "sleep 2.5"]}}, "2.51s..2.65s"),
        ({"exec": {"command": ["/stop.sh"]}}, None),  # nobody can see how long that takes
        ({"sleep": {"seconds": 60}}, "20.01s..20.15s"),  # the grace ends it
    ],
)
def test_a_hook_that_sleeps_puts_the_end_off(hook: Any, lag: str | None) -> None:
    found = of_pods([pod(grace_s=20, **({"lifecycle": {"preStop": hook}} if hook else {}))], "store")
    assert (found.get("ending_lag"), found["grace"]) == (lag, "20s")


FOR_300_S = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}


@pytest.mark.parametrize(
    ("tolerations", "said"),
    [
        ([{**FOR_300_S, "key": "node.kubernetes.io/not-ready"}, FOR_300_S], "300s"),  # as the API server writes them into every pod
        ([{**FOR_300_S, "tolerationSeconds": 20}], "20s"),
        ([{**FOR_300_S, "tolerationSeconds": -1}], "0s"),
        ([{"operator": "Exists"}], f"{NEVER}s"),  # as a DaemonSet of the system has it
        ([{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}], f"{NEVER}s"),
        ([{"operator": "Exists", "effect": "NoSchedule"}, FOR_300_S], "300s"),
        ([FOR_300_S, {"operator": "Exists"}], "300s"),  # the first that fits decides
        ([{**FOR_300_S, "operator": "Equal", "value": "yes"}], "0s"),
        ([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "tolerationSeconds": 7}], "7s"),
        ([], "0s"),
    ],
)
def test_how_long_a_silent_machine_is_tolerated(tolerations: list[dict[str, Any]], said: str) -> None:
    """By the rules of the taint manager of v1.34 (``taint_eviction.go``, ``GetMatchingTolerations``)."""
    found = pod()
    found["spec"]["tolerations"] = tolerations
    assert of_pods([found], "store")["eviction"] == said


def test_a_probe_as_it_is_written_and_as_it_is_left_out() -> None:
    probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 3, "failureThreshold": 2}
    found = of_pods([pod(readinessProbe=probe)], "store")
    assert {key: found[key] for key in sorted(found) if key.startswith("readiness")} == {
        "readiness_every": "3s", "readiness_fall": "2", "readiness_rise": "1", "readiness_timeout": "1s",
    }  # fmt: skip
    assert of_pods([pod(readinessProbe={})], "store")["readiness_fall"] == str(NEVER)
    assert found["grace"] == "30s"


NOON = datetime(2026, 12, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("restarts", "ended", "began", "past"),
    [
        (0, None, "11:00:00", {}),
        (1, "11:55:00", "11:55:02", {"n1": Past(1, -298.0)}),
        (2, "11:55:00", "11:55:13", {"n1": Past(2, -287.0)}),  # it waited 10 s: its second death
        (9, "11:55:00", "11:55:13", {"n1": Past(2, -287.0)}),  # the other seven are long forgotten
        (4, "11:55:00", "11:55:47", {"n1": Past(4, -253.0)}),
        (9, "11:50:00", "11:55:04", {"n1": Past(7, -296.0)}),  # the longest wait
        (2, "11:55:00", "11:55:48", {"n1": Past(2, -252.0)}),  # no more than there were: a slow machine
        (1, None, "11:55:02", {"n1": Past(1, -298.0)}),  # kubelet has removed what died
    ],
)
def test_what_kubelet_remembers(restarts: int, ended: str | None, began: str, past: dict[str, Past]) -> None:
    state: dict[str, Any] = {"restartCount": restarts, "state": {"running": {"startedAt": f"2026-12-01T{began}Z"}}}
    if ended is not None:
        state["lastState"] = {"terminated": {"finishedAt": f"2026-12-01T{ended}Z"}}
    one = pod()
    one["status"]["containerStatuses"][0] |= state
    spec = PodsSpec("shop", selector="app=store")
    assert of_lives([pod_of(one, spec)], [one], NOON) == past


def test_who_makes_the_next_one_and_when() -> None:
    assert "successor" not in of_pods([pod()], "store")
    assert of_pods([pod("ReplicaSet")], "store")["successor"] == "at-once"


def test_a_service_with_one_address() -> None:
    assert of_service({"spec": {"clusterIP": "10.96.0.7"}}) == {"name_leads_to": "one-address"}
    assert of_service({"spec": {"clusterIP": "None"}}) == of_service(None) == {}


def manager(*words: str) -> dict[str, Any]:
    found = thing("kube-controller-manager-m1")
    found["spec"]["containers"][0]["command"] = ["kube-controller-manager", *words]
    return found


def test_how_long_a_silent_machine_is_waited_for() -> None:
    """The flag; the default of the version (40 s until 1.31) where the manager does not show itself; nothing of one that is new."""
    assert of_control([manager("--node-monitor-grace-period=1m30s", "--node-monitor-period=2s")]) == {
        "machine_grace": "90s", "machine_look": "2s",
    }  # fmt: skip
    assert of_control([manager("--v=2")]) == of_control([]) == of_control([manager("--node-monitor-period=soon")]) == {}
    assert of_version("v1.31.2+k3s1") == {"machine_grace": "40s"}
    assert of_version("v1.32.0") == of_version("v1.34.4") == of_version("") == {}


class Answers:
    """Of an API server."""

    def __init__(self, may: bool = True) -> None:
        self._may = may

    def listed(self, kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        del kind
        if namespace == "shop":
            return [thing("nines-x", metadata={"labels": {"nines.run": "x"}}), pod()]
        if not self._may:
            raise Refused(403, "pods is forbidden", "")
        if selector == "component=kube-controller-manager":
            return [manager("--node-monitor-grace-period=1m10s", "--v=2")]
        assert selector == "k8s-app in (kube-dns,node-local-dns)"
        return [thing(name, spec={"nodeName": machine}) for name, machine in (("a", "m1"), ("b", "m1"), ("c", "m2"))]

    def version(self) -> str:
        return "v1.31.2+k3s1"

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        del namespace, name
        return {"spec": {"clusterIP": "None"}} if kind == "services" else {"data": {"Corefile": KUBEADM}}


def test_all_that_may_be_read() -> None:
    spec = PodsSpec("shop", selector="app=store", service="store")
    found = told(cast("Api", Answers()), spec)
    assert found.name_servers == {"m1": 2, "m2": 1}
    assert (found.parameters["name_ttl"], found.parameters["grace"], found.unseen) == ("30s", "30s", "")
    assert found.parameters["machine_grace"] == "70s"
    less = told(cast("Api", Answers(may=False)), spec)
    assert "pods is forbidden" in less.unseen
    assert (less.parameters["grace"], less.parameters["machine_grace"]) == ("30s", "40s")
    assert not less.name_servers


def test_name_servers_that_are_not_ready_do_not_count() -> None:
    away = thing("c", spec={"nodeName": "m3"})
    away["status"]["conditions"] = []
    assert stand([thing("a"), away]) == {"m1": 1}


def test_a_cluster_out_of_reach_is_no_reason_to_make_no_plan() -> None:
    def read() -> Told:
        raise EnvironmentUnusable("no route", how="a cable")

    assert at_first(read) == Told(unseen="the cluster could not be asked: no route")


TEXT = """\
experiment: shop
question: Do customers notice?
cluster: {attach: {kubernetes: {namespace: shop, service: store}}, nodes: 3}
traffic: {operations: {home: {http: "http://store:8080/", rate: 20/s}}}
faults: [{restart: {by: delete}, target: any, at: [1s], for: 30s}]
predict: {parameters: {restart: 1s, grace: 9s}}
"""


def test_a_plan_has_it_in_place_of_defaults_and_below_the_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And two plans of other words of the cluster are of one configuration."""
    (tmp_path / "shop.yaml").write_text(TEXT)
    monkeypatch.setattr(KubernetesRuntime, "told", lambda _: Told())
    without = order(tmp_path / "shop.yaml").plan
    monkeypatch.setattr(KubernetesRuntime, "told", lambda _: Told({"readiness_every": "3s", "grace": "20s"}, {"m1": 1}))
    plan = order(tmp_path / "shop.yaml").plan
    known = {each.name: (each.value, each.origin) for each in plan.parameters}
    assert known["readiness_every_s"] == (3.0, "the cluster's own word")
    assert known["grace_s"] == (9.0, "experiment")
    assert known["name_ttl_s"] == (30.0, "kubeadm's default")
    assert plan.configuration == without.configuration


def test_plan_says_what_it_could_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.yaml").write_text(TEXT)
    monkeypatch.setattr(KubernetesRuntime, "told", lambda _: Told(unseen="the cluster could not be asked: no route"))
    assert "the cluster could not be asked: no route. The prediction takes" in " ".join(cautions(order(tmp_path / "shop.yaml").plan))
