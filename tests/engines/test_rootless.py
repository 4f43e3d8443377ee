"""Docker and Podman of an ordinary user, as that user: the harness travels there. All kinds of faults; limits that would not exist are
refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.engine.connection import Engine, connect
from chaos.history.events import FaultGone, RunEnded
from chaos.history.folder import RunFolder
from chaos.net.toxiproxy.program import find
from tests.support import engine_podman, engine_rootless, ordinary_user
from tests.support.needs import need
from tests.support.paths import ROOT

HEAD = """
experiment: mine
question: What can be done to a cluster on a rootless engine?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, dns: {balancer: health-checked, ttl: 1s}LIMITS}
traffic: {operations: {write: 20/s}}
baseline: 2s
settle: 6s
"""
FAULTS = """faults:
  - {kill: {recovery: restart}, target: leader, at: 1s, for: 1s}
  - {partition: {}, target: leader, at: 7s, for: 1s}
  - {pause: {}, target: leader, at: 13s, for: 1s}
  - {power_off: {}, target: leader, at: 19s, for: 1s}
  - {clock: {offset: -1h}, target: leader, at: 25s, for: 1s}
  - {latency: {latency: 20ms}, target: {link: "clients -> leader"}, at: 29s, for: 1s}
  - {load: {rate: 20/s}, at: 33s, for: 1s}
  - {files: {}, target: leader, at: 37s, for: 1s}
  - {loss: {percent: 20%}, target: leader, at: 41s, for: 1s}
"""
ON_DISK = """faults:
  - {disk_full: {percent: 100%}, target: leader, at: 1s, for: 1s}
  - {read_only: {remount: restart}, target: leader, at: 7s, for: 1s}
"""


@pytest.fixture(scope="module", params=["Docker", "Podman"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "Docker":
        need("a rootless engine", engine_rootless.may(), engine_rootless.PACKAGES)
        started = engine_rootless.running()
    else:
        need("rootless Podman", engine_podman.may(rootless=True), engine_podman.ROOTLESS_PACKAGES)
        started = engine_podman.running(rootless=True)
    with started as host, connect(host, checked=False) as found:
        assert found.facts.product == request.param
        yield found


@pytest.fixture
def here(engine: Engine, tmp_path: Path) -> Path:
    """That user's own folder."""
    assert engine.facts.rootless
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    return ordinary_user.own(tmp_path)


def nines(engine: Engine, here: Path, *words: str) -> tuple[int, str]:
    settings = {"DOCKER_HOST": engine.facts.host, "NINES_TOXIPROXY": find(build=True).path, "PYTHONPATH": f"{ROOT}:{':'.join(sys.path)}"}
    command = ordinary_user.as_user(sys.executable, "-m", "chaos", *words)
    environment = engine_podman.environment() if engine.facts.product == "Podman" else engine_rootless.environment()
    done = subprocess.run(command, cwd=here, env=environment | settings, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("limits", "faults"), [("", FAULTS), (", resources: {disk: 64MB}", ON_DISK)], ids=["nodes", "disks"])
def test_faults_of_all_kinds(engine: Engine, here: Path, limits: str, faults: str) -> None:
    """Each took effect and was gone; whether the run is valid depends on how busy the machine is."""
    (here / "mine.yaml").write_text(HEAD.replace("LIMITS", limits) + faults, encoding="utf-8")
    status, said = nines(engine, here, "run", "mine.yaml", "--folder", "run", "-q")
    assert status in (0, 3), said
    rows = RunFolder(here / "run").rows()
    assert sum(isinstance(row, FaultGone) for row in rows) == faults.count("- {")
    assert isinstance(rows[-1], RunEnded)
    assert rows[-1].left == []
    assert engine.client.api.containers(all=True) == []
    assert engine.client.api.volumes()["Volumes"] in (None, [])


def test_limits_that_would_not_exist_are_refused(engine: Engine, here: Path) -> None:
    if not engine.facts.unlimited:
        pytest.skip("this machine's cgroups are delegated to ordinary users")
    (here / "mine.yaml").write_text(HEAD.replace("LIMITS", ", resources: {cpus: 0.5}") + FAULTS, encoding="utf-8")
    status, said = nines(engine, here, "run", "mine.yaml")
    assert status == 5, said
    assert "cannot limit cpus: it is rootless" in said
    status, said = nines(engine, here, "doctor")
    assert "it is rootless" in said
