"""Whole runs as users start them, on either runtime, that end otherwise than by their plan: what the runtimes' own tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.cli import main as cli
from chaos.core.clock import MonotonicClock, to_ns
from chaos.history.events import AbortAnswered, FaultAsked, FaultEffective, FaultHealed, Row, RunEnded, RunStarted, TrafficEnded
from chaos.history.folder import RunFolder
from chaos.registry import processes as proc
from chaos.run import leftovers
from chaos.run import stop as halting
from chaos.run.stop_command import LABEL
from tests.support.paths import ROOT

WITHIN_S = 120.0
HELD = """\
experiment: held
question: Does it end when it is asked to?
cluster: {target: replicated_kv, nodes: 3}
traffic: {operations: {write: 20/s}}
baseline: 1s
faults:
  - {name: hold, pause: {}, target: n2, at: 0s, for: 300s}
settle: 5s
abort_if: {command: {run: "sleep 600", timeout: 600s}}
"""
CALM = """\
experiment: calm
question: Is anything broken without faults?
cluster: {target: replicated_kv, nodes: 3}
traffic: {operations: {write: 20/s}}
baseline: 1s
faults:
  - {name: never, pause: {}, target: n2, at: 0s, for: 1s}
settle: 1s
abort_if: {command: "sh -c 'test -d $NINES_FOLDER && echo $NINES_RUN'"}
"""


def rows(folder: Path) -> list[Row]:
    """What the history holds by now."""
    run = RunFolder(folder)
    return run.rows() if run.history.exists() else []


def run_in(folder: Path) -> str:
    """What the run in that folder is called; empty before it has begun."""
    return next((row.run for row in rows(folder) if isinstance(row, RunStarted)), "")


@contextmanager
def held(folder: Path, runtime: str, *, deaf: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a process of its own, whose fault is in force and whose safety command has not answered yet.

    ``deaf``: started as a shell without job control starts what is to run in the background, with SIGINT ignored.
    """
    file = folder.parent / "held.yaml"
    file.write_text(HELD, encoding="utf-8")
    command = [sys.executable, "-m", "chaos", "run", str(file), "--runtime", runtime, "--folder", str(folder), "--quiet"]
    clock = MonotonicClock()
    log = folder.with_suffix(".log")
    if deaf:
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with log.open("wb") as out:
        child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=out)
    limit_ns = clock.now_ns() + to_ns(WITHIN_S)
    try:
        while not any(isinstance(row, FaultEffective) for row in rows(folder)) or not guards(run_in(folder)):
            assert child.poll() is None, log.read_text(encoding="utf-8")
            assert clock.now_ns() < limit_ns, f"no fault within {WITHIN_S} s: {log.read_text(encoding='utf-8')}"
            clock.wait_until_ns(clock.now_ns() + to_ns(0.02))
        yield child
    finally:
        child.kill()
        child.wait()
        leftovers.heal()


def guards(run: str) -> list[proc.Labelled]:
    """The live processes of the safety command."""
    return [process for process in proc.labelled(run) if process.node == LABEL]


def stopped_from_outside(folder: Path, runtime: str) -> None:
    """``nines stop RUN``: heals, saves and judges, as after a Ctrl-C; nothing is left."""
    with held(folder, runtime) as child:
        halting.stop_run(str(folder), WITHIN_S)
        assert child.wait(WITHIN_S) == 128 + signal.SIGTERM
        assert guards(run_in(folder)) == []
        assert leftovers.leftovers() == []
    seen = rows(folder)
    assert [row.id for row in seen if isinstance(row, FaultHealed)] == ["hold.1"]
    (ended,) = [row for row in seen if isinstance(row, RunEnded)]
    assert (ended.left, ended.signal) == ([], signal.SIGTERM)
    assert (folder / "report.json").exists()


def interrupted_in_the_background(folder: Path, runtime: str) -> None:
    """SIGINT ends a run that a script started in the background, though the shell made it ignore that signal."""
    with held(folder, runtime, deaf=True) as child:
        child.send_signal(signal.SIGINT)
        assert child.wait(WITHIN_S) == 128 + signal.SIGINT
        assert leftovers.leftovers() == []


def without_faults(folder: Path, runtime: str) -> None:
    """``--no-faults``: traffic, and nothing is broken; the safety command is asked all the same, and knows whose run it is."""
    file = folder.parent / "calm.yaml"
    file.write_text(CALM, encoding="utf-8")
    assert cli.main(["run", str(file), "--no-faults", "--runtime", runtime, "--folder", str(folder), "--quiet"]) in (0, 3)
    seen = rows(folder)
    assert not [row for row in seen if isinstance(row, FaultAsked)]
    (traffic,) = [row for row in seen if isinstance(row, TrafficEnded)]
    assert traffic.slots["write"] > 0
    answers = [row for row in seen if isinstance(row, AbortAnswered)]
    assert {(row.status, row.said) for row in answers} == {(0, run_in(folder))}
    assert guards(run_in(folder)) == []
