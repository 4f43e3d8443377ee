"""Questions to nodes as coroutines, each on a connection of its own (``once``), at an address or at a name.

``door`` is the way in for code that waits. The role watch keeps its connections (``kept``). Inside a node, where nothing of ours is, the
agent asks (``agent_questions``).
"""

from __future__ import annotations

import asyncio
import socket

import msgspec

from chaos.core.clock import Clock, to_s
from chaos.experiment.target.spec import Ask
from chaos.query.once import Fetched, Once, numeric
from chaos.query.question import REFUSED, TIMED_OUT, Answer, Question, judged, prepare, say


async def ask(question: Ask, timeout_s: float, clock: Clock) -> Answer:
    """Once, all within ``timeout_s``. A node's failure is an answer, never an exception."""
    ready = prepare(question)
    fetched = await fetch(ready, timeout_s, clock)
    if fetched.reply is not None:
        return judged(ready, fetched.reply, fetched.sent_ns, fetched.done_ns)
    rtt_s = to_s(fetched.done_ns - fetched.sent_ns) if fetched.error is None else None
    return Answer(ok=fetched.error is None, rtt_s=rtt_s, error=fetched.error, sent_ns=fetched.sent_ns, done_ns=fetched.done_ns)


async def fetch(question: Question, timeout_s: float, clock: Clock, *, dated: bool = False) -> Fetched:
    """The reply without judging it. ``dated``: with its date. Of the addresses of a name, the first that does not refuse."""
    if numeric(question.host, question.port) is not None:
        return await _once(question, timeout_s, clock, dated)
    began_ns = clock.now_ns()
    fetched = Fetched(None, REFUSED, began_ns, began_ns)
    try:
        async with asyncio.timeout(timeout_s):
            found = await asyncio.get_running_loop().getaddrinfo(question.host, question.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Fetched(None, TIMED_OUT if isinstance(error, TimeoutError) else say(error), began_ns, clock.now_ns())
    for *_, address in found:
        left_s = max(0.0, timeout_s - to_s(clock.now_ns() - began_ns))
        fetched = await _once(msgspec.structs.replace(question, host=str(address[0])), left_s, clock, dated)
        if fetched.error != REFUSED:
            break
    return fetched


async def _once(question: Question, timeout_s: float, clock: Clock, dated: bool) -> Fetched:
    came: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()

    def take(fetched: Fetched) -> None:
        if not came.done():
            came.set_result(fetched)

    once = Once(question, timeout_s, take, clock, dated=dated)
    once.begin()
    try:
        return await came
    finally:
        once.close()
