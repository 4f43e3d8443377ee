"""Nodes with several networks: who stands where, what a cut of one of them cuts, and that nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import yaml

from chaos.api import Ordered, order_text, perform
from chaos.core.errors import BadInput, CapabilityMissing, FaultNotEffective
from chaos.core.values import CLIENTS, Cut, Link, Loss, RoundTrip, Rule, Shaping, Victims
from chaos.experiment.document import parse_experiment
from chaos.faults.partition import Partition
from chaos.history.folder import RunFolder
from chaos.history.undo import UndoLog, pending
from chaos.measure.faults import FaultRecord
from chaos.measure.phases_nodes import Abilities
from chaos.measure.timeline import Timeline
from chaos.net import packets
from chaos.net.addresses import UNNAMED, Addresses
from chaos.net.packets import DROP, INPUT, OUTPUT, PacketCut
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan
from chaos.plan.traits import traits
from chaos.plugin import Cluster, HasNetworks, Layer, Scene
from chaos.report.pages.plan import planned as plan_table
from chaos.report.pages.runbook import render as runbook
from chaos.results.report import Report
from chaos.runtimes.base.agents.net.proxies import planned_proxies
from chaos.runtimes.base.agents.net.queues import Queues
from tests.support.quick import QUICK
from tests.support.samples import TARGET, sample_target

NODES = ("n1", "n2", "n3")
FRONT = {"n1": "198.18.5.11", "n2": "198.18.5.12", "n3": "198.18.5.13", CLIENTS: "198.18.5.3"}
BACK = {"n1": "198.18.6.11", "n2": "198.18.6.12", "n3": "198.18.6.13"}
ON_TWO = Addresses({"front": FRONT, "back": BACK})
THERE, ASKED = Link("n1", "n2"), Link(CLIENTS, "n1")
ON_BACK = TARGET.replace("http://{address}:{peer}}", "http://{peer_address}:{peer}}").replace(
    "    ready:", '    docker: {build: ., command: [serve, "{peers:{node}=http://{peer_address}:{peer}}"]}\n    ready:', 1
)


# --- who stands where --------------------------------------------------------------------------------------------------


def test_a_link_is_where_both_its_ends_are() -> None:
    """Nodes use the last network among themselves, clients the first; only nodes have more than one."""
    assert ON_TWO.pairs(THERE) == [("198.18.5.11", "198.18.5.12"), ("198.18.6.11", "198.18.6.12")]
    assert ON_TWO.pairs(THERE, "back") == [("198.18.6.11", "198.18.6.12")]
    assert (ON_TWO.used(THERE), ON_TWO.used(ASKED)) == ("198.18.6.12", "198.18.5.11")
    assert ON_TWO.pairs(ASKED, "back") == []
    assert ON_TWO.networks == ("front", "back")
    assert Addresses({UNNAMED: FRONT}).networks == ()
    assert ON_TWO.others("n1") == ["198.18.5.12", "198.18.5.13", "198.18.5.3", "198.18.6.12", "198.18.6.13"]


def test_a_cut_names_the_addresses_of_its_network_and_no_others() -> None:
    """Without a network those of all of them; packets are lost on all of them."""
    assert packets.packet_cuts([(1, [Cut(THERE, network="back")])], ON_TWO) == {
        "n1": frozenset({PacketCut(OUTPUT, "198.18.6.12", DROP)}),
        "n2": frozenset({PacketCut(INPUT, "198.18.6.11", DROP)}),
    }
    both = packets.packet_cuts([(1, [Cut(THERE)])], ON_TWO)
    assert {cut.peer for cut in both["n1"]} == {"198.18.5.12", "198.18.6.12"}
    lost = packets.packet_losses([(1, [Loss(THERE, 0.1)])], ON_TWO, NODES)
    assert {each.peer for each in lost["n2"]} == {"198.18.5.11", "198.18.6.11"}


def test_connections_are_turned_aside_where_the_traffic_goes() -> None:
    """Those among nodes on the last network, those of clients on the first."""
    proxies = planned_proxies("r", (THERE, ASKED), {name: {"peer": 7001} for name in NODES}, ON_TWO)
    assert {str(proxy.link): proxy.upstream for proxy in proxies} == {"n1 -> n2": "198.18.6.12:7001", "clients -> n1": "198.18.5.11:7001"}


def test_a_queue_on_each_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate is one for each of a link's networks; a link of clients has one alone."""
    queues = Queues(ON_TWO, cast(Any, None), cast(Any, None))
    queues._active[1] = (Shaping(THERE, "rate", 1e5), Shaping(ASKED, "rate", 1e5))
    leaves = queues._wanted()
    assert {address for leaf in leaves["n1"] for _, address in leaf.peers} == {"198.18.5.12", "198.18.6.12"}
    assert {address for leaf in leaves[CLIENTS] for _, address in leaf.peers} == {"198.18.5.11"}


