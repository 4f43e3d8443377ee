"""Questions to nodes: the expression language, the reading of HTTP replies, and all askers against a scripted listener."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from typing import Protocol

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.agent import agent_questions
from chaos.core.clock import MonotonicClock
from chaos.core.errors import BadInput
from chaos.experiment.target.question import request_bytes
from chaos.experiment.target.spec import Ask
from chaos.query import aio
from chaos.query import clock as asking_clock
from chaos.query import question as asking
from chaos.query.door import Door
from chaos.query.http import BadReply, Reply, ReplyReader
from chaos.query.kept import Beat, KeptQuestion
from chaos.query.once import Fetched
from chaos.query.question import Expression, Operator, parse, why_not
from chaos.runtimes.base.agents import link as agent_link
from chaos.runtimes.base.agents.link import AgentLink
from tests.support.asking import ask as through_the_door

STATUS = {
    "state": "leader",
    "leader": "7",
    "term": 3,
    "ratio": 1.5,
    "voting": True,
    "none": None,
    "empty": "",
    "zero": 0,
    "header": {"member_id": "7", "other": "8"},
    "members": [{"name": "n1"}, {"name": "n2"}],
}


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("leader", Expression("leader")),
        (" a.b.c ", Expression("a.b.c")),
        ("state=leader", Expression("state", Operator.IS, "leader")),
        ("state = 'two words'", Expression("state", Operator.IS, "two words")),
        ('state == "leader"', Expression("state", Operator.IS, "leader")),
        ("note=''", Expression("note", Operator.IS, "")),
        ("url=a=b", Expression("url", Operator.IS, "a=b")),
        ("leader != 0", Expression("leader", Operator.IS_NOT, "0")),
        ("leader!=0", Expression("leader", Operator.IS_NOT, "0")),
        ("leader == header.member_id", Expression("leader", Operator.SAME, "header.member_id")),
        ("members.1.name=n2", Expression("members.1.name", Operator.IS, "n2")),
    ],
)
def test_expressions_parse(text: str, parsed: Expression) -> None:
    """Each written form means what the table says."""
    assert parse(text) == parsed


@pytest.mark.parametrize("text", ["", "  ", "=x", "a b", "a..b", "a=", "a ==", "a == b c", "a === b", "!= 3", "a.", ".a", "a > 3"])
def test_wrong_expressions_are_refused(text: str) -> None:
    """What is no expression is refused with what would be right."""
    with pytest.raises(BadInput) as refused:
        parse(text)
    assert refused.value.right


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("state=leader", True),
        ("state=follower", False),
        ("state=Leader", False),
        ("term=3", True),
        ("ratio=1.5", True),
        ("voting=true", True),
        ("voting=True", False),
        ("none=null", True),
        ("empty=''", True),
        ("voting", True),
        ("zero", False),
        ("empty", False),
        ("none", False),
        ("absent", False),
        ("absent=x", False),
        ("absent != x", False),
        ("leader != 0", True),
        ("leader != 7", False),
        ("leader == header.member_id", True),
        ("leader == header.other", False),
        ("leader == header.absent", False),
        ("absent == gone", False),
        ("members.1.name=n2", True),
        ("members.2.name=n2", False),
        ("state.deeper", False),
    ],
)
def test_expressions_hold_or_not(text: str, *, holds: bool) -> None:
    """Values are compared as text, and a path that is not there makes every form false."""
    why = why_not(parse(text), STATUS)
    assert (why is None) is holds, why


def test_a_word_in_place_of_a_path_is_explained() -> None:
    """Who writes ``state == leader`` for the text is told the other form."""
    assert "state=follower" in (why_not(parse("state == follower"), STATUS) or "")


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_any_document_can_be_asked(document: object) -> None:
    """No JSON value makes an expression fail otherwise than by not holding."""
    for text in ("a", "a.0.b=1", "a != 1", "a.b == c"):
        assert why_not(parse(text), document) != ""


@pytest.mark.parametrize(
    ("question", "hint"),
    [
        (Ask(), "exactly one"),
        (Ask(http="http://h/", tcp="h:1"), "exactly one"),
        (Ask(http="ftp://h/"), "http://"),
        (Ask(http="http://h/", tls=True), "https://"),
        (Ask(http="h:80/x"), "http://"),
        (Ask(http="http://h:99999/"), "no URL"),
        (Ask(tcp="h"), "host:port"),
        (Ask(tcp="h:80", json="a"), "tcp"),
        (Ask(http="http://h/", json="a ="), "nothing to compare"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(question: Ask, hint: str) -> None:
    """A question that makes no sense is bad input, not a failing node."""
    with pytest.raises(BadInput, match=hint):
        asking.prepare(question)


# --- replies -----------------------------------------------------------------------------------------------------------

REPLIES = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello": Reply(200, b"hello", True),
    b"HTTP/1.1 503 \r\ncontent-length:0\r\nConnection: close\r\n\r\n": Reply(503, b"", False),
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok": Reply(200, b"ok", False),
    b"HTTP/1.1 204 No Content\r\n\r\n": Reply(204, b"", True),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx": Reply(200, b"x", True),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n": Reply(
        200, b"abc0123456789", True
    ),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nTrailer: x\r\n\r\n": Reply(200, b"a", True),
}


@given(st.sampled_from(sorted(REPLIES)), st.lists(st.integers(1, 7), min_size=1, max_size=200))
def test_replies_are_read_however_they_are_cut(data: bytes, sizes: list[int]) -> None:
    """A reply is whole with its last byte and not before, wherever the network cuts it."""
    reader, at, turn = ReplyReader(), 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        reply = reader.feed(data[at : at + size])
        at, turn = at + size, turn + 1
        assert (reply is not None) == (at >= len(data))
    assert reply == REPLIES[data]


def test_a_reply_without_length_ends_with_the_connection() -> None:
    """Only the close ends such a body."""
    reader = ReplyReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nall of") is None
    assert reader.feed(b" it") is None
    assert reader.end() == Reply(200, b"all of it", False)


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", b"HTTP/1.1 2", b""])
def test_a_reply_cut_short_is_none(data: bytes) -> None:
    """A connection that closes early has not answered."""
    reader = ReplyReader()
    assert reader.feed(data) is None
    assert reader.end() is None


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-x\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"\x00" * 9]
)
def test_what_is_not_http_is_an_error(data: bytes) -> None:
    """Another protocol on the port is told apart from silence."""
    with pytest.raises(BadReply):
        ReplyReader().feed(data)


HEAD = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "a length of 5,000 digits": HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a length of another script": HEAD + "Content-Length: ٣\r\n\r\n".encode(),
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "endless headers": HEAD + b"X: y\r\n" * 20_000,
    "an endless header": HEAD + b"X: " + b"y" * 100_000,
    "an endless status line": b"HTTP/1.1 200 " + b"O" * 100_000,
    "a flood of 1xx": b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
    "a status that is none": b"HTTP/1.1 000 X\r\n\r\n",
    "a chunk size that is none": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "a negative chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
    "a huge chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\n",
    "an endless chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 100_000,
    "an endless chunk extension": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 100_000,
    "an endless trailer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 20_000,
    "a chunk without its end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXY0\r\n\r\n",
    "a body larger than we take": HEAD + b"\r\n" + b"x" * (9 * 1024 * 1024),
    "an unknown coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    "bytes": bytes(range(256)) * 40,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_an_error_with_a_reason(name: str) -> None:
    """However it is cut: never another exception, never waited for without end."""
    for size in (1 << 30, 1448):
        reader, data = ReplyReader(), HOSTILE[name]
        with pytest.raises(BadReply, match="not an HTTP reply: "):
            for at in range(0, len(data), size):
                reader.feed(data[at : at + size])


BODIES = (
    b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe", b'"\xff"', b'{"leader": 1' + b"0" * 5000 + b"}", b'{"leader": 1e999}',
    b'{"leader": NaN}',
    b'{"leader": "\\ud800"}', b'{"leader": true, "leader": false}', b"\x00", b"null", b"[]", b'{"leader": {"' + b"x" * 100_000 + b'": []}}',
)  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=[body[:12].hex() for body in BODIES])
@pytest.mark.parametrize("expression", ["leader", "leader=x", "leader != x", "leader == leader.x", "leader.0.²", "leader." + "9" * 5000])
def test_a_hostile_body_is_a_no_and_no_exception(body: bytes, expression: str) -> None:
    """Nor is the wall clock of a node, nor the marks that it stamps."""
    question = asking.prepare(Ask(http="http://127.0.0.1/", json=expression))
    asking.refusal(question, Reply(200, body, keep_alive=True))
    assert asking_clock._in(body, expression.split("=", maxsplit=1)[0].strip(" !")) is None or b"1e" in body or b"true" in body


def test_random_harm_to_replies_is_an_error_or_a_reply() -> None:
    """2,000 of them, by a seed."""
    at = random.Random(9)
    for _ in range(2_000):
        data = bytearray(at.choice(sorted(REPLIES)))
        for _ in range(at.randrange(1, 6)):
            where = at.randrange(len(data))
            data[where : where + at.randrange(3)] = bytes(at.randrange(256) for _ in range(at.randrange(3)))
        reader = ReplyReader()
        try:
            for start in range(0, len(data), 7):
                if reader.feed(bytes(data[start : start + 7])) is not None:
                    break
            reader.end()
        except BadReply as error:
            assert str(error)


def test_requests_carry_their_body() -> None:
    """A body makes it a POST with its length."""
    request = request_bytes("h", 80, "/x", "{}", keep_alive=True)
    assert request.startswith(b"POST /x HTTP/1.1\r\nHost: h:80\r\n")
    assert b"Content-Length: 2\r\n" in request
    assert request.endswith(b"\r\n\r\n{}")
    assert b"Connection: close" in request_bytes("h", 80, "/", None, keep_alive=False)


# --- the askers --------------------------------------------------------------------------------------------------------


class Listener:
    """Answers each connection by a script: what to send to the n-th request on it; None closes, ``b""`` says nothing."""

    def __init__(self, script: Callable[[int, int], bytes | None]) -> None:
        self._script = script
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection, self.connections), daemon=True).start()

    def _talk(self, connection: socket.socket, number: int) -> None:
        request = 0
        try:
            while connection.recv(65536):
                request += 1
                answer = self._script(number, request)
                if answer is None:
                    break
                connection.sendall(answer)
            connection.close()
        except OSError:
            return

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=5)
        for connection in self._open:
            connection.close()


@contextmanager
def listening(script: Callable[[int, int], bytes | None]) -> Iterator[Listener]:
    listener = Listener(script)
    try:
        yield listener
    finally:
        listener.close()


def page(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def one_async(question: Ask, timeout_s: float) -> asking.Answer:
    return asyncio.run(aio.ask(question, timeout_s, MonotonicClock()))


def by_name(question: Ask, timeout_s: float) -> asking.Answer:
    """The same at a name of this machine, all of whose addresses are tried."""
    named = {field: (getattr(question, field) or "").replace("127.0.0.1", "localhost") or None for field in ("http", "tcp")}
    return one_async(msgspec.structs.replace(question, **named), timeout_s)


def fetched_by(ask: Ask, begin: Callable[[asking.Question, Callable[[Fetched], None]], Closable]) -> asking.Answer:
    """What one of the askers that call back makes of a question."""
    question = asking.prepare(ask)

    async def run() -> Fetched:
        came: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        begun = begin(question, lambda fetched: None if came.done() else came.set_result(fetched))
        fetched = await came
        begun.close()
        return fetched

    fetched = asyncio.run(run())
    if fetched.reply is not None:
        return asking.judged(question, fetched.reply, fetched.sent_ns, fetched.done_ns)
    rtt_s = (fetched.done_ns - fetched.sent_ns) / 1e9 if fetched.error is None else None
    return asking.Answer(fetched.error is None, rtt_s, fetched.error, sent_ns=fetched.sent_ns, done_ns=fetched.done_ns)


class Closable(Protocol):
    """What was begun."""

    def close(self) -> None:
        """End it."""


def one_kept(ask: Ask, timeout_s: float) -> asking.Answer:
    """As the role watch asks; what it asks otherwise it asks by tasks."""
    if ask.http is None:
        return one_async(ask, timeout_s)

    def begin(question: asking.Question, take: Callable[[Fetched], None]) -> Beat:
        beat = Beat([KeptQuestion(question, take, MonotonicClock())], 0.02, timeout_s, MonotonicClock())
        beat.begin(0.0)
        return beat

    return fetched_by(ask, begin)


class Inside(AgentLink):
    """Both sides of a question asked by an agent, without the container between them."""

    def __init__(self) -> None:
        """Nothing is attached."""

    def call(self, do: str, timeout_s: float = 5.0, **fields: object) -> agent_link.Answer:
        """As the agent answers it."""
        assert do == "ask"
        assert timeout_s > 0
        answer = agent_questions.asked(fields["host"], fields["port"], fields["request"], fields["within_s"], fields["expect"])  # type: ignore[arg-type]
        return msgspec.convert({"id": 1, **answer}, agent_link.Answer)


ASKERS = pytest.mark.parametrize(
    "ask", [through_the_door, one_async, by_name, one_kept, Inside().ask], ids=["door", "address", "name", "kept", "agent"]
)
Asker = Callable[[Ask, float], asking.Answer]


@ASKERS
@pytest.mark.parametrize(
    ("answer", "fields", "error"),
    [
        (page(b'{"state":"leader"}'), {"json": "state=leader"}, None),
        (page(b'{"state":"follower"}'), {"json": "state=leader"}, "state is follower, not leader"),
        (page(b"<html>"), {"json": "state"}, "the answer is not JSON"),
        (page(b"", 503), {}, "status 503"),
        (page(b"", 503), {"status": 503}, None),
        (page(b"", 200), {"status": 503}, "status 200, not 503"),
        (page(b"", 302), {}, "status 302"),
        (None, {}, asking.CLOSED),
        (b"", {}, asking.TIMED_OUT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", {}, asking.TIMED_OUT),
        (b"hello\r\n", {}, "not an HTTP reply: b'hello\\r\\n'"),
    ],
)
def test_answers_are_judged(ask: Asker, answer: bytes | None, fields: dict[str, str | int], error: str | None) -> None:
    """All askers judge each kind of answer alike; only an answer has a round trip."""
    with listening(lambda _connection, _request: answer) as listener:
        got = ask(Ask(http=f"http://127.0.0.1:{listener.port}/status", **fields), 0.3)  # type: ignore[arg-type]
    assert (got.ok, got.error) == (error is None, error)
    answered = answer is not None and answer.startswith(b"HTTP") and b"half" not in answer
    assert (got.rtt_s is not None) == answered
    assert got.sent_ns <= got.done_ns


@ASKERS
def test_a_closed_port_is_refused(ask: Asker) -> None:
    """Nobody listens: an answer with a reason, no exception."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for question in (Ask(http=f"http://127.0.0.1:{port}/"), Ask(tcp=f"127.0.0.1:{port}")):
        assert ask(question, 1.0).error == asking.REFUSED


