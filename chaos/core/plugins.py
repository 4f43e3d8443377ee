"""The tables of interchangeable parts: name -> import path, resolved only when chosen; entry points extend them.

A package adds its own by an entry point in the group ``nines.faults``, ``nines.probes``, ``nines.runtimes``, ``nines.reports``,
``nines.exports``, ``nines.models`` or ``nines.checks``. One that does not load is refused where it is chosen, listed with its reason by
``nines doctor``, and does no other harm.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from chaos.core.errors import BadInput, EnvironmentUnusable

FAULTS: Final = {
    "kill": "chaos.faults.kill:Kill",
    "power_off": "chaos.faults.power_off:PowerOff",
    "stop": "chaos.faults.stop:Stop",
    "restart": "chaos.faults.restart:Restart",
    "remove": "chaos.faults.remove:Remove",
    "delete": "chaos.faults.delete:Delete",
    "drain": "chaos.faults.drain:Drain",
    "membership": "chaos.faults.membership:Membership",
    "pause": "chaos.faults.pause:Pause",
    "partition": "chaos.faults.partition:Partition",
    "latency": "chaos.faults.latency:Latency",
    "loss": "chaos.faults.packets:Loss",
    "duplicate": "chaos.faults.packets:Duplicate",
    "corrupt": "chaos.faults.packets:Corrupt",
    "reorder": "chaos.faults.packets:Reorder",
    "bandwidth": "chaos.faults.bandwidth:Bandwidth",
    "slow_close": "chaos.faults.streams:SlowClose",
    "timeout": "chaos.faults.streams:Timeout",
    "reset_peer": "chaos.faults.streams:ResetPeer",
    "slicer": "chaos.faults.streams:Slicer",
    "limit_data": "chaos.faults.streams:LimitData",
    "down": "chaos.faults.streams:Down",
    "dns": "chaos.faults.dns:Dns",
    "clock": "chaos.faults.clock:Clock",
    "files": "chaos.faults.open_files:Files",
    "connections": "chaos.faults.connections:Connections",
    "load": "chaos.faults.surge:Load",
    "cpu": "chaos.faults.cpu:Cpu",
    "memory": "chaos.faults.memory:Memory",
    "io": "chaos.faults.io:Io",
    "disk_full": "chaos.faults.disks:DiskFull",
    "read_only": "chaos.faults.disks:ReadOnly",
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
    "kubernetes": "chaos.runtimes.kubernetes.runtime:KubernetesRuntime",
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
EXPORTS: Final = {
    "openmetrics": "chaos.report.export.openmetrics:export",
    "textfile": "chaos.report.export.textfile:export",
    "series": "chaos.report.export.series:export",
    "events": "chaos.report.export.events:export",
    "bulk": "chaos.report.export.bulk:export",
    "annotations": "chaos.report.export.annotations:export",
    "dashboard": "chaos.report.export.dashboard:export",
    "trace": "chaos.report.export.trace:export",
}
MODELS: Final = {
    "kill": "chaos.predict.scenarios.crash:KILL",
    "power_off": "chaos.predict.scenarios.crash:POWER_OFF",
    "pause": "chaos.predict.scenarios.crash:PAUSE",
    "partition": "chaos.predict.scenarios.partition:PARTITION",
    "latency": "chaos.predict.scenarios.latency:LATENCY",
    "stop": "chaos.predict.scenarios.shutdown:STOP",
    "restart": "chaos.predict.scenarios.shutdown:RESTART",
    "remove": "chaos.predict.scenarios.shutdown:REMOVE",
    "delete": "chaos.predict.scenarios.giving_up:MODEL",
    "drain": "chaos.predict.scenarios.giving_up:DRAIN",
    "down": "chaos.predict.scenarios.streams:DOWN",
    "timeout": "chaos.predict.scenarios.streams:TIMEOUT",
    "dns": "chaos.predict.scenarios.dns:DNS",
}
"""Kind of fault -> how it is predicted."""
CHECKS: Final = {
    "lost_writes": "chaos.data.checks.lost_writes:LostWrites",
    "phantom_writes": "chaos.data.checks.phantom_writes:PhantomWrites",
    "duplicate_writes": "chaos.data.checks.duplicate_writes:DuplicateWrites",
    "stale_reads": "chaos.data.checks.stale_reads:StaleReads",
    "read_your_writes": "chaos.data.checks.read_your_writes:ReadYourWrites",
    "monotonic_reads": "chaos.data.checks.monotonic_reads:MonotonicReads",
    "diverged_replicas": "chaos.data.checks.diverged_replicas:DivergedReplicas",
    "linearizable": "chaos.data.checks.linearizable:Linearizable",
    "one_leader": "chaos.data.checks.one_leader:OneLeader",
}
"""What is checked of the data that clients wrote and read."""
TABLES: Final = {
    "faults": FAULTS, "probes": PROBES, "runtimes": RUNTIMES, "reports": REPORTS, "exports": EXPORTS, "models": MODELS, "checks": CHECKS,
}  # fmt: skip
_MUST_HAVE: Final = {"faults": ("inject", "needs"), "runtimes": ("up", "offers"), "models": ("build",), "checks": ("check", "workloads")}
"""What tells a part of each table from something else."""


def names(table: str) -> list[str]:
    """What can be chosen, shipped and added."""
    return sorted({*TABLES[table], *_added(table)})


def find(table: str, name: str) -> Any:  # noqa: ANN401 - each table has a type of its own
    """The object behind a name; an unknown name is refused with the nearest one, another package's that does not load with its reason."""
    if name in TABLES[table]:
        return _load(TABLES[table][name])
    added = _added(table)
    if name not in added:
        raise BadInput(f"unknown {table.removesuffix('s')} '{name}'", right=suggest(name, names(table)))
    why = failure(table, name)
    if why:
        what = f"the {table.removesuffix('s')} '{name}' of {added[name].package} does not load: {why}"
        raise EnvironmentUnusable(what, how="repair or remove that package; 'nines doctor' lists all that were found")
    return _load(added[name].path)


