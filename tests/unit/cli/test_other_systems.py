"""The user's side on macOS and Windows, by simulation: what these systems lack is taken away from a process on Linux."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT, SUPPORT

QUICKSTART = ROOT / "experiments" / "quickstart.yaml"


def nines(system: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SUPPORT / "other_system.py"), system, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_planning_predicting_judging_and_reporting(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in virtual time gives the folder that is judged."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    quick = str(QUICKSTART)
    for words in (
        ("--help",), ("explain", "slot"), ("init", "first.yaml"), ("validate", "first.yaml", quick), ("plan", quick), ("predict", quick),
        ("run", quick, "--runtime", "fake", "--folder", "run", "-q"), ("judge", "run"), ("report", "run"),
        ("report", "run", "--format", "html", "-o", "page.html"), ("report", "run", "--format", "junit"), ("history", "run"),
        ("status",), ("leftovers",), ("version",), ("runbook", quick),
    ):  # fmt: skip
        done = nines(system, tmp_path, *words)
        assert done.returncode in (0, 3), f"{words}: {done.stdout[-500:]}{done.stderr[-3000:]}"
        assert done.returncode == 0 or words[0] in ("run", "judge"), words
        assert "Traceback" not in done.stderr, f"{words}: {done.stderr[-3000:]}"
    local = nines(system, tmp_path, "run", quick, "--runtime", "local")
    assert local.returncode == 5, local.stderr[-3000:]
    assert "only Linux can" in local.stderr
    assert "--runtime docker" in local.stderr
