"""What every runtime must do, as a class of pytest tests to inherit from.

    class TestMine(RuntimeContract):
        @pytest.fixture
        def stage(self, tmp_path, monkeypatch):
            monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
            return RuntimeStage(MyRuntime(), tmp_path / "contract", deployment_of)

``deployment_of(folder, links)`` gives three nodes n1, n2 and n3 of one part with roles, operations, and a health-checked name. What a
runtime does not offer is not asked of it: such a test is skipped, with the runtime's own words. For a
runtime whose harness travels: ``travelling.py``.
"""

from __future__ import annotations

import itertools
import signal
import socket
import threading
from collections import Counter

import pytest

from chaos.core.clock import to_ns, to_s
from chaos.core.errors import CapabilityMissing, FaultNotEffective
from chaos.core.values import VOTING, Cut, Link, NameHarm, Rule, Status, Toxic, TrafficOrder
from chaos.history import observations
from chaos.history.events import DnsChanged, NodeChanged, NodeUp, TrafficEnded, TrafficSecond
from chaos.plugin import Capability, Cluster, HasNames
from chaos.registry import processes as proc
from chaos.registry import runs as registry
from chaos.run import leftovers
from chaos.testing.runtime_stage import ALL_LINKS, NODES, PEERS, PING_S, RuntimeStage, down_and_up

__all__ = ["ALL_LINKS", "NODES", "RuntimeContract", "RuntimeStage", "rtt_s"]
SILENT_S = 0.2
"""So long is waited for an answer that must not come."""
TRIES = 50
NOBODYS = 1
"""A port where no target listens (tcpmux)."""
STARTS = (Capability.SIGNALS, Capability.STARTS)
LINK = Link("n1", "n2")
OTHER = Link("n2", "n1")
THIRD = Link("n3", "n2")


