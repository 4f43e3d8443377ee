"""Harm to links in containers: packets arrive on exactly the pairs that are not named; streams are slowed unseen."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Iterator

import msgspec
import pytest

from chaos.core.errors import CapabilityMissing
from chaos.core.values import CLIENTS, Cut, Link, Toxic, Victims
from chaos.engine.connection import Engine
from chaos.experiment.target.spec import Ask
from chaos.faults.partition import Partition
from chaos.net.needs import Needs
from chaos.net.nft import TABLE
from chaos.plan import shapes
from chaos.runtimes.base.agents.net.proxies import FIRST_PORT
from tests.support.net_pairs import PORTS, WEB, WITHIN_S, Pairs, pairs

NODES = ("n1", "n2", "n3", "n4", "n5")
ENDS = (*NODES, CLIENTS)
EVERY_LINK = tuple(Link(one, other) for one in ENDS for other in NODES if one != other)
SLOW, BACK = Link("n1", "n2"), Link("n2", "n1")
LATENCY = Toxic(SLOW, "latency", {"latency": 50.0, "jitter": 0.0})
KINDS = ("old-udp", "new-udp", "old-tcp", "new-tcp")
SILENT_S = 0.3
BEFORE_SYN_S = 0.65
"""A dial that met silence is tried again by the kernel a second after it began: what is answered before that has not waited for it."""
QUICK_S = 0.05
TRIES = 50


@pytest.fixture(scope="module")
def five(engine: Engine, harness_image: str) -> Iterator[Pairs]:
    """Five nodes and the clients; a proxy stands in the link n1 -> n2 all the time."""
    with pairs(engine, harness_image, NODES, (CLIENTS,), EVERY_LINK, Needs(frozenset({SLOW}))) as there:
        yield there


@pytest.fixture
def net(five: Pairs) -> Iterator[Pairs]:
    """With old sockets between all, nothing cut before and nothing left after."""
    five.open()
    await_heard(five, "warm", expected(()))
    before = five.tables()
    assert all("drop" not in table and "reject" not in table for table in before.values())
    yield five
    assert five.tables() == before


def pairs_of(links: Collection[Link]) -> set[tuple[str, str]]:
    return {(link.source, link.destination) for link in links}


def expected(cut: Collection[Link], reject: bool = False) -> set[tuple[str, str, str]]:
    """(kind, from, to) of every word that must arrive when these links are cut."""
    found = set()
    gone = pairs_of(cut)
    for one in ENDS:
        for other in ENDS:
            both_ways = (one, other) not in gone and (other, one) not in gone
            if one != other and (one, other) not in gone:
                found |= {("old-udp", one, other), ("new-udp", one, other)}
                # A handshake takes both ways. An old connection goes on one way under silence; a reject may end it first.
                found |= {("new-tcp", one, other)} if both_ways else set()
                found |= {("old-tcp", one, other)} if both_ways or not reject else set()
    return found


def await_heard(net: Pairs, word: str, wanted: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """Say the word, wait until all that must arrive has arrived; all that has."""
    net.speak(word)
    until_s = time.monotonic() + WITHIN_S
    while not (heard := net.heard(word)) >= wanted:
        assert time.monotonic() < until_s, f"not heard: {sorted(wanted - heard)}"
        time.sleep(0.01)
    return heard


def check(net: Pairs, word: str, cut: Collection[Link], reject: bool = False) -> None:
    """Words and packets arrive on exactly the pairs that are not cut."""
    net.arrived()
    heard = await_heard(net, word, expected(cut, reject))
    came = {(one, other) for _, one, other in heard} & pairs_of(cut)
    assert not came, f"passed a cut link: {sorted(came)}"
    tcp = {(kind, one, other) for kind, one, other in heard if kind == "new-tcp" and (other, one) in pairs_of(cut)}
    assert not tcp, f"connected although no answer could pass: {sorted(tcp)}"
    everyone = {(one, other) for one in ENDS for other in ENDS if one != other}
    assert net.arrived() == everyone - pairs_of(cut)


# --- who is cut from whom ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behavior", ["drop", "reject"])
@pytest.mark.parametrize("shift", [1, 2, 3, 4])
def test_matrix(net: Pairs, shift: int, behavior: str) -> None:
    """Five one-way cuts at a time, every ordered pair once in four rounds: nothing passes these, all passes the other pairs."""
    cut = [Link(node, NODES[(number + shift) % 5]) for number, node in enumerate(NODES)]
    with net.net.layer([Cut(link, behavior) for link in cut]):
        check(net, f"cut-{behavior}-{shift}", cut, behavior == "reject")
    if behavior == "reject":
        net.open()  # what was told a no is closed; what met silence goes on by itself
    check(net, f"healed-{behavior}-{shift}", ())


@pytest.mark.parametrize(
    ("fault", "victims"),
    [
        (Partition(), Victims(groups=(("n1", "n2"), ("n3",)))),
        (Partition(), Victims(nodes=("n2",))),
        (Partition(), Victims(nodes=("n1", "n5"))),
        (Partition(), Victims(links=(Link("n3", "n4"),))),
        (Partition(), Victims(groups=shapes.halves(NODES))),
        (Partition(), Victims(groups=shapes.side(NODES, shapes.side_size(shapes.MINORITY, 5)))),
        (Partition(), Victims(links=shapes.bridge(NODES))),
        (Partition(), Victims(links=shapes.ring(NODES))),
        (Partition(direction="to"), Victims(nodes=("n2",))),
        (Partition(direction="from"), Victims(nodes=("n2",))),
        (Partition(include=("clients",)), Victims(nodes=("n4",))),
        (Partition(groups=(("n1", CLIENTS), ("n2", "n3"))), Victims(groups=(("n1", CLIENTS), ("n2", "n3")))),
    ],
    ids=["groups", "one node", "two nodes or a zone", "a link", "halves", "minority", "bridge", "ring", "to", "from", "clients", "a side"],
)
def test_partition_rules(net: Pairs, fault: Partition, victims: Victims) -> None:
    """What the partition fault asks for is what is cut, of every shape, for TCP and UDP, old sockets and new ones."""
    rules = fault.rules(victims, NODES)
    with net.net.layer(rules):
        check(net, f"partition-{victims}-{fault.direction}".replace(" ", ""), [rule.link for rule in rules])


@pytest.mark.parametrize("behavior", ["drop", "reject"])
@pytest.mark.parametrize(
    "ends", [((CLIENTS, "n1"),), (("n1", CLIENTS),), ((CLIENTS, "n1"), ("n1", CLIENTS))], ids=["there", "back", "both"]
)
def test_clients_are_an_end(net: Pairs, ends: tuple[tuple[str, str], ...], behavior: str) -> None:
    """Clients cut from one node, it from them, or both: old and new sockets. All else goes on, also with the harness."""
    links = [Link(*each) for each in ends]
    with net.net.layer([Cut(link, behavior) for link in links]):
        check(net, f"clients-{behavior}-{len(links)}-{ends[0][0]}", links, behavior == "reject")
        assert net.net.measure(Link(CLIENTS, "n1"), SILENT_S).rtt_s is None
        assert net.net.measure(Link(CLIENTS, "n2"), WITHIN_S).rtt_s is not None
    if behavior == "reject":
        net.open()
    check(net, f"clients-healed-{behavior}-{len(links)}-{ends[0][0]}", ())


@pytest.mark.parametrize("behavior", ["drop", "reject"])
@pytest.mark.parametrize("link", [Link("n3", "n2"), SLOW], ids=["direct", "through a proxy"])
def test_one_port_is_cut_and_the_others_pass(net: Pairs, link: Link, behavior: str) -> None:
    """Nothing answers on that port, old and new sockets of the other port go on, and the other way is as before."""
    with net.net.layer([Cut(link, behavior, port="web")]):
        assert net.net.measure(link, SILENT_S).rtt_s is None
        assert net.net.measure(Link(link.destination, link.source), WITHIN_S).rtt_s is not None
        await_heard(net, f"port-{behavior}-{link.source}", expected(()))
    assert net.net.measure(link, WITHIN_S).rtt_s is not None


def test_a_restart_meanwhile_changes_nothing(net: Pairs) -> None:
    """The system of a cut node dies and comes back: it is cut still, its new sockets too, and whole again after the heal."""
    cut = [link for link in EVERY_LINK if "n3" in (link.source, link.destination)]
    with net.net.layer([Cut(link) for link in cut]):
        net.restart("n3")
        net.talkers["n3"].tell("pid")
        net.arrived()
        net.speak("again")
        heard = await_heard(net, "again", {("new-tcp", "n1", "n2"), ("new-udp", "n1", "n4")})
        assert not {(one, other) for _, one, other in heard} & pairs_of(cut)
        assert not net.arrived() & pairs_of(cut)
    net.open()
    check(net, "whole", ())


def test_either_end_holds_the_cut_alone(net: Pairs) -> None:
    """One end loses its rules, as when its agent is made anew: nothing is heard all the same, and the heal takes away what is left."""
    link = Link("n3", "n4")
    for end in (link.source, link.destination):
        with net.net.layer([Cut(link)]):
            net.talkers[end].agent.call("nft", commands=[f"flush chain {TABLE} {chain}" for chain in ("input", "output")])
            heard = await_heard(net, f"without-{end}", {("new-tcp", "n3", "n5"), ("new-udp", "n4", "n3")})
            assert not {(one, other) for _, one, other in heard} & pairs_of([link])


# --- what it feels like ------------------------------------------------------------------------------------------------


def feels(net: Pairs, link: Link, what: str) -> str:
    """What a connection of the source's system comes to."""
    return str(net.talkers[link.source].tell("state", what=what, addresses=[net.addresses[link.destination]]))


