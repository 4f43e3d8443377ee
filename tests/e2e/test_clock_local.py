"""Clocks, load, connections and files on real processes: in force, measured, gone after, and nobody else's."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

import pytest

from chaos.agent.agent_parts import connections
from chaos.core.errors import CapabilityMissing, FaultNotEffective
from chaos.core.values import Status, Victims
from chaos.faults.clock import Clock
from chaos.faults.connections import Connections
from chaos.faults.open_files import Files
from chaos.faults.surge import Load
from chaos.history import observations
from chaos.history.events import TrafficSecond
from chaos.history.undo import pending
from chaos.plugin import Fault, LimitsFiles, SetsClock
from chaos.runtimes.base import faketime
from chaos.runtimes.local.runtime import LocalRuntime
from chaos.testing.stage import N1, WITHIN_S, Stage, staged
from tests.support.capable import why
from tests.support.echo_deployment import need_toxiproxy
from tests.support.loaded_deployment import loaded_deployment
from tests.support.needs import need_libfaketime

pytestmark = pytest.mark.e2e


def cluster(folder: Path, mode: str, *, declared: bool = True) -> AbstractContextManager[Stage]:
    """Up."""
    return staged(LocalRuntime(), loaded_deployment(folder, "local", mode, declared=declared))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """For all tests whose clocks run at the true rate; a machine that cannot set clocks can do the rest."""
    need_toxiproxy()
    with cluster(tmp_path_factory.mktemp("clocks") / "jumping", "jump" if faketime.find() else "") as up:
        yield up
    assert not (up.folder / "clocks").exists()


# --- clocks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def settable() -> None:
    """A test that sets clocks."""
    need_toxiproxy()
    need_libfaketime()


SETTABLE = pytest.mark.usefixtures("settable")


@SETTABLE
def test_clocks_are_true_until_they_are_set(stage: Stage) -> None:
    """The library is there from the start and changes nothing."""
    assert [stage.offset_s(node) for node in ("n1", "n2", "n3")] == pytest.approx([0.0] * 3, abs=0.2)
    assert not list(Path("/dev/shm").glob("*faketime*"))


@SETTABLE
@pytest.mark.parametrize("offset_s", [5.0, -3600.0, 0.5])
def test_a_clock_jumps_alone_and_comes_back(stage: Stage, offset_s: float) -> None:
    """By as much as was asked, seen in its own answers; a restart keeps the false time."""
    with stage.harmed(Clock(offset_s=offset_s)) as effect:
        assert effect.during["n1.clock_offset_s"] == pytest.approx(offset_s, abs=0.3)
        assert stage.offset_s("n2") == pytest.approx(0.0, abs=0.2)
        stage.reborn("n1")
        assert stage.offset_s("n1") == pytest.approx(offset_s, abs=0.2)
    assert stage.offset_s("n1") == pytest.approx(0.0, abs=0.2)


@SETTABLE
def test_a_clock_jumps_to_and_fro(stage: Stage) -> None:
    """Each step of the fault that is due turns it."""
    with stage.harmed(Clock(mode="strobe", offset_s=100.0, every_s=0.1)) as effect:
        assert effect.step is not None
        seen = [stage.offset_s("n1")]
        for _ in range(3):
            clock = stage.scene.clock
            clock.wait_until_ns(effect.step() or 0)
            effect.step()
            seen.append(stage.offset_s("n1"))
    assert seen == pytest.approx([100.0, 0.0, 100.0, 0.0], abs=0.2)


@SETTABLE
def test_a_clock_runs_fast_and_goes_on_so_after_a_restart(tmp_path: Path) -> None:
    """What it has gained is what the rate makes of the time since, whatever process shows it."""
    with cluster(tmp_path / "skewed", "skew") as stage, stage.harmed(Clock(mode="skew", rate=3.0)) as effect:
        assert effect.during["n1.clock_rate"] == pytest.approx(3.0, rel=0.4)
        assert stage.gained_s("n1", 3.0, effect.effective_at_ns) == pytest.approx(0.0, abs=0.6)
        stage.reborn("n1")
        assert stage.gained_s("n1", 3.0, effect.effective_at_ns) == pytest.approx(0.0, abs=0.6)


@SETTABLE
def test_the_date_of_an_answer_will_do_for_jumps(tmp_path: Path) -> None:
    """Of a target that declares no clock; what it cannot show is refused."""
    with cluster(tmp_path / "dated", "jump", declared=False) as stage:
        with stage.harmed(Clock(offset_s=-3600.0)) as effect:
            assert effect.during["n1.clock_offset_s"] == pytest.approx(-3600.0, abs=1.0)
        target = loaded_deployment(tmp_path / "plain", "local", "jump", declared=False).target
        assert "'Date'" in why(Clock(offset_s=1.0), "local", target)
        assert "'Date'" in why(Clock(mode="skew", rate=2.0), "local", target)


@SETTABLE
def test_a_clock_that_does_not_move_is_no_fault(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, taken back and not left to be undone."""
    node = stage.scene.cluster.nodes["n1"]
    assert isinstance(node, SetsClock)
    monkeypatch.setattr(type(node), "set_clock", lambda *_: stage.scene.clock.now_ns())
    with pytest.raises(FaultNotEffective, match="its clock does not show it"), Clock(offset_s=50.0).inject(stage.scene, N1):
        pytest.fail("it was entered")
    assert pending(stage.folder / "undo.jsonl") == []


