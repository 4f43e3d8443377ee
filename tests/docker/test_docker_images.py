"""Images on a real engine: what stands in them, that they are made once, and that changed content makes another one."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.connection import Engine, connect
from chaos.engine.images.build import Entry, Recipe, build, digest, image_id, prune, pull, quiet, want
from chaos.engine.images.ensure import AGENT, TOXIPROXY, ensure_base, ensure_harness, ensure_target
from chaos.engine.images.harness import Python, code_entries, python_of, site_entries
from chaos.experiment.target.load import load_target

LABELS = {"nines.test": "images"}


def _run(engine: Engine, image: str, *command: str) -> str:
    said: bytes = engine.client.containers.run(image, list(command), remove=True, network_mode="none", labels=LABELS)
    return said.decode()


def test_the_base_has_what_nodes_and_agents_need(engine: Engine, base_image: str) -> None:
    """A whole python3 and the programs that change networks."""
    said = _run(
        engine,
        base_image,
        "sh",
        "-c",
        "python3 -c 'import asyncio, json, ssl' && for program in nft ip setcap ps; do command -v $program; done",
    )
    assert len(said.split()) == 4


def test_what_is_there_is_not_made_again(engine: Engine, base_image: str) -> None:
    """Nothing to tell: no build, no pull, the same names."""
    harness_image = ensure_harness(engine)
    told: list[str] = []
    assert ensure_base(engine, told.append) == base_image
    assert ensure_harness(engine, told.append) == harness_image
    assert told == []


def test_the_harness_image_holds_our_code_for_containers(engine: Engine) -> None:
    """Each of its files, byte by byte, and no other; prober, name server and each probe can be imported; the Toxiproxy server runs."""
    harness_image = ensure_harness(engine)
    code = (
        "import chaos.traffic.prober, chaos.dns.server, chaos.traffic.probes, importlib, hashlib, json, pathlib, pkgutil;"
        "[importlib.import_module(m.name) for m in pkgutil.iter_modules(chaos.traffic.probes.__path__, 'chaos.traffic.probes.')];"
        "root = pathlib.Path('/opt/nines');"
        "files = [path for part in ('chaos', 'agent') for path in (root / part).rglob('*.py')];"
        "print(json.dumps({str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}))"
    )
    ours = {entry.name: hashlib.sha256(entry.data).hexdigest() for entry in code_entries()}
    assert json.loads(_run(engine, harness_image, "python3", "-c", code)) == ours
    assert "version" in _run(engine, harness_image, TOXIPROXY, "-version")


def test_the_agent_starts_from_the_image(engine: Engine, harness_image: str) -> None:
    """Its first line is its greeting."""
    container = engine.client.containers.create(harness_image, list(AGENT), stdin_open=True, network_mode="none", labels=LABELS)
    try:
        stream = container.attach(stream=True)
        container.start()
        hello = json.loads(next(iter(stream)).splitlines()[0])
        assert hello["event"] == "hello"
    finally:
        container.remove(force=True)


def _ensure(where: str, tag: str) -> list[str]:
    told: list[str] = []
    with connect(where) as other:
        build(other, Recipe(tag=tag, dockerfile="FROM scratch\nCOPY x /x\n", entries=(Entry("x", b"1"),), purpose="target"), told.append)
    return told


def test_one_of_many_builds_and_the_others_wait(engine: Engine) -> None:
    """Four processes want the same image at once: it is built once."""
    tag = f"nines-test-race:{digest(str(random_number()))}"
    try:
        with multiprocessing.get_context("spawn").Pool(4) as pool:
            told = pool.starmap(_ensure, [(engine.facts.host, tag)] * 4)
        assert sorted(map(len, told)) == [0, 0, 0, 1]
        assert image_id(engine, tag) is not None
    finally:
        engine.client.images.remove(tag, force=True)


def random_number() -> int:
    """Another tag for each run of the tests."""
    import time

    return time.monotonic_ns()


@pytest.mark.parametrize("name", ["replicated_kv", "metronome", "etcd"])
def test_shipped_targets_are_built(engine: Engine, name: str) -> None:
    """Each image has the program that its command starts."""
    target = load_target(name)
    image = ensure_target(engine, target, "data")
    docker = target.parts["data"].docker
    assert docker is not None
    script = [word for word in docker.command if word.startswith("/target/")]
    assert _run(engine, image, "sh", "-c", f"command -v {docker.command[0]} && ls {' '.join(script)} /").strip()
    assert ensure_target(engine, target, "data") == image


def _target(folder: Path, dockerfile: str | None, docker: str = "{build: ., command: [cat, /x]}") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "target.yaml").write_text(
        "schema: 1\ntarget: test_images\n"
        f"parts: {{data: {{ports: {{client: 1}}, ready: {{tcp: '{{address}}:{{client}}'}}, docker: {docker}}}}}\n"
        "operations: {write: {tcp: '{address}:{client}', does: write}}\n",
        encoding="utf-8",
    )
    if dockerfile is not None:
        (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    return folder


def test_changed_content_makes_another_image(engine: Engine, tmp_path: Path) -> None:
    """The content of the folder is the tag."""
    folder = _target(tmp_path / "t", "FROM scratch\nCOPY x /x\n")
    found = []
    try:
        for content in ("1", "2", "1"):
            (folder / "x").write_text(content, encoding="utf-8")
            found.append(ensure_target(engine, load_target(str(folder)), "data"))
        assert found[0] == found[2] != found[1]
    finally:
        for tag in set(found):
            engine.client.images.remove(tag, force=True)


def test_a_build_that_fails_shows_the_end_of_its_output(engine: Engine, base_image: str, tmp_path: Path) -> None:
    """The line that failed and what it said, and exit status 5."""
    folder = _target(tmp_path / "t", 'ARG BASE=x\nFROM ${BASE}\nRUN echo "the reason is this" && exit 3\n')
    with pytest.raises(EnvironmentUnusable, match="the reason is this") as raised:
        ensure_target(engine, load_target(str(folder)), "data")
    assert "returned a non-zero code: 3" in raised.value.what
    assert raised.value.exit_code == 5


def test_a_missing_dockerfile_is_named(engine: Engine, tmp_path: Path) -> None:
    """With its full path."""
    folder = _target(tmp_path / "t", None)
    with pytest.raises(EnvironmentUnusable, match="Dockerfile cannot be read"):
        ensure_target(engine, load_target(str(folder)), "data")


def test_an_image_that_is_there_is_not_pulled(engine: Engine, base_image: str, tmp_path: Path) -> None:
    """``image:`` is taken as it is; one that nobody has is an error that names it."""
    folder = _target(tmp_path / "t", None, f"{{image: '{base_image}', command: [sleep, '1']}}")
    told: list[str] = []
    assert ensure_target(engine, load_target(str(folder)), "data", told.append) == base_image
    assert told == []
    with pytest.raises(EnvironmentUnusable, match=r"nines\.invalid/nosuch"):
        pull(engine, "nines.invalid/nosuch:1", told.append)


def test_a_base_of_ones_own_is_completed(engine: Engine, base_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``NINES_BASE_IMAGE``: what has everything needed becomes a base as it is."""
    monkeypatch.setenv("NINES_BASE_IMAGE", base_image)
    tag = ensure_base(engine)
    assert tag.startswith("nines-base:from-")
    assert python_of(engine, tag) == python_of(engine, base_image)


