"""The fake runtime: a virtual cluster that behaves as its parameters say, the same way each time."""

from __future__ import annotations

import ipaddress
import signal
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from chaos.core.clock import ManualClock, MonotonicClock, to_ns, to_s
from chaos.core.errors import CapabilityMissing
from chaos.core.values import CLIENTS, DNS, LEADER, VOTING, Cut, Link, Toxic, TrafficOrder
from chaos.experiment.cluster import ClusterSpec, Dns, DnsCheck
from chaos.experiment.document import Experiment
from chaos.experiment.target.operation import OperationKind
from chaos.experiment.target.spec import Ask, LocalTraits, Part, Ready, Target
from chaos.experiment.traffic import ClientPolicy, OperationSpec, TrafficSpec
from chaos.history import observations
from chaos.history.events import DnsChanged, Marked, RoleChanged, Row, TrafficEnded, TrafficSecond
from chaos.history.observations import Outcome, Why
from chaos.plan.plan import SCHEMA, Parameter, Plan, PlannedNode
from chaos.plugin import Cluster, Deployment
from chaos.runtimes.fake.runtime import FakeRuntime

NODES = ("n1", "n2", "n3")
PEERS = tuple(Link(one, other) for one in NODES for other in NODES if one != other)
CLIENT_LINKS = tuple(Link(CLIENTS, node) for node in NODES)
START_S = 0.2
ALONE = ClientPolicy(timeout_s=0.2, attempts=1, other_address=False, deadline_s=0.4)
RETRYING = ClientPolicy(timeout_s=0.2, attempts=2, other_address=True, deadline_s=0.4)
ELECTION_S = (0.5, 0.8)
HEARTBEAT_S = 0.05
ROUND_TRIP_S = 0.002
RESTART_S = 0.3
RESYNC_S = 0.4


def target() -> Target:
    """Raft as its clients see it."""
    part = Part(ports={"client": 7000, "peer": 7001}, ready=Ready(http="http://{address}:{client}/ready"))
    kinds = {name: OperationKind(probe="http", does=name, options={}) for name in ("write", "read")}
    roles = {LEADER: Ask(http="http://{address}:{client}/"), VOTING: Ask(http="http://{address}:{client}/")}
    return Target(
        name="virtual", folder=".", about="", settings={}, parts={"data": part}, operations=kinds, roles=roles,
        marks={"election_started": "a", "leader_elected": "b"}, local=LocalTraits("per-node"),
    )  # fmt: skip


def plan(client: ClientPolicy = RETRYING, links: tuple[Link, ...] = (), seed: int = 1, ttl_s: float = 1.0, **words: float) -> Plan:
    """Two operations of 100 slots a second."""
    given = {"heartbeat_s": HEARTBEAT_S, "round_trip_s": ROUND_TRIP_S, "restart_s": RESTART_S, "resync_s": RESYNC_S, **words}
    parameters = [Parameter(name, value, "s", "target") for name, value in given.items()]
    parameters.append(Parameter("election_timeout_s", ELECTION_S[0], "s", "target", ELECTION_S[1]))
    traffic = TrafficSpec({name: OperationSpec(rate_per_s=100.0) for name in ("write", "read")}, client, judge="write")
    dns = Dns(ttl_s=ttl_s, check=DnsCheck(every_s=0.1, timeout_s=0.05, fall=2, rise=2))
    experiment = Experiment(name="virtual", question="", cluster=ClusterSpec(target="virtual", dns=dns), traffic=traffic)
    return Plan(
        schema=SCHEMA, experiment=experiment, seed=seed, runtime="fake", nodes=tuple(PlannedNode(name, "data") for name in NODES),
        settings={}, operations=target().operations, judge="write", windows=(), duration_s=10.0, links=links,
        replication="quorum", parameters=tuple(parameters),
    )  # fmt: skip


