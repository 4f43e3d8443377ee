"""What a run needs of the machine, and what is said when there is too little of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.cli import main as cli
from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.cluster import Resources
from chaos.experiment.document import parse_experiment
from chaos.history.observations import RECORD
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan
from chaos.run import preflight as room
from tests.support.quick import QUICK
from tests.support.samples import EXPERIMENT, sample_target

MANY = "  - {name: long, pause: {}, target: any, at: 5s, for: 1s}\n"


def planned(runtime: str = "local", rate: str = "100/s") -> Plan:
    """The sample with one pause, at that rate."""
    text = EXPERIMENT.replace("100/s", rate).replace("FAULTS", MANY)
    plan = make_plan(parse_experiment(text, "sample.yaml"), sample_target(), seed=1, runtime="local")
    return msgspec.structs.replace(plan, runtime=runtime)


def told(plan: Plan, **free: int) -> str:
    """All that is said of a machine with so much free."""
    return "; ".join(what for what, _ in room.too_little(plan, room.Machine(**free)))


def test_this_machine_has_some_room(tmp_path: Path) -> None:
    """All figures can be told here, also for a folder that is not there yet."""
    machine = room.look(tmp_path / "not" / "there", tmp_path)
    assert machine.memory_bytes
    assert machine.disk_bytes
    assert machine.engine_bytes
    assert machine.ports
    room.require(planned(), tmp_path)


def test_memory_is_for_the_nodes_as_far_as_they_may_go_and_for_us() -> None:
    """A limit counts in full: all nodes may come to use it. Virtual nodes need none."""
    plan = planned()
    needed = room.HARNESS_BYTES + 3 * room.NODE_BYTES
    seen = room.JUDGING * RECORD.size * round(100 * plan.duration_s)
    assert not told(plan, memory_bytes=needed + seen)
    assert "of memory are needed" in told(plan, memory_bytes=needed + seen - 1)
    cluster = msgspec.structs.replace(plan.experiment.cluster, resources=Resources(memory_bytes=10**9))
    large = msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, cluster=cluster))
    assert "about 3.15 GB of memory" in told(large, memory_bytes=3 * 10**9)
    assert not told(planned("fake"), memory_bytes=room.HARNESS_BYTES + seen)


def test_disk_is_for_every_slot() -> None:
    """A record each, by rate and length; beside it what is written anyhow."""
    plan = planned(rate="5000/s")
    needed = room.SPARE_BYTES + RECORD.size * round(5000 * plan.duration_s)
    assert not told(plan, disk_bytes=needed)
    assert "disk for the run folder" in told(plan, disk_bytes=needed - 1)
    assert "disk where the runtime 'docker' keeps" in told(planned("docker"), engine_bytes=10**6)


def test_files_and_ports_are_for_what_hangs() -> None:
    """At 20,000 a second and a deadline of 600 ms, 12,000 requests are open while nothing answers."""
    plan = planned(rate="20000/s")
    assert "12,100 open files" in told(plan, files=12_099)
    assert not told(plan, files=12_100)
    assert "12,000 connections at once" in told(plan, ports=11_999)
    assert not told(plan, ports=12_000)
    assert not told(msgspec.structs.replace(plan, runtime="docker"), files=1024)


def test_all_of_it_is_told_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 5, each thing with what would help, and no run folder."""
    monkeypatch.setattr(room, "look", lambda *_: room.Machine(memory_bytes=10**6, disk_bytes=10**6))
    with pytest.raises(EnvironmentUnusable) as refusal:
        room.require(planned(), tmp_path)
    assert "of memory are needed, and 1 MB are free" in refusal.value.what
    assert "disk for the run folder" in refusal.value.what
    assert "another disk" in refusal.value.how
    file = tmp_path / "x.yaml"
    file.write_text(QUICK, encoding="utf-8")
    assert cli.main(["run", str(file), "--runtime", "fake", "--folder", str(tmp_path / "run")]) == 5
    assert "of memory" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
