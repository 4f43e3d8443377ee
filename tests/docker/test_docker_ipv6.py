"""Packet faults hold for IPv6 as for IPv4, and are proven for both; what would miss IPv6 is refused by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from chaos.core.clock import MonotonicClock
from chaos.core.errors import CapabilityMissing
from chaos.core.values import CLIENTS, Cut, Link, Victims
from chaos.engine.connection import Engine
from chaos.faults.packets import Loss
from chaos.faults.partition import Partition
from chaos.history.undo import UndoLog
from chaos.net.needs import Needs
from chaos.plugin import Scene
from tests.support.net_pairs import Pairs, pairs
from tests.support.silence import lost_on_the_way

NODES = ("n1", "n2")
LINK, BACK = Link("n1", "n2"), Link("n2", "n1")
LINKS = (LINK, BACK, Link(CLIENTS, "n1"), Link(CLIENTS, "n2"))


def subnet() -> str:
    """Of the range for documentation and tests of one's own, another one for each process."""
    return f"fd00:9e:{os.getpid() % 65536:x}::/64"


@pytest.fixture(scope="module")
def two(engine: Engine, harness_image: str) -> Iterator[Pairs]:
    """Two nodes and clients on a network with IPv6."""
    with pairs(engine, harness_image, NODES, (CLIENTS,), LINKS, Needs(), ipv6=subnet()) as there:
        yield there


def passes(net: Pairs, link: Link) -> list[bool]:
    """Whether a new connection of the system's opens: over IPv4, over IPv6."""
    places = (net.addresses[link.destination], net.ipv6[link.destination])
    return [net.talkers[link.source].tell("state", what="new", addresses=[place]) == "open" for place in places]


def test_a_cut_is_one_of_both(two: Pairs) -> None:
    """Nothing passes a cut link by either, and both pass after it."""
    assert passes(two, LINK) == [True, True]
    with two.net.layer([Cut(LINK)]):
        assert (passes(two, LINK), passes(two, Link(CLIENTS, "n2"))) == ([False, False], [True, True])
    assert passes(two, LINK) == [True, True]


def test_reject_is_an_immediate_no_over_both(two: Pairs) -> None:
    """A reset, whichever way it went."""
    with two.net.layer([Cut(LINK, "reject")]):
        felt = [
            two.talkers["n1"].tell("state", what="new", addresses=[place]) for place in (two.addresses["n2"], two.ipv6["n2"])
        ]  # fmt: skip
    assert felt == ["ConnectionRefusedError", "ConnectionRefusedError"]


def test_nobody_is_told_over_ipv6(two: Pairs) -> None:
    """Neighbours are found still, so no host is unreachable; calls do not fail, and data is sent again."""
    there = two.ipv6["n2"]
    two.talkers["n1"].tell("open", addresses=[there])
    with two.net.layer([Cut(LINK), Cut(BACK)]):
        said = two.talkers["n1"].tell("told", addresses=[there])[there]
    assert lost_on_the_way(said), said


def test_addresses_that_may_move_on_are_left_out(two: Pairs) -> None:
    """A virtual address is with one node now and with another one later: a rule that names it would cut the wrong one then."""
    api, agent = two.engine.client.api, two.talkers["n1"].agent
    own = agent.call("line.stands").result["addresses"]
    virtual = (f"{two.addresses['n1'].rpartition('.')[0]}.200/24", f"{two.ipv6['n1'].rpartition(':')[0]}:200/128")
    for verb in ("add", "del"):
        script = "; ".join(f"ip addr {verb} {each} dev eth0" for each in virtual)
        execution = api.exec_create(agent.container, ["sh", "-ec", script])["Id"]
        assert api.exec_start(execution) == b""
        assert agent.call("line.stands").result["addresses"] == own


def test_a_partition_is_proven_for_both(two: Pairs, tmp_path: Path) -> None:
    """A way by IPv6 stands in the figures: it answered before, not during, and again afterwards. One that leaks is no partition."""
    way = f"{LINK} on {two.ipv6['n2']}.rtt_s"
    with Partition().inject(scene(two, tmp_path), Victims(nodes=("n1",))) as effect:
        assert effect.before[way] is not None
        assert effect.during[way] is None
    assert effect.gone().ok


def test_losses_are_counted_on_both(two: Pairs, tmp_path: Path) -> None:
    """Each by a train of its own."""
    with Loss(percent=0.3).inject(scene(two, tmp_path), Victims(links=(LINK,))) as effect:
        shares = [float(effect.during[f"{each}.lost"] or 0) for each in (str(LINK), f"{LINK} on {two.ipv6['n2']}")]
    assert all(0.15 < share < 0.45 for share in shares), shares
    assert effect.gone().ok


@pytest.mark.parametrize("needs", [Needs(frozenset({LINK})), Needs(queues=frozenset({"tbf"}))], ids=["proxies", "queues"])
def test_what_would_miss_ipv6_is_refused(engine: Engine, harness_image: str, needs: Needs) -> None:
    """With the container, its addresses, and what helps; nothing has been done to it by then."""
    with (
        pytest.raises(CapabilityMissing, match=r"n[12] has IPv6 addresses too \(fd00:9f:.*would pass unharmed") as refused,
        pairs(engine, harness_image, NODES, (), (LINK, BACK), needs, ipv6=subnet().replace("9e", "9f")),
    ):
        pytest.fail("they joined")
    assert "disable_ipv6=1" in refused.value.how


def scene(net: Pairs, folder: Path) -> Scene:
    """What a fault needs of a cluster: its names and its links."""

    class Names(msgspec.Struct):
        nodes: dict[str, None]
        net: Any

    return Scene(cast("Any", Names(dict.fromkeys(NODES), net.net)), MonotonicClock(), UndoLog(folder / "undo.jsonl"))