class World:
    """A cluster, its clock and rows, with traffic from START_S on."""

    def __init__(self, cluster: Cluster, clock: ManualClock, rows: list[Row], start_ns: int) -> None:
        self.cluster = cluster
        self.clock = clock
        self.rows = rows
        self.start_ns = start_ns

    def until(self, at_s: float) -> None:
        """On to so long after the first slot, in the steps of a run."""
        while self.now_s < at_s:
            self.clock.wait_until_ns(min(self.clock.now_ns() + to_ns(0.1), self.start_ns + to_ns(at_s)))
            self.cluster.broken()

    @property
    def now_s(self) -> float:
        """Since the first slot."""
        return to_s(self.clock.now_ns() - self.start_ns)

    def leader(self) -> str:
        """Who leads."""
        (found,) = [node for node, roles in self.cluster.roles().items() if LEADER in roles]
        return found

    def follower(self) -> str:
        """The first that does not."""
        return next(node for node in NODES if node != self.leader())

    def led_s(self, since_s: float) -> list[float]:
        """When somebody began to lead after that."""
        rows = [row for row in self.rows if isinstance(row, RoleChanged) and row.role == LEADER and row.holds]
        return [at_s for row in rows if (at_s := to_s(row.at_ns - self.start_ns)) > since_s]


@contextmanager
def world(folder: Path, of: Plan, duration_s: float = 10.0) -> Iterator[World]:
    """Up, with traffic; leaving ends both."""
    clock, rows = ManualClock(), list[Row]()
    folder.mkdir(parents=True, exist_ok=True)
    with FakeRuntime().up(Deployment("run", folder, of, target()), rows.append, clock) as cluster:
        start_ns = clock.now_ns() + to_ns(START_S)
        with cluster.traffic(TrafficOrder(start_ns, duration_s)):
            yield World(cluster, clock, rows, start_ns)


def slots(folder: Path, operation: int, from_s: float, to_s_: float) -> NDArray[np.void]:
    """The records of one operation due in that stretch, by due time."""
    records = observations.read(folder / "observations.bin")
    first_ns = int(records["due"].min())
    mine = records[
        (records["operation"] == operation) & (records["due"] >= first_ns + to_ns(from_s)) & (records["due"] < first_ns + to_ns(to_s_))
    ]
    ordered: NDArray[np.void] = mine[np.argsort(mine["due"])]
    return ordered


def bad_s(folder: Path, operation: int = 0) -> list[float]:
    """Due times of the slots that were not ok, since the first slot."""
    records = observations.read(folder / "observations.bin")
    first_ns = int(records["due"].min())
    bad = records[(records["operation"] == operation) & (records["outcome"] != Outcome.OK)]
    return sorted(to_s(int(due) - first_ns) for due in bad["due"])


def test_quiet_run_is_all_good(tmp_path: Path) -> None:
    """Without a fault every slot is ok at its first attempt, spread over all nodes."""
    with world(tmp_path, plan()):
        pass
    records = observations.read(tmp_path / "observations.bin")
    assert len(records) == 2000
    assert set(records["outcome"]) == {Outcome.OK}
    assert set(records["attempts"]) == {1}
    shares = np.unique(records["address"], return_counts=True)[1] / len(records)
    assert len(shares) == 3
    assert shares.min() > 0.28


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    """Twice the same commands give the same records and rows, byte for byte; another seed gives others."""

    def run(name: str, seed: int) -> tuple[bytes, bytes]:
        folder = tmp_path / name
        with world(folder, plan(seed=seed)) as here:
            here.until(2.0)
            here.cluster.nodes["n1"].kill(signal.SIGKILL)
            here.until(4.0)
            here.cluster.nodes["n1"].start()
        return (folder / "observations.bin").read_bytes(), b"\n".join(msgspec.json.encode(row) for row in here.rows)

    first = run("a", 1)
    assert run("b", 1) == first
    assert run("c", 2) != first


def test_election_takes_what_the_parameters_say(tmp_path: Path) -> None:
    """Over many seeds: each within its range, their mean near that of the least of two draws less half a heartbeat."""
    took_s = []
    for seed in range(60):
        with world(tmp_path / str(seed), plan(seed=seed), 3.0) as here:
            here.until(1.0)
            here.cluster.nodes[here.leader()].kill(signal.SIGKILL)
            here.until(2.5)
            took_s.append(here.led_s(1.0)[0] - 1.0)
    low_s, high_s = ELECTION_S
    assert min(took_s) >= low_s - HEARTBEAT_S
    assert statistics.median(took_s) <= high_s
    expected_s = low_s + (high_s - low_s) / 3 - HEARTBEAT_S / 2 + 2 * ROUND_TRIP_S
    assert statistics.mean(took_s) == pytest.approx(expected_s, abs=4 * 0.08 / 60**0.5)


