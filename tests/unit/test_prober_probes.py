"""How operations are written: options, words, and what answers mean. No sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from chaos.errors import BadInput
from chaos.observations import Outcome, Why
from chaos.prober_http import why_not_connected
from chaos.prober_probe import Probe, Setup, Slot, Template
from chaos.probes import driver, etcd, http, tcp


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that is never run."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


def setup(loop: asyncio.AbstractEventLoop, **options: str) -> Setup:
    return Setup(loop=loop, operation="op", does="write", options=options, words={"client": "7000", "election_timeout": "1s"})


def a_slot() -> Slot:
    slot = Slot()
    slot.index, slot.key, slot.value, slot.address = 17, "k1", "r.op.17", "127.1.1.2"
    return slot


def test_words_of_the_slot_and_fixed_words_are_filled_in_and_braces_of_json_stay() -> None:
    """Percent signs and braces that are no words are left alone."""
    template = Template('{"{key}": "{value}", "n": {slot}, "to": "{address}:{client}", "share": "5%"} {}', {"client": "70%d"})
    assert template.render(a_slot()) == '{"k1": "r.op.17", "n": 17, "to": "127.1.1.2:70%d", "share": "5%"} {}'


def test_an_unknown_word_is_refused_with_the_nearest_one() -> None:
    """With the operation and the text it stands in."""
    with pytest.raises(BadInput, match=r"operation 'op': unknown word '\{kye\}' in 'a\{kye\}'.*did you mean 'key'"):
        Template("a{kye}", {}, "op")


@pytest.mark.parametrize(
    ("build", "options", "says"),
    [
        (http.build, {}, "lacks 'what'"),
        (http.build, {"what": "https://{address}/"}, "only http:// is spoken"),
        (http.build, {"what": "put http://{address}/"}, "is not a request"),
        (http.build, {"what": "http://{address}:{key}/"}, "cannot stand in"),
        (http.build, {"what": "http://{address}:99999/"}, "not a port"),
        (http.build, {"what": "http://{address}/", "ok": "20"}, "not an HTTP status"),
        (http.build, {"what": "http://{address}/", "bdoy": ""}, "did you mean 'body'"),
        (tcp.build, {"what": "{address}"}, "not host:port"),
        (etcd.build, {"what": "delete"}, "one of: put, get"),
        (driver.build, {"what": "./driver"}, "needs a command and an operation"),
        (driver.build, {"what": "./no-such-driver put"}, "does not start"),
    ],
)
def test_what_is_written_wrongly_is_refused(loop: asyncio.AbstractEventLoop, build: object, options: dict[str, str], says: str) -> None:
    """Before anything is sent, and with what would be right."""
    assert callable(build)
    with pytest.raises(BadInput, match=says):
        build(setup(loop, **options))


def test_a_host_of_its_own_is_what_is_resolved(loop: asyncio.AbstractEventLoop) -> None:
    """``{address}`` stands for the cluster's name, all else for itself."""
    hosts: list[Probe] = [
        http.build(setup(loop, what="http://{address}:{client}/")),
        http.build(setup(loop, what="http://web:8080/")),
        tcp.build(setup(loop, what="web:5432")),
    ]
    assert [probe.host for probe in hosts] == [None, "web", "web"]


def test_statuses_are_numbers_and_classes() -> None:
    """200,4xx: 101 of them."""
    assert http.good_statuses("200, 4xx") == {200, *range(400, 500)}


def test_escapes_are_those_of_c() -> None:
    """A backslash before any other letter is itself."""
    assert tcp.unescaped("PING\\r\\n\\\\n\\x\\0") == "PING\r\n\\n\\x\0"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"header": {}}, (Outcome.OK, Why.NONE)),
        (503, {"error": "etcdserver: no leader", "code": 14}, (Outcome.FAIL, Why.ERROR)),
        (503, {"code": 14, "message": "etcdserver: no leader"}, (Outcome.FAIL, Why.ERROR)),
        (503, {"error": "etcdserver: request timed out", "code": 14}, (Outcome.UNKNOWN, Why.ERROR)),
        (503, {"error": "etcdserver: leader changed", "code": 14}, (Outcome.UNKNOWN, Why.ERROR)),
        (500, {"error": "etcdserver: request is too large", "code": 3}, (Outcome.FAIL, Why.ERROR)),
        (400, {"error": "bad json"}, (Outcome.FAIL, Why.ERROR)),
        (502, None, (Outcome.UNKNOWN, Why.ERROR)),
    ],
)
def test_an_error_of_etcd_is_a_no_only_if_nothing_was_proposed(
    status: int, body: dict[str, object] | None, expected: tuple[Outcome, Why]
) -> None:
    """Time-outs and leader changes may have been done."""
    assert etcd.judge(status, b"<html>" if body is None else json.dumps(body).encode()) == expected


def test_what_stops_a_connection_is_told_apart() -> None:
    """Refused and unreachable are definite; running out of ports or files is our own."""
    import errno

    assert why_not_connected(errno.ECONNREFUSED) == (Outcome.FAIL, Why.REFUSED)
    assert why_not_connected(errno.EHOSTUNREACH) == (Outcome.FAIL, Why.UNREACHABLE)
    assert why_not_connected(errno.EADDRNOTAVAIL) == (Outcome.UNSENT, Why.NONE)
    assert why_not_connected(errno.EMFILE) == (Outcome.UNSENT, Why.NONE)
    assert why_not_connected(errno.ETIMEDOUT) == (Outcome.FAIL, Why.TIMEOUT)
    assert why_not_connected(errno.ECONNRESET) == (Outcome.FAIL, Why.RESET)
