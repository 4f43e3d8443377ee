"""Clients whose data is checked, against a register in memory: what they write down, and what they make of trouble."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import msgspec

from chaos.experiment.target.operation import OperationKind
from chaos.history.journal import Begun, Called, Ended, JournalRow, NodeRead, Returned
from chaos.history.observations import Outcome, Why
from chaos.traffic.data import _Ear
from chaos.traffic.data_order import DataOrder, NodeMoved
from chaos.traffic.probe import Slot
from chaos.traffic.resolver import Resolver
from chaos.traffic.sessions import Sessions

WRITE = OperationKind("memory", "write")
READ = OperationKind("memory", "read")


class Memory:
    """A probe that is the service as well. ``trouble`` says how an operation ends instead, by its number."""

    host = None

    def __init__(self, data: dict[str, str], *, reads: bool, trouble: dict[int, Outcome] | None = None) -> None:
        self.data = data
        self.reads = reads
        self.trouble = trouble or {}

    def send(self, slot: Slot) -> None:
        """At once; what is silent is cut."""
        outcome = self.trouble.get(slot.index)
        if outcome is Outcome.UNKNOWN:
            slot.carrier = Silent()
            return
        if outcome is None and not self.reads:
            self.data[slot.key] = slot.value
        slot.answer = msgspec.json.encode(self.data.get(slot.key))
        slot.end(outcome or Outcome.OK, Why.NONE if outcome is None else Why.REFUSED)

    def value(self, slot: Slot) -> str | None:
        """What was there."""
        return msgspec.json.decode(slot.answer, type=str | None)

    def close(self) -> None:
        """Nothing to let go."""


class Silent:
    """It never answers."""

    def cut(self) -> bool:
        """All of it had arrived."""
        return True


def carried_out(trouble: dict[int, Outcome] | None = None, **changes: object) -> list[JournalRow]:
    """The journal of a short run."""
    data: dict[str, str] = {}
    rows: list[JournalRow] = []
    usual = DataOrder(
        run="r", seed=1, start_ns=time.monotonic_ns(), duration_s=0.2, journal="", workload="register", keys=3, sessions=4,
        rate_per_s=400.0, mix={"write": 0.5, "read": 0.5}, operations={"write": WRITE, "read": READ}, nodes={"n1": "127.0.0.1"},
        ports={}, timeout_s=0.03, settle_s=1.0, read_node=READ, once=0.5, addresses=("127.0.0.1",),
    )  # fmt: skip
    order = msgspec.structs.replace(usual, **changes)

    async def work() -> None:
        probes = {name: Memory(data, reads=name == "read", trouble=trouble) for name in ("write", "read")}
        resolver = Resolver(lambda _: None)
        await Sessions(order, probes, Memory(data, reads=True), resolver, asyncio.get_running_loop(), rows.append).run()

    asyncio.run(work())
    return rows


def test_every_operation_is_called_before_it_returns_and_values_are_unique() -> None:
    """A session asks one thing at a time; its own keys are written once; in the end every written key is read, at the node too."""
    rows = carried_out()
    assert isinstance(rows[0], Begun)
    assert isinstance(rows[-1], Ended)
    assert rows[-1].settled
    calls = {row.n: row for row in rows if isinstance(row, Called)}
    assert len(calls) == rows[-1].operations
    under_way: dict[int, int] = {}
    for row in rows:
        if isinstance(row, Called) and row.session:
            assert row.session not in under_way
            under_way[row.session] = row.n
        elif isinstance(row, Returned) and calls[row.n].session:
            assert under_way.pop(calls[row.n].session) == row.n
            assert row.at_ns >= calls[row.n].at_ns
    written = [(row.key, row.value) for row in calls.values() if row.does == "write"]
    assert max(Counter(value for _, value in written).values()) == 1
    own = [key for key, _ in written if key.startswith("o")]
    assert len(own) == len(set(own)) > 5
    assert {row.key for row in calls.values() if row.session == 0} == {key for key, _ in written}
    assert {row.key for row in rows if isinstance(row, NodeRead)} == {key for key, _ in written}


def test_how_trouble_is_written_down() -> None:
    """Silence is unknown after the time-out; what was refused before a byte was sent was surely not done. Nothing is tried again."""
    rows = carried_out({2: Outcome.UNKNOWN, 3: Outcome.FAIL, 4: Outcome.UNSENT})
    returned = {row.n: row for row in rows if isinstance(row, Returned)}
    assert (returned[2].outcome, returned[2].why) == ("unknown", "timeout")
    assert [returned[n].outcome for n in (1, 3, 4)] == ["ok", "fail", "fail"]
    calls = {row.n: row.at_ns for row in rows if isinstance(row, Called)}
    assert returned[2].at_ns - calls[2] >= 30_000_000


def test_values_go_through_the_journal(tmp_path: Path) -> None:
    """A read says what the register held."""
    rows = carried_out(keys=1, sessions=1, once=0.0)
    held: str | None = None
    calls = {row.n: row for row in rows if isinstance(row, Called)}
    for row in rows:
        if isinstance(row, Returned) and calls[row.n].does == "write":
            held = calls[row.n].value
        elif isinstance(row, Returned):
            assert row.value == held


def test_a_node_that_has_moved_is_read_at_its_new_address() -> None:
    """The line that tells of it; a node that the order does not name is none of theirs."""
    asked: list[str] = []

    class Noting(Memory):
        def send(self, slot: Slot) -> None:
            asked.append(slot.address)
            super().send(slot)

    order = DataOrder(
        run="r", seed=1, start_ns=time.monotonic_ns(), duration_s=0.1, journal="", workload="register", keys=2, sessions=1,
        rate_per_s=100.0, mix={"write": 0.5, "read": 0.5}, operations={"write": WRITE, "read": READ}, nodes={"n1": "10.0.0.1"},
        ports={}, timeout_s=0.03, settle_s=1.0, read_node=READ, once=0.5, addresses=("127.0.0.1",),
    )  # fmt: skip

    async def work() -> None:
        data: dict[str, str] = {}
        probes = {name: Memory(data, reads=name == "read") for name in ("write", "read")}
        loop = asyncio.get_running_loop()
        sessions = Sessions(order, probes, Noting(data, reads=True), Resolver(lambda _: None), loop, lambda _: None)
        ear = _Ear.__new__(_Ear)
        ear._sessions = sessions
        ear._hear(msgspec.json.encode(NodeMoved("n1", "10.0.0.9")))
        ear._hear(msgspec.json.encode(NodeMoved("clients", "10.0.0.7")))
        await sessions.run()

    asyncio.run(work())
    assert set(asked) == {"10.0.0.9"}
