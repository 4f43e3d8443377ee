"""Clients' connections over real sockets: few and shared, none kept, left half-open, and redirects that are followed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from chaos.core.clock import to_ns
from chaos.experiment.client import NO_TIMEOUT_S, ClientPolicy, ConnectionPool
from chaos.history.observations import Outcome, Why
from chaos.traffic.probe import Leaves, Probe, Reuses, Slot
from chaos.traffic.probes import http
from tests.support.http_bench import ANSWER, Bench, Server

pytestmark = pytest.mark.e2e
GOOD = (Outcome.OK, Why.NONE)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Closed after the test, whatever came of it."""
    made = Bench()
    yield made
    made.server.close()
    made.loop.close()


class Client:
    """A probe with a pool, asked as the engine asks it: first for a connection that is there, then with an address."""

    def __init__(self, bench: Bench, pool: ConnectionPool) -> None:
        self.bench = bench
        policy = ClientPolicy(timeout_s=NO_TIMEOUT_S, attempts=1, deadline_s=1.0, pool=pool)
        self.probe: Probe = http.build(bench.setup(policy, what="GET http://{address}:{client}/"))
        self.looked_up = 0

    def begin(self) -> Slot:
        slot = Slot()
        slot.index, slot.key, slot.value, slot.address = 0, "k", "v", ""
        slot.carrier, slot.status, slot.attempts, slot.tried = None, 0, 1, ()
        slot.ended = lambda _, outcome, why: self.bench.ended.append((outcome, why))
        assert isinstance(self.probe, Reuses)
        if not self.probe.reuse(slot, self.fresh):
            self.fresh(slot)
        return slot

    def fresh(self, slot: Slot) -> None:
        self.looked_up += 1
        slot.address = "127.0.0.1"
        self.probe.send(slot)

    def ended(self, count: int) -> list[tuple[Outcome, Why]]:
        self.bench.until(lambda: len(self.bench.ended) >= count)
        return self.bench.ended


def test_requests_share_a_pool_and_wait_for_their_turn(bench: Bench) -> None:
    """Five at once on two connections: each is answered, and nobody looks up a name for a connection that is there."""
    client = Client(bench, ConnectionPool(size=2))
    for _ in range(5):
        client.begin()
    assert client.ended(5) == [GOOD] * 5
    assert (len(bench.server.connections), client.looked_up) == (2, 2)
    client.probe.close()


def test_a_connection_that_is_too_old_is_not_used_again(bench: Bench) -> None:
    """The next request opens another one, at what the name says then."""
    client = Client(bench, ConnectionPool(size=1, lifetime_s=60.0))
    for count in (1, 2):
        client.begin()
        client.ended(count)
    assert client.looked_up == 1
    pool = client.probe._pool  # type: ignore[attr-defined]
    pool._clock_ns = lambda: time.monotonic_ns() + to_ns(60.0)
    client.begin()
    assert client.ended(3) == [GOOD] * 3
    assert (len(bench.server.connections), client.looked_up) == (2, 2)
    client.probe.close()


def test_a_request_without_a_time_out_leaves_its_connection_half_open(bench: Bench) -> None:
    """The pool is used up by connections that nobody answers; an answer that comes late frees one, an end another."""
    bench.server.answer = lambda _: None
    client = Client(bench, ConnectionPool(size=2))
    stuck = [client.begin(), client.begin()]
    bench.until(lambda: len(bench.server.requests) == 2)
    for slot in stuck:
        assert isinstance(slot.carrier, Leaves)
        assert slot.carrier.leave()
    waits = client.begin()
    bench.loop.run_until_complete(asyncio.sleep(0.05))
    assert len(bench.server.requests) == 2
    assert waits.carrier is not None
    assert getattr(waits.carrier, "why", None) is Why.POOL
    assert not waits.carrier.cut()  # its deadline: nothing was sent
    bench.server.answer = lambda connection: connection.sendall(ANSWER)
    another = client.begin()
    bench.server.connections[0].sendall(ANSWER)  # at last, for a request that nobody waits for any more
    assert client.ended(1) == [GOOD]
    assert another.address == "127.0.0.1"
    assert len(bench.server.requests) == 3
    bench.server.hang_up(bench.server.connections[1], reset=True)
    bench.loop.run_until_complete(asyncio.sleep(0.01))
    client.begin()
    client.begin()
    assert client.ended(3) == [GOOD] * 3
    assert len(bench.server.connections) == 3
    client.probe.close()


def test_the_kernel_gives_a_connection_up_in_the_time_it_is_told(bench: Bench) -> None:
    """The option reaches the socket, in milliseconds (tcp(7))."""
    client = Client(bench, ConnectionPool(size=1, tcp_user_timeout_s=1.5))
    client.begin()
    client.ended(1)
    pool = client.probe._pool  # type: ignore[attr-defined]
    (connection,) = pool.open
    assert connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500
    client.probe.close()


