"""Runs that are cut short at random instants leave nothing that is not found: the quick form of ``make soak``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from chaos.core import plugins as tables
from tests.support.echo_deployment import need_toxiproxy
from tests.support.paths import ROOT

pytestmark = pytest.mark.e2e


def test_runs_cut_short_leave_nothing_behind() -> None:
    """Five runs: SIGKILL in the middle of three kinds of fault, a SIGTERM, and two signals in quick succession."""
    need_toxiproxy()
    command = [
        sys.executable, "-m", "tools.soak", "--count", "5", "--ways", "kill,kill,twice,kill,term",
        "--kinds", "kill,pause,latency,partition",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 of 5" in done.stdout


def test_every_kind_of_fault_is_soaked() -> None:
    """A kind that comes into the table has a way to be written that one of the runtimes can plan."""
    from tools.soak.kinds import examples

    kinds = tables.names("faults")
    reached = {kind for runtime in ("local", "docker") for kind in examples(runtime, kinds)[0]}
    assert sorted(set(kinds) - reached) == ["delete", "drain"]  # of pods alone, which neither of these starts
