"""The helper processes of one run: started early to load, fed their specs when it is time, ended together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from chaos.core.clock import Clock
from chaos.history.events import Row, TrafficEnded
from chaos.history.folder import write_private
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.helper import Breakage, Helper
from chaos.runtimes.base.process import Child, Died, Reaper
from chaos.runtimes.base.surges import unheard

PROBER = "prober"
PROBER_MODULE = "chaos.traffic.prober"
LAST_ROWS_S = 1.0
"""After its death a helper's last rows are handed on within this."""


def environment(claim: Claim, name: str) -> dict[str, str]:
    """What every process of a run is given: ours, with the labels; unbuffered, so that a killed one's last lines are in its log."""
    return {"PYTHONUNBUFFERED": "1", **os.environ, **claim.labels(name)}


class Crew:
    """All helpers of a run."""

    def __init__(self, deployment: Deployment, claim: Claim, reaper: Reaper, breakage: Breakage, sink: Sink, clock: Clock) -> None:
        self._logs = deployment.folder / "logs"
        self._specs = deployment.folder / "specs"
        self._claim = claim
        self._reaper = reaper
        self._breakage = breakage
        self._sink = sink
        self._clock = clock
        self._all: list[Helper] = []
        self._children: list[tuple[Child, Died]] = []
        self._prober: Helper | None = None

    def warm(self, name: str, module: str, on_row: Callable[[Row], None] | None = None, sink: Sink | None = None) -> Helper:
        """A helper that loads its modules and then waits for its spec. ``sink``: where its rows go, if not into the history."""
        log = self._logs / f"{name}.log"
        reads, writes = os.pipe()
        try:
            command = [sys.executable, "-m", module, f"/dev/fd/{reads}"]
            child = Child(name, command, environment(self._claim, name), Path.cwd(), log, self._clock, talks=True, inherits=(reads,))
        except BaseException:
            os.close(writes)
            raise
        finally:
            os.close(reads)
        last_row = TrafficEnded if module == PROBER_MODULE else None
        helper = Helper(child, log, sink or self._sink, self._breakage, on_row, last_row, writes)
        self._all.append(helper)
        self._children.append((child, helper.died))
        self._claim.note_process(name, child.pid)
        self._reaper.watch(child, helper.died)
        helper.start()
        return helper

    def feed(self, helper: Helper, spec: bytes) -> None:
        """Let it begin; the spec is kept beside the run."""
        self._specs.mkdir(parents=True, exist_ok=True)
        write_private((self._specs / f"{helper.child.name}.json"), spec)
        helper.feed(spec)

    def warm_prober(self) -> None:
        """The prober has most to load, and the traffic is not to wait for it."""
        self._prober = self.warm(PROBER, PROBER_MODULE)

    def start_prober(self, spec: bytes) -> Helper:
        """The one that waits; for further traffic of the same run a new one."""
        helper = self._prober or self.warm(PROBER, PROBER_MODULE)
        self._prober = None
        self.feed(helper, spec)
        return helper

    def make_spare(self, name: str) -> Helper:
        """A prober for a surge."""
        return self.warm(name, PROBER_MODULE, sink=unheard)

    def end_input(self) -> list[tuple[Child, Died]]:
        """Ask all to end; what is then to be waited for."""
        for helper in self._all:
            helper.end_input()
        return self._children

    def close(self) -> None:
        """All are dead: take over their last rows, close the pipes."""
        for helper in self._all:
            helper.wait_ended(LAST_ROWS_S)
        for child, _ in self._children:
            child.close()