def await_open(net: Pairs, link: Link, what: str = "old") -> None:
    """A connection that met silence goes on with TCP's next retransmission: its time has doubled with each that was lost."""
    until_s = time.monotonic() + WITHIN_S
    while (felt := feels(net, link, what)) != "open":
        assert felt == "silent", felt
        assert time.monotonic() < until_s, "still silent"


@pytest.mark.parametrize("link", [Link("n3", "n4"), SLOW], ids=["plain", "proxied"])
def test_drop_is_silence_and_reject_an_immediate_no(net: Pairs, link: Link) -> None:
    """For new connections and for those that were open; on a link with a proxy in it just as on one without."""
    both = [link, Link(link.destination, link.source)]
    with net.net.layer([Cut(each) for each in both]):
        assert [feels(net, link, "new"), feels(net, link, "old")] == ["silent", "silent"]
    await_open(net, link, "new")
    await_open(net, link)
    with net.net.layer([Cut(each, "reject") for each in both]):
        assert [feels(net, link, "new"), feels(net, link, "old")] == ["ConnectionRefusedError", "ConnectionResetError"]
    await_open(net, link, "new")


@pytest.mark.parametrize("link", [Link("n3", "n4"), SLOW], ids=["plain", "proxied"])
def test_one_way_back_hangs_connects(net: Pairs, link: Link) -> None:
    """Where only answers are cut, a connect hangs: a proxy in the node itself does not accept in place of the peer."""
    with net.net.layer([Cut(Link(link.destination, link.source))]):
        assert [feels(net, link, "new"), feels(net, link, "old")] == ["silent", "silent"]
    await_open(net, link)


