"""How operations are written: options, words, and what answers mean. No sockets."""

from __future__ import annotations

import asyncio
import json
import sys
import types
from collections.abc import Iterator

import pytest

from chaos.core import plugins as tables
from chaos.core.errors import BadInput
from chaos.experiment.probe_options import Written, WrongOption, check, reads
from chaos.history.observations import Outcome, Why
from chaos.query.question import as_bytes, unescaped
from chaos.traffic.http_client import why_not_connected
from chaos.traffic.probe import Probe, Setup, Slot, Template
from chaos.traffic.probes import driver, etcd, http, tcp


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
        (http.build, {}, "there is no 'what'"),
        (http.build, {"what": "ftp://{address}/"}, "only http:// and https:// are spoken"),
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


def test_escapes_make_any_byte_and_an_unknown_one_is_refused() -> None:
    """All 256 of them; UTF-8 beside them stays what it is."""
    assert as_bytes(unescaped("PING\\r\\n\\\\n\\0\\t")) == b"PING\r\n\\n\0\t"
    assert as_bytes(unescaped("".join(f"\\x{byte:02x}" for byte in range(256)))) == bytes(range(256))
    assert as_bytes(unescaped("zäh\\xFF")) == "zäh".encode() + b"\xff"
    for text in ("\\q", "\\x8", "\\xgg", "end\\"):
        with pytest.raises(BadInput, match="unknown escape"):
            unescaped(text)


REQUEST = "GET http://{address}:{client}/"