@ASKERS
def test_tcp_asks_for_the_connect_only(ask: Asker) -> None:
    """A listener that never says a word accepts."""
    with listening(lambda _connection, _request: b"") as listener:
        got = ask(Ask(tcp=f"127.0.0.1:{listener.port}"), 1.0)
    assert got.ok
    assert got.rtt_s is not None


@ASKERS
@pytest.mark.parametrize(
    ("answer", "send", "error"),
    [
        (b"x\r\n+PONG\r\n", "PING\\r\\n", None),
        (b"-ERR\r\n", "PING\r\n", asking.TIMED_OUT),
        (b"", "PING\r\n", asking.TIMED_OUT),
        (None, "PING\r\n", asking.CLOSED),
        (b"-ERR\r\n" * 20_000, "PING\r\n", asking.NOT_EXPECTED),
    ],
)
def test_tcp_can_expect_an_answer(ask: Asker, answer: bytes | None, send: str, error: str | None) -> None:
    """What a frozen program cannot give; a listener that only accepts is not enough, and neither is another word."""
    asked: list[int] = []

    def script(_connection: int, request: int) -> bytes | None:
        asked.append(request)
        return answer

    with listening(script) as listener:
        got = ask(Ask(tcp=f"127.0.0.1:{listener.port}", send=send, expect="+PONG\\r"), 0.3)
    assert (got.ok, got.error) == (error is None, error)
    assert (got.rtt_s is None) == (error is not None)
    assert asked == [1]


