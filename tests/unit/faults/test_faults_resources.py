"""Faults on resources: what is refused before the start, how a load is ordered, and what counts as having taken effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from chaos.agent.agent_parts import resources
from chaos.core.clock import ManualClock
from chaos.core.errors import BadInput, CapabilityMissing, FaultNotEffective
from chaos.core.values import Allowed, Held, Load, Loaded, Room, Status, Usage, Victims, Work
from chaos.experiment.cluster import Resources
from chaos.experiment.source import parse
from chaos.experiment.tables import table
from chaos.faults.cpu import Cpu
from chaos.faults.disks import DiskFull, ReadOnly
from chaos.faults.io import Io
from chaos.faults.memory import Memory
from chaos.history.undo import UndoLog, pending
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan
from chaos.plugin import Fault, Scene
from chaos.runtimes.docker.resources import command
from chaos.runtimes.docker.supplies import Supplies, supplies
from chaos.testing.stubs import StubCluster, StubNet, StubNode
from tests.support.samples import TARGET, sample_experiment, sample_plan, sample_target

IN_CONTAINERS = TARGET.replace("    ready:", "    docker: {image: sample, command: [serve]}\n    ready:")
N1 = Victims(nodes=("n1",))
ALL = ("cpu", "memory", "io", "disk_full", "read_only")
PERCENT = {"memory": "{percent: 50%}"}


def entry(kind: str, fields: str) -> str:
    """One fault, as it is written."""
    return f"  - {{{kind}: {fields}, target: n1, at: 2s, for: 2s}}"


def plan_of(kind: str, fields: str, resources: str, runtime: str = "docker") -> Plan:
    """Its plan; raises what is refused."""
    experiment = sample_experiment(entry(kind, fields))
    cluster = msgspec.structs.replace(experiment.cluster, resources=table(Resources).read(parse(resources, "x.yaml")))
    return make_plan(msgspec.structs.replace(experiment, cluster=cluster), sample_target(IN_CONTAINERS), seed=1, runtime=runtime)


# --- before the start --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        ("cpu", "{load: 0%}", "no fault"),
        ("cpu", "{workers: 0}", "out of range"),
        ("cpu", "{load: 101%}", "out of range"),
        ("memory", "{}", "how much"),
        ("memory", "{percent: 50%, bytes: 8MB}", "how much"),
        ("memory", "{percent: 0%}", "no fault"),
        ("memory", "{bytes: 1MB}", "no fault"),
        ("memory", "{percent: 50%, recovery: none}", "not a choice"),
        ("io", "{workers: 17}", "out of range"),
        ("io", "{bytes: 1KB}", "less than 1MiB"),
        ("io", "{workers: 16, bytes: 64MB}", "more than"),
        ("disk_full", "{percent: 50%, bytes: 8MB}", "exclude"),
        ("disk_full", "{percent: 0%}", "no fault"),
        ("read_only", "{remount: never}", "not a choice"),
    ],
)
def test_bad_values(kind: str, fields: str, says: str) -> None:
    """Refused when the file is read, with its place."""
    with pytest.raises(BadInput, match=says) as refused:
        sample_experiment(entry(kind, fields))
    assert refused.value.place is not None


@pytest.mark.parametrize(
    ("kind", "fields", "resources", "says"),
    [
        ("cpu", "{}", "{memory: 64MB}", "nothing limits the processor time"),
        ("cpu", "{workers: 1}", "{cpus: 2}", "cannot keep 2 processors busy"),
        ("memory", "{percent: 50%}", "{cpus: 1}", "nothing limits the memory"),
        ("memory", "{bytes: 64MB}", "{memory: 64MB}", "all that a node has"),
        ("memory", "{percent: 1%}", "{memory: 64MB}", "is less than"),
        ("io", "{}", "{memory: 64MB}", "nothing limits"),
        ("disk_full", "{}", "{cpus: 1}", "nothing limits the disk"),
        ("disk_full", "{bytes: 8MB}", "{disk: 8MB}", "do not fit"),
        ("read_only", "{}", "{cpus: 1}", "nothing limits the disk"),
        ("disk_full", "{}", "{disk: 64MB, memory: 64MB}", "does not fit into"),
    ],
)
def test_without_limits_nothing_begins(kind: str, fields: str, resources: str, says: str) -> None:
    """The machine itself would be the victim; the refusal says what to write."""
    with pytest.raises(BadInput, match=says) as refused:
        plan_of(kind, fields, resources)
    assert refused.value.right


@pytest.mark.parametrize("kind", ALL)
def test_with_limits_it_is_planned(kind: str) -> None:
    """On docker."""
    plan_of(kind, PERCENT.get(kind, "{}"), "{cpus: 0.5, memory: 128MB, disk: 64MB}")


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("runtime", ["local", "fake"])
def test_other_runtimes_cannot(kind: str, runtime: str) -> None:
    """They say what would."""
    with pytest.raises(CapabilityMissing, match="use the runtime 'docker'"):
        sample_plan(entry(kind, PERCENT.get(kind, "{}")), runtime=runtime)


def test_what_a_plan_needs_in_its_nodes() -> None:
    """Nothing, unless a fault says so."""
    assert supplies(sample_plan(entry("kill", "{}"))) == Supplies()
    assert supplies(plan_of("read_only", "{}", "{disk: 64MB}")) == Supplies(remounts=True, disk_bytes=64_000_000)
    assert supplies(plan_of("disk_full", "{}", "{disk: 64MB}")) == Supplies(disk_bytes=64_000_000)
    assert supplies(plan_of("io", "{}", "{cpus: 1}")) == Supplies(tools=True, scratch=True)
    assert Supplies(tools=True).capabilities == ("SYS_PTRACE",)
    assert "SYS_ADMIN" in Supplies(remounts=True).capabilities


def test_the_share_of_each_worker() -> None:
    """Together they want what was asked of the node's own limit, whatever their number; at 100 % they never rest."""
    assert Cpu().load_for(0.5) == Load("cpu", 1, busy=1.0)
    assert Cpu(workers=4).load_for(2.0) == Load("cpu", 4, busy=1.0)
    assert Cpu(load=0.5).load_for(2.0) == Load("cpu", 2, busy=0.5)
    assert Cpu(workers=4, load=0.5).load_for(2.0) == Load("cpu", 4, busy=0.25)
    words = command(Cpu(workers=4, load=0.5).load_for(2.0), "77")
    assert words[words.index("--cpu-load") + 1] == "25"
    assert words[words.index("--seed") + 1] == "77"


