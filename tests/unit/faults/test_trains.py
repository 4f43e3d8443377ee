"""Faults by packets: whom they are done to, what counts as proof, and how datagrams are counted, over real sockets."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos.agent.agent_parts import line
from chaos.core import values as kinds
from chaos.core.clock import ManualClock
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Link, Passage, Rule, Shaping, Train, Victims
from chaos.experiment.selectors import LinkTo
from chaos.faults.bandwidth import Bandwidth
from chaos.faults.base import packets as trains
from chaos.faults.base.packets import Counted
from chaos.faults.latency import Latency
from chaos.faults.packets import Corrupt, Duplicate, Loss, Reorder
from chaos.history.undo import UndoLog, pending
from chaos.plugin import Fault, Scene
from chaos.testing.stubs import StubCluster, StubNet, StubNode
from tests.support.capable import why
from tests.support.samples import sample_target

NODES = ("n1", "n2", "n3")
LINK, BACK, OTHER = Link("n1", "n2"), Link("n2", "n1"), Link("n1", "n3")
ON_LINK = Victims(links=(LINK,))


class PacketNet(StubNet):
    """Hits packets as its rules ask; ``deaf`` does nothing, ``factor`` hits more or fewer."""

    def __init__(self, *, deaf: bool = False, factor: float = 1.0, usual: float = 0.0, leaks: bool = False) -> None:
        super().__init__(deaf=deaf)
        self.leaks = leaks
        """Harm to one port reaches all of them."""
        self.factor = factor
        self.usual = usual
        self.rng = random.Random(4)

    def train(self, link: Link, datagrams: int, timeout_s: float) -> Train:
        count = {"loss": 0, "duplicate": 0, "corrupt": 0, "reorder": 0}
        chances = [("loss", self.usual)]
        for rule in self.rules:
            port = getattr(rule, "port", "")
            if rule.link == link.whole and (not port or self.leaks or link.port == port) and not self.deaf:
                chances.append(("loss", rule.share) if isinstance(rule, kinds.Loss) else (rule.what, rule.amount))
        for what, share in chances:
            count[what] += sum(self.rng.random() < share * self.factor for _ in range(datagrams))
        arrived = datagrams - count["loss"] - count["corrupt"]
        return Train(datagrams, arrived, count["duplicate"], count["corrupt"], count["reorder"])

    def flow(self, link: Link, size_bytes: int, timeout_s: float) -> Passage:
        rates = [rule.amount for rule in self.rules if rule.link == link and not self.deaf]
        return Passage("closed", size_bytes, 9, size_bytes / min([*rates, 1e9]))


def scene(folder: Path, net: StubNet) -> Scene:
    return Scene(cluster=StubCluster([StubNode(name) for name in NODES], net), clock=ManualClock(), undo=UndoLog(folder / "undo.jsonl"))


FAULTS: list[Fault] = [Loss(0.05), Duplicate(0.05), Corrupt(0.05), Reorder(0.05)]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_in_force_inside_and_gone_after(fault: Fault, tmp_path: Path) -> None:
    """Counted on each link, with the range of chances that would give such a count."""
    with fault.inject(scene(tmp_path, PacketNet()), ON_LINK) as effect:
        assert len(pending(tmp_path / "undo.jsonl")) == 1
        shares = [
            value for name, value in effect.during.items() if name.startswith(str(LINK)) and name.rpartition("_")[2] not in ("low", "high")
        ]
        assert any(isinstance(share, float) and 0.03 < share < 0.07 for share in shares)
        assert not effect.gone().ok
    assert effect.gone().ok
    assert effect.healed_at_ns is not None
    assert pending(tmp_path / "undo.jsonl") == []


@pytest.mark.parametrize("net", [PacketNet(deaf=True), PacketNet(factor=0.3), PacketNet(factor=3)], ids=["none", "too few", "too many"])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_another_share_than_asked_is_no_effect(fault: Fault, net: PacketNet, tmp_path: Path) -> None:
    """Said with the share that was counted, and taken back."""
    with pytest.raises(FaultNotEffective, match=r"asked was 5\.00%; n1 -> n2"), fault.inject(scene(tmp_path, net), ON_LINK):
        pytest.fail("it must not come to be in force")
    assert net.rules == []


def test_what_was_lost_before_is_allowed_for(tmp_path: Path) -> None:
    """A link that loses 20 % by another fault loses 20 % of what is left then, and is healed when only that is left."""
    with Loss(0.2).inject(scene(tmp_path, PacketNet(usual=0.2)), ON_LINK) as effect:
        pass
    assert effect.gone().ok


def test_dice_that_remember_must_only_show_themselves(tmp_path: Path) -> None:
    """With correlation the mean is netem's affair; nothing at all is still no effect."""
    with Loss(0.2, correlation=0.5).inject(scene(tmp_path, PacketNet(factor=0.3)), ON_LINK) as effect:
        assert effect.during[f"{LINK}.lost"] is not None
    with pytest.raises(FaultNotEffective), Loss(0.2, correlation=0.5).inject(scene(tmp_path, PacketNet(deaf=True)), ON_LINK):
        pytest.fail("it must not come to be in force")


