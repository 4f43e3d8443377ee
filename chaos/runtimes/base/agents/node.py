"""A node as a pair of containers: signals go through its agent, inside the node; only starting is the engine's work.

What happens to its process reaches us as events of the agent, stamped where it happened; each is in the history before the verb
that caused it returns. A death or a start that nobody ordered is the node's own doing, or that of its restart policy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from signal import Signals
from typing import Final

from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.errors import FaultNotEffective
from chaos.core.system import SIGKILL
from chaos.core.values import NodeInfo, OpenFiles, Status
from chaos.history.events import NodeChanged
from chaos.plugin import Loads, Sink
from chaos.runtimes.base.agents.life import Anew, ContainerNode, Log, StartSystem
from chaos.runtimes.base.agents.link import AgentGone, AgentLink, AgentRefused, Event

FATAL: Final = frozenset({"KILL", "TERM", "INT", "QUIT", "ABRT", "SEGV", "BUS", "ILL", "HUP"})
"""Signals that end a process unless it handles them, without ``SIG``; after these a kill waits for the death."""
KILL_WITHIN_S: Final = 5.0
"""How long a process may take to die of SIGKILL (it may be in the middle of a slow system call)."""
END_WITHIN_S: Final = 10.0
"""How long one may take to end by itself after a signal that asks it to."""
START_WITHIN_S: Final = 20.0
LOOK_EVERY_S: Final = 0.001
BY_ITSELF: Final = "by-itself"

LOOK_AGAIN_S: Final = 0.25
"""A process that is not seen so long after the engine has started it may be gone again: then the engine is asked."""

HowEnded = Callable[[], str]
"""How the system's container ended, by the word of the engine; empty while it runs."""


