"""The wall clock of a plain process: a file in the run folder that its preloaded libfaketime reads at every look at the time."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from chaos.agent.agent_parts import clock as faked
from chaos.core.clock import Clock, to_s
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.runtimes.base import faketime


class NodeClock:
    """One node's; true until it is set. ``waits``: see ``agent_parts/clock.py``."""

    def __init__(self, folder: Path, clock: Clock, waits: bool) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._offset_s = 0.0
        self._rate = 1.0
        self._set_ns = 0
        library = faketime.find()
        if library is None:
            raise CapabilityMissing(f"there is no {faketime.NAME} on this machine", how=faketime.HOW)
        if any(character in str(folder) for character in " :"):
            raise EnvironmentUnusable(
                f"the run folder {folder} has a blank or a colon in its path, which the dynamic linker takes for an end (ld.so(8))",
                how="name another one with --folder",
            )
        faked.prepare(library, folder, waits)

    @property
    def environment(self) -> Mapping[str, str]:
        """Of every process that is to live by it; what is preloaded anyhow stays so."""
        own = faked.environment(str(self._folder))
        others = os.environ.get("LD_PRELOAD", "")
        return own | {"LD_PRELOAD": f"{own['LD_PRELOAD']} {others}".strip()}

    def set(self, offset_s: float, rate: float, began_ns: int) -> int:
        """From now on, for a process that began then."""
        with self._lock:
            now_ns = self._clock.now_ns()
            self._offset_s, self._rate, self._set_ns = offset_s, rate, now_ns
            faked.write(self._folder, faked.line(offset_s, rate, to_s(now_ns - began_ns)))
            return now_ns

    def begins(self) -> None:
        """Another process is about to begin: what its clock shows goes on as if it had always run."""
        with self._lock:
            if self._rate != 1.0:
                gained_s = (self._rate - 1.0) * to_s(self._clock.now_ns() - self._set_ns)
                faked.write(self._folder, faked.line(self._offset_s + gained_s, self._rate, 0.0))


def refuse_unable(pids: Mapping[str, int]) -> None:
    """``CapabilityMissing`` if the clock of one of these nodes is not ours to set; asked when they run, and before any fault."""
    for name, pid in pids.items():
        why = faked.unable(pid)
        if why:
            raise CapabilityMissing(f"the clock of {name} cannot be set: {why}", how="leave out the fault 'clock', or use another target")
