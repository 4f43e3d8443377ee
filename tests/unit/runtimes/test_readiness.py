"""A cluster that is ready must also answer the question by which faults are proven, before the first of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from chaos.core.clock import ManualClock, to_s
from chaos.core.errors import EnvironmentUnusable
from chaos.core.values import RoundTrip
from chaos.plugin import Deployment
from chaos.runtimes.base.readiness import Readiness
from tests.support.samples import sample_plan, sample_target

KILL = "  - name: dead\n    kill: {}\n    target: n1\n    at: 6s\n    for: 2s\n"


class Nodes:
    """Layout and asker of nodes of the sample target; ``answers``: from when on each of them does."""

    def __init__(self, clock: ManualClock, answers: dict[str, float]) -> None:
        self.clock = clock
        self.answers = answers
        self.asked: list[str] = []

    def part(self, _node: str) -> object:
        return sample_target().parts["data"]

    def ping_question(self, node: str, _port: str) -> str | None:
        return None if node == "silent" else "?"

    def ping(self, node: str, timeout_s: float) -> RoundTrip:
        self.asked.append(node)
        if to_s(self.clock.now_ns()) >= self.answers[node]:
            return RoundTrip(0.001)
        self.clock.wait_until_ns(self.clock.now_ns() + int(timeout_s * 1e9))
        return RoundTrip(None, "status 404")


def await_pings(answers: dict[str, float], faults: str = KILL) -> Nodes:
    clock = ManualClock(0)
    there = cast("Any", Nodes(clock, answers))
    deployment = Deployment(run="r", folder=Path("r"), plan=sample_plan(faults), target=sample_target())
    readiness = Readiness(deployment, there, dict.fromkeys(answers), there, Path, str, clock)
    readiness.await_pings()
    return cast("Nodes", there)


def test_a_node_that_answers_a_little_later_is_waited_for() -> None:
    """Each is asked until it answers, and not again."""
    asked = await_pings({"n1": 0.0, "n2": 1.0}).asked
    assert asked[:2] == ["n1", "n2"]
    assert len(asked) > 3
    assert set(asked[2:]) == {"n2"}


def test_a_ping_that_fails_ends_the_run_before_its_first_fault() -> None:
    """With the node, its answer, and what the target must say."""
    with pytest.raises(EnvironmentUnusable, match=r"n2 is ready, and does not answer its 'ping' within 10 s: status 404") as ended:
        await_pings({"n1": 0.0, "n2": 1e9})
    assert "ping: {client: ...}" in ended.value.how


def test_who_is_not_asked_is_not_missed() -> None:
    """A target without such a question, and a run without faults."""
    assert await_pings({"silent": 1e9}).asked == []
    assert await_pings({"n1": 1e9}, faults="  []\n").asked == []
