"""Runs that are cut short at random instants leave nothing that is not found: the quick form of ``make soak``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.echo_deployment import need_toxiproxy

pytestmark = pytest.mark.e2e
SOAK = Path(__file__).parents[2] / "tools" / "soak.py"


def test_runs_cut_short_leave_nothing_behind() -> None:
    """Five runs: SIGKILL in the middle of three kinds of fault, a SIGTERM, and two signals in quick succession."""
    need_toxiproxy()
    command = [sys.executable, str(SOAK), "--count", "5", "--ways", "kill,kill,twice,kill,term", "--kinds", "kill,pause,latency,partition"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 of 5" in done.stdout
