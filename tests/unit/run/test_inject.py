"""Faults by hand: how they are ordered, done and ended, in virtual time; and the way of an order through a socket."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from chaos.api import Ordered, order_text
from chaos.cli.manual_orders import planned, prepared, written
from chaos.core.clock import ManualClock, to_s
from chaos.core.errors import BadInput, CapabilityMissing, EnvironmentUnusable
from chaos.core.values import CLIENTS, DNS, Link
from chaos.history.events import FaultAsked, FaultEffective, FaultGone, FaultHealed, Row
from chaos.history.folder import RunFolder
from chaos.history.undo import pending
from chaos.registry import runs as registry
from chaos.run.manual import socket as inject_socket
from chaos.run.manual.injection import ByHand
from chaos.run.manual.session import standing
from chaos.run.manual.socket import Done, HandOrder, Orders, Refusal, Step, call, socket_of
from chaos.run.signals import Interruption
from chaos.runtimes.fake.runtime import FakeRuntime
from tests.support.quick import QUICK

PAUSE = HandOrder("pause", "n2", "3s")


@pytest.fixture
def ordered(tmp_path: Path) -> Ordered:
    """An experiment whose cluster is up."""
    return order_text(QUICK, tmp_path / "quick.yaml")


def done_by_hand(ordered: Ordered, hand: HandOrder, folder: Path, end_now: Callable[[], bool] = lambda: False) -> tuple[ByHand, list[Row]]:
    """What comes of it, and the steps that were told."""
    rows: list[Row] = []
    run, clock = RunFolder(folder), ManualClock()
    with standing(prepared(ordered), ordered.target, ordered.text, run, FakeRuntime(), clock, Interruption()) as up:
        done = up.inject(planned(ordered, hand), rows.append, end_now)
    assert pending(run.undo) == []
    return done, rows


# --- orders ------------------------------------------------------------------------------------------------------------


def test_an_order_is_read_as_an_experiments_own_fault(ordered: Ordered) -> None:
    """Kind, fields with their units, selector and limit; and nothing of what the experiment would do by itself."""
    hand = written("latency", "clients -> n2", "10s", ["latency=50ms", "stream=both"])
    plan = planned(ordered, hand)
    (spec,) = plan.experiment.faults
    assert (spec.kind, spec.for_s, spec.params["latency_s"], spec.params["stream"]) == ("latency", 10.0, 0.05, "both")
    assert plan.links == (Link(CLIENTS, "n2"),)
    assert [window.kind for window in plan.windows] == ["latency"]
    groups = planned(ordered, written("partition", None, "10s", ["groups=[[n1], [n2, n3]]"])).experiment.faults[0]
    assert groups.params["groups"] == (("n1",), ("n2", "n3"))


@pytest.mark.parametrize(
    ("hand", "says"),
    [
        (HandOrder("pause", "n9", "3s"), "no node 'n9'"),
        (HandOrder("pause", "", "3s"), "needs a target"),
        (HandOrder("pause", "n1", "3"), "has no unit"),
        (HandOrder("pause", "n1", "3s", {"depth": "2"}), "unknown key 'depth'"),
        (HandOrder("kill", "n1", "3s", {"recovery": "none"}), "never taken back"),
        (HandOrder("latency", "n1", "3s", {"latency": "50ms"}), "cannot be done to nodes"),
        (HandOrder("pause", "[n1", "3s"), "cannot be read"),
    ],
)
def test_a_wrong_order_is_refused_without_a_place(ordered: Ordered, hand: HandOrder, says: str) -> None:
    """Nobody wrote a file, so none is named."""
    with pytest.raises(BadInput, match=says.replace("[", r"\[")) as refused:
        planned(ordered, hand)
    assert refused.value.place is None


def test_words_that_are_no_order() -> None:
    """Refused before anyone is asked."""
    with pytest.raises(BadInput, match="did you mean 'pause'"):
        written("pausse", "n1", "3s", [])
    with pytest.raises(BadInput, match="has no value"):
        written("latency", "n1", "3s", ["latency"])


@pytest.mark.parametrize(
    "hand",
    [HandOrder("kill", "n1", "3s", {"recovery": "policy"}), HandOrder("partition", "n1", "3s", {"existing": "keep"}),
     HandOrder("memory", "n1", "3s", {"percent": "50%"})],
    ids=lambda hand: hand.kind,
)  # fmt: skip
def test_what_the_cluster_was_not_prepared_for_is_refused(ordered: Ordered, hand: HandOrder) -> None:
    """Before anything is done."""
    with pytest.raises(CapabilityMissing):
        planned(ordered, hand)


def test_every_link_is_prepared(ordered: Ordered) -> None:
    """Whatever may be ordered later: nothing is due by itself."""
    plan = prepared(ordered)
    assert plan.windows == ()
    assert {Link(CLIENTS, "n1"), Link(DNS, "n3"), Link("n1", "n2"), Link("n3", "n1")} <= set(plan.links)
    assert plan.proxied == plan.links
    assert len(plan.links) == 3 + 3 + 6


# --- doing -------------------------------------------------------------------------------------------------------------


def test_a_fault_lasts_to_its_limit_and_is_proven_gone(ordered: Ordered, tmp_path: Path) -> None:
    """Asked, effective, healed after its time, gone; the history has it."""
    done, rows = done_by_hand(ordered, PAUSE, tmp_path / "run")
    assert (done.status, done.target, done.exit_code) == ("healed", ["n2"], 0)
    assert done.fault_class in {"pause/leader", "pause/follower"}, "whoever leads in that world"
    assert done.during["n2.process"] == "paused"
    assert done.after["n2.process"] == "up"
    assert done.effective_s is not None
    assert done.healed_s == pytest.approx(done.effective_s + 3.0, abs=0.2)
    assert [type(row) for row in rows] == [FaultAsked, FaultEffective, FaultHealed, FaultGone]
    kept = [row for row in RunFolder(tmp_path / "run").rows() if isinstance(row, FaultAsked | FaultEffective | FaultHealed | FaultGone)]
    assert kept == rows


def test_an_earlier_word_heals_it(ordered: Ordered, tmp_path: Path) -> None:
    """Whoever asked has gone: nothing lasts longer than somebody wants it."""
    asked: list[bool] = []

    def end_now() -> bool:
        asked.append(True)
        return len(asked) > 3

    done, _ = done_by_hand(ordered, HandOrder("pause", "n2", "600s"), tmp_path / "run", end_now)
    assert done.status == "healed"
    assert done.healed_s is not None
    assert done.healed_s < 10.0


def test_a_fault_that_leads_itself_ends_by_itself(ordered: Ordered, tmp_path: Path) -> None:
    """A rolling restart is over when all are through, long before its limit."""
    done, rows = done_by_hand(ordered, HandOrder("restart", "followers", "600s", {"grace": "1s"}), tmp_path / "run")
    assert done.status == "healed", done.reason
    assert done.healed_s is not None
    assert done.healed_s < 100.0
    assert to_s(rows[-1].at_ns - rows[0].at_ns) < 100.0


def test_a_fault_that_does_not_take_effect_is_told(ordered: Ordered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed and taken back: exit status 3, and nothing pending."""
    from chaos.faults.base import evidence as proof

    monkeypatch.setattr(proof, "PING_TIMEOUT_S", 0.15)
    monkeypatch.setattr(
        proof, "ask_nodes", lambda scene, nodes, timeout_s=0.1: {node: scene.cluster.ping("n1", timeout_s) for node in nodes}
    )
    done, rows = done_by_hand(ordered, PAUSE, tmp_path / "run")
    assert (done.status, done.exit_code) == ("failed", 3)
    assert "still ran" in done.reason
    assert [type(row).__name__ for row in rows] == ["FaultAsked", "FaultFailed"]