@ASKERS
def test_tcp_can_expect_a_greeting(ask: Asker) -> None:
    """Nothing is sent; a listener that says nothing by itself is silent."""
    with listening(lambda _connection, _request: b"+PONG") as listener:
        assert ask(Ask(tcp=f"127.0.0.1:{listener.port}", expect="+PONG"), 0.2).error == asking.TIMED_OUT


@ASKERS
def test_a_body_is_posted(ask: Asker) -> None:
    """The listener answers a POST only."""
    with listening(lambda _connection, _request: page(b"{}")) as listener:
        assert ask(Ask(http=f"http://127.0.0.1:{listener.port}/", body="{}"), 1.0).body == b"{}"


def kept(port: int, timeout_s: float, count: int, then: Callable[[], object] = lambda: None) -> list[Fetched]:
    """So much of what came of one question over a kept connection; ``then`` is called after each."""

    async def run() -> list[Fetched]:
        found: list[Fetched] = []
        enough = asyncio.Event()

        def take(fetched: Fetched) -> None:
            found.append(fetched)
            then()
            if len(found) == count:
                enough.set()

        question = KeptQuestion(asking.prepare(Ask(http=f"http://127.0.0.1:{port}/"), True), take, MonotonicClock())
        beat = Beat([question], 0.01, timeout_s, MonotonicClock())
        beat.begin(0.0)
        await enough.wait()
        beat.close()
        return found[:count]

    return asyncio.run(run())


