"""A cut of a machine's network: healed by the agent that made it, by another one where that died, and told where it was over too soon."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from chaos.core.clock import ManualClock
from chaos.core.errors import FaultNotEffective, NotHealed
from chaos.runtimes.base.agents.link import AgentGone, Answer
from chaos.runtimes.kubernetes import cut
from chaos.runtimes.kubernetes.cut import cut_off


class Link:
    """An agent's; ``dies`` after the cut."""

    closing = False

    def __init__(self, told: list[str], name: str, *, dies: bool = False, left: str = "") -> None:
        self._told = told
        self._name = name
        self._dies = dies
        self._left = left

    def call(self, do: str, timeout_s: float = 5.0, **fields: object) -> Answer:
        del timeout_s, fields
        self._told.append(f"{self._name} {do}")
        if self._dies and do != "machine.cut":
            raise AgentGone("it was killed")
        result: dict[str, float | str | None] = {"machine.cut": {"devices": "eth0"}, "machine.heal": {"left": self._left}}.get(do, {})  # type: ignore[assignment]
        return Answer(1, 3, result=result)

    def close(self) -> None:
        self._told.append(f"{self._name} closed")


def entering(*links: Link) -> Any:
    left = list(links)
    return lambda: left.pop(0)


def clock() -> Any:
    return cast("Any", ManualClock())


def test_who_made_it_heals_it() -> None:
    told: list[str] = []
    with cut_off("m2", entering(Link(told, "first")), clock()) as layer:
        assert layer.effective_at_ns == 3
        assert "eth0" in layer.mechanism
        assert layer.healed_at_ns is None
    assert layer.healed_at_ns is not None
    assert told == ["first machine.cut", "first machine.heal", "first closed"]


def test_where_it_was_killed_another_one_does_and_the_fault_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel has ended by itself leaves an empty table: that goes as well."""
    monkeypatch.setattr(cut, "RENEW_EVERY_S", 0.01)
    told: list[str] = []
    over = pytest.raises(FaultNotEffective, match="was over before its time: it was killed")
    with over, cut_off("m2", entering(Link(told, "first", dies=True), Link(told, "second")), clock()):
        while "first machine.renew" not in told:
            time.sleep(0.001)
    assert told[-3:] == ["second machine.heal", "second closed", "first closed"]


def test_what_nobody_can_end_is_not_healed() -> None:
    told: list[str] = []
    unsure = pytest.raises(NotHealed, match="which ends by itself 15 s after")
    with unsure, cut_off("m2", entering(Link(told, "first", dies=True), Link(told, "second", dies=True)), clock()):
        pass
    with pytest.raises(NotHealed, match="still there"), cut_off("m2", entering(Link(told, "one", left="still there")), clock()):
        pass