def test_only_an_order_to_kill_counts_as_taking_a_node_down() -> None:
    """As ``limits.nodes_down`` counts."""
    assert Memory(percent=1.0).takes_down
    assert not Memory(percent=0.9).takes_down
    assert ReadOnly().takes_down
    assert not ReadOnly(remount="live").takes_down


# --- on stubs ----------------------------------------------------------------------------------------------------------


class StubLoads:
    """Counts what is asked for; ``lazy`` does nothing, ``deadly`` kills the node, of hunger or of something else."""

    allowed = Allowed(cpus=1.0, memory_bytes=100_000_000, disk_bytes=None)

    def __init__(self, node: StubNode, clock: ManualClock, *, lazy: bool = False, deadly: str = "") -> None:
        self.node = node
        self.clock = clock
        self.lazy = lazy
        self.deadly = deadly
        self.order: Load | None = None

    @contextmanager
    def load(self, order: Load) -> Iterator[Loaded]:
        self.order = order
        died_ns = None
        if self.deadly and order.kind == "memory":
            self.node.kill(9)
            died_ns = self.clock.now_ns() + 5
        loaded = Loaded(self.clock.now_ns(), "stub", lambda: died_ns, lambda: self.deadly == "starved")
        try:
            yield loaded
        finally:
            self.order, loaded.ended = None, 2

    def _working(self) -> bool:
        return self.order is not None and not self.lazy

    def usage(self) -> Usage:
        held = self.order.bytes if self.order is not None and self._working() else 0
        return Usage(self.clock.now_ns(), 0.0, 0.0, 1000.0 + held)

    def work(self) -> Work:
        at_ns = self.clock.now_ns()
        done_s = at_ns / 1e9 if self._working() else 0.0
        return Work(at_ns, done_s * 0.25, done_s * 0.75, done_s)

    def scratch(self) -> Room:
        return Room(1e12, 1e12, 0.001, "")


