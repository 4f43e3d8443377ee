"""Ephemeral containers of ours: what is asked of the API server, and which of them a run finds again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.api import order
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.kube import ephemeral
from chaos.kube.api import Refused
from chaos.kube.objects import Place
from chaos.plugin import Spot
from chaos.runtimes.kubernetes.lodgers import refuse_beyond_network
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime

RUN = "shop-20260101-000000-ab12cd"
EXPERIMENT = """\
experiment: shop
question: Do customers notice?
cluster: {{attach: {{kubernetes: {{namespace: shop, service: store, guests: ephemeral}}}}, nodes: 2}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}}}
faults: [{{{fault}, at: [1s], for: 3s}}]
"""


def pod(*states: tuple[str, str]) -> dict[str, Any]:
    return {
        "spec": {"ephemeralContainers": [{"name": name} for name, _ in states]},
        "status": {"ephemeralContainerStatuses": [{"name": name, "state": {state: {}}} for name, state in states]},
    }


def test_nothing_privileged_is_asked_for() -> None:
    found = ephemeral.container(RUN, "chaos-nines:1", 60)
    assert found["securityContext"] == {"runAsUser": 0, "runAsNonRoot": False, "capabilities": {"add": ["NET_ADMIN"]}}
    assert "targetContainerName" not in found
    job = ephemeral.unprivileged(Place(RUN, "shop", "chaos-nines:1").job(60, "{}", {}))
    spec = job["spec"]["template"]["spec"]
    assert "hostPID" not in spec
    assert spec["containers"][0]["securityContext"] == {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}
    assert not any(right.resource == "daemonsets" for right in ephemeral.RIGHTS)


def test_names_are_labels_of_the_dns_and_differ() -> None:
    for run in (RUN, "A.b_C" * 20):
        names = [ephemeral.name_of(run, number) for number in (0, 1, 12)]
        assert len(set(names)) == 3
        assert all(len(name) <= 63 and name.replace("-", "a").isalnum() and name == name.lower() for name in names)


def test_a_run_finds_the_one_that_runs() -> None:
    first, second = ephemeral.name_of(RUN), ephemeral.name_of(RUN, 1)
    assert ephemeral.alive(pod((first, "terminated"), (second, "running")), RUN) == second
    assert ephemeral.alive(pod((first, "terminated"), ("debugger-x", "running")), RUN) == ""
    assert ephemeral.alive({"spec": {}}, RUN) == ""


class Server:
    """A pod that starts what is added to it at once, or a server that says no."""

    def __init__(self, thing: dict[str, Any], refusal: str = "") -> None:
        self.thing = thing
        self.refusal = refusal
        self.added: list[str] = []

    def get(self, _kind: str, _namespace: str, _name: str) -> dict[str, Any]:
        return self.thing

    def ask(self, method: str, path: str, body: dict[str, Any], *, kind: str, **query: object) -> dict[str, Any]:
        assert (method, kind) == ("PATCH", "application/strategic-merge-patch+json")
        assert path == "api/v1/namespaces/shop/pods/store-0/ephemeralcontainers"
        if self.refusal:
            raise Refused(403, f"the API server refuses PATCH {path}: {self.refusal}", "")
        (wanted,) = body["spec"]["ephemeralContainers"]
        if not query:
            self.added.append(wanted["name"])
            self.thing["status"]["ephemeralContainerStatuses"].append({"name": wanted["name"], "state": {"running": {}}})
        return self.thing


def test_one_is_added_only_where_none_runs() -> None:
    first = ephemeral.name_of(RUN)
    there = Server(pod((first, "running")))
    assert ephemeral.ensure(there, "shop", "store-0", RUN, "i", 60) == first  # type: ignore[arg-type]
    assert there.added == []
    ended = Server(pod((first, "terminated")))
    assert ephemeral.ensure(ended, "shop", "store-0", RUN, "i", 60) == ephemeral.name_of(RUN, 1)  # type: ignore[arg-type]
    assert ended.added == [ephemeral.name_of(RUN, 1)]


def test_a_no_is_told_before_anything_is_made() -> None:
    place = Place(RUN, "shop", "chaos-nines:1")
    willing = Server(pod())
    ephemeral.refuse_unadmitted(willing, place, ["store-0"])  # type: ignore[arg-type]
    assert willing.added == []
    with pytest.raises(EnvironmentUnusable, match=r"may not be given an ephemeral container with NET_ADMIN: violates PodSecurity"):
        ephemeral.refuse_unadmitted(Server(pod(), "violates PodSecurity"), place, ["store-0"])  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["kill: {recovery: policy}, target: any", "pause: {}, target: any", "cpu: {}, target: any",
                                   'latency: {latency: 50ms}, target: {link: "n1 -> n2"}', "drain: {}, target: {host: m1}",
                                   "partition: {by: host}, target: {host: m1}"])  # fmt: skip
def test_what_needs_more_than_the_network_is_refused(tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KubernetesRuntime, "spots", lambda *_: [Spot("m1"), Spot("m2")])
    file = tmp_path / "shop.yaml"
    file.write_text(EXPERIMENT.format(fault=fault), encoding="utf-8")
    with pytest.raises(CapabilityMissing, match="cannot be done with 'guests: ephemeral'"):
        refuse_beyond_network(order(file).plan)


@pytest.mark.parametrize("fault", ["partition: {}, target: any", "loss: {percent: 30%}, target: {link: clients -> any}",
                                   "delete: {}, target: any", "dns: {mode: servfail}"])  # fmt: skip
def test_what_the_network_and_the_api_server_can_do_is_not(tmp_path: Path, fault: str) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(EXPERIMENT.format(fault=fault), encoding="utf-8")
    refuse_beyond_network(order(file).plan)
