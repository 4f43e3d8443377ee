"""The name server as a process: real sockets, nodes that die, hang and come back."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import msgspec
import pytest

from chaos.core.values import NameHarm
from chaos.dns.spec import HEALTH_CHECKED, ROUND_ROBIN, CheckSpec, DnsSpec, MoveOrder, NameOrder, NameSpec, Replica
from chaos.experiment.target.spec import Ask
from chaos.history.events import DnsChanged, NamesOrdered
from chaos.traffic.lookup import exchange
from chaos.traffic.transport import connect
from tests.support.scripted_node import Helper, ScriptedNode, free_port

pytestmark = pytest.mark.e2e
SERVER = "127.61.0.53"
NAME = "data.nines.test"
Start = Callable[[DnsSpec], Helper]


@pytest.fixture
def nodes() -> Iterator[list[ScriptedNode]]:
    """Three nodes that are ready."""
    made = [ScriptedNode(f"127.61.1.{number}", body={"state": "follower"}) for number in (1, 2, 3)]
    yield made
    for node in made:
        node.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the server; ends it whatever happens."""
    started: list[Helper] = []

    def begin(spec: DnsSpec) -> Helper:
        started.append(Helper("chaos.dns.server", spec, tmp_path))
        return started[-1]

    yield begin
    for helper in started:
        helper.drop()


def spec_of(nodes: list[ScriptedNode], *, balancer: str = HEALTH_CHECKED, json: str | None = None, **check: float) -> DnsSpec:
    replicas = tuple(
        Replica(f"n{number}", node.address, check=Ask(http=f"{node.url}/status", json=json)) for number, node in enumerate(nodes, start=1)
    )
    # The time-out of a check is long: on a machine that is busy an answer is late, and the node not gone.
    rule = CheckSpec(**{"every_s": 0.05, "timeout_s": 2.0, "fall": 2, "rise": 2, **check})  # type: ignore[arg-type]
    name = NameSpec(NAME, replicas, aliases=("data",), balancer=balancer, ttl_s=1, check=rule)
    return DnsSpec(SERVER, free_port(SERVER), (name,))


def look_up(spec: DnsSpec, *, tcp: bool = False) -> list[str]:
    ask = dns.query.tcp if tcp else dns.query.udp
    answer = ask(dns.message.make_query(NAME, "A"), SERVER, port=spec.port, timeout=5)
    assert answer.rcode() == dns.rcode.NOERROR
    return sorted(str(each) for rrset in answer.answer for each in rrset)


def the_row(helper: Helper) -> DnsChanged:
    row = helper.row()
    assert isinstance(row, DnsChanged)
    return row


def test_replicas_leave_and_come_back(nodes: list[ScriptedNode], start: Start) -> None:
    """A killed node is withdrawn after ``fall`` checks and answered with again after ``rise``; every change is a row with its time."""
    spec = spec_of(nodes)
    server = start(spec)
    server.ready()
    first = the_row(server)
    assert (first.name, first.nodes, first.why) == (NAME, ["n1", "n2", "n3"], "start")
    assert look_up(spec) == look_up(spec, tcp=True) == ["127.61.1.1", "127.61.1.2", "127.61.1.3"]
    killed_ns = time.monotonic_ns()
    nodes[1].stop()
    gone = the_row(server)
    assert (gone.nodes, gone.changed, gone.why) == (["n1", "n3"], "n2", "2 checks in a row failed: refused")
    assert killed_ns < gone.at_ns <= time.monotonic_ns()
    assert look_up(spec) == ["127.61.1.1", "127.61.1.3"]
    nodes[1].start()
    back = the_row(server)
    assert (back.nodes, back.changed, back.why) == (["n1", "n2", "n3"], "n2", "2 checks in a row answered")
    assert server.end() == 0


