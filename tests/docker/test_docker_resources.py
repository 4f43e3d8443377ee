"""Load, full disks and disks that take no writes, in real containers: measured from outside, and gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient

from chaos.core.clock import MonotonicClock, to_ns
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Status, Victims
from chaos.engine import leftovers as leftovers_docker
from chaos.engine.connection import Engine
from chaos.experiment.cluster import Resources
from chaos.faults.cpu import Cpu
from chaos.faults.disks import DiskFull, ReadOnly
from chaos.faults.io import Io
from chaos.faults.memory import Memory
from chaos.history.events import NodeChanged, Row
from chaos.history.folder import RunFolder
from chaos.history.undo import UndoLog, pending
from chaos.plugin import Cluster, Removable, Scene
from chaos.registry import orphans
from chaos.registry import processes as proc
from chaos.run import leftovers
from chaos.runtimes.docker.layout import DATA_INSIDE
from chaos.runtimes.docker.runtime import DockerRuntime
from tests.support.holding_resources import DISK, LIMITS, deployment
from tests.support.paths import SUPPORT

N1 = Victims(nodes=("n1",))
HARNESS = SUPPORT / "holding_resources.py"
SETTLED_S = 20.0
ORPHANED_S = 40.0
"""An agent that hears nothing for 15 s heals its node by itself; the machine may be busy."""


class Stage:
    """An echo cluster with limits, and the engine to look at it with."""

    def __init__(self, folder: Path, api: APIClient) -> None:
        self.folder = folder
        self.api = api
        self.rows: list[Row] = []
        self.clock = MonotonicClock()
        self.undo = folder / "undo.jsonl"

    @contextmanager
    def cluster(self, limits: Resources = LIMITS) -> Iterator[tuple[Cluster, Scene]]:
        """For a plan that has all of these faults that such limits allow."""
        with DockerRuntime().up(deployment(self.folder, limits), self.rows.append, self.clock) as running:
            yield running, Scene(cluster=running, clock=self.clock, undo=UndoLog(self.undo))

    def inside(self, *command: str, node: str = "n1") -> tuple[int, str]:
        """What a program in the system's container says, and how it ends."""
        made = self.api.exec_create(f"nines-{self.folder.name}-{node}", list(command))["Id"]
        said = self.api.exec_start(made).decode()
        return self.api.exec_inspect(made)["ExitCode"], said

    def processes(self) -> list[str]:
        """The names of all that runs in the system's container, by the engine."""
        seen: dict[str, Any] = self.api.top(f"nines-{self.folder.name}-n1", "-eo pid,comm")
        return [row[1] for row in seen["Processes"]]

    def of_n1(self) -> list[NodeChanged]:
        """What became of it, in order."""
        return [row for row in self.rows if isinstance(row, NodeChanged) and row.node == "n1"]

    def until(self, holds: Callable[[], bool], within_s: float = SETTLED_S) -> bool:
        """Whether it comes to hold."""
        until_ns = self.clock.now_ns() + to_ns(within_s)
        while not holds():
            if self.clock.now_ns() > until_ns:
                return False
            self.clock.wait_until_ns(self.clock.now_ns() + 20_000_000)
        return True


