"""Pods of ours that are replaced: who is told what, in which order, and what is no move."""

from __future__ import annotations

from typing import Any, cast

import pytest

from chaos.core.clock import ManualClock
from chaos.core.errors import EnvironmentUnusable
from chaos.core.values import NodeInfo
from chaos.history.events import NodeUp, Row
from chaos.kube.find import Pod
from chaos.runtimes.kubernetes.own import moves as module
from chaos.runtimes.kubernetes.own.moves import Moves
from chaos.runtimes.kubernetes.own.pods import own_pod


def thing(name: str, uid: str, address: str, *, runs: bool = True, ending: bool = False) -> dict[str, Any]:
    """A pod as the API server tells of it."""
    state: dict[str, Any] = {"running": {}} if runs else {"waiting": {}}
    return {
        "metadata": {"name": name, "uid": uid, "labels": {}, **({"deletionTimestamp": "now"} if ending else {})},
        "spec": {"nodeName": "w1", "containers": [{"name": "system"}]},
        "status": {"podIP": address, "containerStatuses": [{"name": "system", "state": state, "containerID": f"containerd://{uid}"}]},
    }


class Node:
    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self.told = name, told

    def seen(self, event: Any) -> None:
        self.told.append(f"{self.name} {event.event}")

    def moved(self, info: NodeInfo) -> None:
        self.told.append(f"{self.name} at {info.address}")


class World:
    """All that a move concerns: it notes what it is told. ``fails``: so often no agent can be started."""

    def __init__(self, fails: int = 0) -> None:
        self.told: list[str] = []
        self.rows: list[Row] = []
        self.broken: list[str] = []
        self.pods: dict[str, Pod] = {
            name: own_pod(thing(f"x-{number}", f"u{number}", f"10.0.0.{number}")) for number, name in enumerate(("n1", "n2"))
        }
        self.nodes = {name: Node(name, self.told) for name in self.pods}
        self.agents: dict[str, Any] = {}
        self.fails = fails
        world = cast("Any", self)
        clock = cast("Any", ManualClock())
        self.moves = Moves(
            world, "trials", "nines.run=r", world, world, world, world, self.helpers_told, world, self.rows.append, clock
        )  # fmt: skip

    def helpers_told(self, name: str) -> None:
        self.told.append(f"helpers of {name}")

    def seen(self, name: str, pod: Pod) -> None:
        """The logs."""

    def note(self, why: str) -> None:
        self.broken.append(why)

    def move(self, name: str, address: str, machine: str) -> NodeInfo:
        self.told.append(f"layout {name} {address} {machine}")
        return NodeInfo(name=name, part="data", zone=None, address=address, ports={"client": 1})

    def stand_in(self, name: str) -> None:
        self.fails -= 1
        if self.fails >= 0:
            raise EnvironmentUnusable("its sidecar does not answer yet", how="")
        self.told.append(f"agent in {self.pods[name].name}")

    def tell_hosts(self, name: str) -> None:
        self.told.append(f"names in {name}")

    def open(self, name: str) -> None:
        self.told.append(f"gate of {name}")

    def take(self, kind: str, pod: dict[str, Any]) -> None:
        self.moves._take(kind, pod)
        self.moves._worker.submit(lambda: None).result()


MOVED = [
    "n2 down", "layout n2 10.0.0.9 w1", "n2 at 10.0.0.9", "agent in x-1", "names in n1", "helpers of n2", "gate of n2",
]  # fmt: skip


def test_a_node_lives_on_in_the_next_pod_of_its_name() -> None:
    world = World()
    world.take("MODIFIED", thing("x-1", "u1", "10.0.0.1", ending=True))
    world.take("DELETED", thing("x-1", "u1", "10.0.0.1", ending=True))
    world.take("ADDED", thing("x-1", "new", "", runs=False))
    assert not world.told
    world.take("MODIFIED", thing("x-1", "new", "10.0.0.9"))
    assert world.told == MOVED
    (row,) = world.rows
    assert isinstance(row, NodeUp)
    assert (row.node, row.address, row.container) == ("n2", "10.0.0.9", "x-1")
    world.take("MODIFIED", thing("x-1", "new", "10.0.0.9"))  # ready, say
    assert world.told == MOVED


def test_an_agent_that_cannot_be_started_at_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)
    world = World(fails=2)
    world.take("ADDED", thing("x-1", "new", "10.0.0.9"))
    assert world.told[-4:] == MOVED[-4:]
    assert not world.broken


def test_one_that_never_can_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(module, "JOINS_WITHIN_S", 0.01)
    world = World(fails=10**9)
    world.take("ADDED", thing("x-1", "new", "10.0.0.9"))
    assert world.broken == ["no agent could be started in the new pod of n2 (x-1): its sidecar does not answer yet"]


def test_a_pod_of_another_name_is_nobodys() -> None:
    world = World()
    world.take("ADDED", thing("x-2", "new", "10.0.0.9"))
    assert not world.told
    assert world.pods["n2"].uid == "u1"
