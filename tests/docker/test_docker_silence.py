"""What a sender is told of a cut: nothing, as by a network that loses its packets. Every kind of cut, datagrams and streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chaos.core.values import CLIENTS, DNS, Cut, Link, Loss, Rule, Victims
from chaos.engine.connection import Engine
from chaos.faults.partition import Partition
from chaos.faults.power_off import PowerOff
from chaos.net.needs import Needs
from tests.support.net_pairs import Pairs, pairs
from tests.support.silence import lost_on_the_way

NODES = ("n1", "n2", "n3")
ENDS = (*NODES, CLIENTS, DNS)
EVERY_LINK = tuple(Link(one, other) for one in ENDS for other in NODES if one != other)
SLOW = Link("n1", "n2")


@pytest.fixture(scope="module")
def three(engine: Engine, harness_image: str) -> Iterator[Pairs]:
    """Three nodes, clients, and a place for the name server; a proxy stands in the link n1 -> n2."""
    with pairs(engine, harness_image, NODES, (CLIENTS, DNS), EVERY_LINK, Needs(frozenset({SLOW}), ages=True)) as there:
        yield there


def told(net: Pairs, source: str, destination: str) -> dict[str, Any]:
    """What the system at ``source`` hears when it sends."""
    address = net.addresses[destination]
    said: dict[str, dict[str, Any]] = net.talkers[source].tell("told", addresses=[address])
    return said[address]


CUTS = {
    "a node": Partition().rules(Victims(nodes=("n2",)), NODES),
    "to it": Partition(direction="to").rules(Victims(nodes=("n2",)), NODES),
    "from it": Partition(direction="from").rules(Victims(nodes=("n2",)), NODES),
    "a link": Partition().rules(Victims(links=(SLOW,)), NODES),
    "a link without a proxy": Partition().rules(Victims(links=(Link("n1", "n3"),)), NODES),
    "groups": Partition(groups=(("n1",), ("n2", "n3"))).rules(Victims(groups=(("n1",), ("n2", "n3"))), NODES),
    "clients": Partition(include=("clients",)).rules(Victims(nodes=("n1",)), NODES),
    "answers to clients": (Cut(Link("n1", CLIENTS)),),
    "without power": PowerOff().rules(Victims(nodes=("n2",)), NODES),
}


@pytest.mark.parametrize("rules", CUTS.values(), ids=CUTS)
def test_no_sender_is_told(three: Pairs, rules: tuple[Cut, ...]) -> None:
    """No call fails on any cut link; a stream's data is in flight and sent again. On other links all arrives."""
    three.open()
    cut = {(rule.link.source, rule.link.destination) for rule in rules}
    with three.net.layer(rules):
        for source, destination in sorted(cut):
            said = told(three, source, destination)
            assert lost_on_the_way(said), f"{source} -> {destination}: {said}"
    whole = told(three, "n3", CLIENTS)
    assert (whole["errors"], whole["unacked"]) == ([], 0)


def test_nor_of_new_connections_alone(three: Pairs) -> None:
    """``existing: keep``: what is new is lost as silently."""
    three.open()
    with three.net.layer([Cut(Link("n1", "n3"), existing="keep")]):
        assert told(three, "n1", "n3")["errors"] == []


@pytest.mark.parametrize("rule", [Loss(Link("n1", "n3"), 0.9), Loss(SLOW, 0.9)], ids=["plain", "proxied"])
def test_nor_of_losses(three: Pairs, rule: Loss) -> None:
    """Nine of ten packets are lost, and no call fails."""
    three.open()
    with three.net.layer([rule]):
        said = told(three, rule.link.source, rule.link.destination)
    assert (said["errors"], said["unsent_bytes"], said["probes"]) == ([], 0, 0)


@pytest.mark.parametrize("rule", [Cut(Link("n1", "n3")), Loss(Link("n1", "n3"), 0.999)], ids=["cut", "loss"])
def test_nor_where_only_his_own_end_has_an_agent(three: Pairs, monkeypatch: pytest.MonkeyPatch, rule: Rule) -> None:
    """A link to something outside: lost behind the socket's back."""
    three.open()
    agents = three.net._agents
    with monkeypatch.context() as alone:
        alone.setattr(three.net, "_agents", {name: agent for name, agent in agents.items() if name != "n3"})
        with three.net.layer([rule]):
            before = set(three.heard("told"))
            said = told(three, "n1", "n3")
            assert said["errors"] == []
            assert (said["unsent_bytes"], said["probes"]) == (0, 0)
            assert said["retransmitted"] > 0
            assert before == set(three.heard("told"))


def test_reject_stays_loud(three: Pairs) -> None:
    """Where a no is asked for, the sender hears it at once."""
    three.open()
    with three.net.layer([Cut(Link("n1", "n3"), "reject")]):
        errors = told(three, "n1", "n3")["errors"]
    assert any(each.startswith("old-tcp") for each in errors)
    assert any(each.startswith("old-udp") for each in errors)