# --- the socket --------------------------------------------------------------------------------------------------------


def served(path: Path, answer: Callable[[inject_socket.Caller], None]) -> threading.Thread:
    """A harness that answers one caller."""
    orders = Orders(path)

    def work() -> None:
        try:
            caller = None
            while caller is None:
                caller = orders.next()
            answer(caller)
            caller.close()
        finally:
            orders.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def deep(tmp_path: Path) -> Path:
    """A folder so deep that no socket could be named in it; as the state folder may be."""
    path = socket_of(tmp_path / ("d" * 100), "run")
    path.parent.mkdir(parents=True)
    return path


def test_only_its_own_user_and_root_may_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel's word; the socket's file is closed to others from its first moment."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert [inject_socket.may_order(user) for user in (1000, 0, 1001)] == [True, True, False]
    orders = Orders(tmp_path / "run.sock")
    try:
        assert (tmp_path / "run.sock").stat().st_mode & 0o777 == 0o600
        monkeypatch.setattr(inject_socket, "_user_of", lambda _connection: 1001)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.connect(str(tmp_path / "run.sock"))
            assert orders.next() is None
            assert caller.recv(1) == b""
    finally:
        orders.close()


def test_an_order_reaches_the_harness_and_its_steps_come_back(tmp_path: Path) -> None:
    """Word for word."""
    heard: list[HandOrder | None] = []
    asked = FaultAsked(at_ns=1, id="pause-1.1", fault="pause-1", kind="pause", fault_class="pause/node", target=["n2"])

    def answer(caller: inject_socket.Caller) -> None:
        heard.append(caller.order())
        caller.tell(Step(asked))
        caller.tell(Done(ByHand("pause", "pause/node", ["n2"], "healed")))

    path, rows = deep(tmp_path), list[Row]()
    thread = served(path, answer)
    done = call(path, PAUSE, rows.append, lambda: False)
    thread.join()
    assert heard == [PAUSE]
    assert rows == [asked]
    assert isinstance(done, ByHand)
    assert done.status == "healed"
    assert not path.exists()


