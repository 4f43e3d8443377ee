"""Packet layers over agents that a test can make fail: what is wanted is always the union, and nothing stays silently."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from chaos.core.clock import ManualClock
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable, FaultNotEffective, NotHealed
from chaos.core.values import CLIENTS, DNS, Cut, Link, Loss, RoundTrip, Rule, Toxic
from chaos.net.addresses import UNNAMED, Addresses
from chaos.net.needs import Needs
from chaos.net.toxiproxy.errors import Broken
from chaos.net.toxiproxy.toxics import HowRemoved, ProxyToxic, Removed, ToxicOn, ToxiproxyServer
from chaos.runtimes.base.agents.link import AgentGone, Answer
from chaos.runtimes.base.agents.net.net import AgentNet
from chaos.runtimes.base.agents.net.proxies import Servers, planned_proxies

ADDRESSES = Addresses({UNNAMED: {"n1": "198.18.5.11", "n2": "198.18.5.12", "n3": "198.18.5.13", CLIENTS: "198.18.5.3", DNS: "198.18.5.2"}})
PORTS = {name: {"client": 7000, "peer": 7001} for name in ("n1", "n2", "n3")}
THERE, BACK, OTHER = Link("n1", "n2"), Link("n2", "n1"), Link("n3", "n2")


class Agent:
    """Does what ``nft`` does with our commands, or fails as a test says."""

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns
        self.chains: dict[str, list[str]] = {}
        self.fails = ""
        self.loses = ""
        """A rule that holds this text is taken and then is not there."""
        self.transactions = 0
        self.addresses = ""
        """All that its namespace has, as the agent says it."""

    def call(self, do: str, timeout_s: float = 5.0, **fields: object) -> Answer:
        if do == "line.stands":
            return Answer(id=1, at_ns=self.at_ns, result={"addresses": self.addresses})
        assert do == "nft"
        commands = fields["commands"]
        assert isinstance(commands, list)
        if self.fails:
            raise AgentGone(self.fails)
        self.transactions += 1
        for command in commands:
            self._obey(*str(command).split(" ", 4))
        return Answer(id=1, at_ns=self.at_ns, table=self.table)

    def _obey(self, verb: str, what: str, *rest: str) -> None:
        name, _, rule = rest[2].partition(" ")
        if (verb, what) == ("add", "chain"):
            self.chains.setdefault(name, [])
        elif verb == "flush":
            self.chains[name].clear()
        elif verb == "delete":
            del self.chains[name]
        elif not self.loses or self.loses not in rule:
            self.chains[name].append(rule)

    @property
    def table(self) -> str:
        bodies = [f"chain {name} {{\n" + "".join(f"{rule}\n" for rule in rules) + "}\n" for name, rules in self.chains.items()]
        return "table inet nines {\n" + "".join(bodies) + "}\n"


@pytest.fixture
def agents() -> dict[str, Agent]:
    """One a node, each with a stamp of its own."""
    return {name: Agent(number) for number, name in enumerate(("n1", "n2", "n3"), start=101)}


def make(agents: dict[str, Agent], needs: Needs, addresses: Addresses = ADDRESSES) -> AgentNet:
    net = AgentNet(
        run="r", addresses=addresses, ports=PORTS, links=(THERE, BACK, OTHER), gateway="198.18.5.1",
        measure=lambda link, timeout_s: RoundTrip(timeout_s, str(link)), clock=ManualClock(5), needs=needs,
    )  # fmt: skip
    for name, agent in agents.items():
        net.join(name, agent)
    return net


@pytest.fixture
def net(agents: dict[str, Agent]) -> AgentNet:
    """Without proxies."""
    return make(agents, Needs(ages=True))


def last(agent: Agent, chain: str) -> str:
    return agent.chains[chain][-1]


@pytest.mark.parametrize(
    ("rules", "since_ns", "until_ns"),
    [
        ([Cut(THERE)], 101, 102),
        ([Cut(THERE), Cut(BACK)], 101, 102),
        ([Cut(THERE), Cut(OTHER)], 102, 103),
        ([Loss(Link(CLIENTS, "n3"), 0.5)], 103, 103),
        ([Loss(Link("n3", CLIENTS), 0.5)], 103, 103),
    ],
)
def test_a_link_is_cut_from_the_first_of_its_ends_on_until_the_last(
    agents: dict[str, Agent], rules: list[Rule], since_ns: int, until_ns: int
) -> None:
    """A layer is in force once the last of its links is, and gone once the last end of all is as before."""
    packets = make(agents, Needs())._packets
    with packets(tuple(rule for rule in rules if isinstance(rule, Cut | Loss))) as layer:
        assert (layer.effective_at_ns, layer.healed_at_ns) == (since_ns, None)
    assert layer.healed_at_ns == until_ns


def test_the_rules_stand_at_both_ends(net: AgentNet, agents: dict[str, Agent]) -> None:
    """After it the tables are as before, and the layer says since when."""
    before = {name: agent.table for name, agent in agents.items()}
    with net.layer([Cut(THERE)]) as layer:
        assert "dropped, untold to the sender" in layer.mechanism
        assert last(agents["n1"], "leaving") == "ip daddr 198.18.5.12 ip version set 0 accept"
        assert last(agents["n2"], "input") == "ip saddr 198.18.5.11 drop"
        assert agents["n3"].table == before["n3"]
    assert {name: agent.table for name, agent in agents.items()} == before
    assert layer.healed_at_ns == 102


@pytest.mark.parametrize("gone", [False, True])
def test_rules_elsewhere_follow_an_end_that_has_moved(agents: dict[str, Agent], gone: bool) -> None:
    """Packets that are lost by chance are lost where they arrive: there alone the address of the sender stands. An end whose own agent is
    gone by then is told when it joins again."""
    addresses = Addresses({UNNAMED: dict(ADDRESSES.each()[0])})
    net = make(agents, Needs(), addresses)
    with net._packets((Loss(THERE, 0.5), Cut(Link("n1", "n3")))):
        assert "198.18.5.11" in last(agents["n2"], "input")
        assert last(agents["n3"], "input") == "ip saddr 198.18.5.11 drop"
        agents["n3"].fails = "its pod is no more" if gone else ""
        addresses.move("n1", "198.18.5.77")
        net.join("n1", Agent(104))
        assert "198.18.5.77" in last(agents["n2"], "input")
        assert "198.18.5.11" not in agents["n2"].table
        if gone:
            net.join("n3", agents.setdefault("later", Agent(105)))
        assert last(agents["later" if gone else "n3"], "input") == "ip saddr 198.18.5.77 drop"


def test_one_transaction_a_namespace(net: AgentNet, agents: dict[str, Agent]) -> None:
    """However many links are cut at once."""
    counts = {name: agent.transactions for name, agent in agents.items()}
    with net.layer([Cut(THERE), Cut(BACK), Cut(OTHER)]):
        assert {name: agent.transactions - counts[name] for name, agent in agents.items()} == {"n1": 1, "n2": 1, "n3": 1}


def test_leaving_takes_away_ones_own_rules_only(net: AgentNet, agents: dict[str, Agent]) -> None:
    """Layers end in any order; the union of those left stays."""
    first, second = net.layer([Cut(THERE), Cut(OTHER)]), net.layer([Cut(THERE)])
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert last(agents["n2"], "input") == "ip saddr 198.18.5.11 drop"
    assert not any("198.18.5.13" in rule for rule in agents["n2"].chains["input"])
    second.__exit__(None, None, None)
    assert "input" not in agents["n2"].chains


def test_a_younger_layer_spares_what_the_older_one_let_through(net: AgentNet, agents: dict[str, Agent]) -> None:
    """Every layer has a number of its own, also after others have ended."""
    for number in ("00000001", "00000002"):
        with net.layer([Cut(THERE, existing="keep")]):
            assert last(agents["n1"], "leaving") == f"ip daddr 198.18.5.12 ct mark >= 0x{number} ip version set 0 accept"


def test_what_cannot_be_put_in_force_is_taken_back(net: AgentNet, agents: dict[str, Agent]) -> None:
    """One end loses a rule: the layer is refused, and the end that had it is as before."""
    agents["n2"].loses = "198.18.5.11"
    with pytest.raises(FaultNotEffective, match="n2: the rules read back are not those"), net.layer([Cut(THERE)]):
        pytest.fail("the layer was entered")
    assert "output" not in agents["n1"].chains


def test_an_end_that_cannot_be_healed_is_told_after_all_were_tried(net: AgentNet, agents: dict[str, Agent]) -> None:
    """The agent of one end is gone: the other end is healed, and the error says so."""
    with pytest.raises(NotHealed, match="gone for good"), net.layer([Cut(THERE)]):
        agents["n1"].fails = "gone for good"
    assert "input" not in agents["n2"].chains


def test_failing_twice_is_not_healed(net: AgentNet, agents: dict[str, Agent]) -> None:
    """Neither put in force nor provably taken back: the worse of the two counts."""
    agents["n1"].fails = "gone for good"
    with pytest.raises(NotHealed), net.layer([Cut(THERE)]):
        pytest.fail("the layer was entered")


def test_all_namespaces_at_the_same_time(net: AgentNet, agents: dict[str, Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    """No namespace waits for another one: each answers only once all have been asked."""
    together = threading.Barrier(3)
    usual = Agent.call

    def call(self: Agent, do: str, timeout_s: float = 5.0, **fields: object) -> Answer:
        together.wait(5)
        return usual(self, do, timeout_s, **fields)

    monkeypatch.setattr(Agent, "call", call)
    with net.layer([Cut(THERE), Cut(OTHER)]):
        assert last(agents["n3"], "leaving") == "ip daddr 198.18.5.12 ip version set 0 accept"


def test_one_end_with_an_agent_is_enough(net: AgentNet, agents: dict[str, Agent]) -> None:
    """The name server has none here: it is cut where its packets would arrive. Two ends without one cannot be cut."""
    with net.layer([Cut(Link(DNS, "n1"))]):
        assert last(agents["n1"], "input") == "ip saddr 198.18.5.2 drop"
    with pytest.raises(CapabilityMissing, match="clients"), net.layer([Cut(Link(CLIENTS, DNS))]):
        pytest.fail("the layer was entered")


@pytest.mark.parametrize("rule", [Cut(THERE, existing="keep"), Toxic(THERE, "latency", {"latency": 9.0}), Cut(Link("n9", "n1"))])
def test_what_was_not_prepared_is_refused_before_anything_is_done(agents: dict[str, Agent], rule: Rule) -> None:
    """Ages that nobody watched, a proxy that does not stand there, an end that does not exist."""
    net = make(agents, Needs())
    with pytest.raises(CapabilityMissing), net.layer([Cut(OTHER), rule]):
        pytest.fail("the layer was entered")
    assert agents["n3"].chains == {}


def test_joining_prepares_what_is_needed(agents: dict[str, Agent]) -> None:
    """Tracking where a fault asks for ages; and a kernel that cannot make the rules is found before anything starts."""
    make(agents, Needs(ages=True))
    assert agents["n1"].chains == {"track": ["ct state new accept"]}
    agents["n2"].loses = "ct state"
    with pytest.raises(EnvironmentUnusable, match="packet rules cannot be made"):
        make(agents, Needs(ages=True))


def test_measuring_goes_from_the_source(net: AgentNet) -> None:
    """What was given to measure with is asked."""
    assert net.measure(THERE, 0.5) == RoundTrip(0.5, "n1 -> n2")


def test_proxies_have_ports_that_nobody_uses() -> None:
    """One for each port of each destination, numbered anew in each source's namespace, past the target's own ports."""
    ports = {name: {"client": 7000, "odd": 21002} for name in PORTS}
    found = planned_proxies("r", (THERE, Link("n1", "n3"), OTHER), ports, ADDRESSES)
    assert [(proxy.name, proxy.listen, proxy.upstream) for proxy in found] == [
        ("r.n1__n2.client", "127.0.0.1:21001", "198.18.5.12:7000"),
        ("r.n1__n2.odd", "127.0.0.1:21003", "198.18.5.12:21002"),
        ("r.n1__n3.client", "127.0.0.1:21004", "198.18.5.13:7000"),
        ("r.n1__n3.odd", "127.0.0.1:21005", "198.18.5.13:21002"),
        ("r.n3__n2.client", "127.0.0.1:21001", "198.18.5.12:7000"),
        ("r.n3__n2.odd", "127.0.0.1:21003", "198.18.5.12:21002"),
    ]


# --- several Toxiproxy servers -----------------------------------------------------------------------------------------

PROXIES = planned_proxies("r", (Link("n1", "n2"), Link("n3", "n2")), {"n2": {"client": 7000}}, ADDRESSES)
ON = tuple(ToxicOn(proxy.name, ProxyToxic("slow", "latency", {"latency": 9.0})) for proxy in PROXIES)


class Server:
    """Keeps what it is told, or fails."""

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns
        self.toxics: set[str] = set()
        self.fails = False

    def add_toxics(self, additions: Sequence[ToxicOn], *, existing: str = "keep") -> int:
        if self.fails:
            raise Broken("no", server="test")
        self.toxics |= {each.proxy for each in additions}
        return self.at_ns

    def remove_toxics(self, removals: Sequence[ToxicOn]) -> list[Removed]:
        if self.fails:
            raise NotHealed("stuck")
        self.toxics -= {each.proxy for each in removals}
        return [Removed(self.at_ns, HowRemoved.DELETED) for _ in removals]


@pytest.fixture
def two() -> Iterator[tuple[Servers, Server, Server]]:
    """The servers of n1 and n3, each with one proxy."""
    with ThreadPoolExecutor(2) as pool:
        servers, first, second = Servers(pool), Server(11), Server(12)
        servers.add(cast("ToxiproxyServer", first), PROXIES[:1])
        servers.add(cast("ToxiproxyServer", second), PROXIES[1:])
        yield servers, first, second


def test_each_server_gets_its_own_toxics(two: tuple[Servers, Server, Server]) -> None:
    """The stamp is that of the last one."""
    servers, first, second = two
    assert servers.add_toxics(ON) == 12
    assert (first.toxics, second.toxics) == ({"r.n1__n2.client"}, {"r.n3__n2.client"})
    assert [removed.at_ns for removed in servers.remove_toxics(ON)] == [11, 12]
    assert not first.toxics | second.toxics


def test_one_server_that_fails_leaves_nothing_at_the_others(two: tuple[Servers, Server, Server]) -> None:
    """What was put in force is taken out again, and the failure is told."""
    servers, first, second = two
    second.fails = True
    with pytest.raises(Broken):
        servers.add_toxics(ON)
    assert not first.toxics


def test_every_server_is_healed_before_one_is_told_to_be_stuck(two: tuple[Servers, Server, Server]) -> None:
    """The first fails; the second is healed all the same."""
    servers, first, second = two
    servers.add_toxics(ON)
    first.fails = True
    with pytest.raises(NotHealed, match="stuck"):
        servers.remove_toxics(ON)
    assert not second.toxics


def test_what_was_lost_with_its_network_is_not_missed(two: tuple[Servers, Server, Server]) -> None:
    """Its server cannot be asked any more, and need not be; once it stands anew, it counts again."""
    servers, first, second = two
    servers.add_toxics(ON)
    first.fails = True
    servers.lose([PROXIES[0].name])
    assert len(servers.remove_toxics(ON)) == 1
    assert not second.toxics
    servers.add(cast("ToxiproxyServer", first), PROXIES[:1])
    with pytest.raises(NotHealed, match="stuck"):
        servers.remove_toxics(ON)


def test_a_network_may_die_while_its_server_is_asked(two: tuple[Servers, Server, Server]) -> None:
    """What failed there was gone already: it is no leftover."""
    servers, first, _ = two
    servers.add_toxics(ON)

    def dies(_removals: Sequence[ToxicOn]) -> list[Removed]:
        servers.lose([PROXIES[0].name])
        raise NotHealed("no answer")

    first.remove_toxics = dies  # type: ignore[method-assign]
    assert len(servers.remove_toxics(ON)) == 1


# --- addresses that the plan does not know --------------------------------------------------------------------------------


def test_ipv6_is_cut_with_the_rest(agents: dict[str, Agent]) -> None:
    """At both ends; and where one of them comes back with another address while a cut is in force, the other end learns it."""
    agents["n1"].addresses, agents["n2"].addresses = "198.18.5.11 fd00:5::11", "198.18.5.12 fd00:5::12"
    net = make(agents, Needs())
    with net.layer([Cut(THERE)]):
        assert "ip6 daddr fd00:5::12 ip6 version set 0 accept" in agents["n1"].chains["leaving"]
        assert last(agents["n2"], "input") == "ip6 saddr fd00:5::11 drop"
        again = Agent(205)
        again.addresses = "198.18.5.11 fd00:5::99"
        agents["n1"] = again
        net.join("n1", again)
        assert last(agents["n2"], "input") == "ip6 saddr fd00:5::99 drop"
        assert net.beyond(THERE) == ("fd00:5::12",)
    assert "input" not in agents["n2"].chains


@pytest.mark.parametrize("needs", [Needs(toxics=frozenset({THERE})), Needs(queues=frozenset({"tbf"}))], ids=["a proxy", "a queue"])
def test_what_would_miss_ipv6_is_refused(agents: dict[str, Agent], needs: Needs) -> None:
    """Before anything is done there."""
    agents["n2"].addresses = "198.18.5.12 fd00:5::12"
    net = make({}, needs)
    with pytest.raises(CapabilityMissing, match=r"n2 has IPv6 addresses too \(fd00:5::12\), and a (proxy|queue) harms"):
        net.join("n2", agents["n2"])
    assert agents["n2"].transactions == 0
