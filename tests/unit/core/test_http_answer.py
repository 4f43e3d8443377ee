"""Reading HTTP answers: whole, in pieces of every size, and what is none."""

from __future__ import annotations

import pytest

from chaos.core.http1 import Answer, NotHttp, whole

PLAIN = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello"
GOOD = {
    "length": (PLAIN, 200, b"hello", True),
    "no reason": (b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, b"", True),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=1\r\n world\r\n0\r\nT: x\r\n\r\n",
        200,
        b"hello world",
        True,
    ),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "not kept": (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
    "old but kept": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
    "after a hint": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", 503, b"no", True),
}
BAD = {
    "another protocol": b"SSH-2.0-OpenSSH\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk without its end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX0\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_an_answer_reads_the_same_in_pieces_of_any_size(name: str, size: int) -> None:
    """Complete exactly at its last byte, with its status, body and whether the connection may be kept."""
    data, status, body, keep = GOOD[name]
    answer = Answer()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert [answer.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert (answer.status, answer.body, answer.keep) == (status, body, keep)


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_answer_is_refused(name: str) -> None:
    """And never taken for a whole one."""
    assert whole(BAD[name]) is None
    with pytest.raises(NotHttp):
        Answer().feed(BAD[name])


def test_the_short_way_agrees_with_the_long_one() -> None:
    """Whatever ``whole`` accepts, ``Answer`` reads likewise; the plain answer is accepted, a part or an excess of it is not."""
    assert whole(PLAIN) == (200, len(PLAIN) - 5)
    assert whole(PLAIN[:-1]) is None
    assert whole(PLAIN + b"x") is None
    assert whole(PLAIN.replace(b"Date: x", b"nonsense")) is None
    accepted = 0
    for data, status, body, keep in GOOD.values():
        found = whole(data)
        if found is not None:
            accepted += 1
            assert (found[0], data[found[1] :], keep) == (status, body, True)
    assert accepted == 4


def test_bytes_after_the_end_make_the_connection_unfit() -> None:
    """Nobody asked for them."""
    answer = Answer()
    assert answer.feed(PLAIN + b"HTTP/1.1 200 OK\r\n")
    assert not answer.keep


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    """Never complete by itself, complete when the other side closes; one with a length is torn then."""
    answer = Answer()
    assert not answer.feed(b"HTTP/1.1 200 OK\r\n\r\nsome")
    assert not answer.feed(b"thing")
    assert answer.ended()
    assert answer.body == b"something"
    torn = Answer()
    assert not torn.feed(PLAIN[:-1])
    assert not torn.ended()


def test_an_answer_to_head_has_no_body() -> None:
    """Whatever length it names."""
    answer = Answer(bodiless=True)
    assert answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")


@pytest.mark.parametrize("keep_body", [True, False])
def test_a_body_is_counted_whole_and_kept_only_where_something_looks_at_it(keep_body: bool) -> None:
    """By length and in chunks of every size; what follows it spoils the connection either way."""
    body = bytes(range(256)) * 40
    chunked = b"".join(b"%x;ext=1\r\n%b\r\n" % (size, body[:size]) for size in (1, 2, 3, 255, 4096)) + b"0\r\nX: trailer\r\n\r\n"
    whole_chunks = b"".join(body[:size] for size in (1, 2, 3, 255, 4096))
    for head, wire, wanted in (
        (b"Content-Length: %d" % len(body), body, body),
        (b"Transfer-Encoding: chunked", chunked, whole_chunks),
    ):
        data = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + wire
        for size in (1, 2, 3, 7, 1000, len(data)):
            answer = Answer(keep_body=keep_body)
            done = [answer.feed(data[at : at + size]) for at in range(0, len(data), size)]
            assert done == [False] * (len(done) - 1) + [True]
            assert answer.body == (wanted if keep_body else b"")
            assert answer.keep
        spoilt = Answer(keep_body=keep_body)
        assert spoilt.feed(data + b"H")
        assert not spoilt.keep


def test_reading_a_body_costs_its_length_once() -> None:
    """The bytes that are moved for a body twice as long are twice as many, not four times: a list of pieces stands for the clock."""
    grown: list[int] = []

    class Counting(bytearray):
        def __iadd__(self, more: object) -> Counting:  # type: ignore[override,misc]
            grown.append(len(memoryview(more)))  # type: ignore[arg-type]
            return super().__iadd__(more)  # type: ignore[arg-type,return-value]

    answer = Answer()
    answer._body = Counting()
    answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(100):
        answer.feed(b"x" * 10_000)
    assert sum(grown) == 1_000_000
    assert len(answer._head_bytes) == 0
