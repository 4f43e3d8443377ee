"""What is left of a fault, what another fault holds down, and what the system itself failed to do: three things, told apart."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from chaos.core.clock import to_ns
from chaos.core.values import Link, Status, Victims
from chaos.experiment.objectives import Bound, ObjectiveSpec
from chaos.experiment.safety import AbortIf
from chaos.history.events import FaultFailed, FaultGone, FaultHealed, NodeChanged, Row
from chaos.judge import checks, objectives
from chaos.measure import estimates as stats
from chaos.measure.timeline import build
from chaos.run import returning
from chaos.run.monitor import LiveState
from chaos.testing.stubs import StubCluster, StubNet, StubNode
from tests.support import synthetic
from tests.support.samples import sample_plan
from tests.support.virtual_run import of, run

SLOW = '  - {name: slow, latency: {latency: 50ms}, target: {link: "clients -> n2"}, at: 2s, for: 4s}\n'


@pytest.mark.parametrize(
    "other",
    [
        "  - {name: dead, kill: {}, target: n2, at: 4s, for: 14s, overlap: true}\n",
        "  - {name: frozen, pause: {}, target: n2, at: 4s, for: 14s, overlap: true}\n",
        "  - {name: cut, partition: {include: [clients]}, target: n2, at: 4s, for: 14s, overlap: true}\n",
        "  - {name: dead, kill: {recovery: none}, target: n2, at: 4s, overlap: true}\n",
    ],
    ids=["killed", "frozen", "cut off", "left dead"],
)
def test_a_node_that_another_fault_holds_down_is_waited_for(tmp_path: Path, other: str) -> None:
    """A delay that ends while its node does not answer is no leftover; it is seen to be gone when the node is back."""
    rows = run(sample_plan(SLOW + other, runtime="fake"), tmp_path)
    assert of(rows, FaultFailed) == []
    healed = {row.id: row.at_ns for row in of(rows, FaultHealed)}
    gone = {row.id: row.at_ns for row in of(rows, FaultGone)}
    assert set(gone) == {"slow.1", next(name for name in gone if name != "slow.1")}
    if "none" not in other:
        (held_id,) = set(healed) - {"slow.1"}
        assert gone["slow.1"] >= healed[held_id] > healed["slow.1"] + to_ns(5.0)


# --- the system's own failure ----------------------------------------------------------------------------------------------


def seen(rows: Sequence[Row]) -> LiveState:
    """What a run knows that has written these."""
    state = LiveState(["n1", "n2"], "write", AbortIf(), lambda _row: None, threading.Event())
    for row in rows:
        state(row)
    return state


def cluster(*, status: Status, deaf: bool = False) -> StubCluster:
    """Two nodes, the second one in that state."""
    nodes = [StubNode("n1"), StubNode("n2")]
    nodes[1].state = status
    return StubCluster(nodes, StubNet())


def test_who_started_again_and_ended_by_itself_is_told_with_its_last_line(tmp_path: Path) -> None:
    """When, how, and what it said: in one line, whatever characters it used."""
    (tmp_path / "n2.log").write_text("began\nA server is already\x1b[31m running\n\n", encoding="utf-8")
    rows = [
        NodeChanged(at_ns=to_ns(2.0), node="n2", status="down", cause="kill.1"),
        NodeChanged(at_ns=to_ns(14.0), node="n2", status="up", cause="kill.1"),
        NodeChanged(at_ns=to_ns(14.3), node="n2", status="down", cause="by-itself", detail="exit status 1"),
    ]
    told = returning.not_back(cluster(status=Status.DOWN), seen(rows), Victims(nodes=("n2",)), 0, tmp_path, only_processes=True)
    assert told == "n2 was started again at 14.0 s and ended by itself at 14.3 s, exit status 1: 'A server is already [31m running'"


def test_a_link_whose_node_died_by_itself_is_no_leftover(tmp_path: Path) -> None:
    """Nor is it known when that was, if nobody saw it; a node that runs and answers is no reason."""
    victims = Victims(links=(Link("clients", "n2"),))
    told = returning.not_back(cluster(status=Status.DOWN), seen([]), victims, 0, tmp_path, only_processes=False)
    assert told == "n2 ended by itself"
    assert returning.not_back(cluster(status=Status.UP), seen([]), victims, 0, tmp_path, only_processes=False) == ""


def test_a_system_that_does_not_come_back_misses_its_recovery() -> None:
    """Though clients saw nothing, having two more nodes: it is a miss of what was expected, and all of ours is gone."""
    spec = ObjectiveSpec(measure="recovery", bound=Bound("<=", 5.0), fault=None, text="<= 5s")
    fault, windows = synthetic.kills([5.0])
    plan = synthetic.make_plan(faults=[fault], windows=windows, objectives=[spec])
    why = "n1 was started again at 6.0 s and ended by itself at 6.3 s, exit status 1"
    rows = [*synthetic.frame(plan), *synthetic.fault_rows(windows[0])]
    rows = [msgspec.structs.replace(row, not_back=why) if isinstance(row, FaultGone) else row for row in rows]
    timeline = build(plan, rows, synthetic.slots(plan, []))
    (objective,) = objectives.evaluate(plan, timeline, stats.observe(plan, timeline), "inconclusive")
    assert objective.verdict == "fail"
    assert why in objective.observed.reason
    verdicts = {check.name: check for check in checks.check(plan, timeline)}
    assert verdicts[checks.HEALED].verdict == "pass"
    assert any(why in check.detail for check in verdicts.values() if check.verdict != "pass")