@pytest.mark.parametrize("cut", [(SLOW,), (BACK,), (SLOW, BACK)], ids=["there", "back", "both"])
def test_a_proxy_takes_connections_right_after_the_heal(net: Pairs, cut: tuple[Link, ...]) -> None:
    """A dial that is under way while the link is cut does not block the proxy: the first question after the heal is answered."""
    with net.net.layer([Cut(link) for link in cut]):
        straight = Ask(http=f"http://127.0.0.1:{FIRST_PORT + sorted(PORTS).index('web')}/")
        assert not net.talkers["n1"].agent.ask(straight, SILENT_S).ok
    assert net.net.measure(SLOW, BEFORE_SYN_S).rtt_s is not None


# --- layers ------------------------------------------------------------------------------------------------------------


def test_layers_stack(net: Pairs) -> None:
    """Two cuts of one link: leaving the first leaves the second, and the stronger of the two is what is felt."""
    link = Link("n3", "n5")
    with contextlib.ExitStack() as second:
        with net.net.layer([Cut(link), Cut(Link("n4", "n5"))]):
            second.enter_context(net.net.layer([Cut(link, "reject")]))
            assert feels(net, link, "new") == "ConnectionRefusedError"
        assert feels(net, link, "new") == "ConnectionRefusedError"
        assert net.net.measure(Link("n4", "n5"), WITHIN_S).rtt_s is not None
    await_open(net, link, "new")


def quick(net: Pairs, link: Link) -> bool:
    """Whether one of many answers comes at once: a machine that is busy makes others later."""
    answers = (net.net.measure(link, WITHIN_S).rtt_s for _ in range(TRIES))
    return any(each is not None and each < QUICK_S for each in answers)


@pytest.mark.parametrize("first", ["latency", "cut"])
def test_latency_and_partition_on_one_link(net: Pairs, first: str) -> None:
    """Both at once act as both, whichever came first: cut while the cut lasts, slow once it is healed, quick at the end."""
    cut = [Cut(SLOW), Cut(BACK)]
    with net.net.layer([LATENCY] if first == "latency" else cut), net.net.layer(cut if first == "latency" else [LATENCY]):
        assert net.net.measure(SLOW, SILENT_S).rtt_s is None
    with net.net.layer([LATENCY]):
        with net.net.layer(cut):
            assert net.net.measure(SLOW, SILENT_S).rtt_s is None
        slow_s = net.net.measure(SLOW, WITHIN_S).rtt_s
        assert slow_s is not None
        assert slow_s >= 0.05
        assert quick(net, Link("n1", "n3"))
    assert quick(net, SLOW)


