"""The engine on virtual time: an invented network, a loop whose clock jumps, and records read back from the file."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from chaos.core.clock import NS_PER_S
from chaos.experiment.traffic import ClientPolicy
from chaos.history import observations
from chaos.history.events import TrafficSecond
from chaos.history.observations import Outcome, Why
from chaos.traffic.engine import Engine
from chaos.traffic.probe import Slot
from chaos.traffic.resolver import Resolver
from chaos.traffic.spec import OperationOrder, ProberSpec, orders

START_NS = 50 * NS_PER_S


class VirtualLoop:
    """As much of an event loop as the engine uses; ``now_ns`` moves only when there is nothing to do at it."""

    def __init__(self) -> None:
        self.now_ns = START_NS - 1_000_000
        self._queue: list[tuple[int, int, asyncio.Handle, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0
        self._future_loop = asyncio.new_event_loop()

    def at_ns(self, at_ns: int, callback: Callable[..., None], *arguments: object) -> asyncio.Handle:
        self._count += 1
        handle = asyncio.Handle(callback, arguments, self._future_loop)
        heapq.heappush(self._queue, (at_ns, self._count, handle, callback, arguments))
        return handle

    def call_at(self, at_s: float, callback: Callable[..., None], *arguments: object) -> asyncio.Handle:
        return self.at_ns(round(at_s * NS_PER_S), callback, *arguments)

    def call_soon(self, callback: Callable[..., None], *arguments: object) -> asyncio.Handle:
        return self.at_ns(self.now_ns, callback, *arguments)

    def create_future(self) -> asyncio.Future[None]:
        return self._future_loop.create_future()

    def run(self, until: asyncio.Future[None]) -> None:
        while not until.done():
            at_ns, _, handle, callback, arguments = heapq.heappop(self._queue)
            self.now_ns = max(self.now_ns, at_ns)
            if not handle.cancelled():
                callback(*arguments)
        self._future_loop.close()


class Under:
    """An attempt in the invented network."""

    def __init__(self, reached: bool) -> None:
        self.reached = reached
        self.was_cut = False

    def cut(self) -> bool:
        self.was_cut = True
        return self.reached


class World:
    """A probe whose answers a test makes up: ``behave(address, now)`` -> (after so many ns, outcome, why) or None for silence."""

    host: str | None = None

    def __init__(self, loop: VirtualLoop, behave: Callable[[str, int], tuple[int, Outcome, Why] | None]) -> None:
        self._loop = loop
        self._behave = behave
        self.sent: list[tuple[int, int, str]] = []
        self.cuts = 0

    def send(self, slot: Slot) -> None:
        self.sent.append((slot.index, self._loop.now_ns, slot.address))
        found = self._behave(slot.address, self._loop.now_ns)
        under = Under(reached=True)
        slot.carrier = under
        if found is None:
            return
        after_ns, outcome, why = found
        if after_ns == 0:
            slot.end(outcome, why)
            return

        def answer() -> None:
            if not under.was_cut and slot.carrier is under:
                slot.end(outcome, why)

        self._loop.at_ns(self._loop.now_ns + after_ns, answer)

    def close(self) -> None:
        pass


class Run:
    """One engine, run to its end."""

    def __init__(
        self,
        folder: Path,
        behave: Callable[[str, int], tuple[int, Outcome, Why] | None],
        *,
        rate_per_s: float = 100.0,
        duration_s: float = 1.0,
        addresses: tuple[str, ...] = ("127.1.1.1",),
        client: ClientPolicy | None = None,
        operations: int = 1,
        seed: int = 1,
        before: Callable[[Run], None] | None = None,
    ) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, behave)
        self.rows: list[TrafficSecond] = []
        path = folder / "observations.bin"
        order = [
            OperationOrder(f"op{number}", "none", "write", rate_per_s, {}, number / operations / rate_per_s) for number in range(operations)
        ]
        self.spec = ProberSpec(
            run="r",
            seed=seed,
            start_ns=START_NS,
            duration_s=duration_s,
            observations=str(path),
            operations=tuple(order),
            client=client or ClientPolicy(timeout_s=0.1, attempts=1, deadline_s=0.1),
            ports={},
            name="web",
            addresses=addresses,
        )
        self.questions: list[bytes] = []
        resolver = Resolver(self.questions.append)
        self.engine = Engine(
            self.spec,
            [self.world] * operations,
            resolver,
            cast(asyncio.AbstractEventLoop, self.loop),
            emit=self.rows.append,
            clock_ns=lambda: self.loop.now_ns,
        )
        if before is not None:
            before(self)
        self.engine.start()
        self.loop.run(self.engine.finished)
        self.engine.recorder.close()
        self.records = np.sort(observations.read(path), order=["operation", "due"])

    @property
    def outcomes(self) -> list[int]:
        return [int(outcome) for outcome in self.records["outcome"]]


def well(_address: str, _now_ns: int) -> tuple[int, Outcome, Why]:
    """Answers after a millisecond."""
    return 1_000_000, Outcome.OK, Why.NONE


def test_every_slot_is_sent_on_its_grid_and_is_one_record(tmp_path: Path) -> None:
    """Due times are start + phase + i/rate, exactly, and each has one record."""
    run = Run(tmp_path, well, rate_per_s=250.0, duration_s=2.0, operations=2)
    assert len(run.records) == 1000
    for operation in (0, 1):
        due = run.records["due"][run.records["operation"] == operation]
        assert list(due) == [START_NS + operation * 2_000_000 + index * 4_000_000 for index in range(500)]
    assert set(run.outcomes) == {Outcome.OK}
    assert (run.records["sent"] == run.records["due"]).all()
    assert (run.records["done"] - run.records["sent"] == 1_000_000).all()


def test_a_stall_is_seen_in_full(tmp_path: Path) -> None:
    """A probe each 100 ms, 2 s of patience, one stall of 30 s in 1000 s: 3 % are bad, not the 0.15 % of a closed loop (models 4.3)."""

    def stalls(_address: str, now_ns: int) -> tuple[int, Outcome, Why] | None:
        return None if 400 * NS_PER_S <= now_ns - START_NS < 430 * NS_PER_S else well("", 0)

    client = ClientPolicy(timeout_s=2.0, attempts=1, deadline_s=2.0)
    run = Run(tmp_path, stalls, rate_per_s=10.0, duration_s=1000.0, client=client)
    bad = run.records["outcome"] != Outcome.OK
    assert len(run.records) == 10_000
    assert int(bad.sum()) == 300
    assert list(np.flatnonzero(bad)) == list(range(4000, 4300))
    assert set(run.records["why"][bad]) == {Why.DEADLINE}


def test_a_time_out_is_cut_on_time_and_counts_as_unknown(tmp_path: Path) -> None:
    """Silence is cut at the deadline, within a wheel's tick, and nothing says that the operation was not done."""
    run = Run(tmp_path, lambda *_: None)
    assert set(run.outcomes) == {Outcome.UNKNOWN}
    took = run.records["done"] - run.records["due"]
    assert took.min() >= 100_000_000
    assert took.max() <= 105_000_000


