"""The harness's side of a node agent: one attached container, questions with answers, and what the agent tells by itself.

    link = AgentLink(api, container, node="n1", on_event=..., on_gone=...)     attached before the container starts
    api.start(container)
    link.hello(within_s=5)
    link.call("nft", commands=["add rule ..."]).table
    link.ask(question, timeout_s=0.2)                                           from inside the node's namespace

One thread reads; it also sends a ping each second, since an agent that has not heard of the harness for long heals its namespace
by itself. Where the agent's clock is not ours (another kernel, another time namespace) each ping is an exchange as well, and every time
that the agent tells is mapped onto our clock before anybody sees it (``core/exchanges.py``). Every call is safe from any thread, but not
from inside ``on_event`` or ``on_gone`` (they run in the reading thread).
"""

from __future__ import annotations

import base64
import itertools
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.agent.agent_clock import clock_name
from chaos.core.clock import NS_PER_S, Clock, to_ns, to_s
from chaos.core.errors import EnvironmentUnusable, FaultNotEffective
from chaos.core.exchanges import Exchanges
from chaos.engine.errors import silence
from chaos.experiment.target.spec import Ask
from chaos.history.events import ClockMapped
from chaos.query import question as asking
from chaos.query.http import Reply
from chaos.runtimes.base.agents.streams import STDOUT, Attached, Lines, Streams

if TYPE_CHECKING:
    from docker.api import APIClient

    from chaos.plugin import Sink

PING: Final = "ping"
PING_EVERY_S: Final = 1.0
CALL_TIMEOUT_S: Final = 5.0
GRACE_S: Final = 2.0
"""Beyond the time a command may take by itself, so long for the way there and back on a busy machine."""
LAST_WORDS: Final = 600


class AgentRefused(FaultNotEffective):
    """The agent could not do it, and says why; nothing is known to have changed."""


class AgentGone(FaultNotEffective):
    """The agent died, or its engine, or it does not answer in time: the run is unknown, it is never a node's fault."""


class Answer(msgspec.Struct, frozen=True):
    """What came back. ``at_ns`` is when the thing had happened, on our clock; the rest depends on the command."""

    id: int | None
    at_ns: int
    error: str | None = None
    asked_ns: int = 0
    """``nft``: just before the transaction."""
    table: str = ""
    """``nft``: our table, read back."""
    state: str = ""
    """``status``: up, down or paused."""
    main: int | None = None
    """``status``: pid of the system's main process, in its own namespace."""
    pids: tuple[int, ...] = ()
    pid: int | None = None
    """``spawn``."""
    sent_ns: int = 0
    """``ask``: when the question was sent, after the connect; for a mere connect, before it."""
    status: int = 0
    """``ask``: the HTTP status of the reply; 0 for a mere connect."""
    body: str = ""
    """``ask``: base64."""
    errno: int | None = None
    """``ask``: why no answer came."""
    result: dict[str, float | str | None] = {}
    """``PART.VERB``: what that part's command says."""


class Event(msgspec.Struct, frozen=True):
    """What happened by itself: hello, up, down, orphaned, child_died."""

    event: str
    at_ns: int
    pid: int | None = None
    child: str = ""
    status: int = 0
    problems: tuple[str, ...] = ()
    clock: str = ""
    """``hello``: which clock is read there (``agent_clock``)."""


_TIMES: Final = ("at_ns", "asked_ns", "sent_ns")
"""Of an answer: on the agent's clock, until they are mapped."""
_ANSWER: Final = msgspec.json.Decoder(Answer)
_EVENT: Final = msgspec.json.Decoder(Event)


def mapped_into(sink: Sink, clock: Clock) -> Callable[[AgentLink, float], None]:
    """Notes in the history how far mapped times may be off."""

    def told(link: AgentLink, bound_s: float) -> None:
        sink(ClockMapped(at_ns=clock.now_ns(), node=link.node, bound_s=bound_s if math.isfinite(bound_s) else None))

    return told


class _Pending:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: Answer | None = None