@pytest.mark.parametrize(
    ("toxic", "existing", "old"),
    [
        (LATENCY, "keep", "open"),
        (LATENCY, "cut", "closed"),
        (Toxic(SLOW, "timeout", {"timeout": 0.0}, "upstream"), "keep", "silent"),
        (Toxic(SLOW, "timeout", {"timeout": 0.0}, "upstream"), "cut", "closed"),
    ],
    ids=["latency kept", "latency cut", "timeout kept", "timeout cut"],
)
def test_toxics_and_connections_that_were_open(net: Pairs, toxic: Toxic, existing: str, old: str) -> None:
    """``keep``: what was open goes on, and is harmed as well; ``cut``: it is closed. A connect works under all of them."""
    with net.net.layer([msgspec.structs.replace(toxic, existing=existing)]):
        assert feels(net, SLOW, "old") == old
        await_open(net, SLOW, "new")
    assert net.net.measure(SLOW, WITHIN_S).rtt_s is not None


def test_the_peer_sees_the_real_address(net: Pairs) -> None:
    """A proxied connection comes from the node itself; nothing tells the peer of the proxy."""
    answer = net.talkers["n1"].agent.ask(Ask(http=f"http://{net.addresses['n2']}:{WEB}/"), WITHIN_S)
    assert json.loads(answer.body) == {"name": "n2", "from": net.addresses["n1"]}


def test_the_engines_names_are_undisturbed(net: Pairs) -> None:
    """A node cut from everyone still resolves: the engine's name server stands on loopback."""
    rules = Partition(include=("peers", "clients")).rules(Victims(nodes=("n1",)), NODES)
    assert net.talkers["n1"].tell("lookup", name="n2") == net.addresses["n2"]
    with net.net.layer(rules):
        assert net.talkers["n1"].tell("lookup", name="n2") == net.addresses["n2"]


def test_what_was_not_prepared_is_refused(net: Pairs) -> None:
    """No toxic where no proxy stands, no cut of new connections where none was watched; nothing is put in force."""
    for rule in (Toxic(BACK, "latency", {"latency": 9.0}), Cut(SLOW, existing="keep")):
        with pytest.raises(CapabilityMissing), net.net.layer([Cut(Link("n3", "n4")), rule]):
            pytest.fail("the layer was entered")


# --- new connections only ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched(engine: Engine, harness_image: str) -> Iterator[Pairs]:
    """Three nodes whose connections are known from their first packet on; n1 -> n2 has a proxy as well."""
    links = [Link(one, other) for one in NODES[:3] for other in NODES[:3] if one != other]
    with pairs(engine, harness_image, NODES[:3], (), links, Needs(frozenset({SLOW}), ages=True)) as there:
        yield there


@pytest.mark.parametrize("behavior", ["drop", "reject"])
@pytest.mark.parametrize("one_way", [True, False], ids=["one way", "both ways"])
@pytest.mark.parametrize("link", [SLOW, Link("n2", "n3")], ids=["proxied", "plain"])
def test_new_connections_only(watched: Pairs, link: Link, behavior: str, one_way: bool) -> None:
    """Old sockets go on, TCP and UDP; new ones do not, from whichever side they are opened. A second layer is younger than they are."""
    back = Link(link.destination, link.source)
    links = [link] if one_way else [link, back]
    rules = [Cut(each, behavior, "keep") for each in links]
    watched.open()
    # A datagram socket has a past only once it has sent something.
    await_heard(
        watched,
        f"warm-{behavior}-{one_way}-{link.source}",
        {("old-udp", link.source, link.destination), ("old-udp", back.source, back.destination)},
    )
    for word in ("first", "second"):
        with watched.net.layer(rules):
            said = f"{word}-{behavior}-{one_way}-{link.source}"
            old = {(kind, one, other) for kind in ("old-tcp", "old-udp") for one, other in pairs_of([link, back])}
            heard = await_heard(watched, said, old | {("new-tcp", "n1", "n3"), ("new-udp", "n3", "n1")})
            fresh = {(kind, one, other) for kind, one, other in heard if kind.startswith("new") and (one, other) in pairs_of([link, back])}
            # One way only: a datagram the other way still arrives, a connection cannot be made from either side.
            assert fresh == ({("new-udp", back.source, back.destination)} if one_way else set())
        await_heard(watched, f"{said}-healed", {(kind, one, other) for kind in KINDS for one, other in pairs_of([link, back])})
