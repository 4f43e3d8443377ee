"""An agent whose clock is not ours: what it tells is on our clock before anybody sees it."""

from __future__ import annotations

import json
import queue
import time
from typing import Any

import pytest

from chaos.agent.agent_clock import clock_name
from chaos.core.clock import MonotonicClock
from chaos.runtimes.base.agents import link as agent_link
from chaos.runtimes.base.agents.link import AgentLink, Event
from chaos.runtimes.base.agents.streams import STDOUT

AHEAD_NS = 10**15
FAST = 1.0004


def theirs_ns() -> int:
    return round(time.monotonic_ns() * FAST) + AHEAD_NS


class Stream:
    """In place of the engine's: an agent with that clock, or with ours."""

    def __init__(self, api: Any, _container: str) -> None:
        self._frames: queue.Queue[bytes | None] = queue.Queue()
        self._now_ns = theirs_ns if api == "theirs" else time.monotonic_ns
        name = "another boot" if api == "theirs" else clock_name()
        self.tell({"event": "hello", "at_ns": self._now_ns(), "pid": 1, "clock": name})

    def tell(self, message: dict[str, object]) -> None:
        self._frames.put(json.dumps(message).encode() + b"\n")

    def write(self, data: bytes) -> None:
        command = json.loads(data)
        self.tell({"id": command["id"], "at_ns": self._now_ns()})
        if command["do"] == "kill":
            self.tell({"event": "down", "at_ns": self._now_ns()})

    def read(self, timeout_s: float) -> list[tuple[int, bytes]] | None:
        try:
            frame = self._frames.get(timeout=timeout_s)
        except queue.Empty:
            return []
        return None if frame is None else [(STDOUT, frame)]

    def close(self) -> None:
        self._frames.put(None)


@pytest.mark.parametrize("whose", ["theirs", "ours"])
def test_times_of_an_agent_are_on_our_clock(whose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_link, "Attached", Stream)
    told: list[float] = []
    events: queue.Queue[Event] = queue.Queue()
    link = AgentLink(
        whose,
        "c1",
        node="n1",
        clock=MonotonicClock(),
        on_event=lambda _, event: events.put(event),
        on_clock=lambda _, by: told.append(by),  # type: ignore[arg-type]
    )
    try:
        link.hello(5)
        assert events.get(timeout=5).event == "hello"
        link.exchange_clocks(20)
        before_ns = time.monotonic_ns()
        answer = link.call("kill")
        event = events.get(timeout=5)
        after_ns = time.monotonic_ns()
        slack_ns = (max(told) if told else 0.0) * 1e9
        assert before_ns - slack_ns <= answer.at_ns <= event.at_ns + slack_ns
        assert event.at_ns <= after_ns + slack_ns
        assert bool(told) == (whose == "theirs")
        assert (link.clock_bound_s == 0.0) == (whose == "ours")
        assert abs(link.there_ns(before_ns) - before_ns) > 10**14 or whose == "ours"
    finally:
        link.close()


class Early(Stream):
    """It tells of its system at once, before the clocks are held against each other."""

    def __init__(self, api: Any, container: str) -> None:
        super().__init__(api, container)
        self.tell({"event": "up", "at_ns": self._now_ns(), "pid": 7})


def test_what_is_told_before_the_first_exchange_waits_until_it_can_be_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_link, "Attached", Early)
    events: queue.Queue[Event] = queue.Queue()
    told: list[float] = []
    began_ns = time.monotonic_ns()
    link = AgentLink(
        "theirs",  # type: ignore[arg-type]
        "c1",
        node="n1",
        clock=MonotonicClock(),
        on_event=lambda _, event: events.put(event),
        on_clock=lambda _, by: told.append(by),
    )
    try:
        link.hello(5)
        assert events.get(timeout=5).event == "hello"
        link.exchange_clocks()
        up = events.get(timeout=5)
        assert up.event == "up"
        assert began_ns - told[-1] * 1e9 <= up.at_ns <= time.monotonic_ns() + told[-1] * 1e9
        assert all(bound_s < 5 for bound_s in told)
    finally:
        link.close()