def test_packages_for_another_python_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base with another Python than ours gets wheels for its own; the second time from the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    other = Python(version=(3, 13) if sys.version_info[:2] != (3, 13) else (3, 12), machine="x86_64")
    told: list[str] = []
    names = {entry.name for entry in site_entries(other, told.append)}
    assert f"site/msgspec/_core.cpython-{other.version[0]}{other.version[1]}-x86_64-linux-gnu.so" in names
    assert len(told) == 1
    assert {entry.name for entry in site_entries(other, told.append)} == names
    assert len(told) == 1


def test_what_somebody_uses_or_is_about_to_use_is_not_removed(engine: Engine) -> None:
    """Of five versions stay the newest, the one of a container that never ran, and the one that another run has asked for."""
    name = f"nines-test-prune-{os.getpid()}"
    tags = [f"{name}:{number}" for number in range(5)]
    container = ""
    try:
        for number, tag in enumerate(tags):
            content = (Entry("number", str(number).encode()),)
            build(engine, Recipe(tag=tag, dockerfile="FROM scratch\nCOPY number /\n", entries=content, purpose=name), quiet)
        container = engine.client.api.create_container(tags[0], ["/number"], labels=LABELS)["Id"]
        want(tags[1])
        prune(engine, name, name, 1)
        left = [tag for tag in tags if image_id(engine, tag) is not None]
        # Which one is the newest cannot be told of those made within one second.
        assert left[:2] == tags[:2]
        assert len(left) <= 3
    finally:
        if container:
            engine.client.api.remove_container(container, force=True)
        for tag in tags:
            if image_id(engine, tag) is not None:
                engine.client.api.remove_image(tag)