class AgentNode(ContainerNode):
    """One node. Verbs are safe from any thread but the agent's own."""

    loads: Loads
    """Set where a fault of the plan needs them."""

    def __init__(self, info: NodeInfo, start_system: StartSystem, how_ended: HowEnded, anew: Anew, sink: Sink, clock: Clock) -> None:
        super().__init__(info, start_system, anew, sink, clock)
        self._how_ended = how_ended
        self._link: AgentLink
        self._changed = threading.Condition()
        self._up_ns: int | None = None
        """Since when its present process runs."""
        self._began_ns = 0
        self._lives = 0
        self._down_ns = 0
        self._dark = False
        """Its host is off: nobody is there to be asked."""

    def joined(self, link: AgentLink, container: str, log: Log) -> None:  # noqa: ARG002 - the agent is nearer than the container
        """Its agent runs, its container is made."""
        self._link = link
        self._log = log
        self._dark = False

    def status(self) -> Status:
        """By the word of the kernel, asked of the agent."""
        if self._dark:
            return Status.DOWN
        return Status(self._link.call("status").state)

    def kill(self, signal: int) -> int:
        """Signal every process of the node. After a fatal signal: wait for the death, and return its time.

        A process that outlives a signal which it may handle is left to the caller's own look at ``status``; one that outlives
        SIGKILL is a ``FaultNotEffective``.
        """
        name = Signals(signal).name
        fatal = name.removeprefix("SIG") in FATAL
        with self._changed:
            if self._up_ns is None:
                raise FaultNotEffective(f"cannot kill {self.info.name}: it is not running")
            life_ns = self._up_ns
            self._killing = name if fatal else ""
        try:
            sent_ns = self._send(signal)
        except AgentRefused:
            self._killing = ""
            raise FaultNotEffective(f"cannot kill {self.info.name}: it is not running") from None
        if not fatal:
            return sent_ns
        within_s = KILL_WITHIN_S if signal == SIGKILL else END_WITHIN_S
        if self._await(lambda: self._up_ns != life_ns, within_s):
            died_ns = self._down_ns
            self._await_last(within_s)
            return died_ns
        self._killing = ""
        if signal == SIGKILL:
            raise FaultNotEffective(f"{self.info.name} did not die of SIGKILL within {KILL_WITHIN_S:g} s")
        return sent_ns

    def _send(self, signal: int) -> int:
        """The signal, from inside the node; when it went."""
        return self._link.call("kill", signal=signal, wait=False).at_ns

    def _await_last(self, within_s: float) -> None:
        """Children that were hit by the same signal may die a moment after the main process, and hold its ports until then."""
        limit_ns = self._clock.now_ns() + to_ns(within_s)
        while self._up_ns is None and self._link.call("status").pids and self._clock.now_ns() < limit_ns:
            self._clock.wait_until_ns(self._clock.now_ns() + to_ns(LOOK_EVERY_S))

    def start(self) -> int:
        """The same container again, with the same data and address."""
        with self._changed:
            if self._up_ns is not None:
                raise AssertionError(f"{self.info.name} runs already")
            self._starting = True
            lives = self._lives
        try:
            self._start_system()
            started_ns = self._clock.now_ns()
            while not self._await(lambda: self._lives > lives, LOOK_AGAIN_S):
                if self._how_ended():
                    # It was gone before the agent looked: both are told, as near to the truth as we know it.
                    self.seen(Event("up", started_ns))
                    self.seen(Event("down", self._clock.now_ns()))
                    return started_ns
                if to_s(self._clock.now_ns() - started_ns) > START_WITHIN_S:
                    raise FaultNotEffective(f"{self.info.name} was started, but no process of it was seen within {START_WITHIN_S:g} s")
            return self._began_ns
        finally:
            self._starting = False

    def pause(self) -> int:
        """SIGSTOP to every process; returns once the kernel says that all are stopped."""
        if self._up_ns is None:
            raise FaultNotEffective(f"cannot pause {self.info.name}: it is not running")
        at_ns = self._link.call("pause").at_ns
        self._sink(NodeChanged(at_ns=at_ns, node=self.info.name, status=Status.PAUSED))
        return at_ns

    def resume(self) -> int:
        """SIGCONT. A dead node stays dead: there is nothing left to resume."""
        if self._up_ns is None:
            return self._clock.now_ns()
        at_ns = self._link.call("resume").at_ns
        self._sink(NodeChanged(at_ns=at_ns, node=self.info.name, status=Status.UP))
        return at_ns

    def went_dark(self, at_ns: int) -> None:
        """Its host has been silent since then."""
        with self._changed:
            self._dark = True
        if self._up_ns is not None:
            self.seen(Event("down", at_ns))

    def last_death_ns(self) -> int:
        """0: it has not died yet."""
        return self._down_ns

    def serving(self) -> tuple[int, ...]:
        """The processes that listen on its ports, as its namespace numbers them; the main one is not among them."""
        return tuple(int(pid) for pid in self._link.call("serving.find", ports=list(self.info.ports.values())).result)

    def kill_serving(self, signal: int) -> int:
        """Of those processes, not of the node: its main process lives on, and is told nothing by us."""
        answer = self._link.call(
            "serving.kill", timeout_s=KILL_WITHIN_S + END_WITHIN_S, ports=list(self.info.ports.values()), signal=signal
        )
        if not answer.result:
            raise FaultNotEffective(f"the main process of {self.info.name} serves by itself: nobody would start it again")
        return answer.at_ns

    def set_clock(self, offset_s: float, rate: float) -> int:
        """Of its processes, those to come among them."""
        return self._link.call("clock.set", offset_s=offset_s, rate=rate, began_ns=self._link.there_ns(self._began_ns)).at_ns

    def open_files(self) -> OpenFiles:
        """Of the process that may open the fewest more."""
        return self._files("limits.files")

    def limit_files(self, left: int) -> OpenFiles:
        """Every process of it that runs now."""
        return self._files("limits.lower", left=left)

    def unlimit_files(self) -> OpenFiles:
        """Those that were limited and still run."""
        return self._files("limits.restore")

    def _files(self, do: str, left: int = 0) -> OpenFiles:
        found = self._link.call(do, left=left).result
        open_, limit, left, lowered = (int(found[name] or 0) for name in ("open", "limit", "left", "lowered"))
        return OpenFiles(open_, limit, left, bool(lowered))

    def end(self, signal: int) -> None:
        """Ask its processes to end, without waiting; what cannot be asked is removed with its container."""
        try:
            self._link.call("kill", signal=signal, wait=False)
            self._link.call("resume")
        except (AgentRefused, AgentGone):
            return

    def wait_down(self, within_s: float) -> bool:
        """Whether it is dead by then."""
        return self._await(lambda: self._up_ns is None, within_s)

    def seen(self, event: Event) -> None:
        """What its agent tells; runs in the agent's thread."""
        with self._changed:
            if event.event == "up":
                self._up_ns = self._began_ns = event.at_ns
                self._lives += 1
            elif event.event == "down":
                self._up_ns, self._down_ns = None, event.at_ns
            else:
                return
            if not self._retired:
                self._sink(self._row(event))
            if event.event == "up" and self._log is not None:
                self._log.started()
            self._changed.notify_all()

    def _row(self, event: Event) -> NodeChanged:
        if event.event == "up":
            cause = "" if self._starting else BY_ITSELF
            return NodeChanged(at_ns=event.at_ns, node=self.info.name, status=Status.UP, cause=cause)
        detail, self._killing = self._killing or self._doomed, ""
        return NodeChanged(at_ns=event.at_ns, node=self.info.name, status=Status.DOWN, cause="" if detail else BY_ITSELF, detail=detail)

    def _await(self, until: Callable[[], bool], within_s: float) -> bool:
        limit_ns = self._clock.now_ns() + to_ns(within_s)
        with self._changed:
            while not until():
                left_s = to_s(limit_ns - self._clock.now_ns())
                if left_s <= 0 or self._link.gone:
                    return until()
                self._changed.wait(min(left_s, 0.5))
        return True
