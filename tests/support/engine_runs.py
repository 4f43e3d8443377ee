"""A run on an engine, by the command as a user gives it: it ends, each fault is gone, nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from chaos.history.events import FaultFailed, FaultGone, RunEnded
from chaos.history.folder import RunFolder


def called(
    folder: Path, text: str, *, host: str | None = None, name: str = "run", through: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """``nines run`` in that folder, into ``folder/name``. ``host``: the engine, if not DOCKER_HOST's; ``through``: starts the command."""
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    env = os.environ | {"NINES_STATE": str(folder / "state")} | ({"DOCKER_HOST": host} if host else {})
    command = [*through, sys.executable, "-m", "chaos", "run", f"{name}.yaml", "--folder", name, "-q"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def carried_out(folder: Path, text: str, *, faults: int, host: str | None = None, name: str = "run", through: Sequence[str] = ()) -> None:
    """All its faults took effect and are gone. Whether the run is valid depends on how busy the machine is, so that is not judged."""
    done = called(folder, text, host=host, name=name, through=through)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    rows = RunFolder(folder / name).rows()
    assert [row.reason for row in rows if isinstance(row, FaultFailed)] == []
    assert sum(isinstance(row, FaultGone) for row in rows) == faults
    assert isinstance(rows[-1], RunEnded)
    assert rows[-1].left == []
    assert (folder / name / "report.json").exists()
