"""What the local runtime does when something of the machine, of a node or of ourselves goes wrong. Real processes."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from chaos.core.clock import MonotonicClock, to_ns
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.core.values import Status, TrafficOrder
from chaos.experiment.target.spec import LocalPart, LocalTraits, Part, Ready, Requires
from chaos.history.events import Aborting, NodeChanged, NodeUp, Row
from chaos.plugin import Deployment
from chaos.registry import processes as proc
from chaos.run import leftovers
from chaos.runtimes.local.runtime import LocalRuntime
from tests.support.echo_deployment import PEERS, echo_deployment, echo_plan, need_toxiproxy

pytestmark = pytest.mark.e2e
WITHIN_S = 60.0


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of this test alone."""
    need_toxiproxy()
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def wait(until: Callable[[], bool], what: str) -> None:
    """Until it is so."""
    clock = MonotonicClock()
    limit_ns = clock.now_ns() + to_ns(WITHIN_S)
    while not until():
        assert clock.now_ns() < limit_ns, f"not within {WITHIN_S} s: {what}"
        clock.wait_until_ns(clock.now_ns() + to_ns(0.01))


def with_part(deployment: Deployment, part: Part) -> Deployment:
    """The same with another part."""
    target = msgspec.structs.replace(deployment.target, parts={"data": part})
    return msgspec.structs.replace(deployment, target=target)


def identity(run: str, node: str) -> proc.Identity:
    """The process of that node or helper."""
    (found,) = [process.identity for process in proc.labelled(run) if process.node == node]
    return found


def test_node_that_dies_by_itself_is_told(tmp_path: Path) -> None:
    """A death that nobody of ours brought about is a row with its time and how it ended, and no breakage of the harness."""
    rows: list[Row] = []
    with LocalRuntime().up(echo_deployment(tmp_path / "dies", echo_plan("local")), rows.append, MonotonicClock()) as cluster:
        clock = MonotonicClock()
        asked_ns = clock.now_ns()
        proc.send(identity("dies", "n2"), signal.SIGABRT)
        wait(lambda: any(isinstance(row, NodeChanged) and row.status == "down" for row in rows), "the death is told")
        (death,) = [row for row in rows if isinstance(row, NodeChanged) and row.status == "down"]
        assert (death.node, death.cause, death.detail) == ("n2", "by-itself", "SIGABRT")
        assert asked_ns <= death.at_ns <= clock.now_ns()
        assert cluster.nodes["n2"].status() is Status.DOWN
        assert cluster.broken() is None
        cluster.nodes["n2"].start()
        assert cluster.nodes["n2"].status() is Status.UP


@pytest.mark.parametrize("helper", ["dns", "watch", "prober", "toxiproxy"])
def test_death_of_a_helper_breaks_the_run(tmp_path: Path, helper: str) -> None:
    """It is told at once and by name, and never as the death of a node."""
    rows: list[Row] = []
    clock = MonotonicClock()
    deployment = echo_deployment(tmp_path / "helper", echo_plan("local", PEERS))
    with LocalRuntime().up(deployment, rows.append, clock) as cluster, cluster.traffic(TrafficOrder(clock.now_ns(), 600.0)) as traffic:
        proc.send(identity("helper", helper), signal.SIGKILL)
        wait(lambda: cluster.broken() is not None, "the run is broken")
        assert helper in (cluster.broken() or "")
        assert "SIGKILL" in (cluster.broken() or "")
        assert [row.condition for row in rows if isinstance(row, Aborting)] == [f"part of the harness died: {cluster.broken()}"]
        assert not any(isinstance(row, NodeChanged) and row.status == "down" for row in rows)
        traffic.stop()
    assert proc.labelled("helper") == []


def test_taken_port_is_named(tmp_path: Path) -> None:
    """Somebody listens on every address of a node's port: said before anything is started."""
    rows: list[Row] = []
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # one of its own: on that of the target clusters of other tests may listen
        taken.listen()
        port = taken.getsockname()[1]
        deployment = echo_deployment(tmp_path / "taken", echo_plan("local"))
        part = deployment.target.parts["data"]
        deployment = with_part(deployment, msgspec.structs.replace(part, ports=part.ports | {"client": port}))
        with (
            pytest.raises(EnvironmentUnusable, match=rf"127\.\d+\.1\.1:{port} is taken"),
            LocalRuntime().up(deployment, rows.append, MonotonicClock()),
        ):
            pytest.fail("it started")
    assert rows == []
    assert leftovers.leftovers() == []


@pytest.mark.parametrize(
    ("command", "within_s", "why"),
    [
        (("{python}", "-c", "import sys; sys.exit('no disk today')"), 30.0, "no disk today"),
        (("{python}", "-c", "import time; print('thinking', flush=True); time.sleep(60)"), 0.5, "not ready within 0.5 s"),
        (("/does/not/exist",), 30.0, "cannot start n1"),
    ],
)
def test_node_that_does_not_come_up(tmp_path: Path, command: tuple[str, ...], within_s: float, why: str) -> None:
    """What it was and what the node said is in the message; everything that was started is gone."""
    deployment = echo_deployment(tmp_path / "unready", echo_plan("local"))
    part = deployment.target.parts["data"]
    ready = Ready(http=part.ready.http, within_s=within_s)
    deployment = with_part(deployment, msgspec.structs.replace(part, local=LocalPart(command), ready=ready))
    with pytest.raises(EnvironmentUnusable, match=why), LocalRuntime().up(deployment, lambda _row: None, MonotonicClock()):
        pytest.fail("it started")
    assert proc.labelled("unready") == []
    assert leftovers.leftovers() == []


