"""A node whose image insists on being PID 1: it has a process namespace of its own, so signals go through the engine.

That is slower (felt some 12 ms after the call, returning after 100) and cancels the container's restart policy (moby,
daemon/kill.go). Deaths and starts are stamped by the engine with the wall clock, as ``FinishedAt`` and ``StartedAt``, and brought
onto our clock when they are read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from signal import SIGKILL, Signals
from typing import TYPE_CHECKING, Any

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, FaultNotEffective
from chaos.core.values import NodeInfo, Status
from chaos.engine.errors import translated
from chaos.engine.leftovers import NODE, ROLE, RUN, SYSTEM
from chaos.history.events import NodeChanged
from chaos.plugin import Sink
from chaos.runtimes.base.agents.life import Anew, ContainerNode, Log, StartSystem
from chaos.runtimes.base.agents.link import AgentLink, Event
from chaos.runtimes.base.agents.node import BY_ITSELF, END_WITHIN_S, FATAL, KILL_WITHIN_S
from chaos.runtimes.base.helper import Breakage

if TYPE_CHECKING:
    from docker.api import APIClient

_SECONDS = len("2026-01-01T00:00:00")
_TURNS = frozenset({"start", "die"})


class EngineNode(ContainerNode):
    """One node, by calls to the engine. Verbs are safe from any thread."""

    def __init__(self, info: NodeInfo, api: APIClient, start_system: StartSystem, anew: Anew, sink: Sink, clock: Clock) -> None:
        super().__init__(info, start_system, anew, sink, clock)
        self._api = api
        self._container = ""
        self._lock = threading.RLock()
        self._life = ""
        """``StartedAt`` of the last life that we told of."""
        self._up = False
        self._at_ns = 0

    def joined(self, link: AgentLink, container: str, log: Log) -> None:  # noqa: ARG002 - the agent only holds its network
        """Its container is made."""
        self._container, self._log = container, log

    def status(self) -> Status:
        """By the word of the engine."""
        state = self._state()
        if not state["Running"]:
            return Status.DOWN
        return Status.PAUSED if state["Paused"] else Status.UP

    def kill(self, signal: int) -> int:
        """Signal its main process. After a fatal signal: wait for the end of the container, and return its time."""
        name = Signals(signal).name
        with self._lock:
            if not self._up:
                raise FaultNotEffective(f"cannot kill {self.info.name}: it is not running")
            fatal = name.removeprefix("SIG") in FATAL
            self._killing = name if fatal else ""
        with translated(f"sending {name} to {self.info.name}"):
            self._api.kill(self._container, signal)
        sent_ns = self._clock.now_ns()
        if not fatal:
            return sent_ns
        within_s = KILL_WITHIN_S if signal == SIGKILL else END_WITHIN_S
        try:
            with translated(f"waiting for the end of {self.info.name}"):
                self._api.wait(self._container, timeout=within_s, condition="not-running")
        except EnvironmentUnusable:
            self._killing = ""
            if signal == SIGKILL:
                raise FaultNotEffective(f"{self.info.name} did not die of SIGKILL within {within_s:g} s") from None
            return sent_ns
        return self.refresh()

    def start(self) -> int:
        """The same container again, with the same data and address."""
        with self._lock:
            if self._up:
                raise AssertionError(f"{self.info.name} runs already")
            self._starting = True
        try:
            self._start_system()
            return self.refresh()
        finally:
            self._starting = False

    def pause(self) -> int:
        """Frozen by the engine: every process of the container, by the kernel's freezer."""
        if not self._up:
            raise FaultNotEffective(f"cannot pause {self.info.name}: it is not running")
        with translated(f"pausing {self.info.name}"):
            self._api.pause(self._container)
        return self._told(Status.PAUSED)

    def resume(self) -> int:
        """Let go. A dead node stays dead: there is nothing left to resume."""
        if self.status() is not Status.PAUSED:
            return self._clock.now_ns()
        with translated(f"resuming {self.info.name}"):
            self._api.unpause(self._container)
        return self._told(Status.UP)

    def end(self, signal: int) -> None:
        """Ask its main process to end; what does not is removed with its container."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            self.resume()
            self._api.kill(self._container, signal)
        except (DockerException, RequestException, EnvironmentUnusable):
            return

    def wait_down(self, within_s: float) -> bool:
        """Whether it is dead by then."""
        try:
            with translated(f"waiting for the end of {self.info.name}"):
                self._api.wait(self._container, timeout=within_s, condition="not-running")
        except EnvironmentUnusable:
            return False
        return True

    def seen(self, event: Event) -> None:
        """Its agent sees nothing of its processes."""

    def refresh(self) -> int:
        """Tell of what has changed by the word of the engine, once, whoever looks first; the time of the last change."""
        with self._lock:
            state = self._state()
            if state["Running"] and state["StartedAt"] != self._life:
                self._life, self._up = state["StartedAt"], True
                self._tell(Status.UP, state["StartedAt"], "" if self._starting else BY_ITSELF, "")
                if self._log is not None:
                    self._log.started()
            elif not state["Running"] and self._up:
                self._up = False
                ours = self._killing or self._doomed
                self._tell(Status.DOWN, state["FinishedAt"], "" if ours else BY_ITSELF, ours or f"exit status {state['ExitCode']}")
                self._killing = ""
            return self._at_ns

    def _tell(self, status: Status, stamp: str, cause: str, detail: str) -> None:
        self._at_ns = max(monotonic_ns(stamp, self._clock), self._at_ns)
        if not self._retired:
            self._sink(NodeChanged(at_ns=self._at_ns, node=self.info.name, status=status, cause=cause, detail=detail))

    def _told(self, status: Status) -> int:
        with self._lock:
            self._at_ns = self._clock.now_ns()
            self._sink(NodeChanged(at_ns=self._at_ns, node=self.info.name, status=status))
            return self._at_ns

    def _state(self) -> dict[str, Any]:
        with translated(f"asking for the state of {self.info.name}"):
            found: dict[str, Any] = self._api.inspect_container(self._container)["State"]
        return found


class EngineWatch:
    """Hears of starts and deaths that nobody ordered, from the engine's own events."""

    def __init__(self, api: APIClient, run: str, nodes: Mapping[str, EngineNode], breakage: Breakage) -> None:
        self._nodes = nodes
        self._breakage = breakage
        self._closing = False
        with translated("listening to the events of the Docker engine"):
            self._stream: Any = api.events(decode=True, filters={"type": "container", "label": f"{RUN}={run}"})
        self._thread = threading.Thread(target=self._listen, name="engine events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hear no more."""
        self._closing = True
        self._stream.close()
        self._thread.join()

    def _listen(self) -> None:
        why = "it ended"
        try:
            self._take(self._stream)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        if not self._closing:
            self._breakage.note(f"the engine's stream of events: {why}")

    def _take(self, events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            labels = event["Actor"]["Attributes"]
            node = self._nodes.get(labels.get(NODE, ""))
            if node is not None and labels.get(ROLE) == SYSTEM and event["Action"] in _TURNS and not self._closing:
                node.refresh()


def monotonic_ns(stamp: str, clock: Clock) -> int:
    """A stamp of the engine (RFC 3339, UTC, nanoseconds) on our clock. A clock that is set meanwhile would shift it."""
    whole, _, rest = stamp.partition(".")
    digits = rest.rstrip("Z")[:9].ljust(9, "0")
    wall_ns = int(datetime.fromisoformat(whole[:_SECONDS] + "+00:00").timestamp()) * 1_000_000_000 + int(digits or 0)
    return clock.now_ns() - (time.time_ns() - wall_ns)
