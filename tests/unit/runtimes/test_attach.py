"""What an experiment says about a system that already runs, and what can be read off it, without an engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chaos.api import Ordered, order_text
from chaos.cli.manual_orders import attached, by_nodes, written
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.plan.attached import client_name, parts_of
from chaos.plan.objectives import cautions
from chaos.report.format import victims
from chaos.runtimes.docker.attach.find import Key, in_order, read_keys, write_keys
from chaos.runtimes.docker.attach.names import contradictions
from chaos.runtimes.docker.runtime import DockerRuntime

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


def by_hand(monkeypatch: pytest.MonkeyPatch, fault: str, ask: Sequence[str] = (), fields: Sequence[str] = (), **more: Any) -> Ordered:
    """A fault by hand on two containers of each service, or of one label."""
    monkeypatch.setattr(DockerRuntime, "running", lambda attach: {part: [f"{part}-x1", f"{part}-x2"] for part in parts_of(attach)})
    hand = written(fault, "any", "2s", fields)
    chosen = {"label": "label=app=web", "compose": None, "services": []} | more
    return attached(hand, ask=ask, **chosen)


def test_by_hand_nothing_need_be_known_but_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No port and no question; what needs one is refused, with the option that gives it."""
    (part,) = by_hand(monkeypatch, "pause").target.parts.values()
    assert part.by_process
    assert (part.ports, part.ping) == ({}, {})
    for fault, fields in (("kill", ()), ("partition", ()), ("loss", ("percent=10%",))):
        assert by_hand(monkeypatch, fault, fields=fields).plan.windows
    with pytest.raises(BadInput, match="--port 8080"):
        by_hand(monkeypatch, "connections", fields=["count=5"])
    stream = written("latency", "n1 -> n2", "2s", ["latency=50ms"])
    with pytest.raises(BadInput, match="--ask"):
        attached(stream, label="label=app=web", compose=None, services=[])


def test_by_hand_questions_are_of_http_or_tcp_and_of_each_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """``tcp`` needs an answer; each service has its own port and question, and is a part of its own."""
    tcp = by_hand(monkeypatch, "pause", ["tcp://{address}:6379"], send="PING\\r\\n", expect="+PONG")
    (part,) = tcp.target.parts.values()
    assert (part.ports, part.ready.tcp, part.ready.expect) == ({"client": 6379}, "{address}:6379", "+PONG")
    asked = ["web=https://{address}/up", "cache=tcp://{address}:6379"]
    two = by_hand(monkeypatch, "pause", asked, label=None, compose="shop", services=["web", "cache"], expect="+PONG", send="x")
    assert {name: (each.ports, each.ready.http or each.ready.tcp) for name, each in two.target.parts.items()} == {
        "web": ({"client": 443}, "https://{address}:443/up"), "cache": ({"client": 6379}, "{address}:6379"),
    }  # fmt: skip
    assert [node.name for node in two.plan.nodes] == ["web-1", "web-2", "cache-1", "cache-2"]


@pytest.mark.parametrize(
    ("ask", "wrong"),
    [
        (["tcp://{address}:6379"], "--send and --expect"),
        (["http://{address}:1/", "http://{address}:2/"], "several questions"),
        (["web=http://{address}:1/"], "no question for cache"),
        (["db=http://{address}:1/"], "'db', which is no service"),
        (["ftp://x/"], "--ask: 'ftp://x/' is no question"),
    ],
)
def test_by_hand_a_question_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, ask: list[str], wrong: str) -> None:
    """With the option that is right."""
    with pytest.raises(BadInput, match=re.escape(wrong)):
        by_hand(monkeypatch, "pause", ask, label=None, compose="shop", services=["web", "cache"])


def test_an_experiment_may_ask_each_part_its_own_question(tmp_path: Path) -> None:
    """``ready`` by part, or the word ``process``; a part that does not exist is refused by its line."""
    attach = "{compose: shop, services: {web: [web], db: [db]}, ready: READY}"
    cluster = f"{{attach: {attach}, parts: {{web: 1, db: 1}}, dns: {{balancer: engine, part: web}}}}"
    made = web(tmp_path, cluster.replace("READY", '{db: {tcp: "{address}:5432", send: x, expect: y}}'))
    assert made.target.parts["db"].ports == {"client": 5432}
    assert made.target.parts["web"].ports == {"client": 8080}
    assert web(tmp_path, cluster.replace("READY", "process")).target.parts["db"].by_process
    with pytest.raises(BadInput, match="there is no part 'bd'"):
        web(tmp_path, cluster.replace("READY", '{bd: {tcp: "{address}:5432"}}'))


def test_a_name_of_some_containers_is_seen_before_a_run(tmp_path: Path) -> None:
    """By the aliases that the engine knows; a name of none is a load balancer's, and one of all is right."""
    plan = web(tmp_path, "{attach: {label: app=web}, nodes: 2}").plan

    class Api:
        def __init__(self, aliases: dict[str, list[str]]) -> None:
            self.aliases = aliases

        def containers(self, **_: Any) -> list[dict[str, Any]]:
            return [{"Id": name, "Names": [f"/{name}"], "Labels": {}, "State": "running"} for name in self.aliases]

        def inspect_container(self, name: str) -> dict[str, Any]:
            networks = {"net": {"Aliases": self.aliases[name]}}
            return {"Name": f"/{name}", "Config": {"Hostname": name, "Labels": {}}, "NetworkSettings": {"Networks": networks}}

    def found(aliases: dict[str, list[str]]) -> list[tuple[str, str, str]]:
        return contradictions(Api(aliases), plan)  # type: ignore[arg-type]

    assert not found({})
    assert not found({"a": ["web"], "b": ["web"]})
    assert not found({"a": [], "b": []})
    ((path, what, _),) = found({"a": ["web"], "b": ["other"]})
    assert (path, what) == ("traffic.operations", "the name 'web' leads to 1 of 2 containers: clients would never reach b")


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


@pytest.mark.parametrize(("host", "looks"), [("kv1", True), ("shop-kv-2", True), ("web", False), ("{address}", False), ("10.0.0.1", False)])
def test_a_name_that_looks_like_one_member_s_is_cautioned_of(tmp_path: Path, host: str, looks: bool) -> None:
    """No engine is asked: of containers of a label no file says which has the name."""
    plan = web(tmp_path, "{attach: {label: app=kv}, nodes: 3}", f'{{home: {{http: "http://{host}:8080/", rate: 20/s}}}}').plan
    assert any("name of one member of 3" in each for each in cautions(plan)) == looks
