"""``stop``, ``restart`` and ``remove`` on stubs: the grace, the order of a roll, what is undone when something goes wrong."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from chaos.core.clock import ManualClock, to_ns
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Status, Victims
from chaos.faults.remove import Remove
from chaos.faults.restart import Restart
from chaos.faults.stop import Stop
from chaos.history.undo import UndoLog, pending
from chaos.plan.build import make_plan
from chaos.plugin import Fault, Scene
from chaos.testing.stubs import StubCluster, StubNet, StubNode
from tests.support.capable import why
from tests.support.samples import sample_experiment, sample_plan, sample_target

ALL = ("n1", "n2", "n3")


class StopNode(StubNode):
    """Notes signals and starts in a diary that all nodes share; ``stubborn`` ends of SIGKILL only."""

    def __init__(self, name: str, diary: list[str], *, stubborn: bool = False, deaf: bool = False, broken: bool = False) -> None:
        super().__init__(name, deaf=deaf, broken=broken)
        self.diary = diary
        self.stubborn = stubborn
        self.removed: list[bool] = []

    def kill(self, signal_number: int) -> int:
        self.diary.append(f"{self.info.name} {signal.Signals(signal_number).name}")
        return self.state_changed() if self.stubborn and signal_number != signal.SIGKILL else super().kill(signal_number)

    def state_changed(self) -> int:
        return 1

    def start(self) -> int:
        self.diary.append(f"{self.info.name} start")
        return super().start()

    def remove(self, *, data: bool) -> int:
        self.removed.append(data)
        return self.kill(signal.SIGKILL)


def stage(log: Path, nodes: Sequence[StubNode]) -> Scene:
    """A scene over these nodes, in virtual time."""
    return Scene(cluster=StubCluster(nodes, StubNet()), clock=ManualClock(), undo=UndoLog(log))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the undo log of a test lies."""
    return tmp_path / "undo.jsonl"


def test_stop_asks_first(log: Path) -> None:
    """One that listens is never killed."""
    diary: list[str] = []
    with Stop().inject(stage(log, [StopNode("n1", diary)]), Victims(nodes=("n1",))) as effect:
        assert effect.mechanism == "SIGTERM"
        assert len(pending(log)) == 1
    assert diary == ["n1 SIGTERM", "n1 start"]
    assert pending(log) == []


def test_stop_kills_after_the_grace(log: Path) -> None:
    """And says whom, and how long it waited."""
    diary: list[str] = []
    scene = stage(log, [StopNode("n1", diary, stubborn=True)])
    began_ns = scene.clock.now_ns()
    with Stop(grace_s=3.0).inject(scene, Victims(nodes=("n1",))) as effect:
        assert effect.mechanism == "SIGTERM; SIGKILL after 3 s to n1"
        assert effect.effective_at_ns == began_ns
        assert scene.clock.now_ns() == began_ns + to_ns(3.0)
    assert diary == ["n1 SIGTERM", "n1 SIGKILL", "n1 start"]


@pytest.mark.parametrize("fault", [Stop(grace_s=0.0), Restart(grace_s=0.0), Restart(grace_s=0.0, order="together"), Remove()])
def test_one_that_does_not_die_is_refused(fault: Fault, log: Path) -> None:
    """What cannot be seen to be down was not stopped; nothing is left to undo."""
    scene = stage(log, [StopNode("n1", [], deaf=True), StopNode("n2", [])])
    with pytest.raises(FaultNotEffective), fault.inject(scene, Victims(nodes=("n1",))):
        pytest.fail("it must not come to be in force")
    assert pending(log) == []


@pytest.mark.parametrize("fault", [Stop(), Restart(order="together"), Remove()])
def test_when_the_second_cannot_be_harmed_the_first_is_brought_back(fault: Fault, log: Path) -> None:
    """Half a fault is none."""
    first = StopNode("n1", [])
    scene = stage(log, [first, StopNode("n2", [], broken=True)])
    with pytest.raises(FaultNotEffective), fault.inject(scene, Victims(nodes=("n1", "n2"))):
        pytest.fail("it must not come to be in force")
    assert first.status() is Status.UP
    assert pending(log) == []


