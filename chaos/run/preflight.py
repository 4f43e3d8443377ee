"""Whether this machine has room for a run: memory, disk, open files and ports, looked at before anything starts.

A machine that runs full in the middle makes the prober late and nodes die by themselves: the run would be unknown, and other people's
work in danger. What a run needs follows from its plan; the figures for a node and for our own processes are what they were seen to take.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.errors import EnvironmentUnusable
from chaos.core.system import most_files
from chaos.core.units import show_bytes
from chaos.history import observations
from chaos.plan.capabilities import runtime_of
from chaos.plan.plan import Plan

HARNESS_BYTES: Final = 150_000_000
"""Of memory: the harness, the prober, the name server, the role watch, and judging."""
NODE_BYTES: Final = 25_000_000
"""Of memory: a small node without a limit of its own."""
SPARE_BYTES: Final = 50_000_000
"""Of disk: the history, logs and reports."""
ENGINE_SPARE_BYTES: Final = 200_000_000
"""Of the engine's disk: what containers write, and the last layers of an image."""
FILES: Final = 100
"""Files open beside the connections of the traffic."""
JUDGING: Final = 4
"""Judging holds so many times the size of the observations in memory."""
JOURNALED_BYTES: Final = 260
"""An operation of clients whose data is checked, as two rows of the journal; what lists hold comes on top of it."""

_MEMORY: Final = Path("/proc/meminfo")
_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Machine(msgspec.Struct, frozen=True):
    """What is free. None: it cannot be told, or there is no limit."""

    memory_bytes: int | None = None
    disk_bytes: int | None = None
    """Where the run folder goes."""
    engine_bytes: int | None = None
    """Where the runtime keeps what nodes write, if that is apart: the Docker engine's data folder."""
    files: int | None = None
    """Open files of one process, at most."""
    ports: int | None = None
    """Ports that clients connect from."""


def look(folder: Path, data_root: Path | None = None) -> Machine:
    """This machine now; ``data_root`` is the engine's, where it is on this machine."""
    return Machine(
        memory_bytes=_available_memory(),
        disk_bytes=_free(folder),
        engine_bytes=None if data_root is None or not data_root.is_dir() else _free(data_root),
        files=most_files(),
        ports=_ports(),
    )


def require(plan: Plan, folder: Path, data_root: Path | None = None) -> None:
    """``EnvironmentUnusable`` (exit 5) with all that is too little, and what would help."""
    found = list(too_little(plan, look(folder, data_root)))
    if found:
        raise EnvironmentUnusable("; ".join(what for what, _ in found), how="; ".join(dict.fromkeys(how for _, how in found)))


def too_little(plan: Plan, machine: Machine) -> Iterator[tuple[str, str]]:
    """(what there is too little of, what would help), for each."""
    seen_bytes = _observations_bytes(plan)
    memory_bytes = HARNESS_BYTES + _nodes_bytes(plan) + JUDGING * seen_bytes
    fewer = "fewer nodes, or a smaller 'cluster.resources'"
    yield from _bytes("memory", memory_bytes, machine.memory_bytes, fewer if seen_bytes < memory_bytes / 10 else "a lower rate of traffic")
    shorter = "free some, a lower rate of traffic, or --folder on another disk"
    yield from _bytes("disk for the run folder", SPARE_BYTES + seen_bytes, machine.disk_bytes, shorter)
    runtime = runtime_of(plan.runtime)
    needed_bytes = ENGINE_SPARE_BYTES + seen_bytes
    what = f"disk where the runtime '{runtime.name}' keeps what nodes write"
    yield from _bytes(what, needed_bytes, machine.engine_bytes, "free some there, or a lower rate of traffic")
    hung = _hung(plan)
    if Capability.HERE in runtime.offers and machine.files is not None and hung + FILES > machine.files:
        what = f"{hung + FILES:,} open files may be needed while nothing answers, and {machine.files:,} are allowed"
        yield what, f"ulimit -n {hung + FILES}, a lower rate, or a shorter client.deadline"
    if not runtime.virtual and machine.ports is not None and hung > machine.ports:
        what = f"{hung:,} connections at once may be needed while nothing answers, and there are {machine.ports:,} ports to open them from"
        yield what, "a lower rate, or a shorter client.deadline"


def _bytes(what: str, needed: float, free: int | None, how: str) -> Iterator[tuple[str, str]]:
    if free is not None and needed > free:
        yield f"about {show_bytes(needed)} of {what} are needed, and {show_bytes(free)} are free", how


def _observations_bytes(plan: Plan) -> int:
    rate_per_s = math.fsum(spec.most_per_s for spec in plan.experiment.traffic.operations.values())
    data_per_s = 0.0 if plan.experiment.data is None else plan.experiment.data.rate_per_s
    return math.ceil(rate_per_s * plan.duration_s) * observations.RECORD.size + math.ceil(data_per_s * plan.duration_s) * JOURNALED_BYTES


def _nodes_bytes(plan: Plan) -> int:
    """As much as they may take, where that is limited; nodes of others, and virtual ones, take nothing of ours."""
    cluster = plan.experiment.cluster
    if runtime_of(plan.runtime).virtual or cluster.attach is not None:
        return 0
    # What fills a disk in memory is not the node's own: it comes on top of the limit.
    each_bytes = (cluster.resources.memory_bytes or NODE_BYTES) + (cluster.resources.disk_bytes or 0)
    return len(plan.nodes) * each_bytes


def _hung(plan: Plan) -> int:
    """Requests that are open at one time if none is answered: each is cut at its deadline."""
    traffic = plan.experiment.traffic
    return sum(math.ceil(spec.most_per_s * traffic.client.deadline_s) for spec in traffic.operations.values())


def _ports() -> int | None:
    if sys.platform != "linux":
        return None
    low, high = map(int, _PORTS.read_text(encoding="ascii").split())
    return high - low + 1


def _available_memory() -> int | None:
    if sys.platform != "linux":
        return None
    for line in _MEMORY.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _free(folder: Path) -> int:
    """On the disk that the folder is, or would be, on."""
    folder = folder.absolute()
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    return shutil.disk_usage(there).free
