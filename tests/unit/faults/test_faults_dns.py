"""``dns``: what is ordered, what a look-up must show, and what the server makes of a right answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, DNSRecord

from chaos.core.clock import ManualClock
from chaos.core.errors import FaultNotEffective
from chaos.core.values import LookUp, NameHarm, NamesHarmed, Victims
from chaos.core.worker import Orders
from chaos.dns.orders import MODES, Harms
from chaos.dns.spec import DnsSpec, NameSpec, Replica
from chaos.dns.zone import Zone
from chaos.faults.dns import Dns
from chaos.history.undo import UndoLog, pending
from chaos.plugin import Scene
from chaos.testing.stubs import StubCluster, StubNet
from tests.support.capable import why
from tests.support.samples import sample_target

NAME = "data.nines.test"
NOWHERE = "127.0.0.99"
REPLICAS = tuple(Replica(f"n{number}", f"127.0.1.{number}") for number in (1, 2, 3))
SPEC = DnsSpec("127.0.0.53", 8053, (NameSpec(NAME, REPLICAS, aliases=("data",), ttl_s=1),), nowhere=NOWHERE)
WELL = LookUp("NOERROR", tuple(replica.address for replica in REPLICAS), 1, 0.001)
FAULTS = {
    "down": Dns(mode="down"),
    "refused": Dns(mode="refused"),
    "slow": Dns(mode="slow", delay_s=0.3),
    "servfail": Dns(mode="servfail"),
    "nxdomain": Dns(mode="nxdomain"),
    "stale": Dns(mode="stale"),
    "wrong": Dns(mode="wrong"),
    "missing": Dns(mode="missing", record="n2"),
    "ttl": Dns(mode="ttl", ttl_s=60.0),
}
SHOWN = {
    "down": LookUp(None, error="timed out"),
    "refused": LookUp(None, error="refused"),
    "slow": LookUp("NOERROR", WELL.addresses, 1, 0.301),
    "servfail": LookUp("SERVFAIL", rtt_s=0.001),
    "nxdomain": LookUp("NXDOMAIN", rtt_s=0.001),
    "stale": WELL,
    "wrong": LookUp("NOERROR", (NOWHERE,), 1, 0.001),
    "missing": LookUp("NOERROR", ("127.0.1.1", "127.0.1.3"), 1, 0.001),
    "ttl": LookUp("NOERROR", WELL.addresses, 60, 0.001),
}


class StubNames:
    """Shows what it is ordered to, unless ``deaf``; stays so if it is ``stuck``."""

    def __init__(self, *, deaf: bool = False, stuck: bool = False) -> None:
        self.deaf = deaf
        self.stuck = stuck
        self.orders: list[NameHarm] = []
        self.now = WELL

    @contextmanager
    def harm(self, order: NameHarm) -> Iterator[NamesHarmed]:
        self.orders.append(order)
        self.now = WELL if self.deaf else SHOWN[order.mode]
        yield NamesHarmed(5, "127.0.1.2" if order.record else "")
        if not self.stuck:
            self.now = WELL

    def look_up(self, timeout_s: float) -> LookUp:
        return self.now


class NamedCluster(StubCluster):
    """A cluster whose name server takes orders."""

    def __init__(self, names: StubNames) -> None:
        super().__init__([], StubNet())
        self.names = names


def scene(tmp_path: Path, cluster: StubCluster) -> Scene:
    """In virtual time."""
    return Scene(cluster=cluster, clock=ManualClock(), undo=UndoLog(tmp_path / "undo.jsonl"))


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_is_shown_by_a_look_up_and_gone_after(mode: str, tmp_path: Path) -> None:
    """In force since the server's own word."""
    names = StubNames()
    with FAULTS[mode].inject(scene(tmp_path, NamedCluster(names)), Victims(role=mode)) as effect:
        assert effect.effective_at_ns == 5
        assert len(pending(tmp_path / "undo.jsonl")) == 1
        assert effect.during["name.answer"] == SHOWN[mode].answer
        assert effect.gone().ok is (mode in {"stale", "missing"})
    assert effect.gone().ok
    assert pending(tmp_path / "undo.jsonl") == []
    assert [order.mode for order in names.orders] == [mode]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "stale"])
def test_a_server_that_answers_as_before_is_refused(mode: str, tmp_path: Path) -> None:
    """Its word alone proves nothing, where a look-up can."""
    stage = scene(tmp_path, NamedCluster(StubNames(deaf=True)))
    with pytest.raises(FaultNotEffective, match="as before"), FAULTS[mode].inject(stage, Victims(role=mode)):
        pytest.fail("it must not come to be in force")
    assert pending(tmp_path / "undo.jsonl") == []


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in {"stale", "missing"}])
def test_one_that_stays_wrong_is_not_gone(mode: str, tmp_path: Path) -> None:
    """Then the run ends with exit status 6."""
    with FAULTS[mode].inject(scene(tmp_path, NamedCluster(StubNames(stuck=True))), Victims(role=mode)) as effect:
        pass
    assert not effect.gone().ok


