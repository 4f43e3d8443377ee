"""Run folders on disks of every size, down to those that fill while the run goes on. Real processes, on disks in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.core.clock import MonotonicClock, to_ns
from chaos.history.events import FaultEffective, FaultHealed, RunEnded
from chaos.history.folder import RunFolder
from chaos.run import leftovers
from tests.support import ending
from tests.support.echo_deployment import need_toxiproxy
from tests.support.needs import need

pytestmark = pytest.mark.e2e
EXPERIMENT = """\
experiment: filling
question: What remains when the disk fills?
cluster: {target: replicated_kv, nodes: 3}
traffic: {operations: {write: 20/s}}
baseline: 1s
faults:
  - {name: hold, pause: {}, target: n2, at: 0s, for: 20s}
settle: 5s
objectives: {availability: ">= 1%"}
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of so many megabytes; the registry is elsewhere."""
    need("root, to mount a small disk", os.geteuid() == 0)
    need_toxiproxy()
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", place], capture_output=True, check=False)
    need("mounts of its own", mounted.returncode == 0)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def begun(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """A run, in a process of its own."""
    file = log.parent / "filling.yaml"
    file.write_text(EXPERIMENT, encoding="utf-8")
    command = [sys.executable, "-m", "chaos", "run", str(file), "--runtime", "local", "--folder", str(folder)]
    with log.open("wb") as out:
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ending.ROOT)}, stdout=out, stderr=out)


@pytest.mark.parametrize("small", [1, 10, 40], indirect=True)
def test_a_disk_that_is_too_small_is_refused(small: Path, tmp_path: Path) -> None:
    """Before anything starts."""
    log = tmp_path / "log"
    assert begun(small / "run", log).wait(ending.WITHIN_S) == 5
    assert "Traceback" not in log.read_text(encoding="utf-8")
    assert leftovers.leftovers() == []


@pytest.mark.parametrize("small", [60], indirect=True)
def test_a_disk_that_fills_ends_the_run(small: Path, tmp_path: Path) -> None:
    """Somebody else takes all of it while a node is frozen: healed, judged, an abort with its reason, and nothing is left."""
    folder, log, clock = small / "run", tmp_path / "log", MonotonicClock()
    child = begun(folder, log)
    try:
        limit_ns = clock.now_ns() + to_ns(ending.WITHIN_S)
        while not any(isinstance(row, FaultEffective) for row in ending.rows(folder)):
            assert child.poll() is None, log.read_text(encoding="utf-8")
            assert clock.now_ns() < limit_ns
            clock.wait_until_ns(clock.now_ns() + to_ns(0.05))
        subprocess.run(["dd", "if=/dev/zero", f"of={small / 'fill'}", "bs=64k"], capture_output=True, check=False)
        assert child.wait(ending.WITHIN_S) == 4
    finally:
        child.kill()
        child.wait()
    said = log.read_text(encoding="utf-8")
    assert f"the disk {small} is full" in said
    assert "the run was stopped, and what was measured is kept" in said
    assert "Traceback" not in said
    seen = RunFolder(folder).rows()
    assert [row.id for row in seen if isinstance(row, FaultHealed)] == ["hold.1"]
    assert [row.left for row in seen if isinstance(row, RunEnded)] == [[]]
    assert (folder / "report.json").stat().st_size > 0
    assert len(RunFolder(folder).read_observations()) > 0
    assert leftovers.leftovers() == []
