"""The HTTP client of the prober against a server that misbehaves on purpose, over real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from chaos.history.observations import Outcome, Why
from chaos.traffic.probe import Probe
from chaos.traffic.probes import http, tcp
from tests.support.http_bench import ANSWER, Bench

pytestmark = pytest.mark.e2e


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Closed after the test, whatever came of it."""
    made = Bench()
    yield made
    made.server.close()
    made.loop.close()


def put(bench: Bench, **options: str) -> Probe:
    return http.build(bench.setup(what="PUT http://{address}:{client}/kv/{key}", **options))


def test_requests_share_one_kept_connection_and_say_what_they_were_told_to(bench: Bench) -> None:
    """Three requests, one connection; path, host and body are rendered for each slot."""
    probe = put(bench, headers="X-Slot: {slot}")
    assert [bench.one(probe) for _ in range(3)] == [(Outcome.OK, Why.NONE)] * 3
    assert len(bench.server.connections) == 1
    lines = bench.server.requests[2].decode().split("\r\n")
    assert lines[0] == "PUT /kv/k2 HTTP/1.1"
    assert f"Host: 127.0.0.1:{bench.server.port}" in lines
    assert "X-Slot: 2" in lines
    assert "Content-Length: 2" in lines
    assert lines[-1] == "v2"
    probe.close()


def test_a_connection_closed_while_idle_is_no_failure(bench: Bench) -> None:
    """The server drops idle connections, by FIN and by RST: the next request goes out on a fresh one, once, unnoticed."""
    probe = put(bench)
    for reset in (False, True):
        assert bench.one(probe) == (Outcome.OK, Why.NONE)
        bench.server.hang_up(bench.server.connections[-1], reset)
        assert bench.one(probe) == (Outcome.OK, Why.NONE)
    assert len(bench.server.requests) == 4
    assert len(bench.server.connections) == 3
    probe.close()


@pytest.mark.parametrize(("reset", "why"), [(False, Why.CLOSED), (True, Why.RESET)])
def test_a_connection_lost_after_the_write_may_have_been_done(bench: Bench, reset: bool, why: Why) -> None:
    """The server read the request and went away without a word: unknown, and not sent a second time by itself."""
    probe = put(bench)
    assert bench.one(probe) == (Outcome.OK, Why.NONE)
    bench.server.answer = lambda connection: bench.server.hang_up(connection, reset)
    assert bench.one(probe) == (Outcome.UNKNOWN, why)
    assert len(bench.server.requests) == 2
    probe.close()


def test_an_answer_torn_in_the_middle_is_unknown(bench: Bench) -> None:
    """Half an answer, then the end."""

    def tear(connection: socket.socket) -> None:
        connection.sendall(ANSWER[:-1])
        bench.server.hang_up(connection)

    bench.server.answer = tear
    probe = put(bench)
    assert bench.one(probe) == (Outcome.UNKNOWN, Why.CLOSED)
    probe.close()


def test_nobody_listening_is_a_definite_failure(bench: Bench) -> None:
    """Refused before anything was sent; so is every further one."""
    probe = put(bench)
    bench.server.close()
    assert bench.one(probe) == (Outcome.FAIL, Why.REFUSED)
    assert bench.one(probe) == (Outcome.FAIL, Why.REFUSED)
    probe.close()


def test_a_cut_attempt_resets_its_connection_and_leaves_no_port(bench: Bench) -> None:
    """The server sees RST, not FIN, so our side keeps nothing in TIME_WAIT; the next request has a new connection."""
    bench.server.answer = lambda _: None
    probe = put(bench)
    slot = bench.begin(probe)
    bench.until(lambda: len(bench.server.requests) == 1)
    carrier = slot.carrier
    assert carrier is not None
    assert carrier.cut() is True
    bench.until(lambda: bench.server.resets == 1)
    assert bench.ended == []
    bench.server.answer = lambda connection: connection.sendall(ANSWER)
    assert bench.one(probe) == (Outcome.OK, Why.NONE)
    assert len(bench.server.connections) == 2
    probe.close()