# --- the fault's own proof ---------------------------------------------------------------------------------------------


class TwoNetworks:
    """A net on which ``passes`` says what gets through while rules are in force."""

    def __init__(self, *silent: str) -> None:
        self._silent = silent
        self._in_force = False

    @contextmanager
    def layer(self, rules: Sequence[Rule]) -> Iterator[Layer]:
        self._in_force = True
        yield Layer(7, "stub")
        self._in_force = False

    def networks_of(self, link: Link) -> tuple[str, ...]:
        return ("front", "back")

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        raise AssertionError("each network is asked by itself")

    def measure_on(self, link: Link, network: str, timeout_s: float) -> RoundTrip:
        return RoundTrip(None, "timed out") if self._in_force and network in self._silent else RoundTrip(0.001)


@pytest.mark.parametrize(
    ("network", "silent", "refused"),
    [
        ("back", ("back",), ""),
        ("back", ("front", "back"), "nothing passes any more on n1 -> n2 on front, which was not to be cut"),
        ("back", (), "questions still pass on n1 -> n2 on back"),
        ("", ("front", "back"), ""),
        ("", ("back",), "questions still pass on n1 -> n2 on front"),
    ],
)
def test_just_the_named_network_must_be_silent(tmp_path: Path, network: str, silent: tuple[str, ...], refused: str) -> None:
    """More than that is as wrong as less; the figures say which network they are of."""
    net = TwoNetworks(*silent)
    assert isinstance(net, HasNetworks)
    cluster = cast(Cluster, SimpleNamespace(net=net, nodes=dict.fromkeys(NODES)))
    scene = Scene(cluster=cluster, clock=cast(Any, SimpleNamespace(now_ns=lambda: 9)), undo=UndoLog(tmp_path / "undo.jsonl"))
    fault = Partition(network=network)
    if refused:
        with pytest.raises(FaultNotEffective, match=refused), fault.inject(scene, Victims(links=(THERE,))):
            pytest.fail("it was taken for the fault")
    else:
        with fault.inject(scene, Victims(links=(THERE,))) as effect:
            assert effect.before["n1 -> n2 on back.rtt_s"] == 0.001
            assert effect.during["n1 -> n2 on back.rtt_s"] is None
            assert (effect.during["n1 -> n2 on front.rtt_s"] == 0.001) is (network == "back")
            assert not effect.gone().ok
        assert effect.gone().ok
    assert pending(tmp_path / "undo.jsonl") == []


# --- what is refused ---------------------------------------------------------------------------------------------------


def ordered(networks: object, fault: dict[str, Any], runtime: str = "docker", target: str = ON_BACK) -> Plan:
    cluster = {"target": "sample", "nodes": 3, **({"networks": networks} if networks is not None else {})}
    document = {
        "experiment": "sample", "question": "Who?", "cluster": cluster, "traffic": {"operations": {"write": "100/s"}},
        "faults": [{"at": "6s", "for": "2s", **fault}],
    }  # fmt: skip
    experiment = parse_experiment(yaml.safe_dump(document, sort_keys=False), "sample.yaml")
    return make_plan(experiment, sample_target(target), seed=None, runtime=runtime)


