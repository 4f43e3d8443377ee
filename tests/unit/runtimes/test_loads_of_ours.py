"""Loads behind a gate: what the gate needs stays, the agent points out who is to die, and the kernel's count says who did."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.core.clock import MonotonicClock
from chaos.core.values import Allowed, Load, NodeInfo, Status
from chaos.kube.find import Pod
from chaos.runtimes.base.agents.link import AgentRefused, Answer
from chaos.runtimes.kubernetes.own.loads import OF_THE_GATE, OwnLoads, OwnNode

LIMIT = 128 << 20
POD = Pod("p-0", "u", "m1", "10.0.0.1", "system", "c", "i", True, False, 0, limits=Allowed(0.5, LIMIT))


class Node:
    info = NodeInfo("n1", "data", None, "10.0.0.1", {})

    def __init__(self) -> None:
        self.doomed: list[str] = []
        self.died_ns = 0

    def status(self) -> Status:
        return Status.UP

    def doom(self, how: str) -> None:
        self.doomed.append(how)

    def last_death_ns(self) -> int:
        return self.died_ns


class Link:
    """An agent that notes what it is told."""

    def __init__(self, name: str, told: list[tuple[str, str, dict[str, Any]]]) -> None:
        self.name, self.told, self.kills = name, told, 2

    def call(self, do: str, timeout_s: float = 0.0, **fields: Any) -> Answer:
        self.told.append((self.name, do, fields))
        if do == "resources.usage":
            if self.kills < 0:
                raise AgentRefused("n1: no process of the system runs")
            return Answer(id=1, at_ns=5, result={"oom_kills": float(self.kills), "cpu_s": 0.0, "throttled_s": 0.0, "memory_bytes": 0.0})
        return Answer(id=1, at_ns=5, result={"ended": 1.0})


class Kubelet:
    def get(self, *_: str) -> dict[str, Any]:
        return {"status": {"containerStatuses": []}}


@pytest.fixture
def parts():
    told: list[tuple[str, str, dict[str, Any]]] = []
    node, guest, sidecar = Node(), Link("guest", told), Link("sidecar", told)
    loads = OwnLoads(OwnNode(node, guest), POD, lambda: sidecar, Kubelet(), "trials", MonotonicClock())  # type: ignore[arg-type]
    return loads, node, guest, told


def test_the_gate_keeps_its_little_and_only_the_system_is_pointed_out(parts) -> None:
    loads, node, _, told = parts
    with loads.load(Load("memory", 1, bytes=LIMIT)) as loaded:
        assert not loaded.out_of_memory()
    did = [(who, what) for who, what, _ in told if what != "resources.usage"]
    assert did == [
        ("guest", "resources.shield"), ("sidecar", "resources.expose"), ("guest", "burden.begin"),
        ("guest", "burden.end"), ("sidecar", "resources.cover"), ("guest", "resources.unshield"),
    ]  # fmt: skip
    (begun,) = (fields for _, what, fields in told if what == "burden.begin")
    assert begun["amount"] == LIMIT - OF_THE_GATE
    assert node.doomed == ["OOM", ""]


def test_less_than_all_is_taken_as_it_was_asked(parts) -> None:
    loads, _, _, told = parts
    with loads.load(Load("memory", 1, bytes=LIMIT // 2)):
        pass
    assert not any(what.startswith("resources.") for _, what, _ in told if what != "resources.usage")
    assert next(fields for _, what, fields in told if what == "burden.begin")["amount"] == LIMIT // 2


def test_a_kill_is_counted_while_the_container_lives(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it died with the system, kubelet is asked."""
    loads, node, guest, _ = parts
    monkeypatch.setattr("chaos.runtimes.kubernetes.loads.TOLD_WITHIN_S", 0.0)
    with loads.load(Load("memory", 1, bytes=LIMIT)) as loaded:
        guest.kills = 3
        assert loaded.out_of_memory()
        guest.kills, node.died_ns = -1, 1 << 62
        assert not loaded.out_of_memory()