def test_a_hanging_node_delays_no_other(nodes: list[ScriptedNode], start: Start) -> None:
    """While n1 hangs into a time-out of ten periods, n2 is still withdrawn after its own two checks: before n1 is."""
    spec = spec_of(nodes, every_s=0.1, timeout_s=1.0)
    server = start(spec)
    server.ready()
    the_row(server)
    nodes[0].hang(on=True)
    nodes[1].status = 503
    first, second = the_row(server), the_row(server)
    assert (first.changed, first.why) == ("n2", "2 checks in a row failed: status 503")
    assert (second.changed, second.why) == ("n1", "2 checks in a row failed: timed out")
    assert second.nodes == ["n3"]


def test_when_every_node_is_out_the_answer_is_empty(nodes: list[ScriptedNode], start: Start) -> None:
    """The name stays known (NOERROR, no data): no client is sent to a node known to be dead."""
    spec = spec_of(nodes, fall=1)
    server = start(spec)
    server.ready()
    the_row(server)
    for node in nodes:
        node.status = 500
    assert [len(the_row(server).nodes) for _ in nodes] == [2, 1, 0]
    assert look_up(spec) == []
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [SERVER], spec.port
    with pytest.raises(dns.resolver.NoAnswer):
        resolver.resolve(NAME, "A")


def test_a_role_can_decide(nodes: list[ScriptedNode], start: Start) -> None:
    """Checked by role, only the leader is answered with."""
    nodes[2].body = {"state": "leader"}
    spec = spec_of(nodes, json="state=leader")
    server = start(spec)
    server.ready()
    assert the_row(server).nodes == ["n3"]
    assert look_up(spec) == ["127.61.1.3"]


def test_round_robin_asks_nobody(nodes: list[ScriptedNode], start: Start) -> None:
    """All records always, dead or not."""
    spec = spec_of(nodes, balancer=ROUND_ROBIN)
    for node in nodes:
        node.stop()
    server = start(spec)
    server.ready()
    assert the_row(server).nodes == ["n1", "n2", "n3"]
    assert len(look_up(spec)) == 3
    assert server.end() == 0
    assert server.no_more_rows()
    assert sum(node.requests for node in nodes) == 0


def order(server: Helper, number: int, mode: str, *, on: bool = True) -> None:
    """Give an order, and wait until it is carried out."""
    server.order(NameOrder(number, on, NameHarm(mode)))
    while not isinstance(row := server.row(), NamesOrdered):
        pass
    assert (row.number, row.on, row.why) == (number, on, "")


def test_down_is_silent_and_refused_is_not(nodes: list[ScriptedNode], start: Start) -> None:
    """A machine that is gone says nothing; one whose server process is gone refuses at once."""
    spec = spec_of(nodes, balancer=ROUND_ROBIN)
    server = start(spec)
    server.ready()
    query = dns.message.make_query(NAME, "A")
    order(server, 1, "down")
    with pytest.raises(dns.exception.Timeout):
        dns.query.udp(query, SERVER, port=spec.port, timeout=0.2)
    order(server, 1, "down", on=False)
    assert len(look_up(spec)) == 3
    order(server, 2, "refused")
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
        asks.settimeout(5)
        asks.connect((SERVER, spec.port))
        asks.send(query.to_wire())
        asks.recv(512)
    order(server, 2, "refused", on=False)
    assert len(look_up(spec)) == 3