class AgentLink:
    """One agent. ``on_event(link, event)`` sees events in order; ``on_gone(link, why)`` is called once, unless we closed.

    ``streams``: its standard streams, where it is no container of a Docker engine that is attached to.
    """

    closing: bool = False

    def __init__(
        self,
        api: APIClient | None,
        container: str,
        *,
        node: str,
        clock: Clock,
        on_event: Callable[[AgentLink, Event], None] | None = None,
        on_gone: Callable[[AgentLink, str], None] | None = None,
        on_clock: Callable[[AgentLink, float], None] | None = None,
        streams: Streams | None = None,
    ) -> None:
        self.node = node
        self._api = api
        self.container = container
        self._clock = clock
        self._on_event = on_event
        self._on_gone = on_gone
        self._on_clock = on_clock
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._hello = threading.Event()
        self._gone = ""
        self._said = ""
        self._clocks = threading.Lock()
        self._exchanges = Exchanges()
        self._is_ours = False
        """The agent reads the clock that we read: then its times are ours as they are."""
        self._exchanged = False
        """The clocks have been held against each other at least once."""
        self._pings: dict[int, int] = {}
        """Number of a ping -> when it was sent."""
        self._early: list[Event] = []
        """What was told before the clocks were first held against each other: it cannot be mapped yet."""
        self._told_ns = 0.0
        """The bound that was told last."""
        if streams is None:
            assert api is not None, "an agent is reached by streams, or by attaching to its container"
            streams = Attached(api, container)
        self._attached = streams
        self._thread = threading.Thread(target=self._read, name=f"agent of {node}", daemon=True)
        self._thread.start()

    # --- asking --------------------------------------------------------------------------------------------------------

    def hello(self, within_s: float) -> None:
        """Wait until it runs; ``EnvironmentUnusable`` with its own words if it does not."""
        if not self._hello.wait(within_s) or self._gone:
            why = self._gone or f"it did not answer within {within_s:g} s"
            raise EnvironmentUnusable(f"the agent of {self.node} did not start: {why}", how="see what its container says")

    def call(self, do: str, timeout_s: float = CALL_TIMEOUT_S, **fields: object) -> Answer:
        """Have it done, and wait. ``AgentRefused`` with its reason, ``AgentGone`` if no answer comes."""
        number = next(self._numbers)
        pending = _Pending()
        with self._lock:
            if self._gone:
                raise AgentGone(f"the agent of {self.node} is gone: {self._gone}")
            self._pending[number] = pending
        if do == PING:
            self._pings[number] = self._clock.now_ns()
        try:
            self._send({"id": number, "do": do, **fields})
            if not pending.done.wait(timeout_s):
                why = silence(self._api) if self._api is not None else ""
                raise AgentGone(f"the agent of {self.node} did not answer '{do}' within {timeout_s:g} s{f': {why}' if why else ''}")
        finally:
            with self._lock:
                self._pending.pop(number, None)
        if pending.answer is None:
            raise AgentGone(f"the agent of {self.node} went while it was asked '{do}': {self._gone}")
        if pending.answer.error is not None:
            raise AgentRefused(f"{self.node}: {pending.answer.error}")
        return pending.answer

    def ask(self, question: Ask, timeout_s: float) -> asking.Answer:
        """One question of a target, asked from inside this node's network namespace. A node's failure is an answer."""
        ready = asking.prepare(question)
        expect = None if ready.expect is None else ready.expect.decode("latin-1")
        answer = self.call(
            "ask",
            timeout_s + GRACE_S,
            host=ready.host,
            port=ready.port,
            request=ready.request.decode("latin-1"),
            expect=expect,
            tls=ready.tls,
            within_s=timeout_s,
        )
        if answer.errno is not None:
            error = asking.say(OSError(answer.errno, answer.state))
            return asking.Answer(ok=False, rtt_s=None, error=error, sent_ns=answer.sent_ns, done_ns=answer.at_ns)
        if answer.state:
            return asking.Answer(ok=False, rtt_s=None, error=answer.state, sent_ns=answer.sent_ns, done_ns=answer.at_ns)
        if not ready.request or expect is not None:
            rtt_s = to_s(answer.at_ns - answer.sent_ns)
            return asking.Answer(ok=True, rtt_s=rtt_s, sent_ns=answer.sent_ns, done_ns=answer.at_ns)
        reply = Reply(answer.status, base64.b64decode(answer.body), keep_alive=False)
        return asking.judged(ready, reply, answer.sent_ns, answer.at_ns)

    @property
    def clock_bound_s(self) -> float:
        """How far off a time of the agent may now be when it is mapped; 0 where it reads our clock, infinite before the first exchange."""
        with self._clocks:
            return 0.0 if self._is_ours else self._exchanges.offset(self._clock.now_ns()).bound_ns / NS_PER_S

    def exchange_clocks(self, times: int = 5) -> float:
        """Ask the time there so often; the bound afterwards."""
        for _ in range(times):
            self.call(PING)
        return self.clock_bound_s

    def there_ns(self, here_ns: int) -> int:
        """A time of ours on the agent's clock, for commands that hold one."""
        with self._clocks:
            return here_ns if self._is_ours else self._exchanges.there_ns(here_ns)

    @property
    def gone(self) -> str:
        """Why it is gone; empty while it is there."""
        return self._gone

    @property
    def last_words(self) -> str:
        """The end of what it wrote on its standard error."""
        return self._said

    def close(self) -> None:
        """Detach. The agent stays; after its time limit it heals its namespace and waits for its end."""
        self.closing = True
        self._attached.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    # --- the reading thread --------------------------------------------------------------------------------------------

    def _read(self) -> None:
        lines = Lines()
        ping_ns = self._clock.now_ns() + to_ns(PING_EVERY_S)
        why = "its connection ended"
        try:
            while True:
                frames = self._attached.read(max(0.0, to_s(ping_ns - self._clock.now_ns())))
                if frames is None:
                    break
                for stream, data in frames:
                    if stream == STDOUT:
                        for line in lines.feed(data):
                            self._take(line)
                    else:
                        self._said = (self._said + data.decode(errors="replace"))[-LAST_WORDS:]
                if self._clock.now_ns() >= ping_ns:
                    ping_ns = self._clock.now_ns() + to_ns(PING_EVERY_S)
                    if self._hello.is_set():
                        number = next(self._numbers)
                        self._pings[number] = self._clock.now_ns()
                        self._send({"id": number, "do": PING})
        except (OSError, msgspec.MsgspecError, FaultNotEffective) as error:
            why = f"{type(error).__name__}: {error}"
        self._end(why)

    def _take(self, line: bytes) -> None:
        received_ns = self._clock.now_ns()
        if line.startswith(b'{"event"'):
            event = _EVENT.decode(line)
            if event.event == "hello":
                self._is_ours = bool(event.clock) and event.clock == clock_name()
            elif not self._is_ours and not self._exchanged:
                self._early.append(event)
                return
            else:
                event = msgspec.structs.replace(event, at_ns=self.here_ns(event.at_ns))
            if self._on_event is not None:
                self._on_event(self, event)
            if event.event == "hello":
                self._hello.set()
            return
        answer = _ANSWER.decode(line)
        sent_ns = self._pings.pop(answer.id or 0, None)
        if sent_ns is not None and answer.error is None:
            with self._clocks:
                self._exchanges.note(sent_ns, answer.at_ns, received_ns)
                self._exchanged = True
            early, self._early = (self._early, []) if self._exchanged else ([], self._early)
            for event in early:
                if self._on_event is not None:
                    self._on_event(self, msgspec.structs.replace(event, at_ns=self.here_ns(event.at_ns)))
        with self._lock:
            pending = self._pending.get(answer.id or 0)
        if pending is not None:
            if not self._is_ours:
                times = {name: self.here_ns(at_ns) for name in _TIMES if (at_ns := getattr(answer, name))}
                answer = msgspec.structs.replace(answer, **times)
            pending.answer = answer
            pending.done.set()

    def here_ns(self, there_ns: int) -> int:
        """A time of the agent's clock on ours. A bound that has grown by a quarter since it was told is told again."""
        if self._is_ours:
            return there_ns
        with self._clocks:
            here_ns, worst_ns = self._exchanges.here_ns(there_ns), self._exchanges.worst_ns
        if self._on_clock is not None and worst_ns > 1.25 * self._told_ns:
            self._told_ns = worst_ns
            self._on_clock(self, worst_ns / NS_PER_S)
        return here_ns

    def _end(self, why: str) -> None:
        said = f"; it said: {self._said.strip()}" if self._said.strip() else ""
        with self._lock:
            self._gone = why + said
            waiting = list(self._pending.values())
        for pending in waiting:
            pending.done.set()
        self._hello.set()
        if self._on_gone is not None and not self.closing:
            self._on_gone(self, self._gone)

    def _send(self, command: dict[str, object]) -> None:
        data = msgspec.json.encode(command) + b"\n"
        try:
            with self._sending:
                self._attached.write(data)
        except OSError as error:
            raise AgentGone(f"the agent of {self.node} cannot be reached: {error}") from error
