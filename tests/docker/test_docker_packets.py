"""Packets on real links: as many are lost as asked, as many bytes pass as asked, on those links and no others, and nothing stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from chaos.core.clock import MonotonicClock
from chaos.core.errors import CapabilityMissing, FaultNotEffective
from chaos.core.values import CLIENTS, Link, Loss, Shaping, Victims
from chaos.engine.connection import Engine
from chaos.engine.queues import require_queues
from chaos.faults.bandwidth import Bandwidth
from chaos.faults.base.packets import Counted
from chaos.faults.packets import Loss as LossFault
from chaos.history.undo import UndoLog, pending
from chaos.net.needs import Needs
from chaos.net.nft import TABLE
from chaos.plugin import Scene
from chaos.runtimes.base.agents.link import AgentRefused
from tests.support.net_pairs import Pairs, pairs

NODES = ("n1", "n2", "n3")
ENDS = (*NODES, CLIENTS)
LINK, BACK, ASIDE = Link("n1", "n2"), Link("n2", "n1"), Link("n1", "n3")
EVERY_LINK = tuple(Link(one, other) for one in ENDS for other in NODES if one != other)
DATAGRAMS = 4_000
Z_MILLION = 5.0
TIMES = 3
TRIES = 6
"""On a machine that is busy a train is counted before its end, or a flow is read late: once it must be as it is on a calm one."""
QUIET_S = 0.3
UNHARMED_S = 1.0
"""Of a train of which nothing may be missing."""
ALONE = """
import sys; sys.path.insert(0, "/opt/nines/agent")
from agent_parts import shaping
there = shaping.do_put(None, {"lines": ["qdisc add dev eth0 root handle 4e53: htb default 0"], "devices": ["eth0"]})
shaping.do_single(None, {"devices": ["eth0"], "on": True})
print("htb" in there["result"]["eth0"], shaping.heal(None), "htb" in str(shaping.do_put(None, {"lines": [], "devices": ["eth0"]})))
"""
"""What the agent does when it is alone, in its namespace."""


@pytest.fixture(scope="module")
def three(engine: Engine, harness_image: str) -> Iterator[Pairs]:
    """Three nodes and the clients, no proxies."""
    with pairs(engine, harness_image, NODES, (CLIENTS,), EVERY_LINK, Needs()) as there:
        yield there


@pytest.fixture
def net(three: Pairs) -> Iterator[Pairs]:
    """Nothing is left of what a test did: no rule, no queue, and large packets are handed on as before."""
    before = state(three)
    yield three
    assert state(three) == before


def state(net: Pairs) -> dict[str, Any]:
    """Tables, queues and offloads of every namespace."""
    return {
        name: (talker.table, talker.agent.call("shaping.put", lines=[], devices=["eth0"]).result["eth0"])
        for name, talker in net.talkers.items()
    }


def lost(net: Pairs, link: Link, datagrams: int = DATAGRAMS) -> Counted:
    """Of a train over this link."""
    train = net.net.train(link, datagrams, QUIET_S)
    return Counted(train.sent - train.arrived, train.sent)


def loses(net: Pairs, link: Link, share: float, trains: int = 1) -> bool:
    """Whether as many are lost as asked: chance alone misses this interval once in a million times."""

    def seen() -> bool:
        counts = [lost(net, link) for _ in range(trains)]
        low, high = Counted(sum(each.hits for each in counts), sum(each.of for each in counts)).around(Z_MILLION)
        return low <= share <= high

    return any(seen() for _ in range(TRIES))


def unharmed(net: Pairs, *links: Link) -> bool:
    """Nothing is lost on any of them."""
    trains = [net.net.train(link, 500, UNHARMED_S) for link in links]
    return all(train.arrived == train.sent for train in trains)


# --- loss --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_as_many_are_lost_as_asked(net: Pairs, share: float) -> None:
    """Of three trains together, within the binomial interval. No other link loses any, nor the way back."""
    with net.net.layer([Loss(LINK, share)]):
        assert loses(net, LINK, share, TIMES)
        assert unharmed(net, BACK, ASIDE, Link(CLIENTS, "n2"))
    assert unharmed(net, LINK)


def test_one_port_alone_loses(net: Pairs) -> None:
    """Datagrams to the port are lost as asked, those to other ports and other ways none."""
    with net.net.layer([Loss(LINK, 0.5, "web")]):
        assert loses(net, LINK.at("web"), 0.5)
        assert unharmed(net, LINK, BACK.at("web"), ASIDE.at("web"))
    assert unharmed(net, LINK.at("web"))


def test_losses_of_two_layers_add_up(net: Pairs) -> None:
    """Each throws its own dice, also where both ask for the same share; leaving one leaves the other."""
    with net.net.layer([Loss(LINK, 0.3)]):
        with net.net.layer([Loss(LINK, 0.3)]):
            assert loses(net, LINK, 0.51)
        assert loses(net, LINK, 0.3)


def test_large_pieces_of_a_stream_are_lost_packet_by_packet(net: Pairs) -> None:
    """What a kernel hands over as one packet of 64 KB comes in packets of the size of a wire's, else dice would be thrown too rarely."""
    agent = net.talkers["n2"].agent
    chain = f"chain {TABLE} count"
    agent.call(
        "nft",
        commands=[
            f"add {chain} {{ type filter hook input priority -140; policy accept; }}",
            f"add rule {TABLE} count ip saddr {net.addresses['n1']} counter",
        ],
    )
    try:
        net.net.flow(LINK, 1_000_000, 8)
        whole = _counted(net)
        # The layer's own read-back would refuse a chain that nobody ordered, so this one asks the part itself.
        net.talkers["n1"].agent.call("shaping.single", devices=["eth0"], on=True)
        net.net.flow(LINK, 1_000_000, 8)
        single = _counted(net) - whole
        net.talkers["n1"].agent.call("shaping.single", devices=["eth0"], on=False)
    finally:
        agent.call("nft", commands=[f"delete {chain}"])
    assert whole < 1_000_000 / 1500 <= single


