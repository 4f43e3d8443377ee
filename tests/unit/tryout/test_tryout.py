"""``nines try`` without an engine: what is asked for, the experiment that is written, what is to be fixed, what the engine is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.api import order_text
from chaos.cli import main as cli
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.engine.compose.start import outside
from chaos.engine.compose.translate import Translation, refuse_unread
from chaos.engine.images.whole import needs
from chaos.experiment.compose.project import read_project
from chaos.tryout.first import Facts, first_experiment
from chaos.tryout.fixes import Seen, fixes
from chaos.tryout.probe import Asked, asked
from chaos.tryout.standing import Files
from chaos.tryout.trying import Wanted, chosen_services, from_file, known, members

SHOP = """services:
  web: {image: example/web, deploy: {replicas: "3"}, restart: always}
  kv1: {image: example/kv}
  kv2: {image: example/kv}
"""


def project_of(tmp_path: Path, content: str = SHOP):
    (tmp_path / "compose.yaml").write_text(content, encoding="utf-8")
    return read_project([tmp_path], {"COMPOSE_PROJECT_NAME": "shop"})


@pytest.mark.parametrize(
    ("url", "send", "expect", "operation"),
    [
        ("http://web:8080/", "", "", {"http": "http://web:8080/"}),
        ("http://web", "", "", {"http": "http://web/"}),
        ("https://web:443/x?y=1", "", "", {"http": "https://web/x?y=1"}),
        ("http://{address}:2379/health", "", "", {"http": "http://{address}:2379/health"}),
        ("tcp://cache:6379", "PING\\r\\n", "+PONG", {"tcp": "cache:6379", "send": "PING\\r\\n", "expect": "+PONG"}),
    ],
)
def test_the_question_of_clients(url: str, send: str, expect: str, operation: dict[str, str]) -> None:
    """As an operation of an experiment."""
    assert asked(url, send, expect).operation == operation


@pytest.mark.parametrize(
    ("url", "expect", "says"),
    [
        (None, "", "nothing says what clients ask"),
        ("web:8080", "", "is no question of clients"),
        ("tcp://cache", "+PONG", "names no port"),
        ("tcp://cache:6379", "", "only an answer shows that it serves"),
        ("http://web:8080/", "x", "are of tcp"),
        ("http://web:70000/", "", "port 70000 does not exist"),
        ("http://localhost:8080/", "", "'localhost' is the client itself"),
    ],
)
def test_what_cannot_be_known_is_asked_for_by_name(url: str | None, expect: str, says: str) -> None:
    """Each refusal shows the option that is missing."""
    with pytest.raises(BadInput, match=says) as refused:
        asked(url, "", expect)
    assert "--" in refused.value.right or says == "are of tcp"


def test_services_are_those_that_are_named_or_asked(tmp_path: Path) -> None:
    """By name, by pattern, by the probe's host; never guessed among several."""
    project, by_address = project_of(tmp_path), Asked("http", "{address}", 8080)
    assert chosen_services(project, (), Asked("http", "web", 8080)) == ("web",)
    assert chosen_services(project, ("kv*",), by_address) == ("kv1", "kv2")
    for given, question, says in [
        ((), by_address, "--service web or kv1 or kv2"),
        (("wbe",), by_address, "did you mean 'web'"),
        (("kv1", "kv2"), Asked("http", "kv1", 8080), r"clients would never reach the others"),
    ]:
        with pytest.raises(BadInput, match=says):
            chosen_services(project, given, question)
    assert chosen_services(project_of(tmp_path, "services: {one: {image: x}}\n"), (), by_address) == ("one",)


@pytest.mark.parametrize("nodes", [1, 2, 5])
@pytest.mark.parametrize("restarts", [True, False])
def test_the_first_experiment_loads_and_harms_one_at_a_time(tmp_path: Path, nodes: int, restarts: bool) -> None:
    """Kill, pause and isolation, in turn; nothing where one is all there is."""
    facts = Facts("shop", ("web",), nodes, Asked("http", "web", 8080), restarts=restarts)
    ordered = order_text(first_experiment(facts, "try-shop", "nines try"), tmp_path / "first.yaml")
    assert [window.kind for window in ordered.plan.windows] == ([] if nodes == 1 else ["kill", "pause", "partition"] * 2)
    assert ordered.experiment.limits.nodes_down == 1
    assert len(ordered.plan.nodes) == nodes
    if nodes > 1:
        assert ordered.experiment.faults[0].params["recovery"] == ("policy" if restarts else "restart")


