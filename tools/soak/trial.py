"""One run of the soak: what it is, how it is asked, and what was found to be wrong with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tools.soak.engine import OwnEngine
from tools.soak.kinds import ROOT, Example

WITHIN_S = {"local": 120.0, "docker": 240.0}


@dataclass
class Trial:
    """One run, and what was wrong with its end."""

    way: str
    example: Example
    runtime: str
    folder: Path
    engine: OwnEngine | None = None
    instant: str = ""
    struck: int = 0
    """What was frozen, restarted or removed meanwhile."""
    killed: bool = False
    """The harness was ended by SIGKILL."""
    status: int | None = None
    refused: str = ""
    """Why it did not start at all: this machine cannot do it."""
    troubles: list[str] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """Its own state folder; our package wherever it stands."""
        host = {"DOCKER_HOST": self.engine.host} if self.engine is not None else {}
        return {**os.environ, **host, "NINES_STATE": str(self.state), "PYTHONPATH": str(ROOT)}

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def run(self) -> Path:
        return self.folder / "soak-run"

    @property
    def within_s(self) -> float:
        return WITHIN_S[self.runtime]

    def nines(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        command = [sys.executable, "-m", "chaos", *map(str, words)]
        try:
            return subprocess.run(
                command, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=self.within_s, check=False
            )
        except subprocess.TimeoutExpired:
            self.wrong(f"'nines {words[0]}' had not ended after {self.within_s:g} s")
            return subprocess.CompletedProcess(command, -1, "", "")

    def wrong(self, what: str) -> None:
        self.troubles.append(what)

    def expect(self, done: subprocess.CompletedProcess[str], *statuses: int) -> None:
        """A command must end so, and never with a traceback."""
        if done.returncode not in statuses or "Traceback" in done.stderr:
            said = " / ".join(done.stderr.strip().splitlines()[-3:]) or "nothing said"
            self.wrong(f"'nines {done.args[3]}' ended with {done.returncode}, not {' or '.join(map(str, statuses))}: {said}")

    def happened(self, tag: str) -> bool:
        """Whether the history holds such a row."""
        path = self.run / "history.jsonl"
        return path.exists() and f'"{tag}"'.encode() in path.read_bytes()


def wait(until: Callable[[], bool], within_s: float) -> bool:
    """Whether it came to be so in time."""
    end_s = time.monotonic() + within_s
    while not until():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.005)
    return True
