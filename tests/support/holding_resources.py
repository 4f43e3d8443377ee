"""A harness to be killed: ``holding_resources.py FOLDER`` loads one node, fills and locks the disks of others, says so, and waits."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))

from chaos.core.clock import MonotonicClock
from chaos.core.values import Victims
from chaos.experiment.cluster import Resources
from chaos.experiment.faults import FaultSpec
from chaos.experiment.schedules import At
from chaos.experiment.selectors import Named
from chaos.faults.cpu import Cpu
from chaos.faults.disks import DiskFull, ReadOnly
from chaos.faults.memory import Memory
from chaos.history.events import Row
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.history.undo import UndoLog
from chaos.plugin import Deployment, Scene
from chaos.runtimes.docker.runtime import DockerRuntime
from tests.support.echo_deployment import echo_deployment, echo_plan

LIMITS = Resources(cpus=0.5, memory_bytes=96_000_000, disk_bytes=8_000_000)
KINDS: dict[str, dict[str, str | float | bool | tuple[str | tuple[str, ...], ...] | None]] = {
    "cpu": {}, "memory": {"percent": 0.5}, "io": {}, "disk_full": {}, "read_only": {},
}  # fmt: skip
"""Kind of fault -> its fields."""
DISK = Resources(disk_bytes=LIMITS.disk_bytes)
"""What needs no cgroup."""
ON_DISKS = {kind: KINDS[kind] for kind in ("disk_full", "read_only")}


def deployment(folder: Path, limits: Resources = LIMITS) -> Deployment:
    """Echo nodes with limits, in a plan that has every fault on resources that these limits allow."""
    plan = echo_plan("docker")
    kinds = KINDS if limits == LIMITS else ON_DISKS
    faults = tuple(
        FaultSpec(name=kind, kind=kind, params=params, schedule=At((1.0,)), for_s=1.0, times=1, target=Named(("n1",)))
        for kind, params in kinds.items()
    )
    cluster = msgspec.structs.replace(plan.experiment.cluster, resources=limits)
    experiment = msgspec.structs.replace(plan.experiment, cluster=cluster, faults=faults)
    return echo_deployment(folder, msgspec.structs.replace(plan, experiment=experiment))


def main(folder: Path) -> None:
    deployed = deployment(folder)
    run_folder = RunFolder(folder)
    run_folder.write_plan(deployed.plan, "experiment: echo\n")
    history = HistoryWriter(run_folder.history)

    def sink(row: Row) -> None:
        history.append(row)

    clock = MonotonicClock()
    with DockerRuntime().up(deployed, sink, clock) as cluster, ExitStack() as stack:
        scene = Scene(cluster=cluster, clock=clock, undo=UndoLog(run_folder.undo))
        for fault, node in ((Cpu(), "n1"), (Memory(percent=0.3), "n1"), (DiskFull(), "n2"), (ReadOnly(remount="live"), "n3")):
            stack.enter_context(fault.inject(scene, Victims(nodes=(node,))))
        print("holding", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
