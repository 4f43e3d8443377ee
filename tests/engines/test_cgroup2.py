"""cgroup v2 without controllers, as where those belong to v1; and the current engine, where tools/current_engine.py has built it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.engine.connection import Engine, connect
from tests.support.engine_runs import called, carried_out
from tests.support.needs import need
from tools import current_engine

EXPERIMENT = """
experiment: unified
question: Do writes fail when the leader dies, or is cut off?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, dns: {balancer: health-checked, ttl: 1s}LIMITS}
traffic: {operations: {write: 20/s}}
baseline: 2s
faults:
  - {kill: {recovery: restart}, target: leader, at: 1s, for: 1s}
  - {partition: {}, target: leader, at: 7s, for: 1s}
  - {pause: {}, target: leader, at: 13s, for: 1s}
settle: 6s
"""
BUILD = "python -m tools.current_engine build"


@pytest.fixture(scope="module", params=["Debian's", "current"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "current":
        need("the current Docker engine", os.geteuid() == 0 and current_engine.built(), BUILD)
        started = current_engine.running(print)
    else:
        dockerd = shutil.which("dockerd")
        need("dockerd", os.geteuid() == 0 and dockerd is not None)
        started = current_engine.on_cgroup_2(Path(str(dockerd)), [], Path("/var/tmp/nines-engine-cgroup2"), print)  # noqa: S108 - of no user
    with started as host, connect(host) as found:
        yield found


def test_a_run(engine: Engine, tmp_path: Path) -> None:
    assert engine.facts.cgroup == "2"
    carried_out(tmp_path, EXPERIMENT.replace("LIMITS", ""), faults=3, host=engine.facts.host)


def test_limits_without_controllers_are_refused(engine: Engine, tmp_path: Path) -> None:
    if not engine.facts.unlimited:
        pytest.skip("this machine's cgroup v2 has its controllers")
    limited = EXPERIMENT.replace("LIMITS", ", resources: {cpus: 0.5, memory: 256MB}")
    done = called(tmp_path, limited, host=engine.facts.host)
    assert done.returncode == 5
    assert "cannot limit cpus and memory: cgroup v2 of its kernel has no controllers" in done.stderr