def test_connections_are_kept_and_renewed() -> None:
    """Three questions go over one connection; one that finds it closed is asked again on a new one, without failing."""

    def script(connection: int, request: int) -> bytes | None:
        return None if (connection, request) == (1, 4) else page(b"{}")

    with listening(script) as listener:
        assert [fetched.error for fetched in kept(listener.port, 5.0, 5)] == [None] * 5
        assert listener.connections == 2


def test_a_question_that_timed_out_takes_its_connection_along() -> None:
    """A late answer must never be taken for the answer to the next question."""
    late = threading.Event()

    def script(connection: int, request: int) -> bytes | None:
        if connection == 1:
            late.wait(5)
            return page(b'"late"')
        return page(b'"fresh"')

    with listening(script) as listener:
        first, *more = kept(listener.port, 0.1, 20, late.set)
    assert first.error == asking.TIMED_OUT
    bodies = {fetched.reply.body for fetched in more if fetched.reply is not None}
    assert bodies == {b'"fresh"'}


def test_many_are_asked_at_once_and_answered_in_order() -> None:
    """The first is silent until the last has been asked: one after the other they would never end."""
    last = threading.Event()

    def first_waits(_connection: int, _request: int) -> bytes | None:
        return page(b"1") if last.wait(5) else None

    def frees_it(_connection: int, _request: int) -> bytes | None:
        last.set()
        return page(b"2")

    with listening(first_waits) as one, listening(frees_it) as two, closing(Door()) as door:
        answers = door.ask_all([Ask(http=f"http://127.0.0.1:{each.port}/") for each in (one, two)], 10.0)
    assert [answer.body for answer in answers] == [b"1", b"2"]