def test_program_that_a_target_requires_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    """Before anything starts."""
    deployment = echo_deployment(tmp_path / "lacking", echo_plan("local"))
    part = deployment.target.parts["data"]
    assert part.local is not None
    lacking = msgspec.structs.replace(part.local, requires=Requires("no-such-program", "apt-get install no-such-package"))
    deployment = with_part(deployment, msgspec.structs.replace(part, local=lacking))
    rows: list[Row] = []
    with (
        pytest.raises(EnvironmentUnusable, match=r"needs 'no-such-program'.*\n.*apt-get install no-such-package"),
        LocalRuntime().up(deployment, rows.append, MonotonicClock()),
    ):
        pytest.fail("it started")
    assert rows == []
    assert leftovers.leftovers() == []


@pytest.mark.parametrize("at_row", [1, 3, 6, 7, 10])
def test_interrupted_while_starting(tmp_path: Path, at_row: int) -> None:
    """Ctrl-C between any two steps of the start leaves nothing."""
    rows: list[Row] = []

    def sink(row: Row) -> None:
        rows.append(row)
        if len(rows) == at_row and isinstance(row, NodeUp | NodeChanged):
            raise KeyboardInterrupt
        if len(rows) == at_row:
            os.kill(os.getpid(), signal.SIGINT)

    with (
        pytest.raises(KeyboardInterrupt),
        LocalRuntime().up(echo_deployment(tmp_path / "ctrl-c", echo_plan("local", PEERS)), sink, MonotonicClock()),
    ):
        signal.pause()  # the last rows come from threads: the signal may arrive just after the start
    assert proc.labelled("ctrl-c") == []
    assert leftovers.leftovers() == []


def test_stubborn_node_is_ended(tmp_path: Path) -> None:
    """A node that ignores SIGTERM, and a child of its own, are gone after the run."""
    deployment = echo_deployment(tmp_path / "stubborn", echo_plan("local"))
    part = deployment.target.parts["data"]
    assert part.local is not None
    shell = 'trap "" TERM; sleep 600 & exec "$@"'
    deployment = with_part(deployment, msgspec.structs.replace(part, local=LocalPart(("sh", "-c", shell, "sh", *part.local.command))))
    with LocalRuntime().up(deployment, lambda _row: None, MonotonicClock()):
        assert len([process for process in proc.labelled("stubborn") if process.node == "n1"]) == 2
    assert proc.labelled("stubborn") == []


def test_kill_takes_the_whole_node(tmp_path: Path) -> None:
    """A node of several processes is killed, frozen and let go as one."""
    deployment = echo_deployment(tmp_path / "family", echo_plan("local"))
    part = deployment.target.parts["data"]
    assert part.local is not None
    deployment = with_part(
        deployment, msgspec.structs.replace(part, local=LocalPart(("sh", "-c", 'sleep 600 & exec "$@"', "sh", *part.local.command)))
    )

    def family() -> list[proc.Labelled]:
        return [process for process in proc.labelled("family") if process.node == "n1"]

    with LocalRuntime().up(deployment, lambda _row: None, MonotonicClock()) as cluster:
        cluster.nodes["n1"].pause()
        wait(lambda: [process.frozen for process in family()] == [True, True], "both are frozen")
        cluster.nodes["n1"].resume()
        wait(lambda: [process.frozen for process in family()] == [False, False], "both run")
        cluster.nodes["n1"].kill(signal.SIGKILL)
        wait(lambda: family() == [], "both are dead")


def test_peer_links_need_a_target_that_can(tmp_path: Path) -> None:
    """A target whose nodes cannot have an address of their own for each peer: refused before anything starts."""
    deployment = echo_deployment(tmp_path / "rigid", echo_plan("local", PEERS))
    deployment = msgspec.structs.replace(deployment, target=msgspec.structs.replace(deployment.target, local=LocalTraits()))
    with (
        pytest.raises(CapabilityMissing, match="address for each peer"),
        LocalRuntime().up(deployment, lambda _row: None, MonotonicClock()),
    ):
        pytest.fail("it started")
    assert leftovers.leftovers() == []


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    """Two runs on one machine have blocks of their own; the end of one leaves the other alone."""
    clock = MonotonicClock()
    with LocalRuntime().up(echo_deployment(tmp_path / "one", echo_plan("local")), lambda _row: None, clock) as one:
        with LocalRuntime().up(echo_deployment(tmp_path / "two", echo_plan("local")), lambda _row: None, clock) as two:
            assert {node.info.address for node in one.nodes.values()}.isdisjoint(node.info.address for node in two.nodes.values())
        assert proc.labelled("two") == []
        assert all(one.ping(node, 1.0).rtt_s is not None for node in one.nodes)
        assert one.broken() is None