def test_a_node_that_is_alone_leads_as_soon_as_it_is_ready(tmp_path: Path) -> None:
    """No time-out and no catching up: dead from 2 s to 3 s, it leads 0.3 s after its start, and answers the next write."""
    alone = msgspec.structs.replace(plan(), nodes=(PlannedNode("n1", "data"),))
    with world(tmp_path, alone) as here:
        here.until(2.0)
        here.cluster.nodes["n1"].kill(signal.SIGKILL)
        here.until(3.0)
        here.cluster.nodes["n1"].start()
        here.until(6.0)
        (elected_s,) = here.led_s(2.0)
    assert elected_s == pytest.approx(3.0 + RESTART_S, abs=1e-6)


def test_leader_kill_is_an_outage_of_writes_until_the_election(tmp_path: Path) -> None:
    """Writes fail from the death to the new leader; reads of any replica are saved by the second attempt."""
    with world(tmp_path, plan()) as here:
        here.until(2.0)
        here.cluster.nodes[here.leader()].kill(signal.SIGKILL)
        here.until(9.0)
        (elected_s,) = here.led_s(2.0)
    bad = bad_s(tmp_path)
    assert bad[0] == pytest.approx(2.0, abs=0.011)
    assert bad[-1] == pytest.approx(elected_s, abs=0.011)
    assert len(bad) == pytest.approx((elected_s - 2.0) * 100, abs=2)
    assert bad_s(tmp_path, 1) == []
    assert set(slots(tmp_path, 0, 2.05, elected_s - 0.05)["why"]) <= {Why.ERROR, Why.REFUSED}
    marks = [row for row in here.rows if isinstance(row, Marked) and to_s(row.at_ns - here.start_ns) > 2.0]
    assert [row.mark for row in marks] == ["election_started", "leader_elected"]
    assert to_s(marks[1].at_ns - here.start_ns) == pytest.approx(elected_s)
    assert marks[0].at_ns < marks[1].at_ns


def test_patient_nodes_hold_writes_until_there_is_a_leader(tmp_path: Path) -> None:
    """With ``leaderless: hang`` what comes after the nodes noticed is answered by the new leader, late; what they handed on is lost."""
    ballot_s = 0.15
    patient = msgspec.structs.replace(ALONE, timeout_s=0.4, deadline_s=0.5)
    with world(tmp_path, plan(patient, leaderless=1.0, round_trip_s=ballot_s / 2, seed=5)) as here:
        here.until(2.0)
        old = here.leader()
        here.cluster.nodes[old].kill(signal.SIGKILL)
        here.until(9.0)
        elected_s = here.led_s(2.0)[-1]
    (noticed_s,) = [to_s(row.at_ns - here.start_ns) for row in here.rows if isinstance(row, Marked) and row.mark == "election_started"][1:2]
    assert elected_s - noticed_s == pytest.approx(ballot_s)
    alive = [int(ipaddress.IPv4Address(here.cluster.nodes[name].info.address)) for name in NODES if name != old]
    held, lost = slots(tmp_path, 0, noticed_s + 0.001, elected_s - 0.02), slots(tmp_path, 0, noticed_s - 0.1, noticed_s - 0.001)
    held, lost = (found[np.isin(found["address"], alive)] for found in (held, lost))
    assert set(held["outcome"]) == {Outcome.OK}
    assert all(to_s(int(done - due)) > 0.015 for due, done in zip(held["due"], held["done"], strict=True))
    assert set(lost["why"]) == {Why.TIMEOUT}
    assert len(held) > 3
    assert len(lost) > 3


def test_paused_node_costs_whole_timeouts(tmp_path: Path) -> None:
    """A third of the reads without a retry hang for the time-out, until the check has dropped the node and the cache has run out."""
    with world(tmp_path, plan(ALONE)) as here:
        here.until(2.0)
        paused = here.cluster.nodes[here.follower()]
        paused.pause()
        here.until(8.0)
        paused.resume()
    bad = bad_s(tmp_path, 1)
    (dropped_s,) = [to_s(row.at_ns - here.start_ns) for row in here.rows if isinstance(row, DnsChanged) and "timed out" in row.why]
    assert 2.0 + 0.1 + 0.05 <= dropped_s <= 2.0 + 0.2 + 0.05
    assert bad[0] == pytest.approx(2.0, abs=0.1)
    assert dropped_s - 0.2 <= bad[-1] <= dropped_s + 1.0
    assert len(bad) / ((bad[-1] - 2.0) * 100) == pytest.approx(1 / 3, abs=0.12)
    lost = slots(tmp_path, 1, 2.0, 5.0)
    lost = lost[lost["outcome"] != Outcome.OK]
    assert set(lost["why"]) == {Why.TIMEOUT}
    assert {int(done - sent) for done, sent in zip(lost["done"], lost["sent"], strict=True)} == {to_ns(ALONE.timeout_s)}


