"""``drain`` and ``restart: {by: delete}`` on stubs: who goes when, who is held back, and that a host is opened whatever happens."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from chaos.core.clock import ManualClock, to_ns
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Victims
from chaos.faults.delete import Delete
from chaos.faults.drain import AGAIN_S, Drain
from chaos.faults.restart import Restart
from chaos.history.undo import UndoLog, pending
from chaos.plugin import Layer, Scene
from chaos.testing.stubs import StubCluster, StubNet, StubNode

ALL = ("n1", "n2", "n3")


class Pod(StubNode):
    """One that another takes the place of as soon as the test says so; ``budget`` holds it back so often."""

    def __init__(self, name: str, diary: list[str], budget: int = 0) -> None:
        super().__init__(name)
        self.diary = diary
        self.budget = budget
        self.given_up = False
        self.another = False

    def delete(self, grace_s: float | None) -> int:
        self.diary.append(f"delete {self.info.name} {grace_s}")
        self.given_up = True
        return 7

    def evict(self, grace_s: float | None) -> str:
        del grace_s
        self.diary.append(f"evict {self.info.name}")
        if self.budget:
            self.budget -= 1
            return "the budget needs 2 healthy pods and has 2"
        self.given_up = True
        return ""

    def replaced(self) -> bool:
        return self.given_up and self.another


class Machines(StubCluster):
    """A cluster with hosts."""

    def __init__(self, nodes: list[Pod], diary: list[str], cordoned: bool = False) -> None:
        super().__init__(nodes, StubNet())
        self.diary = diary
        self.cordoned_before = cordoned

    def switch_off(self, host: str) -> None:
        raise AssertionError(host)

    def went_dark(self, host: str, at_ns: int) -> None:
        raise AssertionError(host, at_ns)

    def switch_on(self, host: str) -> None:
        raise AssertionError(host)

    def cut_off(self, host: str) -> AbstractContextManager[Layer]:
        raise AssertionError(host)

    def cordon(self, host: str) -> int:
        if self.cordoned_before:
            raise FaultNotEffective(f"the machine '{host}' is cordoned already, by somebody else")
        self.diary.append(f"cordon {host}")
        return 5

    def uncordon(self, host: str) -> None:
        self.diary.append(f"uncordon {host}")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the undo log of a test lies."""
    return tmp_path / "undo.jsonl"


def stage(log: Path, nodes: list[Pod], diary: list[str], *, cordoned: bool = False) -> tuple[Scene, ManualClock]:
    clock = ManualClock()
    return Scene(cluster=Machines(nodes, diary, cordoned), clock=clock, undo=UndoLog(log)), clock


HOST = Victims(nodes=("n1", "n2"), role="zone:m2")


def test_a_drain_closes_first_and_opens_last(log: Path) -> None:
    diary: list[str] = []
    pods = [Pod(name, diary) for name in ALL]
    scene, _ = stage(log, pods, diary)
    with Drain().inject(scene, HOST) as effect:
        assert effect.effective_at_ns == 5
        assert diary == ["cordon m2", "evict n1", "evict n2"]
        assert [(each.action, each.subject) for each in pending(log)] == [("uncordon", "m2")]
        assert not effect.gone().ok
        pods[0].another = True
        assert effect.gone().why == "no other pod is ready in the place of n2"
        pods[1].another = True
        assert effect.step is not None
        assert effect.step() is not None  # the schedule opens it, not the last eviction
    assert diary[-1] == "uncordon m2"
    assert pending(log) == []
    assert effect.gone().ok
    assert set(effect.gone().figures) >= {"n1.replaced_s", "n2.replaced_s"}


def test_who_is_held_back_by_a_budget_is_asked_again_as_kubectl_does(log: Path) -> None:
    diary: list[str] = []
    pods = [Pod("n1", diary), Pod("n2", diary, budget=2), Pod("n3", diary)]
    scene, clock = stage(log, pods, diary)
    with Drain().inject(scene, HOST) as effect:
        assert effect.during["n2.held_back"] == "the budget needs 2 healthy pods and has 2"
        assert effect.step is not None
        for _ in range(3):
            effect.step()
        assert diary.count("evict n2") == 1
        clock.wait_until_ns(clock.now_ns() + to_ns(AGAIN_S))
        effect.step()
        assert diary.count("evict n2") == 2
        clock.wait_until_ns(clock.now_ns() + to_ns(AGAIN_S))
        effect.step()
        assert diary.count("evict n1") == 1
        assert diary.count("evict n2") == 3


def test_a_drain_that_comes_to_no_end_fails_and_opens_the_host(log: Path) -> None:
    diary: list[str] = []
    scene, _ = stage(log, [Pod("n1", diary), Pod("n2", diary, budget=99), Pod("n3", diary)], diary)
    with pytest.raises(FaultNotEffective, match="not emptied within 'for': n2: the budget needs 2"), Drain().inject(scene, HOST):
        pass
    assert diary[-1] == "uncordon m2"
    assert pending(log) == []


def test_a_host_that_somebody_else_closed_is_left_alone(log: Path) -> None:
    diary: list[str] = []
    scene, _ = stage(log, [Pod(name, diary) for name in ALL], diary, cordoned=True)
    with pytest.raises(FaultNotEffective, match="cordoned already"), Drain().inject(scene, HOST):
        pytest.fail("it must not come to be in force")
    assert "evict n1" not in diary


def test_pods_are_rolled_from_the_last_to_the_first_each_when_the_next_one_is_ready(log: Path) -> None:
    diary: list[str] = []
    pods = {name: Pod(name, diary) for name in ALL}
    scene, clock = stage(log, list(pods.values()), diary)
    with Restart(by="delete").inject(scene, Victims(nodes=ALL, role="node")) as effect:
        assert effect.effective_at_ns == 7
        assert effect.step is not None
        for name in reversed(ALL):
            effect.step()
            assert diary[-1] == f"delete {name} None"
            assert diary.count(f"delete {name} None") == 1
            clock.wait_until_ns(clock.now_ns() + to_ns(2.0))
            pods[name].another = True
            again_ns = effect.step()
        assert again_ns is None
    assert [line.split()[1] for line in diary] == ["n3", "n2", "n1"]
    assert effect.gone().ok
    assert pending(log) == []


def test_a_roll_that_is_not_over_in_time_says_who_was_left(log: Path) -> None:
    diary: list[str] = []
    scene, _ = stage(log, [Pod(name, diary) for name in ALL], diary)
    roll = Restart(by="delete").inject(scene, Victims(nodes=ALL, role="node"))
    with pytest.raises(FaultNotEffective, match="1 of 3 nodes were restarted within 'for'; n1, n2 never was"), roll:
        pass
    assert diary == ["delete n3 None"]


def test_pods_are_not_rolled_together() -> None:
    with pytest.raises(ValueError, match="'order: together' is not how pods are rolled"):
        Restart(by="delete", order="together")


def test_a_deleted_node_that_still_answers_in_its_grace_is_not_back(log: Path) -> None:
    diary: list[str] = []
    pod = Pod("n1", diary)
    scene, _ = stage(log, [pod], diary)
    with Delete().inject(scene, Victims(nodes=("n1",), role="node")) as effect:
        assert effect.gone().why == "no other pod is ready in the place of n1"
        pod.another = True
        assert effect.gone().ok
