"""An engine whose owner forbids privileges: ``doctor`` names what is refused and by whom, and a run ends before it starts anything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.engine import private
from chaos.engine.connection import Engine, connect
from chaos.engine.images.ensure import ensure_base
from tests.support.engine_guard import NAME, guard
from tests.support.engine_wrapped import wrapped
from tests.support.needs import need

EXPERIMENT = """
experiment: forbidden
question: What does a run say where privileges are forbidden?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, dns: {balancer: health-checked, ttl: 1s}}
traffic: {operations: {write: 20/s}}
baseline: 2s
faults:
  - {partition: {}, target: leader, at: 1s, for: 1s}
settle: 6s
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    need("a private engine", private.may(), "root; sudo apt-get install docker.io")
    with guard() as options, wrapped(tmp_path_factory.mktemp("bin"), options):
        folder = Path("/var/tmp/nines-engine-guarded")  # noqa: S108 - of no user
        with private.private_engine(folder, print) as host, connect(host) as found:
            ensure_base(found)
            yield found


def nines(engine: Engine, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"DOCKER_HOST": engine.facts.host, "NINES_STATE": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-m", "chaos", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_doctor_names_it(engine: Engine, tmp_path: Path) -> None:
    said = " ".join(nines(engine, tmp_path, "doctor", "--json").stdout.split())
    assert "packet rules on the engine" in said
    assert f"authorization denied by plugin {NAME}: the capability NET_ADMIN is forbidden here" in said
    assert "let the engine allow CAP_NET_ADMIN" in said


def test_a_run_is_refused_and_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "forbidden.yaml").write_text(EXPERIMENT, encoding="utf-8")
    done = nines(engine, tmp_path, "run", "forbidden.yaml", "--folder", "run", "-q")
    assert done.returncode == 5, done.stdout + done.stderr
    assert f"authorization denied by plugin {NAME}" in done.stderr
    assert "let the engine allow CAP_NET_ADMIN" in done.stderr
    assert engine.client.api.containers(all=True) == []
    assert not engine.client.api.networks(filters={"label": "nines.run"})
