"""The faults: which links they name, and that one which does not take is refused, healed and not left to be undone."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from chaos.core.clock import ManualClock
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Link, Status, Victims
from chaos.faults.kill import Kill
from chaos.faults.latency import Latency
from chaos.faults.partition import Partition
from chaos.faults.pause import Pause
from chaos.history.undo import UndoLog, pending
from chaos.plugin import Fault, Scene
from chaos.testing.stubs import StubCluster, StubNet, StubNode
from tests.support.capable import why

NODES = ["n1", "n2", "n3"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the undo log of a test lies."""
    return tmp_path / "undo.jsonl"


def scene(log: Path, *nodes: StubNode, deaf_net: bool = False, net: StubNet | None = None) -> Scene:
    """A scene over stubs."""
    return Scene(cluster=StubCluster(nodes, net or StubNet(deaf=deaf_net)), clock=ManualClock(), undo=UndoLog(log))


def links(*pairs: str) -> set[Link]:
    """``"n1 n2"`` -> Link(n1, n2)."""
    return {Link(*pair.split()) for pair in pairs}


@pytest.mark.parametrize(
    ("fault", "victims", "expected"),
    [
        (Partition(), Victims(nodes=("n1",)), links("n1 n2", "n1 n3", "n2 n1", "n3 n1")),
        (Partition(), Victims(nodes=("n1", "n2")), links("n1 n3", "n2 n3", "n3 n1", "n3 n2")),
        (Partition(direction="to"), Victims(nodes=("n1",)), links("n2 n1", "n3 n1")),
        (Partition(direction="from"), Victims(nodes=("n1",)), links("n1 n2", "n1 n3")),
        (Partition(include=("clients",)), Victims(nodes=("n1",)), links("clients n1")),
        (Partition(include=("peers", "dns")), Victims(nodes=("n1",)), links("n1 n2", "n1 n3", "n2 n1", "n3 n1", "dns n1")),
        (Partition(groups=(("n1", "n2"), ("n3",))), Victims(), links("n1 n3", "n2 n3", "n3 n1", "n3 n2")),
        (Partition(groups=(("n1",), ("n2",))), Victims(), links("n1 n2", "n2 n1", "n1 n3", "n3 n1", "n2 n3", "n3 n2")),
        (
            Partition(groups=(("n1", "clients"), ("n2", "n3"))),
            Victims(),
            links("n1 n2", "n1 n3", "n2 n1", "n3 n1", "clients n2", "clients n3"),
        ),
        (Partition(), Victims(links=(Link("n1", "n2"),)), links("n1 n2")),
    ],
)
def test_a_partition_cuts_exactly_the_links_between_its_sides(fault: Partition, victims: Victims, expected: set[Link]) -> None:
    """Nobody is cut from its own side, nothing opens connections to clients, who is not named is a side of its own."""
    assert {rule.link for rule in fault.rules(victims, NODES)} == expected


def test_latency_both_ways_of_the_stream_is_two_toxics_a_link() -> None:
    """In Toxiproxy's own unit, milliseconds."""
    rules = Latency(latency_s=0.04, jitter_s=0.01, stream="both").rules(Victims(links=(Link("n1", "n2"),)), NODES)
    assert [(rule.stream, rule.attributes) for rule in rules] == [
        ("downstream", {"latency": 40.0, "jitter": 10.0}),
        ("upstream", {"latency": 40.0, "jitter": 10.0}),
    ]


@pytest.mark.parametrize(
    ("fault", "victims"),
    [
        (Kill(), Victims(nodes=("n1",))),
        (Pause(), Victims(nodes=("n1",))),
        (Partition(), Victims(nodes=("n1",))),
        (Latency(latency_s=0.05), Victims(links=(Link("n1", "n2"),))),
    ],
)
def test_a_fault_that_takes_nothing_is_refused_and_leaves_nothing_to_undo(fault: Fault, victims: Victims, log: Path) -> None:
    """What cannot be seen from outside was not done, whatever the call answered."""
    stage = scene(log, StubNode("n1", deaf=True), StubNode("n2"), StubNode("n3"), deaf_net=True)
    with pytest.raises(FaultNotEffective), fault.inject(stage, victims):
        pytest.fail("it must not come to be in force")
    assert pending(log) == []