def test_members_that_are_services_of_their_own_are_one_part_with_a_list_of_addresses(tmp_path: Path) -> None:
    """kv1 and kv2 are n1 and n2; clients know both addresses, since no name leads to both."""
    facts = Facts("shop", ("kv1", "kv2"), 2, Asked("http", "{address}", 8080))
    ordered = order_text(first_experiment(facts, "try-shop", "nines try"), tmp_path / "first.yaml")
    assert [node.name for node in ordered.plan.nodes] == ["n1", "n2"]
    assert {node.part for node in ordered.plan.nodes} == {"kv"}


def test_a_load_balancer_is_asked_and_the_services_behind_it_are_harmed(tmp_path: Path) -> None:
    """Where they listen is not known: their processes are looked at. A service that is asked itself is asked for its answer."""
    text = "services: {lb: {image: x}, web1: {image: x}, web2: {image: x}}\n"
    (tmp_path / "compose.yaml").write_text(text, encoding="utf-8")
    wanted = Wanted(Files((str(tmp_path / "compose.yaml"),)), services=("web1", "web2"), probe="http://lb:8080/")
    found = from_file(wanted, "try-shop", {})
    assert order_text(found.text, tmp_path / "first.yaml").target.parts["web"].by_process
    itself = from_file(msgspec.structs.replace(wanted, services=("lb",)), "try-shop", {})
    assert not order_text(itself.text, tmp_path / "lb.yaml").target.parts["lb"].by_process


def test_init_writes_a_commented_experiment_from_the_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It validates; a second call does not write over it; nothing is guessed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # no docker command: the files are read here
    (tmp_path / "compose.yaml").write_text(SHOP, encoding="utf-8")
    words = ["init", "first.yaml", "--compose", "compose.yaml", "-p", "shop"]
    assert cli.main(words) == 2
    assert "--probe http://web:8080/" in capsys.readouterr().err
    assert cli.main([*words, "--probe", "http://web:8080/"]) == 0
    text = (tmp_path / "first.yaml").read_text()
    assert text.count("#") >= 8
    assert "nodes: 3" in text
    assert cli.main(["validate", "first.yaml"]) == 0
    assert cli.main([*words, "--probe", "http://web:8080/"]) == 2


def test_one_container_is_told_what_that_means() -> None:
    """And what keeps it from being scaled."""
    seen = Seen(("web",), 1, ("",), False, alone=("db",), fixed=("leave out container_name of web",))
    told = fixes(None, seen)
    assert told[0].startswith("web has one container.")
    assert "--scale web=2" in told[0]
    assert "container_name" in told[0]
    assert [("restart policy" in text, "healthcheck" in text, "db" in text) for text in told[1:]] == [
        (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
    assert fixes(None, Seen(("web",), 2, ("always", "always"), True)) == []


def test_one_of_several_members_is_told_how_all_are_tried(tmp_path: Path) -> None:
    """Services of one image whose names differ by a number; a web server beside them is none."""
    project = project_of(tmp_path)
    command = members(project, ("kv1",), asked("http://kv1:2379/health", "", ""), Files(("compose.yaml",)))
    assert command == "nines try compose.yaml --service 'kv*' --probe 'http://{address}:2379/health'"
    assert not members(project, ("web",), asked("http://web/", "", ""), Files())
    assert not members(project, ("kv1", "kv2"), asked("http://{address}:1/", "", ""), Files())
    (first, *_) = fixes(None, Seen(("kv1",), 1, ("",), False, members=command))
    assert command in first
    assert "--scale" not in first


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("services: {web: {image: x, develop: {watch: []}}}", "'develop' of the service 'web'"),
        ("services: {web: {image: x, deploy: {endpoint_mode: vip}}}", "'deploy.endpoint_mode' of the service 'web'"),
        ("services: {web: {image: x}}\nsecrets: {a: {file: b}}", "'secrets' at the top"),
        ("services: {web: {image: x}}\nvolumes: {a: {driver: nfs}}", "the driver 'nfs' of the volume 'a'"),
    ],
)
def test_what_is_not_read_here_is_refused_by_name(tmp_path: Path, content: str, says: str) -> None:
    """With the ways out: the plugin, or a project that runs."""
    with pytest.raises(CapabilityMissing, match=says) as refused:
        refuse_unread(project_of(tmp_path, content))
    assert "compose plugin" in refused.value.how


