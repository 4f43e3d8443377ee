"""The live line, fed with rows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from chaos.api import order_text
from chaos.cli.progress import Live
from chaos.core.clock import NS_PER_S
from chaos.history.events import (
    Aborting,
    FaultAsked,
    FaultFailed,
    FaultGone,
    FaultHealed,
    FaultSkipped,
    PhaseBegun,
    RunEnded,
    TrafficSecond,
    TrafficStarted,
)
from chaos.plan.plan import Plan
from tests.support.quick import QUICK


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Of the short experiment."""
    return order_text(QUICK, Path("quick.yaml")).plan


def second(at_s: int, bad_run_s: float = 0.0, bad: int = 0) -> TrafficSecond:
    """The prober's summary of a second."""
    return TrafficSecond(at_ns=at_s * NS_PER_S, operation="write", due=50, good=50 - bad, bad=bad, missing=0, bad_run_s=bad_run_s)


def test_shows_phase_time_services_and_faults(plan: Plan) -> None:
    """Everything that the line promises is on it."""
    live = Live(plan, io.StringIO(), terminal=True)
    live.row(PhaseBegun(at_ns=0, phase="faults"))
    live.row(TrafficStarted(at_ns=0, start_ns=10 * NS_PER_S, duration_s=19.0))
    asked = FaultAsked(at_ns=14 * NS_PER_S, id="kill-leader.1", fault="kill-leader", kind="kill", fault_class="kill/leader", target=["n2"])
    live.row(asked)
    live.row(second(15, bad_run_s=0.4, bad=20))
    assert live.line().startswith("faults  5 of 19 s  write down 0.4 s  kill-leader.1 on n2")
    live.row(FaultHealed(at_ns=15 * NS_PER_S, id="kill-leader.1"))
    assert "rolled back" in live.line()
    live.row(FaultGone(at_ns=15 * NS_PER_S, id="kill-leader.1", after={}))
    live.row(second(16))
    assert live.line() == "faults  6 of 19 s  write ok"


def test_keeps_what_must_not_be_missed(plan: Plan) -> None:
    """A skipped or left-over fault and an early end get lines of their own; the last line is wiped."""
    stream = io.StringIO()
    live = Live(plan, stream, terminal=True)
    live.row(FaultSkipped(at_ns=0, id="a.1", fault="a", kind="kill", reason="not settled"))
    live.row(FaultFailed(at_ns=0, id="a.2", reason="still cut", left_over=True))
    live.row(Aborting(at_ns=0, condition="write unavailable for 9 s"))
    live.row(RunEnded(at_ns=0, left=[]))
    text = stream.getvalue()
    assert "a.1 skipped: not settled\n" in text
    assert "a.2 LEFT OVER: still cut\n" in text
    assert "ending early: write unavailable for 9 s\n" in text
    assert text.endswith("\r\x1b[K")


def test_quiet_without_a_terminal(plan: Plan) -> None:
    """A log file is not filled with lines that overwrite each other."""
    stream = io.StringIO()
    live = Live(plan, stream)
    live.row(second(15))
    live.row(RunEnded(at_ns=0, left=[]))
    assert stream.getvalue() == ""
