"""Clocks, load, connections and files in containers: in force, seen from outside, gone after; an agent that hears nothing heals alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from chaos.agent.agent_parts import connections
from chaos.core.clock import to_ns
from chaos.core.errors import CapabilityMissing
from chaos.core.values import TrafficOrder, Victims
from chaos.engine.connection import Engine
from chaos.faults.clock import Clock
from chaos.faults.connections import Connections
from chaos.faults.open_files import Files
from chaos.faults.surge import Load
from chaos.history import observations
from chaos.history.events import Aborting, TrafficSecond
from chaos.plugin import LimitsFiles, Removable, SetsClock
from chaos.runtimes.docker.runtime import DockerRuntime
from chaos.testing.stage import WITHIN_S, Stage, staged
from tests.support.loaded_deployment import loaded_deployment


@pytest.fixture(scope="module")
def stage(docker_host: str, harness_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One cluster for all tests but those of another rate."""
    folder = tmp_path_factory.mktemp("clocks") / f"clocks-{os.getpid()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NINES_STATE", str(folder.parent / "state"))
        with staged(DockerRuntime(), loaded_deployment(folder, "docker", "jump")) as up:
            yield up


def test_a_clock_jumps_alone_and_comes_back(stage: Stage) -> None:
    """Neither a restart nor a container that is made anew gives the true time back before its end."""
    assert [stage.offset_s(node) for node in ("n1", "n2", "n3")] == pytest.approx([0.0] * 3, abs=0.2)
    node = stage.scene.cluster.nodes["n1"]
    assert isinstance(node, Removable)
    with stage.harmed(Clock(offset_s=-3600.0)) as effect:
        assert effect.during["n1.clock_offset_s"] == pytest.approx(-3600.0, abs=0.3)
        assert stage.offset_s("n2") == pytest.approx(0.0, abs=0.2)
        stage.reborn("n1")
        assert stage.offset_s("n1") == pytest.approx(-3600.0, abs=0.2)
        node.remove(data=True)
        stage.scene.cluster.nodes["n1"].start()
        assert stage.offset_s("n1") == pytest.approx(-3600.0, abs=0.2)
    assert stage.offset_s("n1") == pytest.approx(0.0, abs=0.2)


def test_descriptors_run_out_and_come_back(stage: Stage) -> None:
    """By the kernel's word, and by a question that is not taken up."""
    with stage.harmed(Files()) as effect:
        assert float(effect.during["n1.files_left"] or 0) <= 8
        info = stage.scene.cluster.nodes["n1"].info
        crowd = connections.opened(info.address, info.ports["client"], 50, WITHIN_S)
        # They take the numbers of whatever it has closed since: after that nobody is taken up.
        stage.wait(lambda: stage.scene.cluster.ping("n1", 0.2).rtt_s is None)
        connections.close(crowd)
    assert effect.gone().figures["n1.files_limit"] == effect.before["n1.files_limit"]


def test_connections_are_held_and_let_go(stage: Stage) -> None:
    """They come from where the clients are."""
    node = stage.scene.cluster.nodes["n1"]
    assert isinstance(node, LimitsFiles)
    before = node.open_files().open
    with stage.harmed(Connections(count=150)) as effect:
        assert effect.during["n1.connections"] == 150
        stage.wait(lambda: node.open_files().open >= before + 150)
    stage.wait(lambda: node.open_files().open < before + 50)


def test_a_surge_is_sent_and_counted_apart(stage: Stage) -> None:
    """From where the clients are, while the usual traffic goes on."""
    cluster, clock = stage.scene.cluster, stage.scene.clock
    with cluster.traffic(TrafficOrder(clock.now_ns() + to_ns(0.25), 60.0)) as traffic:
        with stage.harmed(Load(rate_per_s=200.0, operation="read"), Victims(role="clients")) as effect:
            assert effect.during["load.sent_per_s"] == pytest.approx(200.0, rel=0.5)
        traffic.stop()
    assert effect.gone().figures["load.sent"] == len(observations.read(stage.folder / "load-1.bin")) > 20
    seconds = [row for row in stage.rows if isinstance(row, TrafficSecond)]
    assert {row.due for row in seconds} <= set(range(101)), "of the usual rates only"
    assert not [row for row in stage.rows if isinstance(row, Aborting)]


def test_a_clock_runs_fast_and_goes_on_so_after_a_restart(
    docker_host: str, harness_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has gained is what the rate makes of the time since, whatever process shows it."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    with staged(DockerRuntime(), loaded_deployment(tmp_path / f"skewed-{os.getpid()}", "docker", "skew", nodes=2)) as stage:
        with stage.harmed(Clock(mode="skew", rate=3.0)) as effect:
            assert stage.gained_s("n1", 3.0, effect.effective_at_ns) == pytest.approx(0.0, abs=0.6)
            stage.reborn("n1")
            assert stage.gained_s("n1", 3.0, effect.effective_at_ns) == pytest.approx(0.0, abs=0.6)
        _heals_alone(stage)


def _heals_alone(stage: Stage) -> None:
    """What the agent does when it has not heard of a harness for long is what its part's ``heal`` does: here by the order of a test."""
    node = stage.scene.cluster.nodes["n2"]
    assert isinstance(node, SetsClock)
    node.set_clock(7.0, 1.0)
    assert stage.offset_s("n2") == pytest.approx(7.0, abs=0.2)
    link = node._link  # type: ignore[attr-defined]
    link._attached.close()
    stage.wait(lambda: abs(stage.offset_s("n2")) < 0.5)


def test_a_program_of_go_is_refused_before_the_first_fault(
    engine: Engine, harness_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Toxiproxy server of the harness's image is one: it serves as a node here."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    made = loaded_deployment(tmp_path / f"go-{os.getpid()}", "docker", "jump", nodes=1)
    (name, part), *_ = made.target.parts.items()
    assert part.docker is not None
    docker = msgspec.structs.replace(
        part.docker, build=None, image=harness_image, command=("toxiproxy-server", "-host", "0.0.0.0", "-port", "{client}")
    )
    ready = msgspec.structs.replace(part.ready, http="http://{address}:{client}/version")
    target = msgspec.structs.replace(made.target, parts={name: msgspec.structs.replace(part, docker=docker, ready=ready)})
    with pytest.raises(CapabilityMissing, match="written in Go"), staged(DockerRuntime(), msgspec.structs.replace(made, target=target)):
        pytest.fail("it came up")
