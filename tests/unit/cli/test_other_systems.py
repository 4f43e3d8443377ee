"""The user's side on macOS and Windows, by simulation: what these systems lack is taken away from a process on Linux."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT, SUPPORT

QUICKSTART = ROOT / "experiments" / "quickstart.yaml"


def nines(system: str, folder: Path, *lines: tuple[str, ...]) -> list[tuple[int, str, str]]:
    command = [sys.executable, str(SUPPORT / "other_system.py"), system]
    done = subprocess.run(command, input=json.dumps(lines), capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[tuple[int, str, str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_planning_predicting_judging_and_reporting(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in virtual time gives the folder that is judged."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    quick = str(QUICKSTART)
    lines = (
        ("--help",), ("explain", "slot"), ("init", "first.yaml"), ("validate", "first.yaml", quick), ("plan", quick), ("predict", quick),
        ("run", quick, "--runtime", "fake", "--folder", "run", "-q"), ("judge", "run"), ("report", "run"),
        ("report", "run", "--format", "html", "-o", "page.html"), ("report", "run", "--format", "junit"), ("history", "run"),
        ("status",), ("leftovers",), ("version",), ("runbook", quick), ("run", quick, "--runtime", "local"),
    )  # fmt: skip
    *done, local = nines(system, tmp_path, *lines)
    for words, (status, out, err) in zip(lines, done, strict=False):
        asks_engine = words == ("leftovers",)  # the one that is named is not there
        assert status == 0 or (status == 3 and words[0] in ("run", "judge")) or (status == 5 and asks_engine), (
            f"{words}: {out[-500:]}{err[-3000:]}"
        )
        assert "Traceback" not in err, f"{words}: {err[-3000:]}"
    status, _, err = local
    assert status == 5, err[-3000:]
    assert "only Linux can" in err
    assert "--runtime docker" in err