def test_the_wrong_address_stays_silent_while_caches_hold_it(nodes: list[ScriptedNode], start: Start) -> None:
    """A connection to it is neither made nor refused, after the healing as well; to a port that nobody uses it is refused."""
    nowhere, silent = "127.61.0.99", free_port("127.61.0.99")
    server = start(msgspec.structs.replace(spec_of(nodes, balancer=ROUND_ROBIN), nowhere=nowhere, silent_ports=(silent,)))
    server.ready()
    order(server, 1, "wrong")
    for on in (True, False):
        if not on:
            order(server, 1, "wrong", on=False)
        with pytest.raises(TimeoutError):
            socket.create_connection((nowhere, silent), timeout=0.2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((nowhere, free_port(nowhere)), timeout=5)


def test_several_questions_over_one_connection(nodes: list[ScriptedNode], start: Start) -> None:
    """A TCP conversation goes on until the client ends it."""
    spec = spec_of(nodes, balancer=ROUND_ROBIN)
    start(spec).ready()
    with socket.create_connection((SERVER, spec.port), timeout=5) as connection:
        for _ in range(3):
            query = dns.message.make_query(NAME, "A")
            dns.query.send_tcp(connection, query, time.time() + 5)
            answer, _ = dns.query.receive_tcp(connection, time.time() + 5)
            assert answer.id == query.id
            assert len(answer.answer[0]) == 3


@pytest.mark.parametrize("edns", [True, False], ids=["edns", "plain"])
@pytest.mark.parametrize("count", [30, 99])
def test_a_name_of_many_addresses_is_answered_whole(start: Start, count: int, edns: bool) -> None:
    """To the harness's own look, and to the clients' resolver: by EDNS where that is room enough, else by TCP."""
    replicas = tuple(Replica(f"n{number}", f"127.61.2.{number}") for number in range(1, count + 1))
    spec = DnsSpec(SERVER, free_port(SERVER), (NameSpec(NAME, replicas, balancer=ROUND_ROBIN),))
    start(spec).ready()
    wanted = {replica.address for replica in replicas}
    assert {str(record) for record in exchange(NAME, SERVER, spec.port, 5.0).answer[0]} == wanted
    loop = asyncio.new_event_loop()
    resolver, wires = connect(loop, SERVER, spec.port, time.monotonic_ns)
    resolver._edns = edns
    told = loop.create_future()
    resolver.ask(NAME, time.monotonic_ns(), told.set_result, 1 << 62)
    try:
        assert set(loop.run_until_complete(asyncio.wait_for(told, 5))) == wanted
    finally:
        wires.close()
        loop.close()


def test_a_taken_port_ends_it_with_the_reason(nodes: list[ScriptedNode], start: Start) -> None:
    """Exit 5 and the address, before it says that it is ready."""
    spec = spec_of(nodes, balancer=ROUND_ROBIN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind((SERVER, spec.port))
        server = start(spec)
        assert server.process.wait(20) == 5
    assert f"{SERVER}:{spec.port} is taken" in server.stderr()
    assert server.no_more_rows()


def test_a_spec_that_contradicts_itself_is_bad_input(nodes: list[ScriptedNode], start: Start) -> None:
    """Exit 2."""
    server = start(DnsSpec(SERVER, 1, (NameSpec(NAME, ()),)))
    assert server.process.wait(20) == 2
    assert "no replicas" in server.stderr()


def test_it_ends_when_the_harness_is_gone(nodes: list[ScriptedNode], start: Start) -> None:
    """End of input, with checks under way, is its end, and the port is free again."""
    nodes[0].hang(on=True)
    spec = spec_of(nodes, timeout_s=5.0, every_s=6.0)
    server = start(spec)
    nodes[0].hang(on=False)
    server.ready()
    assert server.end() == 0
    with socket.create_server((SERVER, spec.port)):
        assert server.process.returncode == 0


def test_a_node_that_moves_is_checked_and_answered_at_its_new_address(nodes: list[ScriptedNode], start: Start) -> None:
    """As a pod that is deleted: dead at the old address, then another one of that name lives elsewhere."""
    spec = spec_of(nodes, every_s=0.1, timeout_s=2.0)
    helper = start(spec)
    helper.ready()
    assert the_row(helper).nodes == ["n1", "n2", "n3"]
    nodes[1].stop()
    assert the_row(helper).nodes == ["n1", "n3"]
    nodes[1] = ScriptedNode("127.61.1.9", body={"state": "follower"})
    helper.order(MoveOrder(Replica("n2", nodes[1].address, check=Ask(http=f"{nodes[1].url}/status"))))
    assert the_row(helper).nodes == ["n1", "n2", "n3"]
    assert look_up(spec) == sorted(node.address for node in nodes)