def test_second_attempt_at_another_address_saves_the_slot(tmp_path: Path) -> None:
    """One node dead, two attempts at different addresses: no read is lost, some took two."""
    with world(tmp_path, plan(RETRYING)) as here:
        here.until(2.0)
        here.cluster.nodes[here.follower()].kill(signal.SIGKILL)
        here.until(2.3)
    assert bad_s(tmp_path, 1) == []
    assert set(slots(tmp_path, 1, 2.0, 2.3)["attempts"]) == {1, 2}


def test_cache_keeps_a_dead_address_for_up_to_its_life(tmp_path: Path) -> None:
    """With a long time-to-live the dead node is asked long after it has left the set; with one question per request it is not."""
    last_s = {}
    for resolve in ("ttl", "per-request"):
        client = msgspec.structs.replace(ALONE, resolve=resolve)
        with world(tmp_path / resolve, plan(client, ttl_s=3.0)) as here:
            here.until(3.5)
            here.cluster.nodes[here.follower()].kill(signal.SIGKILL)
            here.until(9.0)
        last_s[resolve] = bad_s(tmp_path / resolve, 1)[-1]
    assert last_s["per-request"] < 3.5 + 0.25
    assert last_s["ttl"] > 3.5 + 1.0


def test_quorum_lost_is_an_outage_until_a_node_votes_again(tmp_path: Path) -> None:
    """Two of three dead: no writes; they come back after restart, resync and an election, not before."""
    with world(tmp_path, plan()) as here:
        here.until(1.0)
        first, second = here.follower(), here.leader()
        for name in (first, second):
            here.cluster.nodes[name].kill(signal.SIGKILL)
        here.until(3.0)
        here.cluster.nodes[first].start()
        here.until(9.0)
        back_s = here.led_s(3.0)[0]
    assert back_s >= 3.0 + RESTART_S + RESYNC_S + ELECTION_S[0]
    writes = slots(tmp_path, 0, 1.05, back_s - 0.05)
    assert set(writes["outcome"]) <= {Outcome.FAIL, Outcome.UNKNOWN}
    assert set(slots(tmp_path, 0, back_s + 0.1, 9.9)["outcome"]) == {Outcome.OK}


def test_isolated_leader_is_replaced_and_gives_up(tmp_path: Path) -> None:
    """The majority elects another; without a quorum the old one stops claiming after an election time-out, and follows when healed."""
    with world(tmp_path, plan(links=PEERS)) as here:
        here.until(2.0)
        old = here.leader()
        with here.cluster.net.layer([Cut(link) for link in PEERS if old in (link.source, link.destination)]):
            here.until(2.0 + ELECTION_S[0] - HEARTBEAT_S)
            assert old in [node for node, roles in here.cluster.roles().items() if LEADER in roles]
            here.until(4.0)
            assert here.leader() != old
        here.until(4.5)
        assert here.leader() != old
        assert VOTING in here.cluster.roles()[old]


def test_latency_on_the_leaders_links_slows_writes_only(tmp_path: Path) -> None:
    """A quorum waits for the quicker of two followers: latency to both adds to each write, latency to one to none."""
    with world(tmp_path, plan(links=PEERS)) as here:
        here.until(1.0)
        lead = here.leader()
        outward = [link for link in PEERS if link.source == lead]
        with here.cluster.net.layer([Toxic(link, "latency", {"latency": 50.0, "jitter": 0.0}) for link in outward[:1]]):
            here.until(2.0)
        with here.cluster.net.layer([Toxic(link, "latency", {"latency": 50.0, "jitter": 0.0}) for link in outward]):
            here.until(3.0)

    def median_s(operation: int, from_s: float, until_s: float) -> float:
        found = slots(tmp_path, operation, from_s, until_s)
        return statistics.median(to_s(int(done - due)) for due, done in zip(found["due"], found["done"], strict=True))

    assert median_s(0, 1.1, 1.9) < 0.01
    assert median_s(0, 2.1, 2.9) == pytest.approx(0.05, abs=0.01)
    assert median_s(1, 2.1, 2.9) < 0.01


