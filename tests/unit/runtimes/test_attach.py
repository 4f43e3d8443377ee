"""What an experiment says about a system that already runs, and what can be read off it, without an engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chaos.api import Ordered, order_text
from chaos.cli.manual_orders import by_nodes
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.plan.attached import client_name
from chaos.report.format import victims
from chaos.runtimes.docker.attach.find import Key, in_order, read_keys, write_keys

HOME = '{home: {http: "http://web:8080/start", rate: 20/s}}'
FAULT = "{pause: {}, target: any, at: 1s, for: 1s}"


def web(tmp_path: Path, cluster: str, operations: str = HOME, fault: str = FAULT) -> Ordered:
    """An experiment on such a cluster."""
    text = f"""
experiment: web
question: How long do visitors wait?
cluster: {cluster}
traffic: {{operations: {operations}}}
faults: [{fault}]
"""
    return order_text(text, tmp_path / "web.yaml")


def test_the_operations_say_how_nodes_are_asked(tmp_path: Path) -> None:
    """Port, question and name come from the first operation; it runs on docker, with the engine's own names."""
    made = web(tmp_path, "{attach: {label: app=web}, nodes: 3}")
    (part,) = made.target.parts.values()
    assert list(made.target.parts) == ["web"]
    assert part.ports == {"client": 8080}
    assert part.ready.http == "http://{address}:{client}/start"
    assert part.ping["client"].http == part.ready.http
    assert [node.name for node in made.plan.nodes] == ["n1", "n2", "n3"]
    assert client_name(made.experiment) == "web"
    assert (made.plan.runtime, made.plan.experiment.cluster.dns.balancer) == ("docker", "engine")


def test_services_are_parts(tmp_path: Path) -> None:
    """Of a compose project by its name, each with its own number of containers."""
    made = web(tmp_path, "{attach: {compose: shop, services: [web, api]}, parts: {web: 2, api: 1}}")
    assert [node.name for node in made.plan.nodes] == ["web-1", "web-2", "api-1"]


