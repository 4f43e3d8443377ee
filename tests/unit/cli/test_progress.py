"""The live line, fed with rows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from chaos.api import order_text
from chaos.cli.going_on import GoingOn
from chaos.cli.progress import Live
from chaos.core.clock import NS_PER_S
from chaos.history.events import (
    Aborting,
    FaultAsked,
    FaultFailed,
    FaultGone,
    FaultHealed,
    FaultSkipped,
    NodeChanged,
    NodeUp,
    PhaseBegun,
    RoleChanged,
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
    assert live.line() == "faults  5 of 19 s, 14 s left  0 of 2 faults done, 1 in force  write down 0.4 s  kill-leader.1 on n2"
    live.row(FaultHealed(at_ns=15 * NS_PER_S, id="kill-leader.1"))
    assert "rolled back" in live.line()
    live.row(FaultGone(at_ns=15 * NS_PER_S, id="kill-leader.1", after={}))
    live.row(second(16))
    assert live.line() == "faults  6 of 19 s, 13 s left  1 of 2 faults done  write ok"


def test_the_block_shows_nodes_roles_and_a_strip(plan: Plan) -> None:
    """A dead node in capitals, the leader named, the newest second on the right; no line is wider than the terminal."""
    state = GoingOn(plan)
    for name in ("n1", "n2", "n3"):
        state.take(NodeUp(at_ns=0, node=name, part="data", zone=None, address="127.0.0.1", ports={}))
    state.take(RoleChanged(at_ns=1, node="n2", role="leader", holds=True))
    state.take(NodeChanged(at_ns=2, node="n3", status="down", cause="kill-leader.1"))
    for at_s, bad in ((1, 0), (2, 10), (3, 50)):
        state.take(second(at_s, bad=bad))
    head, nodes, strip, force = state.block(60)
    assert nodes == "n1 up  n2 up (leader)  n3 DOWN"
    assert strip.startswith("write  ") and strip.endswith("▁▄█  50 bad") and len(strip) <= 60
    assert "0 of 2 faults done" in head and force == "no fault in force"
    state.take(FaultSkipped(at_ns=4, id="kill-leader.2", fault="kill-leader", kind="kill", reason="not settled"))
    assert "1 without effect" in state.counted()
    assert all(len(line) <= 20 for line in state.block(20))


def test_keeps_what_must_not_be_missed(plan: Plan) -> None:
    """A skipped or left-over fault and an early end get lines of their own, above the block; at the end the block is wiped."""
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
    assert text.endswith("\x1b[3A\r\x1b[J")


def test_plain_lines_without_a_terminal(plan: Plan) -> None:
    """A log gets a whole line at least every ten seconds, rows or none, and what must not be missed at once; never an escape."""
    stream = io.StringIO()
    at_s = 100.0
    live = Live(plan, stream, now_s=lambda: at_s)
    live.row(second(15))
    assert stream.getvalue() == ""
    at_s = 109.5
    live.row(second(24, bad=3))
    at_s = 119.0
    live.tick()
    live.row(FaultSkipped(at_ns=0, id="a.1", fault="a", kind="kill", reason="not settled"))
    at_s = 130.0
    live.row(RunEnded(at_ns=0, left=[]))
    live.tick()
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == ["starting", "starting", "a.1 skipped: not settled", "starting"]
    assert "3 bad" in lines[0] and "\x1b" not in stream.getvalue() and "\r" not in stream.getvalue()


def test_a_terminal_that_is_gone_ends_nothing(plan: Plan) -> None:
    """Whoever watched has left: the run goes on."""
    stream = io.StringIO()
    live = Live(plan, stream, terminal=True)
    stream.close()
    live.row(second(15))
    assert live.line()