def test_a_retry_goes_to_another_address(tmp_path: Path) -> None:
    """With one of two dead, every slot is ok, and those that met the dead one took two attempts."""

    def one_dead(address: str, _now_ns: int) -> tuple[int, Outcome, Why]:
        return (0, Outcome.FAIL, Why.REFUSED) if address == "127.1.1.1" else (1_000_000, Outcome.OK, Why.NONE)

    client = ClientPolicy(timeout_s=0.1, attempts=2, deadline_s=0.3)
    run = Run(tmp_path, one_dead, addresses=("127.1.1.1", "127.1.1.2"), client=client, duration_s=10.0)
    assert set(run.outcomes) == {Outcome.OK}
    assert set(run.records["address"]) == {0x7F010102}
    twice = (run.records["attempts"] == 2).mean()
    assert 0.45 < twice < 0.55
    assert len(run.world.sent) == int(run.records["attempts"].sum())


def test_picks_follow_the_seed(tmp_path: Path) -> None:
    """The same seed picks the same addresses, another one others, each about evenly."""
    addresses = ("127.1.1.1", "127.1.1.2", "127.1.1.3")
    picks = [[at for _, _, at in Run(tmp_path, well, addresses=addresses, duration_s=30.0, seed=seed).world.sent] for seed in (1, 1, 2)]
    assert picks[0] == picks[1]
    assert picks[0] != picks[2]
    for address in addresses:
        assert 900 < picks[0].count(address) < 1100


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([Outcome.FAIL, Outcome.FAIL], Outcome.FAIL),
        ([Outcome.UNKNOWN, Outcome.FAIL], Outcome.UNKNOWN),
        ([Outcome.FAIL, Outcome.UNKNOWN], Outcome.UNKNOWN),
        ([Outcome.UNKNOWN, Outcome.OK], Outcome.OK),
    ],
)
def test_a_slot_failed_only_if_every_attempt_surely_did(tmp_path: Path, answers: list[Outcome], expected: Outcome) -> None:
    """One attempt that may have been done makes the slot unknown, unless one is ok."""
    left = list(answers)
    client = ClientPolicy(timeout_s=0.1, attempts=2, deadline_s=0.3)
    run = Run(tmp_path, lambda *_: (1_000_000, left.pop(0), Why.ERROR), duration_s=0.01, client=client)
    assert run.outcomes == [expected]