def _counted(net: Pairs) -> int:
    words = net.talkers["n2"].table.partition("counter packets ")[2].split()
    return int(words[0])


@pytest.mark.parametrize("victims", [Victims(nodes=("n2",)), Victims(links=(Link(CLIENTS, "n1"),))], ids=str)
def test_the_fault_proves_itself(net: Pairs, tmp_path: Path, victims: Victims) -> None:
    """On nodes: every link to and from its peers; on a link: just that way. The share that was counted stands in the report."""
    fault = LossFault(percent=0.2)
    with fault.inject(scene(net, tmp_path), victims) as effect:
        links = [rule.link for rule in fault.rules(victims, NODES)]
        assert len(links) == (4 if victims.nodes else 1)
        for link in links:
            assert abs(float(effect.during[f"{link}.lost"] or 0) - 0.2) < 0.1
            assert effect.before[f"{link}.lost"] == 0
        assert "dropped with 0.2 by chance" in effect.mechanism
        assert not effect.gone().ok
    assert effect.gone().ok
    assert pending(tmp_path / "undo.jsonl") == []


# --- rates -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [10e3, 1e6, 10e6])
def test_as_much_passes_as_asked(net: Pairs, rate: float) -> None:
    """Within 10 % (a busy machine reads late, never early), other links and the way back untouched by far."""

    def seen() -> float:
        found = net.net.flow(LINK, round(max(rate * 0.5, 16_000)), 8).rate_bytes_per_s or 0
        assert found <= 1.1 * rate
        return found

    with net.net.layer([Shaping(LINK, "rate", rate)]):
        assert any(seen() >= 0.9 * rate for _ in range(TRIES)), "it was too little, each time"
        if rate < 1e6:
            for other in (BACK, ASIDE):
                assert (net.net.flow(other, 1_000_000, 8).rate_bytes_per_s or 0) > 10 * rate


def test_the_lowest_rate_counts_and_the_other_one_comes_back(net: Pairs) -> None:
    """Two layers on one link; a third link beside them gets a queue of its own and loses it without disturbing theirs."""
    with net.net.layer([Shaping(LINK, "rate", 400e3)]):
        with net.net.layer([Shaping(LINK, "rate", 100e3), Shaping(ASIDE, "rate", 100e3)]):
            assert (net.net.flow(LINK, 50_000, 8).rate_bytes_per_s or 0) < 110e3
        assert any(150e3 < (net.net.flow(LINK, 200_000, 8).rate_bytes_per_s or 0) < 440e3 for _ in range(TRIES))


