"""A Docker engine of the soak's own, so that all that is on it can be compared, and it may be frozen without harm to anybody."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chaos.engine import private as private_engine
from chaos.engine.connection import Engine, connect
from chaos.engine.images.build import cache_dir, one_at_a_time
from chaos.engine.leftovers import NODE, ROLE, STATE
from chaos.engine.private_parts import ENVIRONMENT, Layout, read_record
from chaos.registry import processes as proc
from tools.soak import look

SYSTEM, AGENT = "system", "agent"


class OwnEngine:
    """Its address, what is on it, and the tricks that are played on it."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.host = host
        self._frozen: proc.Identity | None = None

    def _connect(self) -> Engine:
        return connect(self.host, checked=False)

    def warm(self) -> None:
        """Its images are there, so that no run makes one."""
        from chaos.engine.images.build import quiet
        from chaos.engine.images.ensure import ensure_base, ensure_harness, ensure_target
        from chaos.engine.images.tools import ensure_tools
        from chaos.experiment.target.load import load_target

        target = load_target("replicated_kv", beside=self.folder)
        with self._connect() as engine:
            ensure_harness(engine)
            ensure_tools(engine, ensure_base(engine), quiet)
            for part in target.parts:
                ensure_target(engine, target, part)

    def things(self) -> set[str]:
        """Everything on it and everything of it on the machine, by names that do not change by themselves."""
        with self._connect() as engine:
            api = engine.client.api
            found = {f"container {each['Names'][0]}" for each in api.containers(all=True)}
            found |= {f"network {each['Name']} {each['Id'][:12]}" for each in api.networks()}
            found |= {f"volume {each['Name']}" for each in api.volumes()["Volumes"] or ()}
            found |= {f"image {each['Id'][7:19]} {' '.join(each['RepoTags'] or ())}" for each in api.images(all=True)}
            bridges = {f"br-{each['Id'][:12]}" for each in api.networks()}
        found |= {f"bridge {name}" for name in bridges if Path("/sys/class/net", name).exists()}
        data = Layout.of(self.folder).data
        found |= {f"folder {path.relative_to(data)}" for kind in ("containers", "volumes") for path in (data / kind).glob("*")}
        prefix = f"{self.folder}/"
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        found |= {f"mount {line.split()[4]}" for line in lines if line.split()[4].startswith(prefix)}
        return found | {f"shim {pid}" for pid in self._shims()}

    def bridges_of(self, state: Path) -> set[str]:
        """The interfaces of the networks of runs with this state folder."""
        with self._connect() as engine:
            networks = engine.client.api.networks(filters={"label": f"{STATE}={state}"})
            return {f"br-{each['Id'][:12]}" for each in networks}

    def _shims(self) -> list[int]:
        ours = [pid for pid in proc.pids() if proc.environ(pid).get(ENVIRONMENT) == str(self.folder)]
        return [pid for pid in ours if "containerd-shim" in _command(pid)]

    def containers(self, state: Path, role: str) -> dict[str, str]:
        """Node -> id of the containers in that role, of runs with this state folder."""
        with self._connect() as engine:
            found = engine.client.api.containers(filters={"label": [f"{STATE}={state}", f"{ROLE}={role}"]})
            return {each["Labels"][NODE]: each["Id"] for each in found}

    def restart(self, container: str) -> None:
        """As somebody else might do it."""
        with self._connect() as engine:
            engine.client.api.restart(container, timeout=0)

    def remove(self, container: str) -> None:
        """By force."""
        with self._connect() as engine:
            engine.client.api.remove_container(container, force=True, v=True)

    def freeze(self) -> None:
        """It answers nobody from now on."""
        record = read_record(self.folder)
        assert record is not None, "it runs"
        self._frozen = record.who
        proc.send(record.who, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on; nothing if it was not frozen."""
        if self._frozen is not None:
            proc.send(self._frozen, signal.SIGCONT)
            self._frozen = None

    def toxiproxies(self, state: Path) -> list[int]:
        """The Toxiproxy servers in the agents' containers."""
        agents = self.containers(state, AGENT)
        return [pid for container in agents.values() for pid in look.inside(container, "toxiproxy")]


@contextmanager
def own_engine() -> Iterator[OwnEngine]:
    """Started in a folder that keeps its images; ended with us, however we end. A second soak waits until the first one is done."""
    folder = cache_dir() / "soak-engine"
    with ExitStack() as stack:
        stack.enter_context(one_at_a_time("soak-engine"))
        _unfreeze_old(folder)
        host = stack.enter_context(private_engine.private_engine(folder, lambda text: print(text, file=sys.stderr)))
        engine = OwnEngine(folder, host)
        try:
            engine.warm()
            yield engine
        finally:
            engine.thaw()


def _unfreeze_old(folder: Path) -> None:
    """Let the engine of a soak go on that was itself ended by force while it had it frozen: as it is, it cannot even be asked."""
    record = read_record(folder)
    if record is not None and proc.alive(record.who):
        proc.send(record.who, signal.SIGCONT)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def freeze_all(pids: list[int]) -> int:
    """SIGSTOP to each; how many."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return len(pids)