def test_no_attempt_begins_after_the_deadline_and_none_outlives_it(tmp_path: Path) -> None:
    """100 ms an attempt, five attempts, 250 ms in all: two full ones, a short third, then the deadline's cut."""
    client = ClientPolicy(timeout_s=0.1, attempts=5, deadline_s=0.25)
    run = Run(tmp_path, lambda *_: None, duration_s=0.01, client=client)
    assert [round((at_ns - START_NS) / 1e6) for _, at_ns, _ in run.world.sent] == [0, 100, 200]
    assert run.records["why"][0] == Why.DEADLINE
    assert run.records["done"][0] - START_NS == 250_000_000


def test_what_fell_due_while_we_were_held_up_is_missing_and_never_an_outage(tmp_path: Path) -> None:
    """The process is frozen for two seconds: slots past their deadline are unsent, later ones late, none is bad."""

    def freeze(run: Run) -> None:
        def jump() -> None:
            run.loop.now_ns += 2 * NS_PER_S

        run.loop.at_ns(START_NS + NS_PER_S - 5_000_000, jump)

    client = ClientPolicy(timeout_s=0.1, attempts=1, deadline_s=0.6)
    run = Run(tmp_path, well, duration_s=5.0, client=client, before=freeze)
    assert len(run.records) == 500
    assert set(run.outcomes) == {Outcome.OK, Outcome.UNSENT}
    unsent = run.records["outcome"] == Outcome.UNSENT
    assert 135 <= unsent.sum() <= 145
    late = (run.records["sent"] - run.records["due"] > 5_000_000) & ~unsent
    assert 55 <= late.sum() <= 65
    assert (run.records["sent"][unsent] == 0).all()
    assert sum(row.missing for row in run.rows) == unsent.sum() + late.sum()
    assert sum(row.bad for row in run.rows) == 0


def test_an_answer_that_came_while_we_were_held_up_is_missing(tmp_path: Path) -> None:
    """Nobody can tell whether an answer that waited in the socket came in time: it is neither good nor bad."""

    def freeze(run: Run) -> None:
        def jump() -> None:
            run.loop.now_ns += NS_PER_S

        run.loop.at_ns(START_NS + 500_500_000, jump)

    run = Run(tmp_path, well, rate_per_s=10.0, duration_s=2.0, before=freeze)
    assert run.outcomes[5] == Outcome.UNSENT
    assert run.records["sent"][5] == START_NS + 500_000_000
    assert Outcome.UNKNOWN not in run.outcomes
    assert Outcome.FAIL not in run.outcomes


def test_what_this_machine_could_not_send_is_unsent(tmp_path: Path) -> None:
    """No port or file left is our own trouble, not the service's."""
    run = Run(tmp_path, lambda *_: (0, Outcome.UNSENT, Why.NONE))
    assert set(run.outcomes) == {Outcome.UNSENT}
    assert (run.records["sent"] == 0).all()
    assert sum(row.missing for row in run.rows) == 100