def test_a_cluster_without_such_a_server_is_refused(tmp_path: Path) -> None:
    """Rather than nothing being done."""
    with pytest.raises(FaultNotEffective, match="takes no orders"), Dns().inject(scene(tmp_path, StubCluster([], StubNet())), Victims()):
        pytest.fail("it must not come to be in force")


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"mode": "slow"}, "needs 'delay'"), ({"delay_s": 1.0}, "belongs to 'mode: slow'"), ({"mode": "missing"}, "needs 'record'"),
     ({"mode": "ttl"}, "needs 'ttl'"), ({"mode": "ttl", "ttl_s": 0.5}, "whole seconds"), ({"mode": "slow", "delay_s": 0.0}, "no fault")],
)  # fmt: skip
def test_fields_that_do_not_belong_together(fields: dict[str, Any], message: str) -> None:
    """Refused before anything starts."""
    with pytest.raises(ValueError, match=message):
        Dns(**fields)


def test_where_it_can_be_done() -> None:
    """In virtual time what the set alone shows."""
    target = sample_target()
    assert {mode for mode, fault in FAULTS.items() if why(fault, "fake", target) == ""} == {"stale", "missing"}
    assert all(why(fault, "local", target) == "" for fault in FAULTS.values())


# --- the server's side -------------------------------------------------------------------------------------------------


def asked(harms: Harms, name: str = NAME, kind: str = "A") -> DNSRecord:
    """What a client gets."""
    answer = Zone(SPEC).answer(bytes(DNSRecord.question(name, kind).pack()))
    assert answer is not None
    return DNSRecord.parse(harms.applied(answer))


def in_force(*orders: NameHarm) -> Harms:
    """These, numbered from 1."""
    harms = Harms(SPEC.names, SPEC.nowhere)
    for number, order in enumerate(orders, 1):
        harms.put(number, order)
    return harms


def addresses(record: DNSRecord) -> list[str]:
    """In order of size."""
    return sorted(str(each.rdata) for each in record.rr if each.rtype == QTYPE.A)


ALL = ["127.0.1.1", "127.0.1.2", "127.0.1.3"]


def test_without_orders_nothing_is_touched() -> None:
    """Byte for byte."""
    answer = Zone(SPEC).answer(bytes(DNSRecord.question(NAME).pack()))
    assert answer is not None
    assert in_force().applied(answer) == answer


@pytest.mark.parametrize(
    ("order", "code", "found", "ttl"),
    [
        (NameHarm("servfail"), RCODE.SERVFAIL, [], None),
        (NameHarm("nxdomain"), RCODE.NXDOMAIN, [], None),
        (NameHarm("wrong"), RCODE.NOERROR, [NOWHERE], 1),
        (NameHarm("missing", record="n2"), RCODE.NOERROR, ["127.0.1.1", "127.0.1.3"], 1),
        (NameHarm("ttl", ttl_s=60), RCODE.NOERROR, ALL, 60),
        (NameHarm("slow", delay_s=1.0), RCODE.NOERROR, ALL, 1),
        (NameHarm("stale"), RCODE.NOERROR, ALL, 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", [NAME, "data", "DATA.nines.test."])
def test_what_becomes_of_an_answer(order: NameHarm, code: int, found: list[str], ttl: int | None, name: str) -> None:
    """By any of the name's spellings."""
    record = asked(in_force(order), name)
    assert record.header.rcode == code
    assert addresses(record) == found
    assert {each.ttl for each in record.rr} == (set() if ttl is None else {ttl})
    assert bool(record.auth) is (order.mode == "nxdomain")


def test_orders_add_up_and_leave_one_by_one() -> None:
    """Two records missing and a long life; then one less."""
    harms = in_force(NameHarm("missing", record="n1"), NameHarm("missing", record="n2"), NameHarm("ttl", ttl_s=9))
    assert addresses(asked(harms)) == ["127.0.1.3"]
    assert harms.visible(["n1", "n2", "n3"]) == ["n3"]
    harms.take(1)
    assert addresses(asked(harms)) == ["127.0.1.1", "127.0.1.3"]
    assert [each.ttl for each in asked(harms).rr] == [9, 9]


def test_the_last_record_missing_is_no_data() -> None:
    """NOERROR with an SOA, as where every replica is out."""
    record = asked(in_force(*(NameHarm("missing", record=replica.node) for replica in REPLICAS)))
    assert (record.header.rcode, record.rr) == (RCODE.NOERROR, [])
    assert [each.rtype for each in record.auth] == [QTYPE.SOA]


def test_other_names_are_left_alone() -> None:
    """What the server does not serve it answers as ever."""
    harms = in_force(NameHarm("servfail"))
    assert asked(harms, "elsewhere.example").header.rcode == RCODE.REFUSED


def test_delays_add_up() -> None:
    """Of those that are slow."""
    assert in_force(NameHarm("slow", delay_s=0.1), NameHarm("slow", delay_s=0.2), NameHarm("stale")).delay_s == pytest.approx(0.3)


def test_orders_are_whole_lines_and_wait_for_their_taker() -> None:
    """However the pipe cuts them."""
    orders, taken = Orders(), []
    orders.feed(b"one\ntw")
    orders.taken_by(taken.append)
    assert taken == [b"one"]
    orders.feed(b"o\nthree\nfo")
    assert taken == [b"one", b"two", b"three"]
