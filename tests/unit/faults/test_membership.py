"""``membership`` on stubs, in virtual time: who is asked, what is proven, and what happens when nobody lets a node go or join."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from chaos.core.clock import ManualClock
from chaos.core.errors import FaultNotEffective, NotHealed
from chaos.core.values import Status, Victims
from chaos.faults.membership import CHANGED_WITHIN_S, Membership
from chaos.history.undo import UndoLog, pending
from chaos.plugin import Scene
from chaos.testing.stubs import StubCluster, StubNet, StubNode
from tests.support.samples import sample_target

N1 = Victims(nodes=("n1",))


class Machine(StubNode):
    """Notes what is done to it in a diary that all share."""

    def __init__(self, name: str, diary: list[str]) -> None:
        super().__init__(name)
        self.diary = diary

    def kill(self, signal_number: int) -> int:
        self.diary.append(f"{self.info.name} {signal.Signals(signal_number).name}")
        return super().kill(signal_number)

    def start(self) -> int:
        self.diary.append(f"{self.info.name} starts")
        return super().start()

    def remove(self, *, data: bool) -> int:
        self.diary.append(f"{self.info.name} is gone, data {'too' if data else 'kept'}")
        return super().kill(signal.SIGKILL)


class Club(StubCluster):
    """Members that all agree on; ``deaf`` to these changes, and at first ``busy`` so many times."""

    def __init__(self, nodes: Sequence[Machine], diary: list[str], deaf: Sequence[str] = (), busy: int = 0) -> None:
        super().__init__(nodes, StubNet())
        self.listed = {node.info.name for node in nodes}
        self.diary = diary
        self.deaf = deaf
        self.busy = busy
        self.quiet = False

    def change_members(self, change: str, node: str, timeout_s: float) -> str | None:
        assert timeout_s > 0
        if change in self.deaf or self.busy > 0:
            self.busy -= 1
            return "n2: status 409"
        self.diary.append(f"{node} may {change}")
        (self.listed.add if change == "join" else self.listed.discard)(node)
        return None

    def lists(self, node: str, timeout_s: float) -> dict[str, bool | None]:
        assert timeout_s > 0
        up = {name for name, each in self.nodes.items() if each.status() is Status.UP and not self.quiet}
        return {name: node in self.listed if name in up else None for name in self.nodes if name != node}


def stage(tmp_path: Path, deaf: Sequence[str] = (), busy: int = 0) -> tuple[Scene, Club, list[str]]:
    """Three nodes, all members."""
    diary: list[str] = []
    club = Club([Machine(name, diary) for name in ("n1", "n2", "n3")], diary, deaf, busy)
    return Scene(cluster=club, clock=ManualClock(), undo=UndoLog(tmp_path / "undo.jsonl")), club, diary


def test_a_node_leaves_before_its_process_ends_and_joins_after_its_start(tmp_path: Path) -> None:
    """Two refusals, as during an election, are waited out. The proof is what the others say, before, meanwhile and after."""
    scene, club, diary = stage(tmp_path, busy=2)
    with Membership().inject(scene, N1) as effect:
        assert club.listed == {"n2", "n3"}
        assert (effect.during["n1.listed_by, before"], effect.during["n1.listed_by, during"]) == ("n2, n3", "nobody")
        assert not effect.gone().ok
        club.quiet = True
        assert "no other node says whether n1 is a member" in effect.gone().why
        club.quiet = False
    assert diary == ["n1 may leave", "n1 SIGTERM", "n1 starts", "n1 may join"]
    after = effect.gone()
    assert (after.ok, after.figures["n1.listed_by"]) == (True, "n2, n3")
    assert pending(tmp_path / "undo.jsonl") == []


def test_a_replaced_node_is_lost_with_its_data_before_the_others_take_it_out(tmp_path: Path) -> None:
    """And comes back as a new machine."""
    scene, _, diary = stage(tmp_path)
    with Membership(change="replace").inject(scene, N1) as effect:
        assert effect.mechanism == "SIGKILL, data deleted, taken out of its cluster"
    assert diary == ["n1 is gone, data too", "n1 may leave", "n1 starts", "n1 may join"]


def test_one_that_nobody_lets_go_is_left_as_it_was(tmp_path: Path) -> None:
    """It still runs and is a member; the refusal is told."""
    scene, club, diary = stage(tmp_path, deaf=("leave",))
    with pytest.raises(FaultNotEffective, match=f"n1 did not leave within {CHANGED_WITHIN_S:g} s: n2: status 409"):
        Membership().inject(scene, N1).__enter__()
    assert (diary, club.listed) == ([], {"n1", "n2", "n3"})
    assert pending(tmp_path / "undo.jsonl") == []


def test_one_that_is_not_let_in_again_is_told_as_left_over(tmp_path: Path) -> None:
    """A cluster of two is not what it was: that must not pass for rolled back."""
    scene, _, _ = stage(tmp_path, deaf=("join",))
    with pytest.raises(NotHealed, match="n1 did not join within 10 s"), Membership().inject(scene, N1):
        pass
    assert [str(entry) for entry in pending(tmp_path / "undo.jsonl")] == ["start n1"]


def test_a_target_that_does_not_say_how_is_refused() -> None:
    """Before anything starts."""
    assert Membership().target_lacks(sample_target()) == "'membership': how nodes join and leave"
