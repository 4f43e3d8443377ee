"""Each leader kill passes and each known weakness fails for its reason, in one command from a fresh clone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

LOCAL = ("nginx-kill", "nginx-kill-round-robin", "gdnsd-kill", "redis-leader-kill", "etcd-leader-kill", "etcd-leader-kill-five")
DOCKER = (
    "nginx-kill", "nginx-kill-engine", "gdnsd-kill", "redis-leader-kill", "redis-split-brain-bounded", "redis-split-brain-wait",
    "patroni-primary-kill", "patroni-switchover", "patroni-sync-partition", "rabbitmq-leader-kill", "etcd-data",
)  # fmt: skip
WEAK = {
    "nginx-dead-address": "success_ratio",
    "etcd-no-quorum": "mttr",
    "etcd-stale-reads": "stale_reads",
    "redis-no-quorum": "mttr",
    "redis-split-brain": "lost_writes",
    "patroni-async-partition": "lost_writes",
    "rabbitmq-no-quorum": "mttr",
}
"""Experiment -> the objective that it misses."""


def run(file: Path, runtime: str, folder: Path) -> dict:
    """The report of one run by the command; its exit status says that the verdict was the expected one."""
    command = [sys.executable, "-m", "chaos", "run", str(file), "--runtime", runtime, "--folder", str(folder), "--json", "-q"]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-500:]
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", LOCAL)
def test_leader_kill_on_plain_processes(name: str, tmp_path: Path) -> None:
    """Passes, and the prediction was decided on."""
    report = run(ROOT / "experiments" / f"{name}.yaml", "local", tmp_path / "run")
    assert report["verdict"] == "pass"
    assert report["agreement_overall"] in ("consistent", "inconsistent")


@pytest.mark.parametrize("name", DOCKER)
def test_in_containers(name: str, tmp_path: Path, docker_host: str) -> None:
    """Passes."""
    assert run(ROOT / "experiments" / f"{name}.yaml", "docker", tmp_path / "run")["verdict"] == "pass"


@pytest.mark.parametrize("name", WEAK)
def test_known_weakness(name: str, tmp_path: Path, docker_host: str) -> None:
    """Fails, by the objective that is about it."""
    report = run(ROOT / "experiments" / "weaknesses" / f"{name}.yaml", "docker", tmp_path / "run")
    assert report["verdict"] == "fail"
    assert WEAK[name] in [each["name"] for each in report["objectives"] if each["verdict"] == "fail"]