@pytest.mark.parametrize(("content", "project"), [("services: {}\n", "theshop"), ("name: my-Shop\nservices: {}\n", "my-shop")])
def test_a_compose_file_says_its_project(tmp_path: Path, content: str, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own word, else that of its folder, as compose makes it."""
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    folder = tmp_path / "The.Shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(content, encoding="utf-8")
    made = web(tmp_path, "{attach: {compose: The.Shop/compose.yaml, services: [web]}}")
    attach = made.experiment.cluster.attach
    assert attach is not None
    assert attach.project == project


def test_a_target_lends_its_roles_and_questions(tmp_path: Path) -> None:
    """Then operations are its own, and the name is said."""
    fault = "{kill: {}, target: leader, at: 1s, for: 1s}"
    made = web(tmp_path, "{attach: {label: app=kv, name: kv}, target: replicated_kv, nodes: 3}", "{write: 20/s}", fault)
    assert made.target.name == "replicated_kv"
    assert made.plan.has_roles
    assert client_name(made.experiment) == "kv"


@pytest.mark.parametrize(
    ("cluster", "operations", "says"),
    [
        ("{attach: {}}", HOME, "by 'label' or by 'compose'"),
        ("{attach: {label: app=web, compose: shop}}", HOME, "by 'label' or by 'compose'"),
        ("{attach: {label: app=web, services: [web]}}", HOME, "goes with 'compose'"),
        ("{attach: {compose: shop}}", HOME, "which services"),
        ("{attach: {compose: shop, services: [web, web]}}", HOME, "twice"),
        ("{attach: {compose: no.yaml, services: [web]}}", HOME, "no.yaml"),
        ("{attach: {compose: My Shop, services: [web]}}", HOME, "not the name of a compose project"),
        ("{attach: {label: app=web, lable: x}}", HOME, "unknown key 'lable'"),
        ("{attach: {label: 'a b'}}", HOME, "not a label"),
        ("{attach: {label: app=web, ports: 7001}}", HOME, "a list belongs"),
        ("{attach: {label: app=web, ports: [70010]}}", HOME, "out of range"),
        ("{attach: {label: app=web}, resources: {cpus: 1}}", HOME, "limits that they have"),
        ("{attach: {label: app=web}, settings: {a: b}}", HOME, "nothing that already runs is set"),
        ("{attach: {label: app=web}, dns: {balancer: round-robin}}", HOME, "keeps its own names"),
        ("{attach: {label: app=web}}", '{home: {tcp: "web:8080", rate: 1/s}}', "how a node is asked"),
        ("{attach: {label: app=kv}, target: replicated_kv}", "{write: 20/s}", "which name clients resolve"),
        ("{target: replicated_kv, attach: {label: a, name: kv, ready: {tcp: x}}}", "{write: 20/s}", "says how its nodes are asked"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, cluster: str, operations: str, says: str) -> None:
    """With what would be right."""
    with pytest.raises(BadInput, match=says) as refused:
        web(tmp_path, cluster, operations)
    assert refused.value.right


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("{remove: {}, target: n1, at: 1s, for: 1s}", "not ours"),
        ("{dns: {mode: servfail}, at: 1s, for: 1s}", "no orders of ours"),
        ("{cpu: {}, target: n1, at: 1s, for: 1s}", "given limits first"),
        ("{disk_full: {}, target: n1, at: 1s, for: 1s}", "no limit of ours"),
    ],
)
def test_what_could_not_be_taken_back_to_the_last_trace_is_refused(tmp_path: Path, fault: str, says: str) -> None:
    """Before anything starts, with exit status 5."""
    with pytest.raises(CapabilityMissing, match=says):
        web(tmp_path, "{attach: {label: app=web}, nodes: 3}", fault=fault)


@pytest.mark.parametrize(
    "fault",
    [
        '{latency: {latency: 50ms}, target: {link: "n1 -> n2"}, at: 1s, for: 1s}',
        '{down: {}, target: {link: "clients -> n1"}, at: 1s, for: 1s}',
        '{bandwidth: {rate: 1MB/s, level: packets}, target: {link: "n1 -> n2"}, at: 1s, for: 1s}',
        "{partition: {existing: keep}, target: n1, at: 1s, for: 1s}",
    ],
)
def test_links_can_be_harmed(tmp_path: Path, fault: str) -> None:
    """Streams, packets, new connections only."""
    assert web(tmp_path, "{attach: {label: app=web}, nodes: 3}", fault=fault).plan.links


def test_a_link_is_harmed_at_every_port_that_is_named(tmp_path: Path) -> None:
    """The one that is asked, and those beside it; of a target too."""
    (part,) = web(tmp_path, "{attach: {label: app=web, ports: [8080, 7001]}, nodes: 3}").target.parts.values()
    assert part.ports == {"client": 8080, "port7001": 7001}
    cluster = "{attach: {label: app=kv, name: kv, ports: [7002]}, target: replicated_kv, nodes: 3}"
    (part,) = web(tmp_path, cluster, "{write: 20/s}").target.parts.values()
    assert {"port7002"} < set(part.ports)


def test_it_needs_containers(tmp_path: Path) -> None:
    """Plain processes cannot be joined."""
    with pytest.raises(CapabilityMissing, match="no containers"):
        web(tmp_path, "{attach: {label: app=web}, nodes: 3, runtime: local}")


def listed(name: str, **labels: str) -> dict[str, Any]:
    """A container as the engine lists it, with these labels of compose."""
    return {"Labels": {f"com.docker.compose.{word.replace('_', '-')}": value for word, value in labels.items()}, "Names": [f"/{name}"]}


def names(found: Sequence[dict[str, Any]]) -> list[str]:
    """In their order."""
    return [each["Names"][0].lstrip("/") for each in found]


def test_containers_are_put_in_order_as_people_count() -> None:
    """2 before 10; by the number that compose gave where all are replicas of one service, whatever their names are."""
    assert names(in_order([listed(f"web-{number}") for number in (10, 2, 1)])) == ["web-1", "web-2", "web-10"]
    replicas = [listed(name, project="p", service="web", container_number=number) for name, number in (("a", "10"), ("c", "2"), ("b", "9"))]
    assert names(in_order(replicas)) == ["c", "b", "a"]


def test_members_that_are_services_of_their_own_are_ordered_by_name() -> None:
    """The number is 1 for each of them, and the engine lists the newest first: it says nothing about their order."""
    members = [listed(f"ring-{letter}", project="ring", service=letter, container_number="1") for letter in "cba"]
    assert names(in_order(members)) == ["ring-a", "ring-b", "ring-c"]
    scaled = [listed(f"two-{service}-{number}", project="two", service=service, container_number=number)
              for number in "12" for service in ("b", "a")]  # fmt: skip
    assert names(in_order(scaled)) == ["two-a-1", "two-a-2", "two-b-1", "two-b-2"]
    alike = [listed(f"{project}-web-1", project=project, service="web", container_number="1") for project in ("shop-b", "shop-a")]
    assert names(in_order(alike)) == ["shop-a-web-1", "shop-b-web-1"], "services of the same name in two projects"
    mixed = [listed("z", project="p", service="web", container_number="1"), listed("by-hand")]
    assert names(in_order(mixed)) == ["by-hand", "z"]


def test_a_container_s_name_stands_for_its_node() -> None:
    """In every form of a selector, as a whole word only."""
    known = {"shop-web-1": "n1", "shop-web-10": "n10", "db.main": "n2"}
    assert by_nodes("shop-web-10", known) == "n10"
    assert by_nodes("clients -> shop-web-1", known) == "clients -> n1"
    assert by_nodes("[db.main, shop-web-1]", known) == "[n2, n1]"
    assert by_nodes("leader", known) == "leader"


def test_victims_are_shown_with_their_containers() -> None:
    """Nodes, links and groups; nothing is added where containers are ours."""
    known = {"n1": "shop-web-1", "n2": "shop-web-2"}
    assert victims(["n1", "n3"], known) == "n1 (shop-web-1), n3"
    assert victims(["clients -> n2"], known) == "clients -> n2 (shop-web-2)"
    assert victims(["n1->n2"], known) == "n1 (shop-web-1)->n2 (shop-web-2)"
    assert victims(["n1,n2"], known) == "n1 (shop-web-1),n2 (shop-web-2)"
    assert victims(["n1"], {}) == "n1"


def test_keys_are_kept_and_recognised(tmp_path: Path) -> None:
    """Never an id: an event of another container is not one of ours."""
    keys = [Key("n1", name="web-1"), Key("n2", project="shop", service="web", number="2")]
    write_keys(tmp_path, keys)
    assert read_keys(tmp_path) == keys
    assert read_keys(tmp_path / "other") == []
    compose = {
        "com.docker.compose.project": "shop", "com.docker.compose.service": "web", "com.docker.compose.container-number": "2", "name": "x",
    }  # fmt: skip
    assert [key.is_of({"name": "web-1"}) for key in keys] == [True, False]
    assert [key.is_of(compose) for key in keys] == [False, True]
    assert not keys[1].is_of({**compose, "com.docker.compose.container-number": "3"})