class StubDisks:
    """Full or locked as ordered; ``deaf`` stays as it is."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.deaf = deaf
        self.error = ""

    def room(self) -> Room:
        return Room(1000.0, 0.0 if self.error else 1000.0, None if self.error else 0.001, self.error)

    @contextmanager
    def fill(self, share: float | None, size_bytes: int | None) -> Iterator[Held]:
        yield from self._in("ENOSPC")

    @contextmanager
    def lock(self) -> Iterator[Held]:
        yield from self._in("EROFS")

    def _in(self, error: str) -> Iterator[Held]:
        self.error = "" if self.deaf else error
        try:
            yield Held(7, "stub")
        finally:
            self.error = ""


class LimitedNode(StubNode):
    """With loads and disks."""

    def __init__(self, name: str, clock: ManualClock, *, lazy: bool = False, deadly: str = "") -> None:
        super().__init__(name)
        self.loads = StubLoads(self, clock, lazy=lazy, deadly=deadly)
        self.disks = StubDisks(deaf=lazy)


def stage(log: Path, *, lazy: bool = False, deadly: str = "", bare: bool = False) -> tuple[Scene, StubNode]:
    """A scene with one node."""
    clock = ManualClock()
    node = StubNode("n1") if bare else LimitedNode("n1", clock, lazy=lazy, deadly=deadly)
    return Scene(cluster=StubCluster([node], StubNet()), clock=clock, undo=UndoLog(log)), node


FAULTS = [Cpu(), Memory(percent=0.5), Io(), DiskFull(), ReadOnly(), ReadOnly(remount="live")]
NAMES = ["cpu", "memory", "io", "disk_full", "read_only", "read_only live"]


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_in_force_and_gone(fault: Fault, tmp_path: Path) -> None:
    """The intent is on disk while it lasts, nothing is left after."""
    log = tmp_path / "undo.jsonl"
    scene, node = stage(log)
    with fault.inject(scene, N1) as effect:
        assert pending(log)
        assert effect.during
    assert pending(log) == []
    assert effect.healed_at_ns is not None
    assert effect.gone().ok
    assert node.status() is Status.UP


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_what_does_nothing_is_no_fault(fault: Fault, tmp_path: Path) -> None:
    """It is taken back, and nothing stays to be undone."""
    log = tmp_path / "undo.jsonl"
    scene, node = stage(log, lazy=True)
    with pytest.raises(FaultNotEffective), fault.inject(scene, N1):
        pytest.fail("it took effect")
    assert pending(log) == []
    assert node.status() is Status.UP


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_a_node_that_was_started_without_it(fault: Fault, tmp_path: Path) -> None:
    """Says so, and nothing is done to it."""
    log = tmp_path / "undo.jsonl"
    scene, node = stage(log, bare=True)
    with pytest.raises(FaultNotEffective, match="its cluster was started"), fault.inject(scene, N1):
        pytest.fail("it took effect")
    assert pending(log) == []
    assert node.status() is Status.UP


@pytest.mark.parametrize("fault", FAULTS[:3], ids=NAMES[:3])
def test_a_node_without_limits_is_left_alone(fault: Fault, tmp_path: Path) -> None:
    """Also when a fault is done by hand, past the check of a plan."""
    scene, node = stage(tmp_path / "undo.jsonl")
    assert isinstance(node, LimitedNode)
    node.loads.allowed = Allowed()
    with pytest.raises(FaultNotEffective, match="nothing limits"), fault.inject(scene, N1):
        pytest.fail("it took effect")


def test_both_kinds_of_control_groups_are_read(tmp_path: Path) -> None:
    """The files of version 1 and of version 2, with the same figures in them."""
    old, new = tmp_path / "v1", tmp_path / "v2"
    for path, text in {
        old / "cpu" / "cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 250000000\n",
        old / "cpuacct" / "cpuacct.usage": "1500000000\n",
        old / "memory" / "memory.stat": "cache 7\nrss 1\ntotal_rss 4096\n",
        old / "memory" / "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        new / "cpu.stat": "usage_usec 1500000\nuser_usec 1\nsystem_usec 1\nnr_throttled 4\nthrottled_usec 250000\n",
        new / "memory.stat": "anon 4096\nfile 7\n",
        new / "memory.events": "low 0\nmax 3\noom 2\noom_kill 2\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    expected = {"cpu_s": 1.5, "throttled_s": 0.25, "memory_bytes": 4096, "oom_kills": 2}
    assert resources.usage_of(old) == expected
    assert resources.usage_of(new) == expected


def test_a_death_for_want_of_memory(tmp_path: Path) -> None:
    """Dead while it lasts, by the engine's word for want of memory; started again after."""
    scene, node = stage(tmp_path / "undo.jsonl", deadly="starved")
    with Memory(percent=1.0).inject(scene, N1) as effect:
        assert effect.during["n1.oom_kill"] == "yes"
        assert effect.effective_at_ns == scene.clock.now_ns() + 5
        assert node.status() is Status.DOWN
    assert node.status() is Status.UP


def test_a_death_of_something_else_is_not_taken_for_it(tmp_path: Path) -> None:
    """The engine knows of no out-of-memory kill."""
    scene, node = stage(tmp_path / "undo.jsonl", deadly="of something else")
    with pytest.raises(FaultNotEffective, match="no out-of-memory kill"), Memory(percent=1.0).inject(scene, N1):
        pytest.fail("it took effect")
    assert node.status() is Status.UP


def test_a_kill_that_does_not_come(tmp_path: Path) -> None:
    """All of the memory was asked for, and nobody died: not effective."""
    scene, _ = stage(tmp_path / "undo.jsonl")
    with pytest.raises(FaultNotEffective, match="nothing was killed"), Memory(percent=1.0).inject(scene, N1):
        pytest.fail("it took effect")