def test_without_keep_alive_each_request_has_a_connection(bench: Bench) -> None:
    """And says so to the server."""
    policy = ClientPolicy(keep_alive=False)
    probe = http.build(bench.setup(policy, what="GET http://{address}:{client}/"))
    assert [bench.one(probe) for _ in range(3)] == [GOOD] * 3
    assert len(bench.server.connections) == 3
    assert all(b"\r\nConnection: close\r\n" in request for request in bench.server.requests)
    probe.close()


class Cluster:
    """The bench's server leads; another one, at another address and the same port, sends clients to it."""

    def __init__(self, bench: Bench, location: str, status: str = "307 Temporary Redirect") -> None:
        self.standby = Server(bench.loop, "127.0.0.2", bench.server.port)
        where = location.replace("PORT", str(bench.server.port))
        answer = f"HTTP/1.1 {status}\r\nLocation: {where}\r\nContent-Length: 4\r\n\r\ngo!\n".encode()
        self.standby.answer = lambda connection: connection.sendall(answer)

    def put(self, bench: Bench, method: str = "PUT", redirects: int = 1) -> tuple[Slot, tuple[Outcome, Why]]:
        """Asked of the standby; ``leader`` and 10.0.0.1 are what nodes call the other one."""
        ways = {"leader": "127.0.0.1", "10.0.0.1": "127.0.0.1", "127.0.0.2": "127.0.0.2"}
        probe = http.build(
            bench.setup(ClientPolicy(redirects=redirects), ways, what=f"{method} http://{{address}}:{{client}}/kv/{{key}}?a=1")
        )
        slot = Slot()
        slot.index, slot.key, slot.value, slot.address = 0, "k", "v", "127.0.0.2"
        slot.carrier, slot.status, slot.attempts, slot.tried = None, 0, 1, ()
        slot.ended = lambda _, outcome, why: bench.ended.append((outcome, why))
        before = len(bench.ended)
        probe.send(slot)
        bench.until(lambda: len(bench.ended) > before)
        probe.close()
        return slot, bench.ended[-1]


@pytest.mark.parametrize(
    ("location", "line", "host"),
    [
        ("http://leader:PORT/kv/k?a=1", "PUT /kv/k?a=1 HTTP/1.1", "leader"),
        ("http://10.0.0.1:PORT/other", "PUT /other HTTP/1.1", "10.0.0.1"),
    ],
)
def test_a_redirect_to_a_node_is_followed_by_the_clients_own_way(bench: Bench, location: str, line: str, host: str) -> None:
    """With method and body; the record names the node that answered at last."""
    cluster = Cluster(bench, location)
    slot, came = cluster.put(bench)
    assert (came, slot.address, slot.status) == (GOOD, "127.0.0.1", 200)
    (request,) = bench.server.requests
    assert request.startswith(f"{line}\r\nHost: {host}:{bench.server.port}\r\n".encode())
    assert request.endswith(b"Content-Length: 1\r\n\r\nv")
    cluster.standby.close()


@pytest.mark.parametrize(
    ("status", "method", "sent"),
    [
        ("303 See Other", "PUT", b"GET"),
        ("302 Found", "POST", b"GET"),
        ("302 Found", "PUT", b"PUT"),
        ("308 Permanent Redirect", "POST", b"POST"),
    ],
)
def test_methods_change_as_the_standard_says(bench: Bench, status: str, method: str, sent: bytes) -> None:
    """RFC 9110, section 15.4: a GET has no body."""
    cluster = Cluster(bench, "http://leader:PORT/", status)
    assert cluster.put(bench, method)[1] == GOOD
    (request,) = bench.server.requests
    assert request.startswith(sent + b" / HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\n" if sent == b"GET" else b"\r\n\r\nv")
    cluster.standby.close()


@pytest.mark.parametrize(
    ("location", "redirects"),
    [("http://elsewhere.test/", 1), ("https://leader:PORT/", 1), ("http://[::1", 1), ("", 1), ("http://leader:PORT/", 0),
     ("http://127.0.0.2:PORT/", 3)],
)  # fmt: skip
def test_what_is_not_followed_is_an_answer_like_any_other(bench: Bench, location: str, redirects: int) -> None:
    """Another host, another scheme, none at all, or a circle: failed, with the status of the answer."""
    cluster = Cluster(bench, location)
    slot, came = cluster.put(bench, redirects=redirects)
    assert (came, slot.status) == ((Outcome.FAIL, Why.ERROR), 307)
    assert not bench.server.requests
    assert len(cluster.standby.requests) == (1 + redirects if "127.0.0.2" in location else 1)
    cluster.standby.close()