def test_one_port_of_a_link(tmp_path: Path) -> None:
    """Counted at that port; what goes to other ports must arrive."""
    with Loss(0.2, port="client").inject(scene(tmp_path, PacketNet()), ON_LINK) as effect:
        share = effect.during[f"{LINK}:client.lost"]
        assert isinstance(share, float) and 0.1 < share < 0.3
        assert not effect.gone().ok
    assert effect.gone().ok
    leaks = scene(tmp_path, PacketNet(leaks=True))
    with pytest.raises(FaultNotEffective, match="other ports"), Loss(0.2, port="client").inject(leaks, ON_LINK):
        pytest.fail("it must not come to be in force")


def test_a_port_of_clients_is_refused() -> None:
    """They listen nowhere."""
    assert Loss(0.2, port="client").refuses(LinkTo("n1", "clients")) is not None
    assert Loss(0.2, port="client").refuses(LinkTo("clients", "n1")) is None


def test_a_net_without_packets_proves_nothing(tmp_path: Path) -> None:
    """It is no silent success."""
    with pytest.raises(FaultNotEffective, match="could not be seen"), Loss(0.1).inject(scene(tmp_path, StubNet()), ON_LINK):
        pytest.fail("it must not come to be in force")


def test_a_line_of_a_rate(tmp_path: Path) -> None:
    """Both ways, each measured on its own."""
    fault = Bandwidth(50_000, level="packets", stream="both")
    with fault.inject(scene(tmp_path, PacketNet()), ON_LINK) as effect:
        assert effect.during[f"{LINK}.upstream_rate_bytes_per_s"] == pytest.approx(50_000)
        assert effect.before[f"{LINK}.upstream_rate_bytes_per_s"] == pytest.approx(1e9)
        assert not effect.gone().ok
    assert effect.gone().ok
    with pytest.raises(FaultNotEffective), fault.inject(scene(tmp_path, PacketNet(deaf=True)), ON_LINK):
        pytest.fail("it must not come to be in force")


# --- whom, what, where -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "victims", "links"),
    [
        (Loss(0.1), ON_LINK, {LINK}),
        (Loss(0.1), Victims(nodes=("n1",)), {LINK, OTHER, BACK, Link("n3", "n1")}),
        (Loss(0.1, direction="from"), Victims(nodes=("n1",)), {LINK, OTHER}),
        (Loss(0.1, direction="to"), Victims(nodes=("n1", "n3")), {BACK, Link("n2", "n3")}),
        (Loss(0.1, include=("clients",)), Victims(nodes=("n1",)), {Link("clients", "n1"), Link("n1", "clients")}),
        (Loss(0.1, include=("clients",), port="client"), Victims(nodes=("n1",)), {Link("clients", "n1")}),
        (Loss(0.1, port="client"), Victims(nodes=("n1",)), {LINK, OTHER, BACK, Link("n3", "n1")}),
        (Duplicate(0.1, include=("peers", "dns"), direction="to"), Victims(nodes=("n1",)), {BACK, Link("n3", "n1"), Link("dns", "n1")}),
    ],
)
def test_whom(fault: Loss, victims: Victims, links: set[Link]) -> None:
    """A link by its arrow; a node with everybody that is included, and nobody of the same target."""
    assert {rule.link for rule in fault.rules(victims, NODES)} == links


@pytest.mark.parametrize(
    ("fault", "rules"),
    [
        (Loss(0.1), [kinds.Loss(LINK, 0.1)]),
        (Loss(0.1, port="client"), [kinds.Loss(LINK, 0.1, "client")]),
        (Loss(0.1, correlation=0.5), [Shaping(LINK, "loss", 0.1, 0.5)]),
        (Reorder(0.1, delay_s=0.01), [Shaping(LINK, "reorder", 0.1, delay_s=0.01)]),
        (Corrupt(0.1, correlation=0.2), [Shaping(LINK, "corrupt", 0.1, 0.2)]),
        (Bandwidth(1e5, level="packets"), [Shaping(BACK, "rate", 1e5)]),
        (Bandwidth(1e5, level="packets", stream="upstream"), [Shaping(LINK, "rate", 1e5)]),
        (Latency(0.1, level="packets", stream="both"), [Shaping(LINK, "delay", 0.1), Shaping(BACK, "delay", 0.1)]),
        (Latency(0.1, 0.01, distribution="normal", correlation=0.3), [Shaping(BACK, "delay", 0.1, 0.3, 0.01, "normal")]),
    ],
    ids=str,
)
def test_rules(fault: Any, rules: list[Rule]) -> None:
    """What is asked of the net; ``downstream`` is the way back."""
    assert list(fault.rules(ON_LINK, NODES)) == rules


