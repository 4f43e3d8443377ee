"""The end of nodes of ours in pods: who is asked, who is killed, who is not waited for, and that all others take back what they did."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from chaos.core.clock import MonotonicClock
from chaos.history.events import Row
from chaos.runtimes.base.agents.link import AgentGone, AgentRefused, Answer, Event
from chaos.runtimes.kubernetes.own import pods as module
from chaos.runtimes.kubernetes.own.layout import OwnLayout
from chaos.runtimes.kubernetes.own.pods import OwnPods
from tests.unit.runtimes.test_pods_of_ours import ADDRESSES, NAMES, deployed

NODES: Final = ("n1", "n2", "n3")


class Link:
    """An agent whose system dies of the signals that it is told to."""

    gone = ""
    closing = False

    def __init__(self, pods: OwnPods, name: str, dies_of: set[int], *, silent: bool = False) -> None:
        self._seen = pods.nodes[name].seen
        self._dies_of = dies_of
        self._silent = silent
        self.asked: list[object] = []

    def call(self, do: str, *_: Any, **fields: Any) -> Answer:
        self.asked.append(fields.get("signal", do))
        if self._silent:
            raise AgentGone("no answer")
        if do == "resume" and not self._dies_of:
            raise AgentRefused("nothing runs")
        if fields.get("signal") in self._dies_of:
            self._seen(Event("down", 2))
        return Answer(None, 0, result={"left": ""})


@pytest.fixture
def rows() -> list[Row]:
    return []


@pytest.fixture
def pods(tmp_path: Path, rows: list[Row]) -> OwnPods:
    layout = OwnLayout(deployed(tmp_path), ADDRESSES, "10.1.0.9", "", NAMES)
    nothing: Any = None
    return OwnPods(nothing, "trials", {}, layout, nothing, tmp_path, nothing, rows.append, MonotonicClock())


def linked(pods: OwnPods, **links: tuple[set[int], bool]) -> dict[str, Link]:
    """Each node runs, and has such an agent."""
    found = {name: Link(pods, name, dies_of, silent=silent) for name, (dies_of, silent) in links.items()}
    for name, link in found.items():
        pods.agents[name] = link  # type: ignore[assignment]
        pods.nodes[name]._link = link  # type: ignore[assignment]
        pods.nodes[name].seen(Event("up", 1))
    return found


def test_systems_are_asked_then_killed_and_a_silent_agent_is_asked_once(
    pods: OwnPods, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of it is an event of the run; who answers takes back what it did."""
    monkeypatch.setattr(module, "STOP_GRACE_S", 0.05)
    links = linked(pods, n1=({15}, False), n2=({9}, False), n3=(set(), True))
    pods.retire()
    told = len(rows)
    pods.end_systems()
    assert [links[name].asked for name in NODES] == [[15, "resume"], [15, "resume", 9, "resume"], [15]]
    assert [pods.nodes[name].runs for name in NODES] == [False, False, True]
    assert len(rows) == told
    assert pods.leave() == ["in the pod of n3: its agent does not answer, and takes back by itself what it did"]
    assert [links[name].asked[-1] for name in NODES] == ["guest.leave", "guest.leave", 15]


def test_a_system_that_is_dead_already_is_left_alone(pods: OwnPods) -> None:
    links = linked(pods, n1=({15}, False))
    pods.nodes["n1"].seen(Event("down", 2))
    pods.end_systems()
    assert links["n1"].asked == []
