"""The bench of engines, told to end: the run in progress ends before its engine does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

BENCH = """
import signal, sys
from pathlib import Path
from bench.engines import carried_out

carried_out.ENDS_WITHIN_S = float(sys.argv[2])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
try:
    carried_out.ended(["sh", "-c", '"$0" "$@"; exit $?', sys.executable, "-c", sys.argv[1]], Path.cwd(), {})
finally:
    Path("engine ends").touch()
"""
RUN = """
import os, signal, sys
from pathlib import Path

def told(*_):
    assert not Path("engine ends").exists()
    Path("rolled back").touch()
    sys.exit(130)

signal.signal(signal.SIGINT, told)
Path("draft").write_text(str(os.getpid()))
Path("draft").rename("began")
while True:
    signal.pause()
"""
DEAF = RUN.replace("signal.signal(signal.SIGINT, told)", "signal.signal(signal.SIGINT, signal.SIG_IGN)")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("run", "within_s", "rolls_back"), [(RUN, "30", True), (DEAF, "0.2", False)])
def test_a_bench_that_is_ended_ends_its_run_first(tmp_path: Path, run: str, within_s: str, rolls_back: bool) -> None:
    """Through a shell that passes no signal on; one that does not listen is killed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", BENCH, run, within_s], cwd=tmp_path, env=environment) as bench:
        while not (tmp_path / "began").exists():
            assert bench.poll() is None
            time.sleep(0.01)
        bench.send_signal(signal.SIGTERM)
        assert bench.wait(30) == 143
    assert (tmp_path / "rolled back").exists() == rolls_back
    assert (tmp_path / "engine ends").exists()
    pid = int((tmp_path / "began").read_text(encoding="ascii"))
    assert not Path(f"/proc/{pid}").exists()