def test_whoever_closes_his_side_ends_the_fault(tmp_path: Path) -> None:
    """A Ctrl-C there is seen here, and the end is still told."""

    def answer(caller: inject_socket.Caller) -> None:
        caller.order()
        assert not caller.wants_end()
        caller.tell(Step(FaultEffective(at_ns=1, id="x", mechanism="", before={}, during={})))
        while not caller.wants_end():
            pass
        caller.tell(Done(ByHand("pause", "pause/node", ["n2"], "healed")))

    path, rows = deep(tmp_path), list[Row]()
    thread = served(path, answer)
    done = call(path, PAUSE, rows.append, lambda: bool(rows))
    thread.join()
    assert isinstance(done, ByHand)


def test_refusals_come_back_and_a_dead_harness_is_told(tmp_path: Path) -> None:
    """With its exit status; and a harness that goes in the middle is an error, not a success."""
    path = deep(tmp_path)
    thread = served(path, lambda caller: caller.order() and caller.tell(Refusal("no", 2)))
    assert call(path, PAUSE, lambda _row: None, lambda: False) == Refusal("no", 2)
    thread.join()
    thread = served(path, lambda caller: caller.order() and None)
    with pytest.raises(EnvironmentUnusable, match="is gone"):
        call(path, PAUSE, lambda _row: None, lambda: False)
    thread.join()
    with pytest.raises(EnvironmentUnusable, match="takes no orders"):
        call(path, PAUSE, lambda _row: None, lambda: False)


def test_noise_on_the_socket_is_no_order(tmp_path: Path) -> None:
    """Whatever it is."""
    heard: list[HandOrder | None] = []
    path = deep(tmp_path)
    thread = served(path, lambda caller: heard.append(caller.order()))
    with socket.socket(socket.AF_UNIX) as noisy, inject_socket._near(path) as near:
        noisy.connect(near)
        noisy.sendall(b"GET / HTTP/1.1\r\n\r\n")
    thread.join()
    assert heard == [None]


def test_a_socket_stands_beside_the_record() -> None:
    """So that whoever finds the run finds the way to it."""
    state = Path("state")
    assert socket_of(state, "run").parent == registry.record_file(state, "run").parent


def test_a_fault_that_is_not_confirmed_does_no_harm(ordered: Ordered, tmp_path: Path) -> None:
    """The victims are shown first; what then raises leaves no trace in the history or the undo log."""
    shown: list[Sequence[str]] = []

    def decline(victims: Sequence[str]) -> None:
        shown.append(victims)
        raise BadInput("not confirmed")

    rows: list[Row] = []
    run = RunFolder(tmp_path / "run")
    cluster = standing(prepared(ordered), ordered.target, ordered.text, run, FakeRuntime(), ManualClock(), Interruption())
    with cluster as up, pytest.raises(BadInput, match="not confirmed"):
        up.inject(planned(ordered, PAUSE), rows.append, confirm=decline)
    assert (shown, rows) == ([["n2"]], [])
    assert not run.undo.read_text()