@pytest.mark.parametrize(
    ("fault", "victims", "during"),
    [
        (Kill(), Victims(nodes=("n1",)), Status.DOWN),
        (Pause(), Victims(nodes=("n1", "n2")), Status.PAUSED),
    ],
)
def test_a_node_fault_is_in_force_inside_and_gone_after(fault: Fault, victims: Victims, during: Status, log: Path) -> None:
    """Its intents are pending exactly while it is in force, and its own proof tells in from out."""
    stage = scene(log, StubNode("n1"), StubNode("n2"), StubNode("n3"))
    with fault.inject(stage, victims) as effect:
        assert {stage.cluster.nodes[node].status() for node in victims.nodes} == {during}
        assert len(pending(log)) == len(victims.nodes)
        assert not effect.gone().ok
    assert effect.healed_at_ns is not None
    assert effect.gone().ok
    assert pending(log) == []


@pytest.mark.parametrize("fault", [Kill(), Pause()])
def test_when_the_second_victim_cannot_be_harmed_the_first_is_taken_back(fault: Fault, log: Path) -> None:
    """Half a fault is none."""
    first = StubNode("n1")
    stage = scene(log, first, StubNode("n2", broken=True))
    with pytest.raises(FaultNotEffective), fault.inject(stage, Victims(nodes=("n1", "n2"))):
        pytest.fail("it must not come to be in force")
    assert first.status() is Status.UP
    assert pending(log) == []


def test_latency_reports_the_achieved_round_trips(log: Path) -> None:
    """Before, during and after, by link."""
    stage = scene(log, *(StubNode(name) for name in NODES))
    with Latency(latency_s=0.05).inject(stage, Victims(links=(Link("n1", "n2"),))) as effect:
        assert effect.before["n1 -> n2.rtt_s"] == pytest.approx(0.001)
        assert effect.during["n1 -> n2.rtt_s"] == pytest.approx(0.051)
    assert effect.gone().figures["n1 -> n2.rtt_s"] == pytest.approx(0.001)


@pytest.mark.parametrize(("asked_ms", "stream", "added_ms", "proven"), [
    (3, "downstream", 2.1, True), (3, "downstream", 1.2, False), (1, "downstream", 0.6, True), (1, "downstream", 0.3, False),
    (50, "downstream", 39.5, True), (50, "downstream", 38.0, False), (4, "both", 5.0, True), (4, "both", 3.0, False),
])  # fmt: skip
def test_a_short_delay_is_proven_by_what_was_ordered(log: Path, asked_ms: float, stream: str, added_ms: float, proven: bool) -> None:
    """A millisecond less each way, and four fifths of the rest."""
    net = StubNet(adds_s=added_ms / 1e3)
    stage = scene(log, *(StubNode(name) for name in NODES), net=net)
    fault = Latency(latency_s=asked_ms / 1e3, stream=stream)  # type: ignore[arg-type]
    with nullcontext() if proven else pytest.raises(FaultNotEffective), fault.inject(stage, Victims(links=(Link("n1", "n2"),))):
        pass


def test_a_bug_in_the_run_leaves_the_intent_pending_but_heals(log: Path) -> None:
    """Only a clean end may say that nothing is left."""
    node = StubNode("n1")
    with pytest.raises(RuntimeError), Pause().inject(scene(log, node), Victims(nodes=("n1",))):
        raise RuntimeError("a bug of ours")
    assert node.status() is Status.UP
    assert [str(entry) for entry in pending(log)] == ["resume n1"]


def test_policy_recovery_is_a_capability_error_on_plain_processes() -> None:
    """They have no restart policy; saying nothing would be a restart that never comes."""
    from tests.support.samples import sample_target

    assert "restart policy" in why(Kill(recovery="policy"), "local", sample_target())
    assert why(Kill(recovery="restart"), "local", sample_target()) == ""