def test_both_ways_by_the_fault(net: Pairs, tmp_path: Path) -> None:
    """A line of 100 KB/s each way, by queues at both ends; gone afterwards."""
    fault = Bandwidth(rate_bytes_per_s=100e3, level="packets", stream="both")
    with fault.inject(scene(net, tmp_path), Victims(links=(LINK,))) as effect:
        rates = [float(effect.during[f"{LINK}.{way}_rate_bytes_per_s"] or 0) for way in ("downstream", "upstream")]
        assert all(50e3 < rate < 110e3 for rate in rates), rates
        assert "tbf" in effect.mechanism
        assert not effect.gone().ok
    assert effect.gone().ok


def test_an_agent_that_hears_nobody_takes_everything_away(net: Pairs) -> None:
    """What its part has in force is gone by its own doing."""
    api, container = net.engine.client.api, net.talkers["n1"].agent.container
    exec_id = api.exec_create(container, ["python3", "-c", ALONE])["Id"]
    assert api.exec_start(exec_id).decode().split() == ["True", "[]", "False"]


def test_half_done_is_done_anew(net: Pairs) -> None:
    """Somebody took the queue away meanwhile: a change of it is refused, and what is taken back ends where it should all the same."""
    with net.net.layer([Shaping(LINK, "rate", 100e3), Shaping(ASIDE, "rate", 100e3)]):
        net.talkers["n1"].agent.call("shaping.put", lines=["qdisc del dev eth0 root"], devices=["eth0"])
        with pytest.raises(FaultNotEffective), net.net.layer([Shaping(LINK, "rate", 50e3)]):
            pytest.fail("the layer was entered")
        assert 0 < (net.net.flow(LINK, 40_000, 8).rate_bytes_per_s or 0) < 110e3


def test_a_stranger_is_not_touched(net: Pairs) -> None:
    """A queue of somebody else on the interface: the fault is refused with tc's own words, and the queue stays."""
    agent = net.talkers["n3"].agent
    agent.call("shaping.put", lines=["qdisc add dev eth0 root handle 7: tbf rate 1gbit burst 100kb limit 1mb"], devices=["eth0"])
    try:
        with pytest.raises(FaultNotEffective), net.net.layer([Shaping(Link("n3", "n1"), "rate", 100e3)]):
            pytest.fail("the layer was entered")
        assert '"handle": "7:"' in str(agent.call("shaping.put", lines=[], devices=["eth0"]).result["eth0"])
    finally:
        agent.call("shaping.put", lines=["qdisc del dev eth0 root"], devices=["eth0"])


# --- netem -------------------------------------------------------------------------------------------------------------


def has_netem(net: Pairs) -> bool:
    """By trying it."""
    agent = net.talkers["n3"].agent
    try:
        agent.call("shaping.put", lines=["qdisc add dev lo root netem delay 1ms", "qdisc del dev lo root"], devices=["lo"])
    except AgentRefused:
        return False
    return True


def test_without_netem_it_is_said_before_anything_starts(net: Pairs, engine: Engine, harness_image: str) -> None:
    """And with it nothing is said. The token bucket is there on both."""
    require_queues(engine, harness_image, {"tbf"})
    if has_netem(net):
        require_queues(engine, harness_image, {"netem"})
        return
    with pytest.raises(CapabilityMissing) as refused:
        require_queues(engine, harness_image, {"netem"})
    assert "has no queue 'netem'" in str(refused.value)
    assert "modprobe sch_htb sch_netem cls_u32" in refused.value.how
    with pytest.raises(FaultNotEffective, match="qdisc kind is unknown"), net.net.layer([Shaping(LINK, "duplicate", 0.1)]):
        pytest.fail("the layer was entered")


def scene(net: Pairs, folder: Path) -> Scene:
    """What a fault needs of a cluster: its names and its links."""

    class Names(msgspec.Struct):
        nodes: dict[str, None]
        net: Any

    return Scene(cast("Any", Names(dict.fromkeys(NODES), net.net)), MonotonicClock(), UndoLog(folder / "undo.jsonl"))
