"""Asking a node a question that its target declares, and judging the answer. How questions are written: ``experiment.target.question``."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

import msgspec

from chaos.core.clock import Clock, MonotonicClock, to_s
from chaos.experiment.target.question import Expression, Operator, Question, as_bytes, look_up, parse, prepare, unescaped, why_not
from chaos.experiment.target.spec import Ask
from chaos.query.http import BadReply, Reply, ReplyReader

TIMED_OUT: Final = "timed out"
REFUSED: Final = "refused"
RESET: Final = "reset"
CLOSED: Final = "closed without an answer"
NOT_EXPECTED: Final = "answers something else"
MOST_BYTES: Final = 65_536
"""What does not come within so many bytes of a TCP answer is not in it."""

__all__ = [
    "CLOSED",
    "MOST_BYTES",
    "NOT_EXPECTED",
    "REFUSED",
    "RESET",
    "TIMED_OUT",
    "Answer",
    "Expression",
    "NotJson",
    "Operator",
    "Question",
    "as_bytes",
    "ask",
    "judged",
    "look_up",
    "parse",
    "prepare",
    "read_json",
    "refusal",
    "say",
    "unescaped",
    "why_not",
]


class Answer(msgspec.Struct, frozen=True):
    """What came of a question.

    ``ok``: it answered and the expression holds. ``rtt_s``: from sending the question to the whole answer, without the
    connect (for a mere ``tcp`` the connect itself); None when no answer came. ``error`` says why it is not ok.
    """

    ok: bool
    rtt_s: float | None
    error: str | None = None
    body: bytes = b""
    sent_ns: int = 0
    done_ns: int = 0


def refusal(question: Question, reply: Reply) -> str | None:
    """None if the reply is a yes; else why it is not."""
    if question.status is None:
        if not 200 <= reply.status < 300:
            return f"status {reply.status}"
    elif reply.status != question.status:
        return f"status {reply.status}, not {question.status}"
    if question.expression is None:
        return None
    try:
        return why_not(question.expression, read_json(reply.body))
    except NotJson:
        return "the answer is not JSON"


class NotJson(ValueError):
    """The bytes are no JSON, or such as nothing sensible writes."""


def read_json(body: bytes) -> object:
    """What a node answered; whatever it sends, ``NotJson`` is all that can come of it."""
    try:
        found: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise NotJson(str(error)) from None
    return found


def say(error: OSError) -> str:
    """A socket's error in a word or two."""
    match error:
        case ConnectionRefusedError():
            return REFUSED
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            return RESET
        case TimeoutError():
            return TIMED_OUT
        case _:
            return (error.strerror or str(error)).lower()


def ask(question: Ask, timeout_s: float, clock: Clock | None = None) -> Answer:
    """Ask once, on a connection of its own, all within ``timeout_s``. A node's failure is an answer, never an exception."""
    clock = clock or MonotonicClock()
    ready = prepare(question)
    began_ns = clock.now_ns()

    def left_s() -> float:
        left = timeout_s - to_s(clock.now_ns() - began_ns)
        if left <= 0:
            raise TimeoutError
        return left

    sent_ns = began_ns
    try:
        with socket.create_connection((ready.host, ready.port), timeout=left_s()) as connection:
            if not ready.request and ready.expect is None:
                done_ns = clock.now_ns()
                return Answer(ok=True, rtt_s=to_s(done_ns - sent_ns), sent_ns=sent_ns, done_ns=done_ns)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sent_ns = clock.now_ns()
            if ready.expect is not None:
                error = _talk(connection, ready, left_s)
                done_ns = clock.now_ns()
                rtt_s = None if error else to_s(done_ns - sent_ns)
                return Answer(ok=error is None, rtt_s=rtt_s, error=error, sent_ns=sent_ns, done_ns=done_ns)
            reply = _exchange(connection, ready.request, left_s)
            done_ns = clock.now_ns()
    except OSError as error:
        return Answer(ok=False, rtt_s=None, error=say(error), sent_ns=sent_ns, done_ns=clock.now_ns())
    except BadReply as error:
        return Answer(ok=False, rtt_s=None, error=str(error), sent_ns=sent_ns, done_ns=clock.now_ns())
    if reply is None:
        return Answer(ok=False, rtt_s=None, error=CLOSED, sent_ns=sent_ns, done_ns=done_ns)
    return judged(ready, reply, sent_ns, done_ns)


def judged(question: Question, reply: Reply, sent_ns: int, done_ns: int) -> Answer:
    """The answer that a whole reply makes."""
    why = refusal(question, reply)
    return Answer(ok=why is None, rtt_s=to_s(done_ns - sent_ns), error=why, body=reply.body, sent_ns=sent_ns, done_ns=done_ns)


def _talk(connection: socket.socket, question: Question, left_s: Callable[[], float]) -> str | None:
    """None once the text has come; else why it did not."""
    assert question.expect is not None
    connection.settimeout(left_s())
    connection.sendall(question.request)
    came = b""
    while question.expect not in came:
        connection.settimeout(left_s())
        data = connection.recv(4096)
        if not data or len(came) > MOST_BYTES:
            return CLOSED if not came else NOT_EXPECTED
        came += data
    return None


def _exchange(connection: socket.socket, request: bytes, left_s: Callable[[], float]) -> Reply | None:
    connection.settimeout(left_s())
    connection.sendall(request)
    reader = ReplyReader()
    while True:
        connection.settimeout(left_s())
        data = connection.recv(65536)
        if not data:
            return reader.end()
        reply = reader.feed(data)
        if reply is not None:
            return reply
