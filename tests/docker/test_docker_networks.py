"""Containers on two networks: packets of the named one arrive on exactly the pairs that are not cut there, and all of the other one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from chaos.api import order
from chaos.core.clock import MonotonicClock
from chaos.core.values import CLIENTS, LEADER, Cut, Link, Loss, Shaping, Toxic, Victims
from chaos.engine import leftovers as leftovers_docker
from chaos.engine.connection import Engine
from chaos.faults.partition import Partition
from chaos.history.events import NodeUp, Row
from chaos.history.folder import RunFolder
from chaos.history.undo import UndoLog, pending
from chaos.net.needs import Needs
from chaos.plugin import Deployment, HasNetworks, Scene
from chaos.runtimes.docker.runtime import DockerRuntime
from tests.support.net_pairs import WITHIN_S, Pairs, pairs
from tests.support.paths import ROOT

NODES = ("n1", "n2", "n3")
FRONT, BACK = "front", "back"
PEERS = tuple(Link(*pair) for pair in itertools.permutations(NODES, 2))
LINKS = (*PEERS, *(Link(CLIENTS, node) for node in NODES))
SLOW, OTHER = Link("n1", "n2"), Link("n1", "n3")
SILENT_S = 0.3
UNHARMED_S = 1.0
"""Of a train of which nothing may be missing: the sender of a busy machine may pause."""
LEADS_WITHIN_S = 20.0


@pytest.fixture(scope="module")
def three(engine: Engine, harness_image: str) -> Iterator[Pairs]:
    """Three nodes on two networks, the clients on the first; a proxy stands in the link n1 -> n2 all the time."""
    with pairs(engine, harness_image, NODES, (CLIENTS,), LINKS, Needs(frozenset({SLOW})), (FRONT, BACK)) as there:
        yield there


@pytest.fixture
def net(three: Pairs) -> Iterator[Pairs]:
    """With old sockets between all places, and nothing left after."""
    three.open()
    check(three, "warm", frozenset())
    before = three.tables()
    yield three
    assert three.tables() == before


def place(name: str, network: str) -> str:
    return name if network == FRONT else f"{name} on {BACK}"


def everyone() -> set[tuple[str, str, str]]:
    """(from, to, network) of every ordered pair that shares it."""
    front = {(*pair, FRONT) for pair in itertools.permutations((*NODES, CLIENTS), 2)}
    return front | {(*pair, BACK) for pair in itertools.permutations(NODES, 2)}


def expected(cut: Collection[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """(kind of socket, place that it comes from, to) of every word that must arrive."""
    found = set()
    for source, to, network in everyone() - set(cut):
        here = place(source, network)
        # An old connection goes on one way under silence; a handshake takes both ways.
        found |= {("old-udp", here, to), ("new-udp", here, to), ("old-tcp", here, to)}
        found |= {("new-tcp", here, to)} if (to, source, network) not in cut else set()
    return found


def check(net: Pairs, word: str, cut: Collection[tuple[str, str, str]]) -> None:
    """Words and packets arrive on exactly the pairs that are not cut, network by network, TCP and UDP, old sockets and new ones."""
    net.arrived()
    net.speak(word)
    until_s = time.monotonic() + WITHIN_S
    while not (heard := net.heard(word)) >= expected(cut):
        assert time.monotonic() < until_s, f"not heard: {sorted(expected(cut) - heard)}"
        time.sleep(0.01)
    assert heard == expected(cut), f"passed a cut network: {sorted(heard - expected(cut))}"
    assert net.arrived() == {(place(source, network), to) for source, to, network in everyone() - set(cut)}


@pytest.mark.parametrize(
    ("fault", "victims"),
    [
        (Partition(network=BACK), Victims(nodes=("n2",))),
        (Partition(network=FRONT, include=("peers", "clients")), Victims(nodes=("n2",))),
        (Partition(), Victims(nodes=("n2",))),
        (Partition(network=BACK, shape="halves"), Victims(groups=(("n1", "n3"), ("n2",)))),
        (Partition(network=BACK), Victims(links=(Link("n3", "n1"),))),
    ],
    ids=["back of a node", "front of a node", "both", "back of halves", "back of a link, one way"],
)
def test_just_the_named_network_is_cut(net: Pairs, tmp_path: Path, fault: Partition, victims: Victims) -> None:
    """By the whole fault: what it says of each network is what is seen at the nodes, and all is as before when it is gone."""
    rules = fault.rules(victims, NODES)
    shared = everyone()
    cut = {
        (one, other, network)
        for rule in rules
        for one, other in [(rule.link.source, rule.link.destination)]
        for network in ([fault.network] if fault.network else [FRONT, BACK])
        if (one, other, network) in shared
    }
    scene = Scene(cluster=Stage(net), clock=MonotonicClock(), undo=UndoLog(tmp_path / "undo.jsonl"))  # type: ignore[arg-type]
    with fault.inject(scene, victims) as effect:
        check(net, f"cut-{fault.shape}-{fault.network}-{len(rules)}", cut)
        for network in (FRONT, BACK):
            answers = [value for name, value in effect.during.items() if name.endswith(f" on {network}.rtt_s") and CLIENTS not in name]
            assert answers
            assert all(value is None for value in answers) is (fault.network in ("", network))
        assert ("of the network" in effect.mechanism) is bool(fault.network)
        assert not effect.gone().ok
    assert effect.gone().ok
    assert pending(tmp_path / "undo.jsonl") == []
    check(net, f"healed-{fault.shape}-{fault.network}-{len(rules)}", frozenset())


class Stage:
    """What a partition needs of a cluster."""

    def __init__(self, net: Pairs) -> None:
        self.net = net.net
        self.nodes = dict.fromkeys(NODES)


def test_a_reject_is_told_on_that_network_alone(net: Pairs) -> None:
    """At once on the one, not at all on the other."""
    with net.net.layer([Cut(SLOW, "reject", network=BACK)]):
        assert net.net.measure_on(SLOW, BACK, WITHIN_S).error == "refused"
        assert net.net.measure_on(SLOW, FRONT, WITHIN_S).rtt_s is not None
    assert net.net.measure_on(SLOW, BACK, WITHIN_S).rtt_s is not None
    net.open()  # what was told a no is closed


def test_all_other_harm_is_where_the_traffic_is(net: Pairs) -> None:
    """Streams are slowed, packets lost and rates limited on the network that nodes use, and cut there beneath the proxy."""
    slow = Toxic(SLOW, "latency", {"latency": 50.0, "jitter": 0.0})
    with net.net.layer([slow]):
        assert (net.net.measure(SLOW, WITHIN_S).rtt_s or 0) >= 0.05
        assert net.net.measure(OTHER, WITHIN_S).rtt_s is not None
        with net.net.layer([Cut(SLOW, network=BACK), Cut(Link("n2", "n1"), network=BACK)]):
            assert net.net.measure(SLOW, SILENT_S).rtt_s is None
            assert net.net.measure_on(SLOW, FRONT, WITHIN_S).rtt_s is not None
    with net.net.layer([Loss(SLOW, 0.5)]):
        train = net.net.train(SLOW, 400, SILENT_S)
        assert 0.3 < train.arrived / train.sent < 0.7
    with net.net.layer([Shaping(SLOW, "rate", 50e3)]):
        assert 0 < (net.net.flow(SLOW, 20_000, WITHIN_S).rate_bytes_per_s or 0) < 60e3
    assert net.net.train(SLOW, 400, UNHARMED_S).arrived == 400


def test_a_run_on_two_networks(
    engine: Engine, harness_image: str, docker_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped cluster: each node on both; a leader without the peers' network is deposed, and clients reach it; all gone after."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    made = order(ROOT / "experiments" / "back-network-cut.yaml")
    run, rows = f"two-nets-{tmp_path.name}", list[Row]()
    clock = MonotonicClock()
    folder = RunFolder(tmp_path / run)
    folder.path.mkdir()
    with DockerRuntime().up(Deployment(run, folder.path, made.plan, made.target), rows.append, clock) as cluster:
        placed = [row for row in rows if isinstance(row, NodeUp)]
        for name, number in ((f"nines-{run}", 0), (f"nines-{run}-{BACK}", 1)):
            ends = engine.client.networks.get(name).attrs["Containers"].values()
            inside = {end["IPv4Address"].split("/")[0] for end in ends}
            assert {list(row.networks.values())[number] for row in placed} <= inside
        leader = next(node for node, roles in cluster.roles().items() if LEADER in roles)
        assert isinstance(cluster.net, HasNetworks)
        scene = Scene(cluster=cluster, clock=clock, undo=UndoLog(tmp_path / "undo.jsonl"))
        with Partition(network=BACK).inject(scene, Victims(nodes=(leader,))):
            until_s = time.monotonic() + LEADS_WITHIN_S
            while not [node for node, roles in cluster.roles().items() if LEADER in roles and node != leader]:
                assert time.monotonic() < until_s, "nobody else came to lead"
            assert cluster.ping(leader, WITHIN_S).rtt_s is not None
    assert leftovers_docker.things(engine.client.api, run) == []