def test_stop_sends_nothing_that_is_due_later(tmp_path: Path) -> None:
    """Stopped at 0.5 s, the slots up to then are all there is, and the ones under way still end."""

    def soon(run: Run) -> None:
        run.loop.at_ns(START_NS + 500_500_000, run.engine.stop)

    run = Run(tmp_path, lambda *_: None, duration_s=60.0, before=soon)
    assert len(run.records) == 51
    assert run.engine.grids[0].limit == 51
    assert run.engine.grids[0].end_ns == START_NS + 510_000_000


def test_each_second_has_a_row_that_sums_to_what_was_due(tmp_path: Path) -> None:
    """Rows count by due time; a second in which nothing is good says since when."""

    def falls(_address: str, now_ns: int) -> tuple[int, Outcome, Why]:
        good = now_ns - START_NS < 1.5 * NS_PER_S
        return 1_000_000, Outcome.OK if good else Outcome.FAIL, Why.NONE if good else Why.ERROR

    run = Run(tmp_path, falls, duration_s=3.5)
    assert [(row.due, row.good, row.bad, row.missing) for row in run.rows] == [
        (100, 100, 0, 0),
        (100, 50, 50, 0),
        (100, 0, 100, 0),
        (50, 0, 50, 0),
    ]
    assert [row.at_ns - START_NS for row in run.rows] == [NS_PER_S, 2 * NS_PER_S, 3 * NS_PER_S, 4 * NS_PER_S]
    assert run.rows[0].bad_run_s == 0
    assert run.rows[2].bad_run_s == pytest.approx(1.51, abs=0.03)


def test_a_name_that_is_not_answered_is_a_definite_failure(tmp_path: Path) -> None:
    """A silent name server, no address: nothing was sent, so it is a fail, at the attempt's time-out."""
    run = Run(tmp_path, well, addresses=(), duration_s=0.2)
    assert set(run.outcomes) == {Outcome.FAIL}
    assert set(run.records["why"]) == {Why.NO_DNS}
    assert set(run.records["address"]) == {0}
    assert run.questions
    assert not run.world.sent


def test_a_name_without_addresses_fails_every_attempt_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that is empty, and cached as empty for its TTL, is a definite failure of the name, at once and on the retry too."""
    monkeypatch.setattr(Resolver, "cached", lambda _self, _name, _now_ns: ())
    policy = ClientPolicy(timeout_s=0.1, attempts=2, deadline_s=0.3)
    run = Run(tmp_path, well, addresses=(), duration_s=0.2, client=policy)
    assert set(run.outcomes) == {Outcome.FAIL}
    assert set(run.records["why"]) == {Why.DNS}
    assert set(run.records["attempts"]) == {2}
    assert not run.world.sent


def test_a_torn_tail_is_dropped_and_all_before_it_is_read(tmp_path: Path) -> None:
    """A file cut at any byte gives every whole record before the cut."""
    run = Run(tmp_path, well)
    path = Path(run.spec.observations)
    data = path.read_bytes()
    for cut in (len(data) - 1, len(data) - 35, observations.HEADER.size + 3 * observations.RECORD.size + 7, observations.HEADER.size, 5, 0):
        path.write_bytes(data[:cut])
        assert len(observations.read(path)) == max(0, cut - observations.HEADER.size) // observations.RECORD.size


def test_orders_are_staggered_in_the_order_of_the_traffic() -> None:
    """Two operations of one rate are due half a slot apart, so that neither makes the other late."""
    from chaos.experiment.target.operation import OperationKind
    from chaos.experiment.traffic import OperationSpec

    kinds = {"read": OperationKind("http", "read", {"what": "b"}), "write": OperationKind("http", "write", {"what": "a"})}
    found = orders({"write": OperationSpec(100.0), "read": OperationSpec(100.0)}, kinds)
    assert [(order.name, order.phase_s, order.options) for order in found] == [
        ("write", 0.0, {"what": "a"}),
        ("read", 0.005, {"what": "b"}),
    ]
    assert [order.count(1.0) for order in found] == [100, 100]