CUT: dict[str, Any] = {"partition": {"network": "back"}, "target": "leader"}
TWO = ["front", "back"]


@pytest.mark.parametrize(
    ("networks", "fault", "says"),
    [
        (["a", "a"], CUT, "cluster.networks[1]: 'a' stands in this list twice (each once)"),
        ([], CUT, "cluster.networks: a list of 0 stands here (1 to 4 of them)"),
        (list("abcde"), CUT, "cluster.networks: a list of 5 stands here (1 to 4 of them)"),
        (["a b"], CUT, "'a b' is not a name"),
        ("back", CUT, "cluster.networks: 'back' stands where a list belongs (write it like [front, back])"),
        (["front", "bakc"], CUT, "faults[0].partition.network: there is no network 'back' (did you mean 'bakc'?)"),
        (None, CUT, "there is no network 'back': all nodes share one without a name (cluster: {networks: [front, back]}, or no 'network')"),
        (TWO, {"partition": {"network": "back", "include": ["clients"]}, "target": "n1"}, "'clients' does not stand on the network 'back'"),
        (TWO, {"partition": {"network": "back"}, "target": {"link": "clients -> n1"}}, "'clients' does not stand on the network 'back'"),
        (TWO, {"partition": {"network": "back", "groups": [["n1", "clients"], ["n2", "n3"]]}}, "'clients' does not stand on the network"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(networks: object, fault: dict[str, Any], says: str) -> None:
    """With the place in the file, and what would be right."""
    with pytest.raises(BadInput) as refused:
        ordered(networks, fault)
    assert says in str(refused.value)
    assert "sample.yaml:" in str(refused.value)


def test_who_can_have_several() -> None:
    """Containers of a target whose nodes can be told; plain processes cannot, and what already runs has what it has."""
    ordered(TWO, CUT)
    ordered(["only"], {"partition": {"network": "only", "include": ["clients"]}, "target": "n1"})
    with pytest.raises(CapabilityMissing, match="the runtime 'local' has no networks"):
        ordered(TWO, CUT, "local")
    deaf = ON_BACK.replace("{peer_address}", "{address}")
    with pytest.raises(BadInput, match="does not say that its nodes talk to each other on 'back'"):
        ordered(TWO, CUT, target=deaf)
    ordered(["only"], {"partition": {"network": "only"}, "target": "n1"}, target=deaf)
    asked = ON_BACK.replace("http://{peer_address}:{peer}/status", "http://{address}:{peer}/")
    with pytest.raises(BadInput, match="its ping of 'peer' asks elsewhere"):
        ordered(TWO, CUT, target=asked)
    ordered(TWO, CUT, target=asked.replace("{address}:{peer}/", "{peer_address}:{peer}/"))
    crowd = {"connections": {"count": 10, "port": "peer"}, "target": "n1"}
    with pytest.raises(BadInput, match="'peer' is on the network 'back', where no clients stand"):
        ordered(TWO, crowd)
    ordered(TWO, {**crowd, "connections": {"count": 10, "port": "client"}})
    attached = QUICK.replace("  target: replicated_kv\n", "  attach: {label: app=web}\n  networks: [front, back]\n")
    with pytest.raises(BadInput, match="containers that already run have the networks that they have"):
        parse_experiment(attached.replace("  runtime: local\n", ""), "quick.yaml")


# --- what comes of it --------------------------------------------------------------------------------------------------


def run_on(tmp_path: Path, network: str, include: str = "peers") -> tuple[Report, Ordered]:
    """Three cuts of the leader on this network, in virtual time."""
    document = yaml.safe_load(QUICK)
    document["cluster"] |= {"networks": TWO, "runtime": "fake"}
    cut = {"partition": {"network": network, "include": [include]}, "target": "leader", "at": ["3s", "16s", "29s"], "for": "3s"}
    document["traffic"]["client"] = {"timeout": "250ms", "attempts": 1, "other_address": False, "deadline": "300ms"}
    document |= {"faults": [cut], "settle": "10s", "objectives": {}}
    document.pop("limits", None)
    made = order_text(yaml.safe_dump(document, sort_keys=False), tmp_path / "cut.yaml")
    return perform(made, RunFolder(tmp_path / "run")), made


def test_a_leader_without_the_peers_network_is_deposed(tmp_path: Path) -> None:
    """As if it were cut from its peers altogether; predicted and seen are the same."""
    report, made = run_on(tmp_path, "back")
    by_fault = report.observed.by_fault["partition/leader"] if report.observed else None
    assert by_fault is not None
    assert (by_fault.effective, by_fault.noticed) == (3, 3)
    assert report.predicted is not None
    assert report.predicted.by_fault["partition/leader"].share.value == pytest.approx(1)
    assert report.nodes[0].networks == {"front": "198.18.0.1", "back": "198.18.1.1"}
    assert report.faults[0].achieved is not None
    assert any(name.endswith(" on back.rtt_s") for name in report.faults[0].achieved.during)
    assert "network back" in plan_table(made.plan)
    assert "clients use 'front', nodes among themselves 'back'" in plan_table(made.plan)
    assert "leader, on the network back alone" in runbook(made.plan)


def test_nobody_misses_a_network_that_carries_nothing(tmp_path: Path) -> None:
    """Nodes do not talk to each other on the clients' network: cut among themselves, it is not felt, nor expected to be."""
    report, _ = run_on(tmp_path, "front")
    by_fault = report.observed.by_fault["partition/leader"] if report.observed else None
    assert by_fault is not None
    assert (by_fault.effective, by_fault.noticed) == (3, 0)
    assert report.predicted is not None
    assert report.predicted.by_fault["partition/leader"].share.value == 0


@pytest.mark.parametrize(("network", "back_s"), [("back", 6.0), ("front", None)])
def test_the_anatomy_knows_who_could_agree(tmp_path: Path, network: str, back_s: float | None) -> None:
    """Every node alone: on the peers' network no quorum until the heal, on another one it never was without."""
    made = ordered(TWO, {"partition": {"network": network, "shape": "ring"}})
    name, links = made.experiment.faults[0].name, ("n1 -> n2", "n1 -> n3", "n2 -> n3")
    what = traits(made, made.experiment.faults[0])
    cut = FaultRecord("cut.1", name, "partition", "partition/ring", links, "healed", "", effective_s=2.0, healed_s=6.0, traits=what)
    timeline = cast(Timeline, SimpleNamespace(statuses=(), faults=(cut,)))
    assert Abilities(made, timeline).quorum_back_s(1.0, 9.0) == back_s


def test_clients_miss_theirs(tmp_path: Path) -> None:
    """Cut from the clients there, the leader leads on over the other network; clients see it, and the model knows."""
    report, _ = run_on(tmp_path, "front", "clients")
    assert report.observed is not None
    assert report.predicted is not None
    assert report.predicted.by_fault["partition/leader"].share.value > 0
    assert not any("election" in phase for outage in report.observed.outages for phase in outage.phases if outage.phases[phase].observed_s)


def test_a_plan_of_before_reads_as_it_did() -> None:
    """Keys are only added: what has no networks says nothing of them."""
    experiment = parse_experiment(QUICK, "quick.yaml")
    assert experiment.cluster.networks == ()
    assert not experiment.cluster.spares_peers("")
    assert msgspec.json.decode(msgspec.json.encode(experiment), type=type(experiment)) == experiment
