"""Faults on one port of a link: only that port's proxy is harmed, only that port is asked, and who cannot do it refuses when loading."""

from __future__ import annotations

import pytest

from chaos.core.clock import ManualClock
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.core.values import CLIENTS, Cut, Link, RoundTrip, Toxic
from chaos.faults.latency import Latency
from chaos.faults.partition import Partition
from chaos.faults.streams import Down, SlowClose, Timeout
from chaos.net.layers import LayeredNet
from chaos.net.toxiproxy.toxics import Removed, ToxicOn
from chaos.runtimes.docker.runtime import DockerRuntime
from chaos.runtimes.local.runtime import LocalRuntime
from tests.support.samples import sample_plan

LINK = Link(CLIENTS, "n2")


class Recorded:
    """A server of proxies that notes what it is told."""

    def __init__(self) -> None:
        self.toxics: list[str] = []
        self.closed: list[str] = []

    def add_toxics(self, additions: list[ToxicOn], *, existing: str = "keep") -> int:  # noqa: ARG002 - as the protocol has it
        self.toxics += [each.proxy for each in additions]
        return 1

    def remove_toxics(self, removals: list[ToxicOn]) -> list[Removed]:
        for each in removals:
            self.toxics.remove(each.proxy)
        return []

    def set_enabled(self, name: str, *, enabled: bool) -> int:
        (self.closed.remove if enabled else self.closed.append)(name)
        return 1


@pytest.mark.parametrize(
    ("rule", "harmed"),
    [
        (Toxic(LINK, "latency", {"latency": 50.0}), {"r.clients__n2.client", "r.clients__n2.peer"}),
        (Toxic(LINK, "latency", {"latency": 50.0}, port="peer"), {"r.clients__n2.peer"}),
        (Cut(LINK, port="client"), {"r.clients__n2.client"}),
        (Cut(LINK, "reject", port="client"), {"r.clients__n2.client"}),
    ],
)
def test_only_the_proxy_of_that_port_is_harmed(rule: Toxic | Cut, harmed: set[str]) -> None:
    """And it is given back; the other port passes all along."""
    server = Recorded()
    names = {LINK: ["r.clients__n2.client", "r.clients__n2.peer"]}
    net = LayeredNet(server, names, lambda _link, _timeout_s: RoundTrip(0.001), ManualClock())
    with net.layer([rule]):
        assert {*server.toxics, *server.closed} == harmed
    assert not server.toxics + server.closed
    with pytest.raises(CapabilityMissing, match="no proxy stands in the port 'metrics'"), net.layer([Cut(LINK, port="metrics")]):
        pass


def test_a_link_to_one_port_says_so() -> None:
    """In figures and messages; what a plan prepares is the whole link."""
    assert str(LINK.at("client")) == "clients -> n2:client"
    assert LINK.at("client").whole == LINK
    assert LINK.at("") is LINK


FAULTS = {
    "latency": "latency: {latency: 50ms, port: PORT}",
    "timeout": "timeout: {port: PORT}",
    "down": "down: {port: PORT}",
    "partition": "partition: {port: PORT}",
}


def entry(fault: str, port: str) -> str:
    """One of ``faults``, on what clients open to n2."""
    return f"  - {{name: one, {fault.replace('PORT', port)}, target: {{link: clients -> n2}}, at: 5s, for: 2s}}\n"


@pytest.mark.parametrize("kind", FAULTS)
def test_a_port_is_one_of_the_target(kind: str) -> None:
    """Known by its name when the experiment is loaded; the links that are prepared have all their ports."""
    plan = sample_plan(entry(FAULTS[kind], "client"))
    assert plan.links == (LINK,)
    with pytest.raises(BadInput, match=rf"{kind}\.port: there is no port 'clinet' \(did you mean 'client'"):
        sample_plan(entry(FAULTS[kind], "clinet"))


def test_a_runtime_that_cannot_tell_ports_apart_refuses() -> None:
    """By name, before anything starts; both real runtimes can."""
    with pytest.raises(CapabilityMissing, match="could be told apart"):
        sample_plan(entry(FAULTS["latency"], "client"), runtime="fake")
    faults = (Latency(latency_s=0.1, port="client"), Timeout(port="client"), SlowClose(delay_s=1.0, port="client"))
    for fault in (*faults, Down(port="client"), Partition(port="client")):
        assert fault.needs <= DockerRuntime.offers
        assert fault.needs <= LocalRuntime.offers


@pytest.mark.parametrize(
    "fault",
    [
        "latency: {latency: 5ms, port: client, level: packets}", "bandwidth: {rate: 9KB/s, port: client, level: packets}",
        "partition: {port: client, network: front}",
    ],
)  # fmt: skip
def test_packets_of_a_line_have_no_port(fault: str) -> None:
    """Fields that contradict each other."""
    with pytest.raises(BadInput, match="'port'"):
        sample_plan(entry(fault, ""))