def test_a_service_in_the_words_of_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that a published file says about a container."""
    monkeypatch.setenv("FROM_HERE", "yes")
    content = """services:
  web:
    image: example/web
    command: serve --port 80
    entrypoint: ["/init"]
    environment: [A=one, FROM_HERE, MISSING]
    expose: ["7000"]
    ports: ["127.0.0.1:8080:80", "53/udp", {target: 90, published: 9090}]
    restart: on-failure:3
    healthcheck: {test: curl -f localhost, interval: 1m30s, timeout: 2s, retries: 4, start_period: 500ms}
    volumes: ["data:/var/lib/web", "./conf:/etc/web:ro", "/scratch"]
    networks: {front: {aliases: [shop], ipv4_address: 198.18.9.9}, back: null}
    mem_limit: 64m
    cpus: "0.5"
    stop_grace_period: 3s
    user: "1000"
    read_only: true
    tmpfs: /tmp
    cap_drop: [ALL]
    ulimits: {nofile: {soft: 1024, hard: 2048}, nproc: 99}
volumes: {data: {}}
networks: {front: {}, back: {}}
"""
    project = project_of(tmp_path, content)
    refuse_unread(project)
    made = Translation(project, lambda name: f"shop_{name}", lambda name: f"shop_{name}")
    config = made.config(project.services["web"], 2, "sha256:1", {"l": "1"})
    host = config.pop("HostConfig")
    assert config["Cmd"] == ["serve", "--port", "80"]
    assert config["Entrypoint"] == ["/init"]
    assert config["Env"] == ["A=one", "FROM_HERE=yes"]
    assert config["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}, "90/tcp": {}, "7000/tcp": {}}
    assert config["Healthcheck"] == {
        "Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 90_000_000_000, "Timeout": 2_000_000_000, "Retries": 4,
        "StartPeriod": 500_000_000,
    }  # fmt: skip
    place = config["NetworkingConfig"]["EndpointsConfig"]["shop_front"]
    assert place == {"Aliases": ["web", "shop-web-2", "shop"], "IPAMConfig": {"IPv4Address": "198.18.9.9"}}
    assert (config["StopTimeout"], config["User"], config["Labels"]) == (3, "1000", {"l": "1"})
    assert host["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "53/udp": [{"HostIp": "", "HostPort": ""}],
        "90/tcp": [{"HostIp": "", "HostPort": "9090"}],
    }  # fmt: skip
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert (host["Memory"], host["NanoCpus"], host["ReadonlyRootfs"], host["CapDrop"]) == (64 << 20, 500_000_000, True, ["ALL"])
    assert host["Binds"] == [f"{(tmp_path / 'conf').resolve()}:/etc/web:ro"]
    assert [(each["Source"], each["Target"]) for each in host["Mounts"]] == [("shop_data", "/var/lib/web"), ("", "/scratch")]
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1024, "Hard": 2048}, {"Name": "nproc", "Soft": 99, "Hard": 99}]


def test_compose_itself_is_asked_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name answers here; its word counts, whatever the files say."""
    program = tmp_path / "docker"
    answer = msgspec.json.encode({"name": "asked", "services": {"web": {"image": "x", "deploy": {"replicas": 4}}}}).decode()
    program.write_text(f"#!/bin/sh\ncase \"$*\" in *version*) echo v2.29.7;; *config*) echo '{answer}';; esac\n", encoding="utf-8")
    program.chmod(0o755)
    from chaos.engine.compose.command import compose_command

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    compose_command.cache_clear()
    try:
        project, _, services, command = known(Wanted(Files(), probe="http://web:8080/"), {})
    finally:
        compose_command.cache_clear()
    assert (project.name, services, command) == ("asked", ("web",), ("docker", "compose"))
    assert project.services["web"].replicas == 4


def test_folders_of_a_container_are_named_as_the_engine_knows_them(tmp_path: Path) -> None:
    """A mount of Nines's own container is a folder of the engine's machine; the project is called after that one."""
    mounts = {"/in/deep": "/srv/deep", "/in": "/home/ada/shop"}
    assert outside("/in/conf", mounts) == "/home/ada/shop/conf"
    assert outside("/in/deep/x", mounts) == "/srv/deep/x"
    assert outside("/etc/hosts", mounts) == "/etc/hosts"
    (tmp_path / "compose.yaml").write_text(SHOP, encoding="utf-8")
    assert read_project([tmp_path], {}, folder="My-Shop").name == "my-shop"


def test_the_image_has_what_the_package_needs_and_none_of_its_extras() -> None:
    """And what these packages need in turn."""
    found = needs()
    assert {"docker", "requests", "urllib3", "numpy", "scipy", "jinja2", "markupsafe", "msgspec", "pyyaml"} <= set(found)
    assert not {"ruff", "pandas", "pika", "colorama"} & set(found)
    assert len(found) == len(set(found))