class RuntimeContract:
    """The protocols of ``chaos.plugin`` as a caller sees them. Inherit, and give the fixture ``stage``."""

    def test_up_is_whole(self, stage: RuntimeStage) -> None:
        """When ``up`` returns every node runs, answers and votes, one leads, and the name holds them all."""
        with stage.cluster() as cluster:
            assert list(cluster.nodes) == list(NODES)
            assert {node.status() for node in cluster.nodes.values()} == {Status.UP}
            assert all(cluster.ping(node, PING_S).rtt_s is not None for node in NODES)
            stage.wait(cluster, lambda: len(stage.leaders(cluster)) == 1, "one node leads")
            assert all(VOTING in roles for roles in cluster.roles().values())
            assert stage.of(DnsChanged)[-1].nodes == list(NODES)
            assert cluster.broken() is None

    def test_nodes_are_placed_before_they_start(self, stage: RuntimeStage) -> None:
        """Every node has one ``node_placed`` row with its own address, and then its ``up``."""
        with stage.cluster() as cluster:
            placed = {row.node: row for row in stage.of(NodeUp)}
            assert list(placed) == list(NODES)
            assert {name: row.address for name, row in placed.items()} == {name: node.info.address for name, node in cluster.nodes.items()}
            assert len({row.address for row in placed.values()}) == len(NODES)
            for name in NODES:
                first = next(row for row in stage.of(NodeChanged) if row.node == name)
                assert first.status == Status.UP
                assert stage.rows.index(placed[name]) < stage.rows.index(first)

    def test_killed_node_is_down_until_started(self, stage: RuntimeStage) -> None:
        """Death is stamped between command and return; a dead node answers nothing and holds no role; started it comes back."""
        with stage.cluster(needs=STARTS) as cluster:
            node = cluster.nodes["n2"]
            asked_ns = stage.clock.now_ns()
            died_ns = node.kill(signal.SIGKILL)
            assert asked_ns - stage.slack_ns <= died_ns <= stage.clock.now_ns() + stage.slack_ns
            assert node.status() is Status.DOWN
            trip = cluster.ping("n2", PING_S)
            assert (trip.rtt_s, trip.error) == (None, "refused")
            assert cluster.roles()["n2"] == frozenset()
            stage.clock.wait_until_ns(stage.clock.now_ns() + to_ns(0.05))
            began_ns = node.start()
            assert died_ns < began_ns <= stage.clock.now_ns() + stage.slack_ns
            assert node.status() is Status.UP
            stage.wait(cluster, lambda: VOTING in cluster.roles()["n2"], "n2 votes again")
            assert cluster.ping("n2", PING_S).rtt_s is not None
        changes = down_and_up(stage, "n2")
        assert [(row.status, row.cause, row.at_ns) for row in changes] == [("down", "", died_ns), ("up", "", began_ns)]
        assert changes[0].detail == "SIGKILL"

    def test_death_of_the_leader_makes_another_one(self, stage: RuntimeStage) -> None:
        """Within its time the cluster has a leader again, and the history tells who led when."""
        with stage.cluster(needs=[Capability.SIGNALS]) as cluster:
            stage.wait(cluster, lambda: len(stage.leaders(cluster)) == 1, "one node leads")
            (first,) = stage.leaders(cluster)
            stage.wait(cluster, lambda: stage.told_to_lead() == {first}, "its lead is seen, and no other's")
            before = len(stage.told_leaders())
            cluster.nodes[first].kill(signal.SIGKILL)
            stage.wait(cluster, lambda: len(stage.leaders(cluster)) == 1, "another node leads")
            (second,) = stage.leaders(cluster)
            assert second != first
            stage.wait(cluster, lambda: (second, True) in stage.told_leaders()[before:], "it is seen")
        # Two nodes are asked by two polls, so either may be heard of first.
        assert set(stage.told_leaders()[before : before + 2]) == {(first, False), (second, True)}

    def test_paused_node_is_silent_until_resumed(self, stage: RuntimeStage) -> None:
        """A frozen node does not refuse: it says nothing; let go, it answers."""
        with stage.cluster(needs=[Capability.SIGNALS]) as cluster:
            node = cluster.nodes["n3"]
            frozen_ns = node.pause()
            assert node.status() is Status.PAUSED
            trip = cluster.ping("n3", 0.1)
            assert (trip.rtt_s, trip.error) == (None, "timed out")
            assert cluster.roles()["n3"] == frozenset()
            resumed_ns = node.resume()
            assert frozen_ns <= resumed_ns
            assert node.status() is Status.UP
            stage.wait(cluster, lambda: cluster.ping("n3", PING_S).rtt_s is not None, "n3 answers")
        assert [(row.status, row.at_ns) for row in down_and_up(stage, "n3")] == [("paused", frozen_ns), ("up", resumed_ns)]

    def test_paused_node_can_be_killed(self, stage: RuntimeStage) -> None:
        """SIGKILL does not wait for a frozen process to go on; resuming it later changes nothing."""
        with stage.cluster(needs=[Capability.SIGNALS]) as cluster:
            cluster.nodes["n1"].pause()
            cluster.nodes["n1"].kill(signal.SIGKILL)
            cluster.nodes["n1"].resume()
            assert cluster.nodes["n1"].status() is Status.DOWN

    def test_what_makes_no_sense_is_refused(self, stage: RuntimeStage) -> None:
        """A dead node cannot be killed or frozen, a running one not be started."""
        with stage.cluster(needs=STARTS) as cluster:
            node = cluster.nodes["n1"]
            with pytest.raises(AssertionError, match="runs already"):
                node.start()
            node.kill(signal.SIGKILL)
            with pytest.raises(FaultNotEffective, match="not running"):
                node.kill(signal.SIGKILL)
            with pytest.raises(FaultNotEffective, match="not running"):
                node.pause()

    def test_harmless_signal_changes_nothing(self, stage: RuntimeStage) -> None:
        """A signal that ends no process returns at once and leaves the node up."""
        with stage.cluster(needs=[Capability.SIGNALS]) as cluster:
            cluster.nodes["n1"].kill(signal.SIGWINCH)
            assert cluster.nodes["n1"].status() is Status.UP
        assert down_and_up(stage, "n1") == []

    def test_dead_node_leaves_the_name_and_comes_back(self, stage: RuntimeStage) -> None:
        """The health check takes it out of the set, and in again when it is ready."""
        with stage.cluster(needs=STARTS) as cluster:
            cluster.nodes["n2"].kill(signal.SIGKILL)
            stage.wait(cluster, lambda: stage.of(DnsChanged)[-1].nodes == ["n1", "n3"], "n2 is out of the set")
            cluster.nodes["n2"].start()
            stage.wait(cluster, lambda: stage.of(DnsChanged)[-1].nodes == list(NODES), "n2 is in the set")
        assert [row.changed for row in stage.of(DnsChanged)] == ["", "n2", "n2"]

    def test_stamps_of_a_node_are_in_order(self, stage: RuntimeStage) -> None:
        """The rows of one node's process never go back in time."""
        with stage.cluster(needs=STARTS) as cluster:
            for _ in range(3):
                cluster.nodes["n1"].kill(signal.SIGKILL)
                cluster.nodes["n1"].start()
                cluster.nodes["n1"].pause()
                cluster.nodes["n1"].resume()
        stamps = [row.at_ns for row in stage.of(NodeChanged) if row.node == "n1"]
        assert len(stamps) == 1 + 3 * 4
        assert stamps == sorted(stamps)

    def test_latency_is_added_and_gone(self, stage: RuntimeStage) -> None:
        """A toxic delays the round trip of its own link by what was asked, and of no other."""
        with stage.cluster(PEERS) as cluster:
            assert quick(cluster, LINK, 0.075)
            with cluster.net.layer([Toxic(LINK, "latency", {"latency": 80.0, "jitter": 0.0})]) as layer:
                assert layer.effective_at_ns <= stage.clock.now_ns() + stage.slack_ns
                assert layer.mechanism
                assert rtt_s(cluster, LINK) > 0.075
                assert quick(cluster, OTHER, 0.075)
            assert quick(cluster, LINK, 0.075)

    def test_layers_stack(self, stage: RuntimeStage) -> None:
        """Two layers act together on one link; leaving either keeps the other, in any order."""
        slow = Toxic(LINK, "latency", {"latency": 60.0, "jitter": 0.0})
        with stage.cluster(PEERS) as cluster:
            first, second = cluster.net.layer([slow]), cluster.net.layer([slow])
            first.__enter__()
            second.__enter__()
            assert rtt_s(cluster, LINK) > 0.115
            first.__exit__(None, None, None)
            assert rtt_s(cluster, LINK) > 0.055
            assert quick(cluster, LINK, 0.115)
            second.__exit__(None, None, None)
            assert quick(cluster, LINK, 0.055)

    def test_cut_hides_latency_and_leaves_it(self, stage: RuntimeStage) -> None:
        """Under a cut nothing passes; when only the cut is left, the latency is still there. Other links do not notice.

        A cut of packets takes the answers of the other direction too.
        """
        with stage.cluster(PEERS) as cluster, cluster.net.layer([Toxic(LINK, "latency", {"latency": 60.0, "jitter": 0.0})]):
            with cluster.net.layer([Cut(LINK)]):
                assert cluster.net.measure(LINK, SILENT_S).error == "timed out"
                if Capability.PACKET_RULES in stage.runtime.offers:
                    assert cluster.net.measure(OTHER, SILENT_S).error == "timed out"
                else:
                    assert quick(cluster, OTHER, 0.055)
                assert quick(cluster, THIRD, 0.055)
            assert rtt_s(cluster, LINK) > 0.055

    def test_reject_refuses_and_two_of_them_count(self, stage: RuntimeStage) -> None:
        """A rejected link answers no at once, as long as any layer wants it so."""
        with stage.cluster(PEERS) as cluster:
            first, second = cluster.net.layer([Cut(LINK, "reject")]), cluster.net.layer([Cut(LINK, "reject")])
            first.__enter__()
            second.__enter__()
            assert cluster.net.measure(LINK, PING_S).error == "refused"
            first.__exit__(None, None, None)
            assert cluster.net.measure(LINK, PING_S).error == "refused"
            second.__exit__(None, None, None)
            assert rtt_s(cluster, LINK) > 0

    def test_layer_is_healed_after_an_exception(self, stage: RuntimeStage) -> None:
        """An error inside a layer takes its rules with it."""
        with stage.cluster(PEERS) as cluster:
            with pytest.raises(ZeroDivisionError), cluster.net.layer([Cut(LINK), Cut(OTHER, "reject")]):
                raise ZeroDivisionError
            assert rtt_s(cluster, LINK) > 0
            assert rtt_s(cluster, OTHER) > 0

    def test_ping_goes_past_the_rules(self, stage: RuntimeStage) -> None:
        """A node that is cut from its clients and peers still answers the harness."""
        with stage.cluster(ALL_LINKS) as cluster, cluster.net.layer([Cut(link) for link in ALL_LINKS if link.destination == "n2"]):
            assert cluster.net.measure(Link("clients", "n2"), SILENT_S).rtt_s is None
            assert cluster.ping("n2", PING_S).rtt_s is not None

    def test_what_a_proxy_cannot_do_is_refused(self, stage: RuntimeStage) -> None:
        """Harm that needs a proxy where none stands, and a cut that spares open connections: refused, with nothing put in force.

        A cut of packets needs no proxy.
        """
        with stage.cluster((LINK,)) as cluster:
            slow = Toxic(OTHER, "latency", {"latency": 10.0, "jitter": 0.0})
            packets = Capability.PACKET_RULES in stage.runtime.offers
            unprepared: list[Rule] = [slow] if packets else [slow, Cut(OTHER)]
            for each in unprepared:
                with pytest.raises(CapabilityMissing, match="no proxy"), cluster.net.layer([Cut(LINK), each]):
                    pytest.fail("the layer was entered")
            with pytest.raises(CapabilityMissing, match=r"open ones|old ones"), cluster.net.layer([Cut(LINK, existing="keep")]):
                pytest.fail("the layer was entered")
            assert rtt_s(cluster, LINK) > 0
            if packets:
                with cluster.net.layer([Cut(OTHER)]):
                    assert cluster.net.measure(OTHER, SILENT_S).rtt_s is None
            assert rtt_s(cluster, OTHER) > 0

    def test_every_slot_is_written_once(self, stage: RuntimeStage) -> None:
        """Each slot of each operation is one record at its due time, and the last rows count them."""
        with stage.cluster(needs=[Capability.SIGNALS]) as cluster:
            start_ns = stage.clock.now_ns() + to_ns(0.4)
            with cluster.traffic(TrafficOrder(start_ns, 1.0)):
                stage.clock.wait_until_ns(start_ns + to_ns(0.3))
                cluster.nodes["n3"].kill(signal.SIGKILL)
            addresses = {node.info.address for node in cluster.nodes.values()}
        records = observations.read(stage.folder / "observations.bin")
        sent = {name: round(rate_per_s) for name, rate_per_s in stage.rates_per_s.items()}  # in the one second that it lasted
        assert Counter(records["operation"].tolist()) == dict(enumerate(sent.values()))
        for operation, count in enumerate(sent.values()):
            due_ns = sorted(records["due"][records["operation"] == operation].tolist())
            steps = {later - earlier for earlier, later in itertools.pairwise(due_ns)}
            assert max(steps) - min(steps) <= 1
            assert start_ns <= due_ns[0] < start_ns + to_ns(1.0 / count)
        asked = {".".join(str(int(number) >> shift & 255) for shift in (24, 16, 8, 0)) for number in records["address"] if number}
        assert asked <= addresses
        (ended,) = stage.of(TrafficEnded)
        assert ended.slots == sent
        seconds = stage.of(TrafficSecond)
        assert {name: sum(row.due for row in seconds if row.operation == name) for name in ended.slots} == ended.slots
        assert stage.rows.index(ended) > max(stage.rows.index(row) for row in seconds)

    def test_traffic_ends_early(self, stage: RuntimeStage) -> None:
        """After ``stop`` no later slot is sent, and what was sent is written."""
        with stage.cluster() as cluster:
            start_ns = stage.clock.now_ns() + to_ns(0.4)
            with cluster.traffic(TrafficOrder(start_ns, 30.0)) as traffic:
                stage.clock.wait_until_ns(start_ns + to_ns(0.5))
                cluster.broken()
                traffic.stop()
            stopped_ns = stage.clock.now_ns()
        records = observations.read(stage.folder / "observations.bin")
        (ended,) = stage.of(TrafficEnded)
        assert len(records) == sum(ended.slots.values())
        a_second = sum(stage.rates_per_s.values())
        assert 0.45 * a_second <= len(records) <= to_s(stopped_ns - start_ns) * a_second + len(stage.rates_per_s)

    def test_exception_during_traffic_keeps_what_was_seen(self, stage: RuntimeStage) -> None:
        """An error of the caller ends the traffic early; its records are whole."""
        with pytest.raises(ZeroDivisionError), stage.cluster() as cluster:
            start_ns = stage.clock.now_ns() + to_ns(0.4)
            with cluster.traffic(TrafficOrder(start_ns, 30.0)):
                stage.clock.wait_until_ns(start_ns + to_ns(0.3))
                raise ZeroDivisionError
        assert len(observations.read(stage.folder / "observations.bin")) == sum(stage.of(TrafficEnded)[-1].slots.values()) > 0

    @pytest.mark.parametrize("end", [None, ZeroDivisionError, KeyboardInterrupt])
    def test_nothing_is_left(self, stage: RuntimeStage, end: type[BaseException] | None) -> None:
        """After success, an error or an interruption, with a node dead, one frozen and a link cut: no process, record or thread, and
        nobody answers where the nodes were."""
        threads = set(threading.enumerate())
        places: list[tuple[str, int]] = []
        try:
            with stage.cluster(PEERS, STARTS) as cluster, cluster.net.layer([Cut(LINK)]):
                places += [(node.info.address, port) for node in cluster.nodes.values() for port in node.info.ports.values()]
                cluster.nodes["n1"].kill(signal.SIGKILL)
                cluster.nodes["n2"].pause()
                if end is not None:
                    raise end
        except (ZeroDivisionError, KeyboardInterrupt):
            assert end is not None
        assert proc.labelled(stage.folder.name) == []
        assert registry.records() == []
        assert registry.block_owners() == {}
        assert leftovers.leftovers() == []
        assert set(threading.enumerate()) <= threads
        assert stage.runtime.virtual or [place for place in places if answers(place)] == []

    def test_logs_are_kept(self, stage: RuntimeStage) -> None:
        """What each node said is there after the end, over all its lives: two say more than one.

        That is the one before, if it can be read meanwhile; where logs come at the end, that of another node.
        """

        def lines(name: str) -> int:
            return len((stage.folder / "logs" / f"{name}.log").read_text(encoding="utf-8").splitlines())

        with stage.cluster(needs=STARTS) as cluster:
            one_life = lines("n1") if (stage.folder / "logs" / "n1.log").exists() else None
            cluster.nodes["n1"].kill(signal.SIGKILL)
            cluster.nodes["n1"].start()
            stage.wait(cluster, lambda: VOTING in cluster.roles()["n1"], "n1 is ready")
        assert all(lines(name) >= 1 for name in NODES)
        assert lines("n1") > (lines("n2") if one_life is None else one_life) >= 1

    def test_death_while_stopping_is_no_event(self, stage: RuntimeStage) -> None:
        """That the runtime ends its nodes is not told as something that happened to them."""
        with stage.cluster():
            seen = len(stage.of(NodeChanged))
        assert len(stage.of(NodeChanged)) == seen == len(NODES)

    def test_the_name_server_takes_orders(self, stage: RuntimeStage) -> None:
        """A record is missing while it is to be, which clients see and the history tells; afterwards the name is whole again."""
        with stage.cluster(needs=[Capability.NAME_SET]) as cluster:
            assert isinstance(cluster, HasNames)
            whole = cluster.names.look_up(PING_S)
            assert whole.answer == "NOERROR"
            assert len(whole.addresses) == len(NODES)
            with cluster.names.harm(NameHarm("missing", record="n2")) as harmed:
                assert harmed.address in whole.addresses
                assert set(cluster.names.look_up(PING_S).addresses) == set(whole.addresses) - {harmed.address}
            assert cluster.names.look_up(PING_S).addresses == whole.addresses
        assert [row.nodes for row in stage.of(DnsChanged)][-2:] == [["n1", "n3"], ["n1", "n2", "n3"]]


def rtt_s(cluster: Cluster, link: Link) -> float:
    """The best of three round trips: what the link does, not what the machine was busy with. It may be too long, and never too short."""
    trips = [cluster.net.measure(link, PING_S) for _ in range(3)]
    seen = [trip.rtt_s for trip in trips if trip.rtt_s is not None]
    assert seen, f"no answer on {link}: {trips[0].error}"
    return min(seen)


def answers(place: tuple[str, int]) -> bool:
    """Whether somebody listens there. An address whose network is gone may lead to a gateway that takes every connection, to any port."""
    return _connects(place) and not _connects((place[0], NOBODYS))


def _connects(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, SILENT_S).close()
    except OSError:
        return False
    return True


def quick(cluster: Cluster, link: Link, below_s: float) -> bool:
    """Whether one of many round trips takes less: one is enough, since a machine that is busy makes others longer."""
    trips = (cluster.net.measure(link, PING_S) for _ in range(TRIES))
    return any(trip.rtt_s is not None and trip.rtt_s < below_s for trip in trips)
