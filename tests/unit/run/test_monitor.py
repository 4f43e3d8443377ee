"""What the run knows while it goes on."""

from __future__ import annotations

import threading

import pytest

from chaos.experiment.safety import AbortIf
from chaos.history.events import NodeChanged, Row, TrafficSecond
from chaos.run.monitor import RATIO_WINDOW_S, LiveState


def second(bad: int, bad_run_s: float = 0.0, operation: str = "write") -> TrafficSecond:
    """One second of a service at 10 slots a second."""
    return TrafficSecond(at_ns=0, operation=operation, due=10, good=10 - bad, bad=bad, missing=0, bad_run_s=bad_run_s)


@pytest.fixture
def wake() -> threading.Event:
    """What the run waits on."""
    return threading.Event()


def state(wake: threading.Event, rows: list[Row], **abort_if: float) -> LiveState:
    """A state over two nodes that judges ``write``."""
    return LiveState(["n1", "n2"], "write", AbortIf(**abort_if), rows.append, wake)


def test_a_commanded_node_change_gets_the_fault_as_its_cause(wake: threading.Event) -> None:
    """Only changes without a cause of their own, and only while a fault acts, are its doing."""
    rows: list[Row] = []
    live = state(wake, rows)
    live.cause = "kill-1"
    live(NodeChanged(at_ns=1, node="n1", status="down"))
    live(NodeChanged(at_ns=2, node="n2", status="down", cause="by-itself"))
    live.cause = ""
    live(NodeChanged(at_ns=3, node="n1", status="up"))
    assert [row.cause for row in rows if isinstance(row, NodeChanged)] == ["kill-1", "by-itself", ""]
    assert live.down() == {"n2"}
    assert live.running() == {"n1"}


def test_a_paused_node_is_down_but_still_runs(wake: threading.Event) -> None:
    """The blast radius counts it; a selector may still find its process."""
    live = state(wake, [])
    live(NodeChanged(at_ns=1, node="n1", status="paused"))
    assert live.down() == {"n1"}
    assert live.running() == {"n1", "n2"}


def test_unavailable_for_ends_the_run_once_the_judged_service_is_out_that_long(wake: threading.Event) -> None:
    """Another service may be out for as long as it likes."""
    live = state(wake, [], unavailable_for_s=3.0)
    live(second(bad=10, bad_run_s=9.0, operation="read"))
    live(second(bad=10, bad_run_s=2.9))
    assert not live.abort
    assert not wake.is_set()
    live(second(bad=10, bad_run_s=3.1))
    assert "unavailable for 3.1 s" in live.abort
    assert wake.is_set()


def test_error_ratio_needs_a_full_window(wake: threading.Event) -> None:
    """One bad second at the start is no trend."""
    live = state(wake, [], error_ratio=0.5)
    for _ in range(RATIO_WINDOW_S - 1):
        live(second(bad=10))
    assert not live.abort
    live(second(bad=10))
    assert "100 %" in live.abort


def test_the_first_reason_stays(wake: threading.Event) -> None:
    """What ended the run is what came first."""
    live = state(wake, [], unavailable_for_s=1.0)
    live(second(bad=10, bad_run_s=1.5))
    live(second(bad=10, bad_run_s=7.0))
    assert "1.5 s" in live.abort