def test_latency_beyond_the_timeout_is_an_outage(tmp_path: Path) -> None:
    """Clients that wait 200 ms see nothing of answers that take 300; what is under way at the end of it is released early."""
    with world(tmp_path, plan(ALONE, links=CLIENT_LINKS)) as here:
        here.until(1.0)
        with here.cluster.net.layer([Toxic(link, "latency", {"latency": 300.0, "jitter": 0.0}) for link in CLIENT_LINKS]):
            here.until(2.0)
    assert set(slots(tmp_path, 1, 1.01, 1.79)["why"]) == {Why.TIMEOUT}
    assert set(slots(tmp_path, 1, 2.01, 3.0)["outcome"]) == {Outcome.OK}


def test_dead_node_behind_a_proxy_closes_instead_of_refusing(tmp_path: Path) -> None:
    """A proxy accepts before it knows: clients are told by a close, and cannot be sure that nothing happened."""
    for links, why in (((), Why.REFUSED), (CLIENT_LINKS, Why.CLOSED)):
        folder = tmp_path / why.name
        with world(folder, plan(ALONE, links=links)) as here:
            here.until(1.0)
            here.cluster.nodes[here.follower()].kill(signal.SIGKILL)
            here.until(3.0)
        assert set(slots(folder, 1, 1.0, 3.0)["why"]) == {Why.NONE, why}


def test_checks_take_the_link_of_the_name_server(tmp_path: Path) -> None:
    """Cut between name server and node: the node leaves the set though clients reach it; healed, it is in again."""
    link = Link(DNS, "n2")
    with world(tmp_path, plan(links=(link,))) as here:
        here.until(1.0)
        with here.cluster.net.layer([Cut(link)]):
            here.until(2.0)
        here.until(3.0)
    assert [row.nodes for row in here.rows if isinstance(row, DnsChanged)] == [list(NODES), ["n1", "n3"], list(NODES)]
    assert bad_s(tmp_path, 1) == []


def test_seconds_are_told_while_it_runs(tmp_path: Path) -> None:
    """Abort conditions can be judged in virtual time: the rows of a second come soon after it."""
    with world(tmp_path, plan()) as here:
        here.until(1.0)
        for node in NODES:
            here.cluster.nodes[node].kill(signal.SIGKILL)
        here.until(4.0)
        told = [row for row in here.rows if isinstance(row, TrafficSecond) and row.operation == "write"]
        assert len(told) == 3
        assert told[-1].bad_run_s > 1.5
        assert (told[0].good, told[-1].bad) == (100, 100)
    (ended,) = [row for row in here.rows if isinstance(row, TrafficEnded)]
    assert ended.slots == {"write": 1000, "read": 1000}


def test_addresses_are_those_of_the_nodes(tmp_path: Path) -> None:
    """What is recorded is where the answer came from."""
    with world(tmp_path, plan(), 1.0) as here:
        known = {int(ipaddress.IPv4Address(node.info.address)) for node in here.cluster.nodes.values()}
    assert set(observations.read(tmp_path / "observations.bin")["address"].tolist()) == known


def test_what_is_not_modelled_is_refused(tmp_path: Path) -> None:
    """A toxic that the simulation knows nothing of is no silent success."""
    rule = Toxic(PEERS[0], "bandwidth", {"rate": 1.0})
    with (
        world(tmp_path, plan(links=PEERS), 0.1) as here,
        pytest.raises(CapabilityMissing, match="bandwidth"),
        here.cluster.net.layer([rule]),
    ):
        pytest.fail("the layer was entered")


def test_works_on_a_real_clock_too(tmp_path: Path) -> None:
    """Virtual nodes, real time: slow, but the same."""
    clock, rows = MonotonicClock(), list[Row]()
    quick = msgspec.structs.replace(
        plan(), parameters=(Parameter("restart_s", 0.01, "s", "target"), Parameter("timeout_s", 0.01, "s", "target"))
    )
    deployment = Deployment("run", tmp_path, quick, target())
    with FakeRuntime().up(deployment, rows.append, clock) as cluster, cluster.traffic(TrafficOrder(clock.now_ns(), 0.2)):
        pass
    assert len(observations.read(tmp_path / "observations.bin")) == 40
