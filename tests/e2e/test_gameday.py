"""A game day of two steps on real processes, led from a terminal that closes in the middle, and from another one after it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from chaos.history import people
from chaos.history.people import GameDay
from chaos.registry import processes as proc
from chaos.results.report import Report
from tests.support.paths import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

EXPERIMENT = """\
experiment: two-steps
question: Do we notice when the leader dies?
cluster: {target: replicated_kv, nodes: 3, runtime: local, dns: {balancer: health-checked, ttl: 1s}}
traffic: {operations: {write: 20/s}}
baseline: 1s
faults:
  - {name: kill-leader, kill: {}, target: leader, at: 2s, for: 1s}
  - {name: freeze-one, pause: {}, target: n1, at: 8s, for: 1s}
settle: 30s
limits: {nodes_down: 1}
objectives: {availability: ">= 1%"}
"""
WITHIN_S = 60.0


class Typist:
    """Somebody at a terminal of their own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.seen = ""
        self.fd, inner = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chaos", "gameday", *words], cwd=folder, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "dumb"},
        )  # fmt: skip
        os.close(inner)

    def until(self, holds: Callable[[], bool]) -> None:
        """Read what is shown, so that nothing blocks, until it holds."""
        until_s = time.monotonic() + WITHIN_S
        while not holds():
            assert time.monotonic() < until_s, self.seen[-3000:]
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:  # the other side is gone
                    time.sleep(0.05)

    def types(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def closes(self) -> None:
        """As a window that is closed: SIGHUP to what runs in it."""
        os.close(self.fd)
        self.process.send_signal(signal.SIGHUP)
        self.process.wait(timeout=WITHIN_S)


def test_a_game_day_survives_a_closed_terminal(tmp_path: Path) -> None:
    """The review has both steps, both people, and every mark; the harness rolled back and left nothing."""
    (tmp_path / "two.yaml").write_text(EXPERIMENT, encoding="utf-8")
    folder = tmp_path / "run"

    def state() -> GameDay:
        return people.read_state(folder) or GameDay(0, 0, "", [])

    def said(what: str, step: int) -> Callable[[], bool]:
        return lambda: any((each.what, each.step) == (what, step) for each in people.read(folder))

    ann = Typist(tmp_path, "two.yaml", "--folder", "run", "--who", "Ann")
    ann.until(lambda: state().holds and "Step 1 of 2: kill (kill-leader) on leader" in ann.seen)
    ann.types("\n")
    ann.until(lambda: "began: kill on" in ann.seen)
    ann.types("n")
    ann.until(said("noticed", 1))
    ann.closes()
    bob = Typist(tmp_path, "--resume", "run", "--who", "Bob")
    bob.until(lambda: state().step == 2 and state().holds and "Step 2 of 2" in bob.seen)
    bob.types("f")  # it still belongs to the step before
    bob.until(said("fixed", 1))
    bob.types("g")
    bob.until(lambda: "began: pause on n1" in bob.seen)
    bob.types("m")
    bob.until(said("mitigated", 2))
    host = state()
    bob.until(lambda: bob.process.poll() is not None)
    assert not proc.alive(proc.Identity(host.pid, host.pid_start, host.boot))
    report = msgspec.json.decode((folder / "report.json").read_bytes(), type=Report)
    assert [fault.status for fault in report.faults] == ["healed", "healed"]
    # how punctual this machine was is not the subject
    assert bob.process.returncode == report.exit_code in (0, 3), report.reasons
    review = (folder / "review.md").read_text(encoding="utf-8")
    first, second = (next(line for line in review.splitlines() if line.startswith(f"| {number} | ")) for number in (1, 2))
    assert first.count("Ann") == 1 and first.count("Bob") == 1, review
    assert second.count("Bob") == 1, review
    assert "## Action items" in review
    assert "<table>" in (folder / "review.html").read_text(encoding="utf-8")