@SETTABLE
def test_a_program_that_takes_no_library_is_refused_before_the_first_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here: nodes that begin without it."""
    monkeypatch.setattr("chaos.runtimes.local.clock.NodeClock.environment", {})
    with (
        pytest.raises(CapabilityMissing, match="the clock of n1 cannot be set: the library is not in its memory"),
        cluster(tmp_path / "bare", "jump"),
    ):
        pytest.fail("it came up")


@pytest.mark.parametrize("fault", [Clock(offset_s=-50.0), Files()], ids=lambda each: type(each).__name__)
def test_what_does_not_add_up_is_refused_the_second_time(stage: Stage, fault: Fault) -> None:
    """And the first one stays in force."""
    if isinstance(fault, Clock):
        need_libfaketime()
    with stage.harmed(fault) as effect:
        with pytest.raises(FaultNotEffective, match="do not add up"), fault.inject(stage.scene, N1):
            pytest.fail("it was entered")
        assert not effect.gone().ok


# --- load, connections, files ------------------------------------------------------------------------------------------


def test_a_surge_is_sent_and_counted_apart(stage: Stage) -> None:
    """Its records are in a file of its own, its seconds in no history."""
    with stage.harmed(Load(rate_per_s=200.0, operation="read"), Victims(role="clients")) as effect:
        assert effect.during["load.sent_per_s"] == pytest.approx(200.0, rel=0.5)
    after = effect.gone().figures
    records = observations.read(stage.folder / "load-1.bin")
    assert after["load.sent"] == len(records) > 20
    assert not [row for row in stage.rows if isinstance(row, TrafficSecond)]


def test_a_second_surge_is_begun_without_a_prober_that_waits(stage: Stage) -> None:
    """The plan of this cluster spoke of one."""
    with stage.harmed(Load(rate_per_s=50.0), Victims(role="clients")) as effect:
        assert float(effect.during["load.sent"] or 0) > 5
    assert (stage.folder / "load-2.bin").exists()


def test_connections_are_held_and_let_go(stage: Stage) -> None:
    """The node pays for each of them, as the kernel sees it."""
    node = stage.scene.cluster.nodes["n1"]
    assert isinstance(node, LimitsFiles)
    before = node.open_files().open
    with stage.harmed(Connections(count=150)) as effect:
        assert effect.during["n1.connections"] == 150
        stage.wait(lambda: cast("LimitsFiles", node).open_files().open >= before + 150)
    stage.wait(lambda: cast("LimitsFiles", node).open_files().open < before + 50)
    assert effect.gone().figures["n1.connections"] == 0


def status(connection: http.client.HTTPConnection) -> int:
    """Of one question on this very connection; its answer is read whole."""
    connection.request("GET", "/ping")
    reply = connection.getresponse()
    reply.read()
    return reply.status


def test_a_node_without_descriptors_answers_its_old_friends_only(stage: Stage) -> None:
    """No new connection is taken up; the one that was open is answered; after the end all are."""
    info = stage.scene.cluster.nodes["n1"].info
    with contextlib.closing(http.client.HTTPConnection(info.address, info.ports["client"], timeout=WITHIN_S)) as friend:
        assert status(friend) == 200
        with stage.harmed(Files()) as effect:
            assert float(effect.during["n1.files_left"] or 0) <= 8
            crowd = connections.opened(info.address, info.ports["client"], 50, WITHIN_S)
            # They take the numbers of whatever it has closed since: after that nobody is taken up.
            stage.wait(lambda: stage.scene.cluster.ping("n1", 0.2).rtt_s is None)
            assert status(friend) == 200
            connections.close(crowd)
    assert effect.gone().figures["n1.files_limit"] == effect.before["n1.files_limit"]


def test_some_descriptors_may_be_left(stage: Stage) -> None:
    """Free numbers below the limit, whatever is open above it."""
    with stage.harmed(Files(left=7)) as effect:
        assert 0 <= float(effect.during["n1.files_left"] or 0) <= 15
        assert float(effect.during["n1.files_limit"] or 0) < float(effect.before["n1.files_limit"] or 0)
        stage.reborn("n1")
        stage.wait(lambda: stage.scene.cluster.ping("n1", 1.0).rtt_s is not None)
        node = stage.scene.cluster.nodes["n1"]
        assert isinstance(node, LimitsFiles)
        assert node.status() is Status.UP
        assert node.open_files().limit == effect.before["n1.files_limit"], "a new process has its own limit"
