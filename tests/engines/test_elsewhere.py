"""An engine in namespaces of its own: network, mounts, host name, time. The same command, the same folder, the same exit status."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.elsewhere.beside import discard
from chaos.engine.connection import Engine, connect
from chaos.history import observations
from chaos.history.events import FaultHealed, RunEnded, TrafficSecond
from chaos.history.folder import RunFolder
from tests.support import engine_elsewhere
from tests.support.needs import need
from tests.support.paths import ROOT

EXPERIMENT = """
experiment: there
question: Do writes fail when the leader dies?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, dns: {balancer: health-checked, ttl: 1s}}
traffic: {operations: {write: 50/s, read: 50/s}, judge: write}
baseline: 2s
faults:
  - {kill: {recovery: restart}, target: leader, at: 1s, for: 2s}
  - {partition: {}, target: {followers: 1}, at: 8s, for: 2s}
settle: 10s
objectives: {availability: ">= 10%"}
"""
GONE_WITHIN_S = 60.0
"""An agent waits 15 s for its harness; the rest is for a machine that is busy with other things: an end, and no judgement."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    need("an engine elsewhere", engine_elsewhere.may(), "root, dockerd, unshare, iproute2")
    with engine_elsewhere.running() as host, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", host)
        with connect(host, checked=False) as found:
            discard(found)
            yield found


