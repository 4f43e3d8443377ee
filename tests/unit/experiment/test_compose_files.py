"""Compose files as Compose reads them. What is expected of SHOP is what ``docker compose config`` (2.29.7) makes of the same files."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.core.errors import BadInput
from chaos.experiment.compose.merging import pairs
from chaos.experiment.compose.project import Project, read_project
from chaos.experiment.compose.variables import filled

SHOP = """name: ${STACK:-shop}
x-common: &common
  restart: unless-stopped
  environment: {A: one, B: "${B-none}"}
services:
  web:
    <<: *common
    image: "example/web:${TAG:-1.0}"
    command: ["run", "--port", "${PORT:?say the port}"]
    ports: ["8080:80"]
    labels: {tier: front}
    depends_on: [db]
    deploy: {replicas: "${N:-2}"}
  worker:
    extends: {service: web}
    command: work $$HOME
    ports: !reset []
  base-only:
    extends: {file: common/base.yaml, service: base}
    environment: [C=three]
  db:
    image: example/db
    volumes: ["data:/var/lib/db", "./conf:/etc/db:ro"]
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  debug:
    image: example/debug
    profiles: [debug]
volumes: {data: {}}
"""
OVERRIDE = """services:
  web:
    environment: {B: two, E: ""}
    ports: ["9090:90"]
    labels: [team=shop]
    command: !override [other]
  db:
    volumes: ["other:/var/lib/db"]
    healthcheck: !reset null
volumes: {other: {}}
"""
BASE = """services:
  base:
    image: example/base
    build: ./src
    environment: {C: base, D: "${D:-dee}"}
    volumes: ["./seed:/seed"]
"""
DOTENV = 'PORT=81\nTAG="2.0" # note\nD=${PORT}x\n'


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of the project."""
    (tmp_path / "common").mkdir()
    for name, text in {"compose.yaml": SHOP, "compose.override.yaml": OVERRIDE, "common/base.yaml": BASE, ".env": DOTENV}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def seen(project: Project, service: str) -> dict[str, object]:
    """What the comparison with Compose looks at."""
    found = project.services[service]
    return {
        "image": found.keys.get("image"), "command": found.keys.get("command"), "environment": found.environment,
        "ports": found.keys.get("ports"), "labels": pairs(found.keys.get("labels")), "volumes": found.keys.get("volumes"),
        "replicas": found.replicas, "restart": found.restart, "needs": found.needs, "healthcheck": found.keys.get("healthcheck"),
    }  # fmt: skip


def test_a_project_comes_to_what_compose_makes_of_it(shop: Path) -> None:
    """Overrides, .env, anchors, extends within and across files, tags, profiles."""
    project = read_project([shop], {})
    assert (project.name, set(project.services), project.idle) == ("shop", {"web", "worker", "base-only", "db"}, ("debug",))
    nothing = {"command": None, "ports": None, "labels": {}, "replicas": 1, "restart": "", "needs": [], "healthcheck": None}
    assert seen(project, "web") == {
        "image": "example/web:2.0", "command": ["other"], "environment": {"A": "one", "B": "two", "E": ""}, "volumes": None,
        "ports": ["8080:80", "9090:90"], "labels": {"tier": "front", "team": "shop"}, "replicas": 2, "restart": "unless-stopped",
        "needs": ["db"], "healthcheck": None,
    }  # fmt: skip
    assert seen(project, "worker") == {
        "image": "example/web:2.0", "command": "work $HOME", "environment": {"A": "one", "B": "none"}, "volumes": None,
        "ports": None, "labels": {"tier": "front"}, "replicas": 2, "restart": "unless-stopped", "needs": ["db"], "healthcheck": None,
    }  # fmt: skip
    folder = shop.resolve()
    assert seen(project, "base-only") == nothing | {
        "image": "example/base",
        "environment": {"C": "three", "D": "81x"},
        "volumes": [f"{folder}/common/seed:/seed"],
    }
    assert project.services["base-only"].keys["build"] == {"context": f"{folder}/common/src"}
    assert seen(project, "db") == nothing | {
        "image": "example/db",
        "environment": {},
        "volumes": ["other:/var/lib/db", f"{folder}/conf:/etc/db:ro"],
    }


def test_files_profiles_and_names_are_chosen_as_compose_chooses_them(shop: Path) -> None:
    """A file that is named alone brings its override; several do not. The environment names files, profiles and the project."""
    assert read_project([shop / "compose.yaml"], {}).services["web"].keys["command"] == ["other"]
    assert read_project([shop / "compose.yaml", shop / "common" / "base.yaml"], {}).services["web"].keys["command"] != ["other"]
    environ = {"COMPOSE_FILE": "compose.yaml:common/base.yaml", "COMPOSE_PROFILES": "debug", "COMPOSE_PROJECT_NAME": "blue"}
    project = read_project([shop], environ)
    assert (project.name, project.idle) == ("blue", ())
    assert {"debug", "base"} <= set(project.services)
    assert read_project([shop], {}, profiles=["debug"], name="green").service("debug").keys["image"] == "example/debug"
    with pytest.raises(BadInput, match="belongs to a profile that is not active"):
        read_project([shop], {}).service("debug")


def test_a_variable_that_must_be_set_is_asked_for_by_its_name(shop: Path) -> None:
    """With the file, the place in it, and what the file says of it."""
    (shop / ".env").unlink()
    with pytest.raises(BadInput, match=r"compose.yaml: services.web.command\[2\]: .* the variable PORT, which is not set: say the port"):
        read_project([shop], {})
    assert read_project([shop], {"PORT": "9"}).services["worker"].replicas == 2


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("$A-${A}-$$A", "a-a-$A"),
        ("${E:-x}${E-x}", "x"),
        ("${N:-x}${N-y}", "xy"),
        ("${A:+x}${E:+y}${E+z}${N+w}", "xz"),
        ("${N:-${A}b}", "ab"),
        ("${N:-{}}", "{}"),
        ("$N", ""),
    ],
)
def test_every_form_of_a_variable(text: str, becomes: str) -> None:
    """A is set, E is empty, N is not set."""
    assert filled(text, {"A": "a", "E": ""}) == becomes


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("services: {a: {extends: {service: b}}}\n", "there is no service 'b'"),
        ("services: {a: {extends: a}}\n", "the service 'a' extends itself, or too deep"),
        ("services: {a: {image: '${'}}\n", "services.a.image: '${': '${' without '}'"),
        ("include: [{path: b.yaml, env_file: x}]\n", "'include' with 'env_file' is not read here"),
        ("include: [b.yaml]\n", "b.yaml: there is no such file"),
    ],
)
def test_what_compose_would_refuse_is_refused(tmp_path: Path, content: str, says: str) -> None:
    """Before anything is started."""
    (tmp_path / "compose.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        read_project([tmp_path], {})
    assert says in str(refused.value)


def test_files_are_included(tmp_path: Path) -> None:
    """Below what the file itself says, with paths of their own folder."""
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "db.yaml").write_text("services: {db: {image: x, volumes: [./d:/d], restart: always}}\n", encoding="utf-8")
    (tmp_path / "compose.yaml").write_text("include: [part/db.yaml]\nservices: {web: {image: y}}\n", encoding="utf-8")
    project = read_project([tmp_path], {})
    assert list(project.services) == ["db", "web"]
    assert project.services["db"].keys["volumes"] == [f"{(tmp_path / 'part' / 'd').resolve()}:/d"]