def test_a_roll_goes_from_one_to_the_next(log: Path) -> None:
    """The next is stopped only when the last one answers and the gap is over; then the fault has done all it had to."""
    diary: list[str] = []
    scene = stage(log, [StopNode(name, diary) for name in ALL])
    with Restart(gap_s=5.0).inject(scene, Victims(nodes=ALL)) as effect:
        assert diary == ["n1 SIGTERM", "n1 start"]
        assert effect.step is not None
        due_ns = effect.step()
        assert due_ns == scene.clock.now_ns() + to_ns(5.0)
        assert diary == ["n1 SIGTERM", "n1 start"]
        while (again_ns := effect.step()) is not None:
            scene.clock.wait_until_ns(again_ns)
    assert diary == [f"{name} {what}" for name in ALL for what in ("SIGTERM", "start")]
    assert effect.gone().ok
    assert "n3.down_s" in effect.gone().figures
    assert pending(log) == []


def test_a_roll_waits_for_a_node_that_does_not_answer(log: Path) -> None:
    """However often it is asked to go on."""
    diary: list[str] = []
    nodes = [StopNode(name, diary) for name in ALL]
    with pytest.raises(FaultNotEffective), Restart().inject(stage(log, nodes), Victims(nodes=ALL)) as effect:
        nodes[0].state = Status.PAUSED
        assert effect.step is not None
        for _ in range(3):
            assert effect.step() is not None
    assert diary == ["n1 SIGTERM", "n1 start"]


def test_a_roll_that_is_cut_short_failed(log: Path) -> None:
    """Nobody may take two of three for a rolling restart; and nobody is left down."""
    nodes = [StopNode(name, []) for name in ALL]
    told = "1 of 3 nodes were restarted within 'for'; n2, n3 never"
    with pytest.raises(FaultNotEffective, match=told), Restart().inject(stage(log, nodes), Victims(nodes=ALL)):
        pass
    assert [node.status() for node in nodes] == [Status.UP] * 3
    assert pending(log) == []


def test_together_is_all_at_once(log: Path) -> None:
    """All are down before the first is started."""
    diary: list[str] = []
    with Restart(order="together").inject(stage(log, [StopNode(name, diary) for name in ALL]), Victims(nodes=ALL)) as effect:
        assert effect.step is not None
        assert effect.step() is None
    assert diary == [*(f"{name} SIGTERM" for name in ALL), *(f"{name} start" for name in ALL)]


@pytest.mark.parametrize("volumes", [True, False])
def test_remove_says_what_becomes_of_the_data(volumes: bool, log: Path) -> None:
    """The node is told, and so is the reader."""
    node = StopNode("n1", [])
    with Remove(volumes=volumes).inject(stage(log, [node]), Victims(nodes=("n1",))) as effect:
        assert node.removed == [volumes]
        assert ("deleted" in effect.mechanism) is volumes
    assert node.status() is Status.UP


def test_remove_needs_somebody_who_knows_the_data() -> None:
    """Not in virtual time."""
    assert "data" in why(Remove(), "fake", sample_target())
    assert why(Remove(), "local", sample_target()) == ""


ROLL = """\
  - name: roll
    restart: {{order: {order}}}
    target: {{any: 3}}
    at: 1s
    for: 8s
"""


def test_a_rolling_restart_takes_one_node_down() -> None:
    """For the limit; all together are three."""
    limit = "limits: {nodes_down: 1}\n"
    assert sample_plan(ROLL.format(order="rolling"), limit).windows
    experiment = sample_experiment(ROLL.format(order="together"), limit)
    with pytest.raises(Exception, match="takes down 3 nodes"):
        make_plan(experiment, sample_target(), seed=None, runtime="local")