@pytest.fixture
def folder(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert engine.facts.elsewhere
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.yaml").write_text(EXPERIMENT, encoding="utf-8")
    return tmp_path


def started(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "chaos", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def nines(*words: str, within_s: float = 300.0) -> tuple[int, str, str]:
    process = started(*words)
    out, err = process.communicate(timeout=within_s)
    return process.returncode, out, err


def until(holds: Callable[[], bool], within_s: float, what: str) -> float:
    """How long it took."""
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < within_s, f"not within {within_s} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - began_s


def containers(engine: Engine) -> list[str]:
    return [each["Names"][0] for each in engine.client.api.containers(all=True)]


def running_with_a_fault(engine: Engine, folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """A command whose run there has begun its first fault: seen by the word of the system's container."""
    process = started("run", "there.yaml", "--folder", "run", "-q")

    def dead_leader() -> bool:
        assert process.poll() is None, process.communicate()
        states = {each["Names"][0]: each["State"] for each in engine.client.api.containers(all=True)}
        return any(re.search(r"-n\d$", name) and state == "exited" for name, state in states.items())

    until(dead_leader, 400.0, "the first fault")
    return process, folder / "run"


def nothing_runs(engine: Engine) -> bool:
    return not containers(engine) and not engine.client.api.networks(filters={"label": "nines.run"})


def volumes(engine: Engine) -> list[str]:
    return [each["Name"] for each in engine.client.api.volumes()["Volumes"] or ()]


def test_a_run_there_is_a_run(engine: Engine, folder: Path) -> None:
    """The report is judged from what was measured on the clock there, and nothing stays there."""
    status, out, err = nines("run", "there.yaml", "--folder", "run", "--json")
    assert status in (0, 3), out + err  # 3: a machine too busy to judge times
    rows = RunFolder(folder / "run").rows()
    assert isinstance(rows[-1], RunEnded)
    assert rows[-1].left == []
    assert sum(isinstance(row, FaultHealed) for row in rows) == 2
    assert rows[0].at_ns / 1e9 - time.clock_gettime(time.CLOCK_MONOTONIC) > engine_elsewhere.AHEAD_S - 600
    seen = observations.read(folder / "run" / "observations.bin")
    seconds = [row for row in rows if isinstance(row, TrafficSecond)]
    assert len(seen) >= sum(row.sent for row in seconds if hasattr(row, "sent"))
    assert len(seen) > 1000
    assert (folder / "run" / "report.html").stat().st_size > 10_000
    assert nothing_runs(engine)
    assert volumes(engine) == []


def test_ctrl_c_ends_the_run_there(engine: Engine, folder: Path) -> None:
    process, run = running_with_a_fault(engine, folder)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    ended = RunFolder(run).rows()[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.signal, ended.left) == (signal.SIGINT, [])
    assert nothing_runs(engine)
    assert volumes(engine) == []


def test_a_killed_command_is_rolled_back_there_and_fetched(engine: Engine, folder: Path) -> None:
    process, run = running_with_a_fault(engine, folder)
    process.kill()
    process.wait()
    until(lambda: nothing_runs(engine), GONE_WITHIN_S, "everything of the run is gone")
    assert not (run / "history.jsonl").exists()
    status, out, err = nines("fetch")
    assert status == 0, err
    (name,) = out.split()
    status, out, err = nines("fetch", name, "--folder", str(run))
    assert status == 0, out + err
    ended = RunFolder(run).rows()[-1]
    assert isinstance(ended, RunEnded)
    assert ended.left == []
    assert (run / "report.json").exists()
    assert volumes(engine) == []
    assert nines("leftovers")[0] == 0


def test_a_command_that_sleeps_does_not_keep_the_fault_in_force(engine: Engine, folder: Path) -> None:
    """As a laptop does: the connection stays, and nothing is heard. What was measured comes when it wakes."""
    process, run = running_with_a_fault(engine, folder)
    process.send_signal(signal.SIGSTOP)
    until(lambda: nothing_runs(engine), GONE_WITHIN_S, "everything of the run is gone")
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 130, out + err
    assert isinstance(RunFolder(run).rows()[-1], RunEnded)
    assert volumes(engine) == []


def test_a_harness_that_is_killed_there_leaves_what_heal_removes(engine: Engine, folder: Path) -> None:
    process, run = running_with_a_fault(engine, folder)
    (harness,) = [name for name in containers(engine) if name.startswith("/nines-beside-")]
    engine.client.api.kill(harness.lstrip("/"), signal="SIGKILL")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 5, out + err
    assert "leftovers" in err
    assert (run / "history.jsonl").exists()
    status, out, _ = nines("leftovers")
    assert status == 5
    assert "container" in out
    assert nines("heal")[0] == 0
    assert nothing_runs(engine)
    assert volumes(engine) == []
    assert nines("leftovers")[0] == 0


def test_a_fault_by_hand_there(engine: Engine, folder: Path) -> None:
    up = started("up", "there.yaml", "--folder", "up")
    assert up.stdout is not None
    try:
        run = up.stdout.readline().strip()
        assert run, up.communicate()
        status, out, _ = nines("status")
        assert status == 0
        assert run in out
        status, out, err = nines("inject", "pause", "--to", "n2", "--for", "2s")
        assert status == 0, err
        assert "rolled back" in out
        status, _, err = nines("down", run)
        assert status == 0, err
        up.communicate(timeout=30)
        assert up.returncode in (0, 143)
    finally:
        up.kill()
        up.wait()
    assert (folder / "up" / "history.jsonl").exists()
    assert nothing_runs(engine)


def test_plug_ins_of_others_travel(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of theirs is done there, a probe of theirs asks there, from a folder that is on the path here alone."""
    path = [str(ROOT / "tests" / "example_plugin"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path).rstrip(os.pathsep))
    text = EXPERIMENT.replace("read: 50/s", 'door: {knock: "{address}:{client}", rate: 20/s}')
    text = text.replace("kill: {recovery: restart}", "hiccup: {every: 100ms}").replace("kill", "pause")
    (folder / "there.yaml").write_text(text, encoding="utf-8")
    status, out, err = nines("run", "there.yaml", "--folder", "run", "-q")
    assert status in (0, 3), out + err
    rows = RunFolder(folder / "run").rows()
    assert sum(isinstance(row, FaultHealed) for row in rows) == 2
    assert {row.operation for row in rows if isinstance(row, TrafficSecond)} == {"write", "door"}
    assert nothing_runs(engine)


def test_what_stays_here_is_said_before(engine: Engine, folder: Path) -> None:
    (folder / "there.yaml").write_text(EXPERIMENT + "abort_if: {command: ./mine, after: 1}\n", encoding="utf-8")
    script = folder / "mine"
    script.write_text("#!/bin/sh\n", encoding="ascii")
    script.chmod(0o755)
    status, _, err = nines("run", "there.yaml")
    assert status in (2, 5), err
    assert nothing_runs(engine)
