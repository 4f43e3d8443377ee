"""Whom a name lists that is not ours: asked by the name that goes over the wire, told by the one that people see."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.core.clock import Clock, MonotonicClock
from chaos.core.values import LookUp
from chaos.history.events import DnsChanged
from chaos.runtimes.base import follower
from chaos.runtimes.base.follower import Follower
from chaos.runtimes.base.layout import Layout

ADDRESSES = {"n1": "198.18.0.1", "n2": "198.18.0.2"}


@pytest.mark.timeout(30)
def test_changes_are_told_and_a_node_is_found_again_at_its_next_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """n1 leaves the name, and is listed at another address; the first answer, which the history has, is told no second time."""
    nodes = {name: SimpleNamespace(address=address, part="data") for name, address in ADDRESSES.items()}
    layout = cast("Layout", SimpleNamespace(name="store", nodes=nodes, dns_part="data", answers=("192.0.2.9", 53)))
    answers = [tuple(ADDRESSES.values()), ("198.18.0.2",), ("198.18.0.2", "198.18.0.7")]
    asked: list[tuple[Any, ...]] = []
    rows: list[DnsChanged] = []
    told = threading.Semaphore(0)

    def look_up(name: str, server: str, port: int, timeout_s: float, clock: Clock) -> LookUp:
        del timeout_s, clock
        asked.append((name, server, port))
        if len(asked) == 3:
            following.moved("n1", "198.18.0.7")
        return LookUp("NOERROR", answers[min(len(asked), len(answers)) - 1])

    def sink(row: Any) -> None:
        rows.append(row)
        told.release()

    monkeypatch.setattr(follower, "look_up", look_up)
    following = Follower(layout, sink, MonotonicClock(), "store.shop.svc.cluster.local", ("10.96.0.10", 53))
    following.start(ADDRESSES)
    assert told.acquire(timeout=10)
    assert told.acquire(timeout=10)
    following.close()
    assert set(asked) == {("store.shop.svc.cluster.local", "10.96.0.10", 53)}
    assert [(row.name, row.nodes, row.changed) for row in rows] == [("store", ["n2"], "n1"), ("store", ["n1", "n2"], "n1")]