@pytest.fixture
def stage(engine: Engine, harness_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """With a registry of its own; what a failed test leaves goes with it."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    made = Stage(tmp_path / f"resources-{os.getpid()}-{tmp_path.name}", engine.client.api)
    yield made
    leftovers_docker.remove(engine.client.api, made.folder.name)


@pytest.mark.usefixtures("limits")
def test_loads_stay_within_the_limits_and_go(stage: Stage) -> None:
    """The processor to its limit and not beyond, memory held, the disk written to; seen by others than us; nothing of it is left."""
    with stage.cluster() as (cluster, scene):
        quiet = stage.processes()
        with Cpu().inject(scene, N1) as effect:
            assert effect.before["n1.load_wants_cpus"] == 0
            assert effect.during["n1.load_wants_cpus"] > 0.25  # type: ignore[operator]
            # The kernel grants the limit of half a processor by periods of 100 ms, of which the look may hold one more or less.
            assert effect.before["n1.cpus"] < effect.during["n1.cpus"] < 0.9  # type: ignore[operator]
            assert stage.processes().count("nines-tool") == 2
            assert cluster.nodes["n1"].status() is Status.UP
        assert effect.gone().ok
        assert stage.until(lambda: stage.processes() == quiet)
        with Memory(percent=0.5).inject(scene, N1) as effect:
            assert effect.during["n1.memory_bytes"] - effect.before["n1.memory_bytes"] > 0.4 * LIMITS.memory_bytes  # type: ignore[operator]
            assert effect.during["n1.oom_kill"] == "no"
            held = stage.api.stats(f"nines-{stage.folder.name}-n1", stream=False)["memory_stats"]["usage"]
            assert held > 0.5 * LIMITS.memory_bytes  # type: ignore[operator]
        assert effect.gone().ok
        with Io(workers=2, bytes_bytes=2_000_000).inject(scene, N1) as effect:
            assert effect.during["n1.written_bytes_per_s"] > 0  # type: ignore[operator]
            assert stage.inside("ls", "-A", DATA_INSIDE) == (0, ""), "the load writes into the node's own data"
        assert effect.gone().ok
        assert stage.until(lambda: stage.processes() == quiet)
        assert pending(stage.undo) == []
    assert leftovers_docker.things(stage.api, stage.folder.name) == []


@pytest.mark.usefixtures("limits")
def test_the_agent_never_takes_a_load_for_the_system(stage: Stage) -> None:
    """Paused, killed and started beside a load: the node's state is its own, and the load dies with its node."""
    with stage.cluster() as (cluster, scene):
        with Cpu().inject(scene, N1) as effect:
            node = cluster.nodes["n1"]
            node.pause()
            assert node.status() is Status.PAUSED
            node.resume()
            node.kill(signal.SIGKILL)
            assert node.status() is Status.DOWN
            node.start()
            assert node.status() is Status.UP
            assert "nines-tool" not in stage.processes()
        assert stage.until(lambda: effect.gone().ok)
        assert effect.gone().figures["n1.load"] == "had died with the node"


@pytest.mark.usefixtures("limits")
def test_out_of_memory_kills_the_node_and_is_called_that(stage: Stage) -> None:
    """The node dies and not the load; the engine knows why; it is no death of its own; it comes back when the fault is taken back."""
    with stage.cluster() as (cluster, scene):
        with Memory(percent=1.0).inject(scene, N1) as effect:
            assert effect.during["n1.oom_kill"] == "yes"
            assert cluster.nodes["n1"].status() is Status.DOWN
            # The engine hears of the death a moment after its own event of the shortage.
            assert stage.until(lambda: stage.api.inspect_container(f"nines-{stage.folder.name}-n1")["State"]["OOMKilled"])
            died = stage.of_n1()[-1]
            assert (died.status, died.cause, died.detail) == (Status.DOWN, "", "OOM")
            assert effect.effective_at_ns == died.at_ns
        assert cluster.nodes["n1"].status() is Status.UP
        assert stage.until(lambda: effect.gone().ok)
        assert "nines-tool" not in stage.processes()
        assert stage.inside("cat", "/proc/self/oom_score_adj")[1].strip() == "0"


def test_a_full_disk(stage: Stage) -> None:
    """The system's own write fails with ENOSPC, and finds no file that it did not make; afterwards there is room again."""
    write = ("sh", "-c", f"head -c 100000 /dev/zero > {DATA_INSIDE}/more && sync")
    with stage.cluster(DISK) as (cluster, scene):
        with DiskFull().inject(scene, N1) as effect:
            assert (effect.before["n1.write"], effect.during["n1.write"]) == ("ok", "ENOSPC")
            status, said = stage.inside(*write)
            assert status != 0
            assert "No space left on device" in said
            assert stage.inside("ls", "-A", DATA_INSIDE)[1].split() == ["more"]
        assert effect.gone().ok
        assert stage.inside(*write) == (0, "")
        with DiskFull(percent=0.5).inject(scene, N1) as effect:
            assert effect.during["n1.free_bytes"] <= 0.5 * LIMITS.disk_bytes + 65536  # type: ignore[operator]
            assert stage.inside(*write) == (0, "")
        node = cluster.nodes["n1"]
        assert isinstance(node, Removable)
        node.remove(data=True)
        node.start()
        assert stage.inside("ls", "-A", DATA_INSIDE) == (0, ""), "a removed node came back with its old data"


def test_a_disk_that_takes_no_writes(stage: Stage) -> None:
    """Met at a restart, or by the running system unless it has a file open for writing, which the kernel protects."""
    write = ("sh", "-c", f"echo > {DATA_INSIDE}/more")
    with stage.cluster(DISK) as (cluster, scene):
        with ReadOnly().inject(scene, N1) as effect:
            assert [row.status for row in stage.of_n1()][-2:] == [Status.DOWN, Status.UP]
            assert effect.during["n1.write"] == "EROFS"
            status, said = stage.inside(*write)
            assert status != 0
            assert "Read-only file system" in said
        assert stage.until(lambda: effect.gone().ok)
        with ReadOnly(remount="live").inject(scene, N1):
            assert stage.inside(*write)[0] != 0
        assert stage.inside(*write) == (0, "")
        holder = stage.api.exec_create(f"nines-{stage.folder.name}-n1", ["sh", "-c", f"exec 3>{DATA_INSIDE}/open; sleep 60"])["Id"]
        stage.api.exec_start(holder, detach=True)
        assert stage.until(lambda: "open" in stage.inside("ls", DATA_INSIDE)[1])
        with pytest.raises(FaultNotEffective, match="EBUSY"), ReadOnly(remount="live").inject(scene, N1):
            pytest.fail("it took effect")
        assert stage.inside(*write) == (0, "")
        assert cluster.nodes["n1"].status() is Status.UP
        assert pending(stage.undo) == []


@pytest.mark.usefixtures("limits")
def test_a_harness_that_is_killed_meanwhile(stage: Stage, engine: Engine) -> None:
    """Each agent ends load and ballast of its own node and unlocks its disk by itself; ``heal`` then removes everything."""
    write = ("sh", "-c", f"echo > {DATA_INSIDE}/more")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, HARNESS, stage.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as harness:
        assert harness.stdout is not None
        try:
            assert harness.stdout.readline() == b"holding\n"
            assert "nines-tool" in stage.processes()
            assert [stage.inside(*write, node=node)[0] == 0 for node in ("n1", "n2", "n3")] == [True, False, False]
        finally:
            harness.kill()
    found = leftovers.leftovers()
    assert [item.subject for item in found if item.kind == orphans.UNDO] == [
        "unload n1", "start n1", "unload n1", "start n2", "make room on n2", "start n3", "make writable n3",
    ]  # fmt: skip
    assert stage.until(lambda: "nines-tool" not in stage.processes(), ORPHANED_S)
    assert stage.until(lambda: all(stage.inside(*write, node=node)[0] == 0 for node in ("n2", "n3")), ORPHANED_S)
    assert leftovers.heal().could_not == []
    assert leftovers_docker.things(engine.client.api, stage.folder.name) == []
    assert proc.labelled(stage.folder.name) == []
    assert pending(RunFolder(stage.folder).undo) == []
