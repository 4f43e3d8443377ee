"""Processes are seen whatever they are doing while they are looked at."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from chaos.registry import processes as proc

LOOKS = 3000


def test_a_process_that_changes_its_program_is_never_missed(tmp_path: Path) -> None:
    """The kernel shows no environment in that moment; this one does nothing else (a plain read misses some 2 of 100)."""
    script = tmp_path / "again"
    script.write_text('#!/bin/sh\nexec "$0"\n', encoding="ascii")
    script.chmod(0o755)
    labels = proc.labels("restless", "n1", proc.own_identity(), tmp_path)
    with subprocess.Popen([script], env=os.environ | labels) as popen:
        try:
            seen = sum(proc.RUN_LABEL in proc.environ(popen.pid) for _ in range(LOOKS))
        finally:
            popen.kill()
    assert seen == LOOKS


def test_kernel_threads_and_the_dead_have_no_environment_and_hold_nothing_up() -> None:
    """Neither of them is on its way to another program."""
    with subprocess.Popen(["true"]) as popen:
        os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
        dead = proc.stat(popen.pid)
        assert dead is not None and dead.gone
        assert proc.environ(popen.pid) == {}
    kernel = next((seen for pid in proc.pids() if (seen := proc.stat(pid)) is not None and seen.kernel), None)
    assert kernel is None or proc.environ(kernel.pid) == {}