@pytest.mark.parametrize(
    ("kind", "options", "option", "says"),
    [
        ("http", {"what": REQUEST, "header": "A: b"}, "header", "did you mean 'headers'"),
        ("http", {"what": REQUEST, "ok": "2000"}, "ok", "not an HTTP status"),
        ("http", {"what": REQUEST, "ok": "20O"}, "ok", "not an HTTP status"),
        ("http", {"what": REQUEST, "ok": "٢٠٠"}, "ok", "not an HTTP status"),
        ("http", {"what": REQUEST, "headers": "no colon"}, "headers", "not a header"),
        ("http", {"what": REQUEST, "headers": "A: b\na: c"}, "headers", "stands there twice"),
        ("http", {"what": REQUEST, "headers": "A: {nope}"}, "headers", "unknown word"),
        ("http", {"what": REQUEST, "headers": "Transfer-Encoding: chunked"}, "headers", "prober's own header"),
        ("http", {"what": "Get http://{address}/"}, "what", "did you mean 'GET'"),
        ("http", {"what": "FETCH http://{address}/"}, "what", "is not a method"),
        ("http", {"what": "GET http://{address}/a b"}, "what", "write %20"),
        ("http", {"what": "GET http://{address}/ä"}, "what", "percent-encode"),
        ("http", {"what": "GET http://{address}/a#b"}, "what", "fragment"),
        ("http", {"what": "GET http://me:secret@{address}/"}, "what", "basic"),
        ("http", {"what": "GET http://[::1]:80/"}, "what", "IPv6 is not spoken"),
        ("http", {"what": "GET http://1.2.3.400/"}, "what", "not an IPv4 address"),
        ("http", {"what": "GET http://a..b/"}, "what", "not the name of a host"),
        ("http", {"what": "GET http://" + "a" * 5000 + "/"}, "what", "not the name of a host"),
        ("http", {"what": "GET http://{address}:" + "9" * 5000 + "/"}, "what", "is not a port"),
        ("http", {"what": "GET http://{address}:0/"}, "what", "is not a port"),
        ("http", {"what": "GET http://{address}/{nope}"}, "what", "unknown word"),
        ("http", {"what": REQUEST, "body": "{nope}"}, "body", "unknown word"),
        ("http", {"what": REQUEST, "pattern": "("}, "pattern", "not a regular expression"),
        ("http", {"what": REQUEST, "pattern": ".*"}, "pattern", "found in every body"),
        ("http", {"what": REQUEST, "json": "a == "}, "json", "nothing to compare"),
        ("http", {"what": REQUEST, "not_empty": "maybe"}, "not_empty", "true or false"),
        ("http", {"what": REQUEST, "expect_not": ""}, "expect_not", "every body"),
        ("http", {"what": "HEAD http://{address}/", "expect": "x"}, "expect", "no body"),
        ("tcp", {"what": "{address}:{nope}"}, "what", "unknown word"),
        ("tcp", {"what": "{address}:{client}", "send": "\\q"}, "send", "unknown escape"),
        ("tcp", {"what": "{address}:{client}", "send": "{nope}"}, "send", "unknown word"),
        ("tcp", {"what": "{address}:{client}", "expect": "\\x"}, "expect", "unknown escape"),
        ("tcp", {"what": "{address}:{client}", "timeout": "1s"}, "timeout", "unknown option"),
        ("etcd", {"what": "get", "value": "x"}, "value", "has no value"),
        ("etcd", {"what": "put", "port": "{nope}"}, "port", "unknown word"),
        ("driver", {"what": "/bin/false"}, "what", "a command and an operation"),
        ("driver", {"what": "/no/such/program x"}, "what", "there is no file"),
        ("driver", {"what": "no-such-program-at-all x"}, "what", "not on PATH"),
        ("driver", {"what": "/ x"}, "what", "is a folder"),
        ("driver", {"what": "/etc/passwd x"}, "what", "may not be executed"),
        ("driver", {"what": "'/bin/sh x"}, "what", "close every quote"),
        ("driver", {"what": "{python} {address} x"}, "what", "differs from request to request"),
        ("driver", {"what": "{python} x", "ready": "5"}, "ready", "unit"),
        ("driver", {"what": "{python} x", "ready": "1m"}, "ready", "out of range"),
    ],
)
def test_a_probe_reads_its_options_before_anything_starts(kind: str, options: dict[str, str], option: str, says: str) -> None:
    """By the reader that the prober itself uses; the option is named, so that the loader knows its line."""
    words = {"client": "7000", "python": sys.executable}
    with pytest.raises(WrongOption, match=says) as refused:
        check(kind, Written(operation="op", does="read", options=options, words=words, here=True))
    assert refused.value.option == option
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "bodies"),
    [
        ({}, {b"": True, b"x": True}),
        ({"not_empty": "true"}, {b"": False, b"x": True}),
        ({"expect": "pong"}, {b"ping pong": True, b"": False}),
        ({"expect_not": "error"}, {b"fine": True, b"": True, b'{"error": 1}': False}),
        ({"pattern": "token-[0-9]{3}$"}, {b"a token-123": True, b"token-12": False}),
        ({"json": "tokens"}, {b'{"tokens": [1]}': True, b'{"tokens": []}': False, b"": False, b"[": False, b"\xff": False}),
        ({"json": "state=up", "expect_not": "old"}, {b'{"state": "up"}': True, b'{"state": "up", "v": "old"}': False}),
        ({"json": "n"}, {b"[" * 100_000: False, b'{"n": 1' + b"0" * 5000 + b"}": False}),
    ],
)
def test_what_a_body_must_be(loop: asyncio.AbstractEventLoop, options: dict[str, str], bodies: dict[bytes, bool]) -> None:
    """A body that is not so makes the answer wrong: it may have been done, and it is no success."""
    probe = http.HttpProbe(setup(loop, what=REQUEST, **options))
    for body, good in bodies.items():
        assert probe.judge(200, body) == ((Outcome.OK, Why.NONE) if good else (Outcome.UNKNOWN, Why.WRONG)), body[:40]
        assert probe.judge(500, body) == (Outcome.UNKNOWN, Why.ERROR)


def test_headers_of_the_author_replace_ours(loop: asyncio.AbstractEventLoop) -> None:
    """A virtual host is asked by its name: one Host line, not two."""
    probe = http.HttpProbe(setup(loop, what=REQUEST, headers="host: shop.example\nUser-Agent: me\nX: {slot}"))
    assert probe.request(a_slot()) == b"GET / HTTP/1.1\r\nhost: shop.example\r\nUser-Agent: me\r\nX: 17\r\n\r\n"


def test_a_probe_of_another_package_without_a_reader_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a reader is."""
    told: list[Written] = []
    module = types.ModuleType("plugged_in")
    module.plain = lambda _setup: None  # type: ignore[attr-defined]
    module.reading = reads(told.append, {})(lambda _setup: None)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plugged_in", module)
    monkeypatch.setitem(tables.PROBES, "plain", "plugged_in:plain")
    monkeypatch.setitem(tables.PROBES, "reading", "plugged_in:reading")
    written = Written(operation="op", does="read", options={"anything": "goes"}, words={})
    check("plain", written)
    assert told == []
    check("reading", written)
    assert told == [written]


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
