"""What a crashed run left in containers that are not its own: they live on, so it does not go away with the run's things.

Found again by the keys that the run wrote into its folder before it did anything; given back by a fresh guest in each.
"""

from __future__ import annotations

from pathlib import Path

from chaos.core.clock import MonotonicClock
from chaos.engine.leftovers import HARNESS, STATE
from chaos.history import undo
from chaos.history.folder import RunFolder
from chaos.registry import runs as registry
from chaos.registry.runs import RunRecord

START = "start"
"""The undo of whatever stopped a node."""


def attached(record: RunRecord) -> bool:
    """Whether this run had come to containers that are not ours."""
    from chaos.runtimes.docker.attach.find import FILE

    return bool(record.engine) and (Path(record.folder) / FILE).exists()


def containers(record: RunRecord) -> dict[str, str]:
    """Which container each node was; empty where the run attached to nothing."""
    if not attached(record):
        return {}
    from chaos.runtimes.docker.attach.find import containers_of

    return containers_of(Path(record.folder))


def give_back(record: RunRecord, state: Path | None = None) -> list[str]:
    """No rule, nothing frozen, and what it had stopped started again; what could not be taken back. Safe to repeat."""
    from chaos.engine.connection import connect
    from chaos.engine.images.ensure import ensure_harness
    from chaos.runtimes.docker.attach import find as docker_attach_find
    from chaos.runtimes.docker.attach import give_back as docker_attach_back
    from chaos.runtimes.docker.containers import Containers

    folder = RunFolder(Path(record.folder))
    keys = docker_attach_find.read_keys(folder.path)
    stopped = frozenset(entry.subject for entry in undo.pending(folder.undo) if entry.action == START)
    where = state or registry.state_dir()
    with connect(record.engine, checked=False) as engine:
        containers = Containers(engine, record.run, {STATE: str(where), HARNESS: str(record.harness)})
        return docker_attach_back.give_back(containers, keys, ensure_harness(engine), stopped, MonotonicClock())
