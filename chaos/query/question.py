"""Asking a node a question that its target declares, and judging the answer. How questions are written: ``experiment.target.question``."""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.agent.agent_words import CLOSED, MOST_BYTES, NOT_EXPECTED
from chaos.core.clock import to_s
from chaos.experiment.target.question import Expression, Operator, Question, as_bytes, look_up, parse, prepare, unescaped, why_not
from chaos.query.http import Reply

TIMED_OUT: Final = "timed out"
REFUSED: Final = "refused"
RESET: Final = "reset"

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


def judged(question: Question, reply: Reply, sent_ns: int, done_ns: int) -> Answer:
    """The answer that a whole reply makes."""
    why = refusal(question, reply)
    return Answer(ok=why is None, rtt_s=to_s(done_ns - sent_ns), error=why, body=reply.body, sent_ns=sent_ns, done_ns=done_ns)
