"""Nines as a container: built by one command, given the engine's socket and a project's folder, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.engine import private as private_engine
from chaos.engine.connection import Engine, connect
from chaos.engine.images.ensure import ensure_base
from tests.support.needs import need

COMPOSE = """name: ninesimage
services:
  web: {image: "IMAGE", command: python3 -m http.server 8080, init: true, stop_grace_period: 0s, deploy: {replicas: 2}}
"""
PROBE = ("compose.yaml", "--probe", "http://web:8080/", "--quick", "--json")
WITHIN_S = 420.0


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The one that answers, else a private one."""
    with contextlib.ExitStack() as stack:
        try:
            with connect() as there:
                host = there.facts.host
        except EnvironmentUnusable as error:
            need("a Docker engine", private_engine.may(), str(error))
            started = private_engine.private_engine(private_engine.folder_of(), lambda text: print(text, file=sys.stderr))
            host = stack.enter_context(started)
        yield stack.enter_context(connect(host))


def run(command: list[str], folder: Path, host: str) -> tuple[int, dict[str, Any]]:
    """The exit status, and what was printed."""
    environment = {**os.environ, "DOCKER_HOST": host, "NINES_STATE": str(folder / "state"), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else {}


def told(done: tuple[int, dict[str, Any]]) -> tuple[object, ...]:
    """What must be alike: what was done to whom, whether that took effect and is gone, and what is to be fixed but for times."""
    report = done[1]["report"]
    faults = [(each["name"], each["status"], len(each["target"])) for each in report["faults"]]
    return faults, report["objectives"][0]["name"], sorted(node["container"] for node in report["nodes"])


@pytest.mark.timeout(1200)
def test_the_image_does_what_the_host_does(engine: Engine, tmp_path: Path) -> None:
    """The same faults on the same containers, from both; the project is taken down, and the run is in the folder."""
    host = engine.facts.host
    if not host.startswith("unix://"):
        pytest.skip("the socket of an engine elsewhere cannot be mounted")
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace("IMAGE", ensure_base(engine)), encoding="utf-8")
    nines = [sys.executable, "-m", "chaos"]
    assert run([*nines, "image", "--tag", "nines-test-image"], tmp_path, host)[0] == 0
    here = run([*nines, "try", *PROBE], tmp_path, host)
    socket = host.removeprefix("unix://")
    mounts = ["-v", f"{socket}:/var/run/docker.sock", "-v", f"{tmp_path}:/work", "-e", f"NINES_ENGINE_SOCKET={socket}"]
    try:
        there = run(["docker", "run", "--rm", *mounts, "nines-test-image", "try", *PROBE], tmp_path, host)
    finally:
        engine.client.api.remove_image("nines-test-image", force=True)
    assert here[0] in (0, 1, 3)  # a busy machine is late, in either
    assert there[0] in (0, 1, 3)
    assert told(here) == told(there)
    assert {status for _, status, _ in told(there)[0]} == {"healed"}
    assert Path(tmp_path, there[1]["report"]["folder"]).name in {each.name for each in (tmp_path / "runs").iterdir()}
    assert not engine.client.api.containers(all=True, filters={"label": "com.docker.compose.project=ninesimage"})
