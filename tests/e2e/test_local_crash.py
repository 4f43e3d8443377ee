"""A harness that ends in the middle: by SIGTERM it cleans up; by SIGKILL leftovers are listed, refused and healed."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.core.clock import MonotonicClock, to_ns
from chaos.core.errors import EnvironmentUnusable
from chaos.history import observations, undo
from chaos.history.events import NodeUp, RunEnded
from chaos.history.folder import RunFolder
from chaos.registry import orphans
from chaos.registry import processes as proc
from chaos.registry import runs as registry
from chaos.run import leftovers
from chaos.runtimes.local.runtime import LocalRuntime
from tests.support.echo_deployment import NODES, echo_deployment, echo_plan, need_toxiproxy
from tests.support.paths import ROOT, SUPPORT

pytestmark = pytest.mark.e2e
HARNESS = SUPPORT / "local_harness.py"
READY_WITHIN_S = 120


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of this test alone, which the harness inherits."""
    need_toxiproxy()
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def harness(state: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A harness in the middle of its faults; whatever a test leaves is healed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(HARNESS), str(tmp_path / "crash-run")]
    child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    try:
        assert select.select([child.stdout], [], [], READY_WITHIN_S)[0], "the harness did not get ready"
        assert child.stdout.readline() == b"ready\n"
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        leftovers.heal()


def listening(addresses: dict[str, dict[str, int]]) -> list[str]:
    """Which of these places still take a connection."""
    found = []
    for address, ports in addresses.items():
        for port in ports.values():
            with socket.socket() as probe:
                probe.settimeout(1.0)
                if probe.connect_ex((address, port)) == 0:
                    found.append(f"{address}:{port}")
    return found


def test_sigterm_cleans_up(harness: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The harness ends as interrupted, and nothing of the run is left: no process, no record, no undo pending but the interrupted ones."""
    harness.send_signal(signal.SIGTERM)
    assert harness.wait(30) == 128 + signal.SIGTERM
    assert proc.labelled("crash-run") == []
    assert leftovers.leftovers() == []
    assert len(observations.read(tmp_path / "crash-run" / "observations.bin")) > 0


def test_sigkill_then_leftovers_refusal_heal_and_a_new_run(harness: subprocess.Popen[bytes], state: Path, tmp_path: Path) -> None:
    """All of it is listed; a next run does not start on top of it; heal removes it; then loopback and processes are as before."""
    folder = RunFolder(tmp_path / "crash-run")
    assert leftovers.leftovers() == [], "an active run is no leftover"
    harness.kill()
    harness.wait()

    helpers = [process.identity for process in proc.labelled("crash-run") if process.node in orphans.HELPERS]
    assert proc.wait_gone(helpers, 10.0) == [], "our own helpers end by themselves"
    found = leftovers.leftovers()
    told = {(item.kind, item.subject) for item in found}
    assert {("process", "n1"), ("process", "toxiproxy"), ("frozen process", "n2")} <= told
    assert {("undo", "restore n1 -> n2"), ("undo", "resume n2"), ("undo", "start n3"), ("record", str(folder.path))} <= told
    assert {item.kind for item in found} == {"process", "frozen process", "undo", "address block", "record"}
    processes = [item.process for item in found if item.process is not None]

    with pytest.raises(EnvironmentUnusable, match="did not clean up"):
        leftovers.refuse_leftovers()

    result = leftovers.heal()
    assert result.could_not == []
    assert {(item.kind, item.subject) for item in result.removed} == told
    assert not any(proc.alive(process) for process in processes)
    assert proc.labelled("crash-run") == []
    assert leftovers.leftovers() == []
    assert registry.block_owners() == {}
    history = folder.rows()
    assert listening({row.address: row.ports for row in history if isinstance(row, NodeUp)}) == []
    assert [row.left for row in history if isinstance(row, RunEnded)] == [[]]
    assert undo.pending(folder.undo) == []
    assert len(observations.read(folder.observations)) > 0

    deployment = echo_deployment(tmp_path / "second-run", echo_plan("local"))
    with LocalRuntime().up(deployment, lambda _row: None, MonotonicClock()) as cluster:
        assert list(cluster.nodes) == list(NODES)


def test_heal_tells_what_it_removed_where_no_engine_can_be_asked_for_images(
    harness: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The images are unknown, which is exit 5; what the run left is gone all the same."""
    harness.kill()
    harness.wait()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")
    assert cli.main(["heal", "--images"]) == 5
    told = capsys.readouterr()
    assert "process n1" in told.out
    assert "gone.sock" in told.err
    assert proc.labelled("crash-run") == []


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_sigkill_while_starting(state: Path, tmp_path: Path, count: int) -> None:
    """Killed when so many of its processes run, a starting run is found and healed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(HARNESS), str(tmp_path / "early")]
    clock = MonotonicClock()
    limit_ns = clock.now_ns() + to_ns(READY_WITHIN_S)
    child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, start_new_session=True)
    try:
        while len(proc.labelled("early")) < count:
            assert clock.now_ns() < limit_ns, f"it never had {count} processes"
            clock.wait_until_ns(clock.now_ns() + to_ns(0.01))
    finally:
        child.kill()
        child.communicate()
        found = leftovers.leftovers()
        result = leftovers.heal()
    assert {item.kind for item in found} >= {"record", "address block"}
    assert result.could_not == []
    assert proc.labelled("early") == []
    assert leftovers.leftovers() == []
