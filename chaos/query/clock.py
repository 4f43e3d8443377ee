"""Asking a node what its own wall clock says, and holding it against this machine's.

A target may declare where in an answer its time stands (``clock:`` in target.yaml). Where it does not, the ``Date`` header of its
``ready`` question is read (RFC 9110, section 6.6.1), which has whole seconds: it shows offsets of some seconds and no rates.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

from chaos.core.clock import Clock, to_s, wall_s
from chaos.core.values import ClockReading
from chaos.experiment.target.spec import Ask, Target
from chaos.query.aio import fetch
from chaos.query.question import CLOSED, NotJson, look_up, prepare, read_json

DATE_RESOLUTION_S: Final = 1.0
_FAR_S: Final = 1e12
"""No clock of anyone shows the year 33,000."""


def question_of(target: Target, part: str) -> Ask | None:
    """What tells the time of a node of this part; None if nothing of it does."""
    if target.clock is not None:
        return target.clock
    ready = target.parts[part].ready.ask
    return None if ready.http is None else Ask(http=ready.http)


def resolution_s(target: Target) -> float:
    """How coarse its answers are."""
    return 0.0 if target.clock is not None else DATE_RESOLUTION_S


async def read_clock(question: Ask, timeout_s: float, clock: Clock) -> ClockReading:
    """One GET (templates filled in); without ``json`` it is the answer's ``Date`` that counts."""
    assert question.http is not None, "a clock is asked by http"
    fetched = await fetch(prepare(Ask(http=question.http)), timeout_s, clock, dated=question.json is None)
    reply = fetched.reply
    if reply is None:
        return ClockReading(None, error=fetched.error or CLOSED)
    ago_s = wall_s() - to_s(clock.now_ns())
    sent_s, came_s = ago_s + to_s(fetched.sent_ns), ago_s + to_s(fetched.done_ns)
    bound_s = (came_s - sent_s) / 2
    if question.json is not None:
        told_s = _in(reply.body, question.json)
    else:
        # It cuts off what is over the second: on average half of one.
        date_s = _date_s(reply.date)
        told_s, bound_s = (None if date_s is None else date_s + DATE_RESOLUTION_S / 2), bound_s + DATE_RESOLUTION_S / 2
    if told_s is None:
        return ClockReading(None, error=f"the answer has no time at '{question.json}'" if question.json else "the answer has no 'Date'")
    return ClockReading(told_s - (sent_s + came_s) / 2, bound_s)


def _in(body: bytes, path: str) -> float | None:
    try:
        found = look_up(read_json(body), path)
    except NotJson:
        return None
    return float(found) if isinstance(found, int | float) and abs(found) < _FAR_S else None


def _date_s(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # whatever stands there, it is no date
