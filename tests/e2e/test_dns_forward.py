"""A resolver of ours before a name server that is not: wrong only as ordered, and only for who asks here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.core.clock import MonotonicClock
from chaos.core.values import LookUp, NameHarm
from chaos.dns.forward import ForwardSpec
from chaos.dns.spec import ROUND_ROBIN, DnsSpec, MoveOrder, NameOrder, NameSpec, Replica
from chaos.history.events import DnsChanged, NamesOrdered
from chaos.traffic.lookup import REFUSED, TIMED_OUT, exchange, look_up
from tests.support.scripted_node import Helper

pytestmark = pytest.mark.e2e
SERVER, BEFORE, PORT = "127.62.0.53", "127.62.0.54", 5353
NAME, OTHER = "store.shop.svc.cluster.test", "cart.shop.svc.cluster.test"
NOWHERE = "192.0.2.1"
REPLICAS = tuple(Replica(f"n{number}", f"127.62.1.{number}") for number in (1, 2, 3))
RIGHT = ("127.62.1.1", "127.62.1.2", "127.62.1.3")
WITHIN_S = 10.0
SILENT_S = 0.5
TRIES = 50


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Helper]:
    """Somebody else's: two names of three addresses each, and no orders are given to it."""
    folder = tmp_path / "server"
    folder.mkdir()
    names = (NameSpec(NAME, REPLICAS, balancer=ROUND_ROBIN, ttl_s=5), NameSpec(OTHER, REPLICAS, balancer=ROUND_ROBIN, ttl_s=5))
    helper = Helper("chaos.dns.server", DnsSpec(SERVER, PORT, names, zone="cluster.test"), folder)
    helper.ready()
    yield helper
    helper.drop()


@pytest.fixture
def before(server: Helper, tmp_path: Path) -> Iterator[Helper]:
    folder = tmp_path / "before"
    folder.mkdir()
    helper = Helper(
        "chaos.dns.forward", ForwardSpec(BEFORE, PORT, SERVER, PORT, (NameSpec("store", REPLICAS, aliases=(NAME,)),), NOWHERE), folder
    )
    helper.ready()
    yield helper
    helper.drop()


def ask(name: str = NAME, at: str = BEFORE, within_s: float = WITHIN_S) -> LookUp:
    return look_up(name, at, PORT, within_s, MonotonicClock())


def order(helper: Helper, number: int, harm: NameHarm, *, on: bool = True) -> tuple[NamesOrdered, list[DnsChanged]]:
    """Its word, and what it told before of the name."""
    helper.order(NameOrder(number, on, harm))
    told: list[DnsChanged] = []
    while not isinstance(row := helper.row(), NamesOrdered):
        assert isinstance(row, DnsChanged)
        told.append(row)
    assert (row.number, row.on) == (number, on)
    return row, told


def test_without_orders_answers_are_the_servers(before: Helper) -> None:
    """By UDP; and by TCP, which a client asks by where an answer did not fit."""
    assert (ask().addresses, ask().ttl_s) == (RIGHT, 5)
    assert ask("no.shop.svc.cluster.test").answer == "NXDOMAIN"
    import dns.message
    import dns.query

    reply = dns.query.tcp(dns.message.make_query(NAME, "A"), BEFORE, port=PORT, timeout=2.0)
    assert sorted(str(each) for each in reply.answer[0]) == list(RIGHT)


@pytest.mark.parametrize(
    ("harm", "seen"),
    [
        (NameHarm("down"), LookUp(None, error=TIMED_OUT)),
        (NameHarm("refused"), LookUp(None, error=REFUSED)),
        (NameHarm("servfail"), LookUp("SERVFAIL")),
        (NameHarm("nxdomain"), LookUp("NXDOMAIN")),
        (NameHarm("wrong"), LookUp("NOERROR", (NOWHERE,), 5)),
        (NameHarm("missing", record="n2"), LookUp("NOERROR", (RIGHT[0], RIGHT[2]), 5)),
        (NameHarm("ttl", ttl_s=60), LookUp("NOERROR", RIGHT, 60)),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)  # fmt: skip
def test_an_order_is_seen_by_who_asks_here_and_by_nobody_else(before: Helper, harm: NameHarm, seen: LookUp) -> None:
    said, _ = order(before, 1, harm)
    assert said.why == ""
    found = ask(within_s=SILENT_S if harm.mode == "down" else WITHIN_S)
    assert (found.answer, found.addresses, found.ttl_s, found.error) == (seen.answer, seen.addresses, seen.ttl_s, seen.error)
    assert ask(at=SERVER).addresses == RIGHT
    if harm.mode not in ("down", "refused"):
        assert ask(OTHER).addresses == RIGHT
    order(before, 1, harm, on=False)
    assert (ask().addresses, ask().ttl_s) == (RIGHT, 5)


def test_slow_answers_are_late(before: Helper) -> None:
    order(before, 1, NameHarm("slow", delay_s=0.2))
    assert (ask().rtt_s or 0.0) >= 0.2
    order(before, 1, NameHarm("slow", delay_s=0.2), on=False)
    assert any((ask().rtt_s or 1.0) < 0.2 for _ in range(TRIES)), "none of them is quick: the order is still in force"


def test_a_stale_name_outlives_its_server(before: Helper, server: Helper) -> None:
    """What was answered before the order goes on being answered, even when nobody is there to be asked; and not after it."""
    assert ask().addresses == RIGHT
    order(before, 1, NameHarm("stale"))
    server.drop()
    assert ask().addresses == RIGHT
    assert exchange(NAME, BEFORE, PORT, WITHIN_S).id != 0
    order(before, 1, NameHarm("stale"), on=False)
    assert ask(within_s=SILENT_S).error == TIMED_OUT


def test_who_is_no_longer_in_the_answers_is_told(before: Helper) -> None:
    """Rows of the history, in the words of any name server of a run."""
    said, told = order(before, 1, NameHarm("missing", record="n2"))
    assert said.address == RIGHT[1]
    assert [(row.name, row.nodes, row.changed, row.why) for row in told] == [("store", ["n1", "n3"], "n2", "missing")]
    refused, _ = order(before, 2, NameHarm("missing", record="n9"))
    assert refused.why == "there is no record of 'n9'"


def test_a_missing_record_is_that_of_the_present_address(before: Helper, server: Helper) -> None:
    """A node that has moved, before the order and while it is in force: its old address is somebody else's by then."""

    def moves(address: str, number: int) -> None:
        """The server has it for n2, and has said so (orders are obeyed one after the other); ours is told of it."""
        for helper in (server, before):
            helper.order(MoveOrder(Replica("n2", address)))
        order(server, number, NameHarm("ttl", ttl_s=5))

    moves("127.62.1.9", 1)
    said, _ = order(before, 1, NameHarm("missing", record="n2"))
    assert said.address == "127.62.1.9"
    assert ask().addresses == (RIGHT[0], RIGHT[2])
    moves("127.62.1.10", 2)
    order(before, 2, NameHarm("ttl", ttl_s=60))
    assert (ask().addresses, ask().ttl_s) == ((RIGHT[0], RIGHT[2]), 60)
    order(before, 1, NameHarm("missing", record="n2"), on=False)
    assert set(ask().addresses) == {RIGHT[0], RIGHT[2], "127.62.1.10"}