def _load(path: str) -> Any:  # noqa: ANN401 - each table has a type of its own
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def loading(table: str) -> list[str]:
    """Those of its names behind which something is that loads."""
    return [name for name in names(table) if not failure(table, name)]


@functools.cache
def failure(table: str, name: str) -> str:
    """Why the one of this name that another package brings does not load; empty if it does, or is shipped."""
    if name in TABLES[table]:
        return ""
    path = _added(table)[name].path
    try:
        found = _load(path)
    except Exception as error:  # whatever a package of others does while it is imported
        return f"{type(error).__name__}: {error}"
    lacking = [each for each in _MUST_HAVE.get(table, ()) if not hasattr(found, each)]
    if lacking or (table not in _MUST_HAVE and not callable(found)):
        return f"{path} is no {table.removesuffix('s')}" + (f": it has no '{lacking[0]}'" if lacking else ": it cannot be called")
    if table == "runtimes" and getattr(found, "name", name) != name:
        return f"{path} calls itself '{found.name}'"
    return ""


def added() -> list[Added]:
    """All that other packages bring, whether it loads or not."""
    return [each for table in TABLES for each in _added(table).values()]


def suggest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'latency'?`` or the list of what there is."""
    names = list(known)
    near = difflib.get_close_matches(name[:200], names, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"one of: {', '.join(names)}"


class Added(NamedTuple):
    """One entry point of another package."""

    table: str
    name: str
    path: str
    package: str

    @property
    def hidden(self) -> bool:
        """A shipped part has this name, and is the one that is found."""
        return self.name in TABLES[self.table]


@functools.cache
def _added(table: str) -> dict[str, Added]:
    """What installed packages add; reading their metadata takes some 15 ms, so once."""
    from importlib.metadata import entry_points

    found = entry_points(group=f"nines.{table}")
    return {point.name: Added(table, point.name, point.value, point.dist.name if point.dist else "a package") for point in found}
