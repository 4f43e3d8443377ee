"""Layers of rules over a proxy server that a test can make fail: what is in force is always the union, and nothing stays silently."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaos.core.clock import ManualClock
from chaos.core.errors import CapabilityMissing, FaultNotEffective, NotHealed
from chaos.core.values import Cut, Link, RoundTrip, Toxic
from chaos.net.layers import LayeredNet
from chaos.net.toxiproxy.errors import Broken
from chaos.net.toxiproxy.toxics import HowRemoved, Removed, ToxicOn

ONE, TWO = Link("n1", "n2"), Link("n2", "n1")
PROXIES = {ONE: ("one.client", "one.peer"), TWO: ("two.peer",)}
SLOW = Toxic(ONE, "latency", {"latency": 50.0, "jitter": 0.0})


class Server:
    """Keeps what it is told; fails where a test says so."""

    def __init__(self) -> None:
        self.closed: set[str] = set()
        self.toxics: dict[tuple[str, str], ToxicOn] = {}
        self.cut_first: list[str] = []
        self.fails: set[str] = set()
        self.calls = 0

    def add_toxics(self, additions: Sequence[ToxicOn], *, existing: str = "keep") -> int:
        self._call("add")
        for each in additions:
            key = (each.proxy, each.toxic.name)
            assert key not in self.toxics, "a name was used twice"
            self.toxics[key] = each
            if existing == "cut":
                self.cut_first.append(each.proxy)
        return 10 + self.calls

    def remove_toxics(self, removals: Sequence[ToxicOn]) -> list[Removed]:
        self._call("remove")
        for each in removals:
            self.toxics.pop((each.proxy, each.toxic.name), None)
        return [Removed(0, HowRemoved.DELETED) for _ in removals]

    def set_enabled(self, name: str, *, enabled: bool) -> int:
        self._call("open" if enabled else "close")
        (self.closed.discard if enabled else self.closed.add)(name)
        return 10 + self.calls

    def _call(self, what: str) -> None:
        self.calls += 1
        if what in self.fails:
            raise Broken(f"{what} failed", server="test")


@pytest.fixture
def server() -> Server:
    """A new one."""
    return Server()


@pytest.fixture
def net(server: Server) -> LayeredNet:
    """Over it; measuring is not what is tried here."""
    return LayeredNet(server, PROXIES, lambda _link, _timeout_s: RoundTrip(None), ManualClock(5))


def test_rules_act_on_every_port_of_the_link(net: LayeredNet, server: Server) -> None:
    """A link of two ports has two proxies, and both get the toxic; the other link gets none."""
    with net.layer([SLOW]) as layer:
        assert {proxy for proxy, _ in server.toxics} == {"one.client", "one.peer"}
        assert layer.effective_at_ns == 11
        assert "latency" in layer.mechanism
    assert server.toxics == {}


def test_drop_is_a_timeout_of_nothing_both_ways(net: LayeredNet, server: Server) -> None:
    """Silence: the proxy takes connections and passes nothing either way."""
    with net.layer([Cut(TWO)]):
        kinds = {(each.toxic.type, each.toxic.stream, each.toxic.attributes["timeout"]) for each in server.toxics.values()}
        assert kinds == {("timeout", "upstream", 0.0), ("timeout", "downstream", 0.0)}
        assert server.closed == set()


def test_both_streams_are_two_toxics(net: LayeredNet, server: Server) -> None:
    """Toxiproxy knows one direction each."""
    with net.layer([Toxic(TWO, "latency", {"latency": 5.0}, "both")]):
        assert {each.toxic.stream for each in server.toxics.values()} == {"upstream", "downstream"}


@pytest.mark.parametrize(("asked_ms", "ordered_ms"), [(1.0, 1.0), (2.0, 1.0), (50.0, 49.0)])
def test_a_delay_is_ordered_shorter_where_it_can_spare_it(net: LayeredNet, server: Server, asked_ms: float, ordered_ms: float) -> None:
    """Never none at all."""
    with net.layer([Toxic(TWO, "latency", {"latency": asked_ms})]):
        assert [each.toxic.attributes["latency"] for each in server.toxics.values()] == [ordered_ms]


def test_same_rule_twice_in_one_layer(net: LayeredNet, server: Server) -> None:
    """Both count, under names of their own."""
    with net.layer([SLOW, SLOW]):
        assert len(server.toxics) == 4


def test_reject_lasts_as_long_as_anybody_wants_it(net: LayeredNet, server: Server) -> None:
    """Left in any order, a proxy opens when the last layer that closed it is gone; others are not touched."""
    first, second = net.layer([Cut(ONE, "reject")]), net.layer([Cut(ONE, "reject"), Cut(TWO, "reject")])
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert server.closed == {"one.client", "one.peer", "two.peer"}
    second.__exit__(None, None, None)
    assert server.closed == set()


def test_existing_cut_is_passed_on(net: LayeredNet, server: Server) -> None:
    """Only the links whose rule asks for it lose their open connections."""
    with net.layer([SLOW, Toxic(TWO, "reset_peer", {"timeout": 0.0}, existing="cut")]):
        assert server.cut_first == ["two.peer"]


def test_what_fails_on_the_way_in_is_taken_back(net: LayeredNet, server: Server) -> None:
    """Adding fails after one link was closed: it is opened again, and the fault did not take."""
    server.fails = {"add"}
    with pytest.raises(FaultNotEffective, match="add failed"), net.layer([Cut(ONE, "reject"), Cut(TWO)]):
        pytest.fail("the layer was entered")
    assert server.closed == set()
    server.fails = set()
    with net.layer([Cut(ONE, "reject"), Cut(TWO)]):
        assert len(server.toxics) == 2
    assert (server.toxics, server.closed) == ({}, set())


def test_what_cannot_be_healed_is_said_and_the_rest_healed(net: LayeredNet, server: Server) -> None:
    """Opening fails: the toxics are removed all the same, and the error names the proxies."""
    layer = net.layer([Cut(ONE, "reject"), Cut(TWO)])
    layer.__enter__()
    server.fails = {"open"}
    with pytest.raises(NotHealed, match=r"one\.client.*one\.peer"):
        layer.__exit__(None, None, None)
    assert server.toxics == {}


def test_failing_to_take_back_a_failed_entry_is_not_healed(net: LayeredNet, server: Server) -> None:
    """Worse than a fault that did not take: one that may be half in force."""
    server.fails = {"add", "remove"}
    with pytest.raises(NotHealed), net.layer([Cut(TWO)]):
        pytest.fail("the layer was entered")


def test_run_without_proxies_refuses_every_rule() -> None:
    """A plan that names no link has no proxy server."""
    net = LayeredNet(None, {}, lambda _link, _timeout_s: RoundTrip(None), ManualClock())
    with pytest.raises(CapabilityMissing), net.layer([Cut(ONE)]):
        pytest.fail("the layer was entered")


def test_what_is_in_force_moves_with_its_proxies(net: LayeredNet, server: Server) -> None:
    """They stand anew on another server, which is known by then: toxics and closed doors are put there, of these proxies only."""
    with net.layer([SLOW, Cut(TWO, "reject")]), net.layer([Toxic(ONE, "latency", {"latency": 9.0}, "upstream")]):
        before = dict(server.toxics)
        server.toxics.clear()
        server.closed.clear()
        told: list[int] = []
        net.moved(PROXIES[ONE], lambda: told.append(server.calls))
        assert told == [3], "first it is made known"
        assert server.toxics == before
        assert server.closed == set()
        net.moved(PROXIES[TWO], lambda: None)
        assert server.closed == {"two.peer"}
        assert server.toxics == before
    assert not server.toxics
    assert not server.closed