@pytest.mark.parametrize(
    "make",
    [
        lambda: Loss(0.1, correlation=0.5, port="client"), lambda: Loss(0.1, direction="from", include=("clients",), port="client"),
        lambda: Loss(0.001), lambda: Duplicate(0.1, include=()), lambda: Reorder(0.1, delay_s=1.0), lambda: Latency(0.1, correlation=0.5),
        lambda: Latency(0.1, level="packets", toxicity=0.5), lambda: Bandwidth(1e5, level="packets", existing="cut"),
    ],
)  # fmt: skip
def test_what_could_not_be_proven_is_refused(make: Callable[[], object]) -> None:
    """When it is read, not when it is done."""
    with pytest.raises(ValueError, match="'"):
        make()


@pytest.mark.parametrize("runtime", ["local", "fake"])
@pytest.mark.parametrize("fault", [*FAULTS, Bandwidth(1e5, level="packets"), Latency(0.1, level="packets")], ids=str)
def test_only_where_there_are_packets(fault: Any, runtime: str) -> None:
    """Said before anything starts."""
    assert "docker" in why(fault, runtime, sample_target())
    assert why(fault, "docker", sample_target()) == ""


def test_the_range_of_chances() -> None:
    """Wilson's, which is never empty and holds at both ends of the scale."""
    low, high = Counted(50, 1000).around(trains.Z_99)
    assert (round(low, 4), round(high, 4)) == (0.0350, 0.0709)
    assert Counted(0, 1000).around(trains.Z_PROOF)[1] < 0.04
    assert Counted(1000, 1000).around(trains.Z_99)[1] == 1.0
    assert Counted(0, 0).around(trains.Z_99) == (0.0, 1.0)


# --- counting ----------------------------------------------------------------------------------------------------------


class Aside:
    """What a part needs of its agent."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    def later(self, number: object, work: Callable[[], dict[str, Any]]) -> None:
        self.said = work()


@contextmanager
def receiver(kind: str) -> Iterator[tuple[int, int]]:
    opened = line.do_open(None, {"kind": kind})["result"]
    try:
        yield opened["number"], opened["port"]
    finally:
        assert line.heal(None) == []


def count(number: int, amount: int, quiet_s: float = 0.1) -> dict[str, Any]:
    agent = Aside()
    line.do_count(agent, {"id": 1, "number": number, "amount": amount, "quiet_s": quiet_s, "within_s": 5.0})
    found: dict[str, Any] = agent.said["result"]
    return found


def send(port: int, datagrams: Sequence[bytes]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for data in datagrams:
            sender.sendto(data, ("127.0.0.1", port))


def test_a_whole_train() -> None:
    """All sent are counted, none as anything else."""
    with receiver("udp") as (number, port):
        agent = Aside()
        line.do_send(agent, {"id": 1, "kind": "udp", "address": "127.0.0.1", "port": port, "amount": 300, "within_s": 1.0})
        assert agent.said["result"] == {"sent": 300, "refused": 0}
        found = count(number, 300)
        assert (found["arrived"], found["doubled"], found["damaged"], found["early"]) == (300, 0, 0, 0)


def test_every_harm_is_told_from_the_others() -> None:
    """One missing, one twice, one damaged, one that overtook two."""
    cars = [line.datagram(number) for number in range(8)]
    bad = cars[6][:50] + bytes([cars[6][50] ^ 4]) + cars[6][51:]
    with receiver("udp") as (number, port):
        send(port, [cars[0], cars[1], cars[4], cars[2], cars[3], cars[3], bad, cars[7]])
        found = count(number, 8)
        assert (found["arrived"], found["doubled"], found["damaged"], found["early"]) == (6, 1, 1, 1)


def test_a_flow_is_timed_after_its_first_quarter() -> None:
    """What fills buckets and queues is not counted."""
    with receiver("tcp") as (number, port):
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(bytes(50_000))
            time.sleep(0.02)
            sender.sendall(bytes(50_000))
        found = count(number, 100_000)
        assert found["ended"] == "closed"
        assert found["total"] == 100_000
        assert 0 < found["bytes"] <= 75_000
        assert found["last_s"] >= 0.01


def test_nobody_came() -> None:
    """A flow without a connection is no rate."""
    with receiver("tcp") as (number, _):
        agent = Aside()
        line.do_count(agent, {"id": 1, "number": number, "amount": 1, "quiet_s": 0.1, "within_s": 0.05})
        assert agent.said["result"]["last_s"] is None