@pytest.mark.parametrize(
    ("status", "options", "expected"),
    [
        (404, {}, (Outcome.FAIL, Why.ERROR)),
        (404, {"ok": "200,404"}, (Outcome.OK, Why.NONE)),
        (503, {}, (Outcome.UNKNOWN, Why.ERROR)),
        (503, {"not_done": "503"}, (Outcome.FAIL, Why.ERROR)),
        (500, {"not_done": "503"}, (Outcome.UNKNOWN, Why.ERROR)),
        (408, {}, (Outcome.UNKNOWN, Why.ERROR)),
        (504, {}, (Outcome.UNKNOWN, Why.ERROR)),
        (200, {"expect": "pong"}, (Outcome.UNKNOWN, Why.WRONG)),
        (200, {"expect": "ok"}, (Outcome.OK, Why.NONE)),
    ],
)
def test_a_status_means_what_the_operation_says(bench: Bench, status: int, options: dict[str, str], expected: tuple[Outcome, Why]) -> None:
    """2xx unless told otherwise; a refusal is a failure; what a server did that answers 5xx nobody knows, unless its target says so."""
    bench.server.answer = lambda connection: connection.sendall(ANSWER.replace(b"200 OK", f"{status} X".encode()))
    probe = put(bench, **options)
    assert bench.one(probe) == expected
    slot = bench.begin(probe)
    bench.until(lambda: len(bench.ended) == 2)
    assert slot.status == status
    probe.close()


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_redirect_is_an_error_that_keeps_its_status(bench: Bench, pieces: int) -> None:
    """It is not followed; an answer that comes in two pieces is read by another path, and keeps it too."""
    answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://other/\r\nContent-Length: 0\r\n\r\n"
    cut = len(answer) // pieces
    bench.server.answer = lambda connection: connection.sendall(answer[:cut])
    probe = put(bench)
    slot = bench.begin(probe)
    if pieces > 1:
        bench.until(lambda: bool(bench.server.requests))
        time.sleep(0.02)
        bench.server.connections[0].sendall(answer[cut:])
    bench.until(lambda: len(bench.ended) == 1)
    assert bench.ended == [(Outcome.FAIL, Why.ERROR)]
    assert slot.status == 307
    probe.close()


def test_something_else_than_http_is_a_protocol_error(bench: Bench) -> None:
    """Unknown: the request was sent."""
    bench.server.answer = lambda connection: connection.sendall(b"-ERR unknown command\r\n")
    probe = put(bench)
    assert bench.one(probe) == (Outcome.UNKNOWN, Why.PROTOCOL)
    probe.close()


def test_a_body_larger_than_the_socket_takes_arrives_whole(bench: Bench) -> None:
    """Five megabytes, written as the server reads."""
    probe = put(bench, body="x" * 5_000_000)
    bench.server.answer = lambda _: None
    bench.begin(probe)
    bench.until(lambda: sum(map(len, bench.server.requests)) > 5_000_000)
    bench.server.connections[0].sendall(ANSWER)
    bench.until(lambda: len(bench.ended) == 1)
    assert bench.ended == [(Outcome.OK, Why.NONE)]
    probe.close()


def test_tcp_connects_sends_and_expects(bench: Bench) -> None:
    """Each attempt has a connection of its own, closed by reset."""
    bench.server.answer = lambda connection: connection.sendall(b"+PONG\r\n")
    probe = tcp.build(bench.setup(what="{address}:{client}", send="PING\\r\\n", expect="+PONG"))
    assert [bench.one(probe) for _ in range(2)] == [(Outcome.OK, Why.NONE)] * 2
    bench.until(lambda: bench.server.resets == 2)
    assert bench.server.requests == [b"PING\r\n"] * 2
    bare = tcp.build(bench.setup(what="{address}:{client}"))
    assert bench.one(bare) == (Outcome.OK, Why.NONE)
    bench.server.answer = bench.server.hang_up
    assert bench.one(probe) == (Outcome.UNKNOWN, Why.CLOSED)
    bench.server.close()
    assert bench.one(bare) == (Outcome.FAIL, Why.REFUSED)