def test_a_closed_door_waits_for_no_answer() -> None:
    """A question that nobody waits for any more is given up with it."""
    asked = threading.Event()

    def silent(_connection: int, _request: int) -> bytes | None:
        asked.set()
        return b""

    with listening(silent) as listener:
        door = Door()
        waits = threading.Thread(target=_ask_in_vain, args=(door, listener.port))
        waits.start()
        assert asked.wait(10)
        door.close()
        waits.join(timeout=10)
        assert not waits.is_alive()


def _ask_in_vain(door: Door, port: int) -> None:
    with pytest.raises(CancelledError):
        door.ask(Ask(http=f"http://127.0.0.1:{port}/"), 3600.0)


@pytest.mark.parametrize(
    ("headers", "body", "json", "told_s"),
    [
        (b"Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n", b"", None, 784887151.5),
        (b"dAtE: Tue, 15 Nov 1994 08:12:31 GMT\r\n", b"", None, 784887151.5),
        (b"", b'{"now": 784887151.25}', "now", 784887151.25),
        (b"", b"", None, None),
        (b"Date: yesterday\r\n", b"", None, None),
        (b"Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n", b"{}", "now", None),
    ],
)
def test_a_clock_is_read_from_the_answer_or_its_date(headers: bytes, body: bytes, json: str | None, told_s: float | None) -> None:
    """The example of RFC 9110, section 5.6.7, which is 784887151 s after 1970; a header of whole seconds means their middle."""
    answer = b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (headers, len(body), body)
    with listening(lambda _connection, _request: answer) as listener, closing(Door()) as door:
        began_s = time.time()
        reading = door.run(asking_clock.read_clock(Ask(http=f"http://127.0.0.1:{listener.port}/", json=json), 5.0, door.clock))
        ended_s = time.time()
    if told_s is None:
        assert reading.offset_s is None
        assert "no time" in reading.error or "no 'Date'" in reading.error
    else:
        assert reading.offset_s is not None
        assert told_s - ended_s <= reading.offset_s <= told_s - began_s


def test_without_descriptors_a_question_ends_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A harness or a name server that has none left does not die of it."""
    real = socket.socket

    def full(family: int = -1, kind: int = -1, *rest: int) -> socket.socket:
        if kind & socket.SOCK_NONBLOCK:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(family, kind, *rest)

    async def run() -> asking.Answer:
        monkeypatch.setattr("chaos.query.once.socket.socket", full)
        try:
            return await aio.ask(Ask(http="http://127.0.0.1:1/"), 1.0, MonotonicClock())
        finally:
            monkeypatch.undo()

    assert asyncio.run(run()).error == "too many open files"
