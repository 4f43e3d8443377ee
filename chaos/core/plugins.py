"""The tables of interchangeable parts: name -> import path, resolved only when chosen; entry points extend them.

A package adds its own by an entry point in the group ``nines.faults``, ``nines.probes``, ``nines.runtimes`` or ``nines.reports``.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from typing import Any, Final

from chaos.core.errors import BadInput

FAULTS: Final = {
    "kill": "chaos.faults.kill:Kill",
    "power_off": "chaos.faults.power_off:PowerOff",
    "stop": "chaos.faults.stop:Stop",
    "restart": "chaos.faults.restart:Restart",
    "remove": "chaos.faults.remove:Remove",
    "pause": "chaos.faults.pause:Pause",
    "partition": "chaos.faults.partition:Partition",
    "latency": "chaos.faults.latency:Latency",
    "loss": "chaos.faults.loss:Loss",
    "duplicate": "chaos.faults.duplicate:Duplicate",
    "corrupt": "chaos.faults.corrupt:Corrupt",
    "reorder": "chaos.faults.reorder:Reorder",
    "bandwidth": "chaos.faults.bandwidth:Bandwidth",
    "slow_close": "chaos.faults.slow_close:SlowClose",
    "timeout": "chaos.faults.timeout:Timeout",
    "reset_peer": "chaos.faults.reset_peer:ResetPeer",
    "slicer": "chaos.faults.slicer:Slicer",
    "limit_data": "chaos.faults.limit_data:LimitData",
    "down": "chaos.faults.down:Down",
    "dns": "chaos.faults.dns:Dns",
    "clock": "chaos.faults.clock:Clock",
    "files": "chaos.faults.files:Files",
    "connections": "chaos.faults.connections:Connections",
    "load": "chaos.faults.load:Load",
    "cpu": "chaos.faults.cpu:Cpu",
    "memory": "chaos.faults.memory:Memory",
    "io": "chaos.faults.io:Io",
    "disk_full": "chaos.faults.disk_full:DiskFull",
    "read_only": "chaos.faults.read_only:ReadOnly",
}
PROBES: Final = {
    "http": "chaos.traffic.probes.http:build",
    "tcp": "chaos.traffic.probes.tcp:build",
    "etcd": "chaos.traffic.probes.etcd:build",
    "driver": "chaos.traffic.probes.driver:build",
}
RUNTIMES: Final = {
    "local": "chaos.runtimes.local.runtime:LocalRuntime",
    "docker": "chaos.runtimes.docker.runtime:DockerRuntime",
    "fake": "chaos.runtimes.fake.runtime:FakeRuntime",
}
REPORTS: Final = {
    "text": "chaos.report.formats.text:render",
    "json": "chaos.report.formats.json:render",
    "notebook": "chaos.report.formats.notebook:render",
    "junit": "chaos.report.formats.junit:render",
    "html": "chaos.report.formats.html:render",
    "markdown": "chaos.report.formats.markdown:render",
}
TABLES: Final = {"faults": FAULTS, "probes": PROBES, "runtimes": RUNTIMES, "reports": REPORTS}


def names(table: str) -> list[str]:
    """What can be chosen, shipped and added."""
    return sorted({*TABLES[table], *_added(table)})


def find(table: str, name: str) -> Any:  # noqa: ANN401 - each table has a type of its own
    """The object behind a name; an unknown name is refused with the nearest one."""
    path = TABLES[table].get(name) or _added(table).get(name)
    if path is None:
        raise BadInput(f"unknown {table.removesuffix('s')} '{name}'", right=suggest(name, names(table)))
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def suggest(name: str, known: list[str]) -> str:
    """``did you mean 'latency'?`` or the list of what there is."""
    near = difflib.get_close_matches(name[:200], known, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"one of: {', '.join(known)}"


@functools.cache
def _added(table: str) -> dict[str, str]:
    """What installed packages add; reading their metadata takes some 15 ms, so once."""
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=f"nines.{table}")}
