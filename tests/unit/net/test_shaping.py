"""Queues as values: what is ordered of tc, and whether what a kernel says of them is that. Its words were recorded on Linux 6.1."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from chaos.core.errors import CapabilityMissing
from chaos.core.values import Link, Shaping
from chaos.net import tc as shaping
from chaos.net.tc import Leaf

ADDRESSES = {"n1": "198.18.5.11", "n2": "198.18.5.12", "n3": "198.18.5.13"}
THERE, ASIDE = Link("n1", "n2"), Link("n1", "n3")
NOTHING: frozenset[Leaf] = frozenset()
EVERYTHING = Leaf(
    ((0x10, "198.18.5.12"),), rate_bytes_per_s=100_000, delay_s=0.1, jitter_s=0.01, delay_correlation=0.25, distribution="normal",
    shares=(("loss", 0.01, 0.05), ("duplicate", 0.02, 0.05), ("corrupt", 0.03, 0.0), ("reorder", 0.04, 0.5)),
)  # fmt: skip
ROOT = {"kind": "htb", "handle": "4e53:", "root": True, "refcnt": 2, "options": {"r2q": 10, "default": "0"}}
TBF = {"kind": "tbf", "handle": "2010:", "parent": "1010:1", "options": {"rate": 100000, "burst": 3028, "lat": 327680}}
NETEM: dict[str, Any] = {
    "kind": "netem", "handle": "1010:", "parent": "4e53:10",
    "options": {
        "limit": 100000, "delay": {"delay": 0.1, "jitter": 0.01, "correlation": 0.25}, "loss-random": {"loss": 0.01, "correlation": 0.05},
        "duplicate": {"duplicate": 0.02, "correlation": 0.05}, "reorder": {"reorder": 0.04, "correlation": 0.5},
        "corrupt": {"corrupt": 0.03, "correlation": 0}, "ecn": False, "gap": 1,
    },
}  # fmt: skip
FILTERS = [
    {"parent": "4e53:", "protocol": "ip", "pref": 16, "kind": "u32", "chain": 0},
    {"parent": "4e53:", "protocol": "ip", "pref": 16, "kind": "u32", "chain": 0, "options": {"fh": "800:", "ht_divisor": 1}},
    {
        "parent": "4e53:", "protocol": "ip", "pref": 16, "kind": "u32", "chain": 0,
        "options": {"fh": "800::800", "flowid": "4e53:10", "match": {"value": "c612050c", "mask": "ffffffff", "offmask": "", "off": 16}},
    },
]  # fmt: skip
SEEN = {"qdisc": [ROOT, TBF, NETEM], "filter": FILTERS}


def leaves(*rules: Shaping) -> frozenset[Leaf]:
    return shaping.leaves(rules, ADDRESSES).get("n1", NOTHING)


# --- orders ------------------------------------------------------------------------------------------------------------


def test_all_of_one_link() -> None:
    """In the order that tc needs: root, class, netem, the bucket in it, and the filter last, when everything stands."""
    assert shaping.commands("eth0", NOTHING, frozenset({EVERYTHING})) == [
        "qdisc add dev eth0 root handle 4e53: htb default 0",
        "class add dev eth0 parent 4e53: classid 4e53:10 htb rate 100gbit quantum 60000",
        "qdisc add dev eth0 parent 4e53:10 handle 1010: netem limit 100000 delay 100000us 10000us 25% distribution normal"
        " loss random 1% 5% duplicate 2% 5% corrupt 3% reorder 4% 50%",
        "qdisc add dev eth0 parent 1010:1 handle 2010: tbf rate 800000bit burst 3028 limit 35796",
        "filter add dev eth0 parent 4e53: protocol ip pref 16 u32 match ip dst 198.18.5.12/32 flowid 4e53:10",
    ]


def test_a_rate_alone_stands_in_the_class() -> None:
    """And large rates get buckets for some milliseconds, a quarter of a second of queue."""
    lines = shaping.commands("eth1", NOTHING, leaves(Shaping(THERE, "rate", 10e6)))
    assert "qdisc add dev eth1 parent 4e53:11 handle 2011: tbf rate 80000000bit burst 40000 limit 2540000" in lines
    assert not any("netem" in line for line in lines)


def test_the_last_one_takes_the_root_with_it() -> None:
    """The filter first, so that nothing is led into a queue that goes."""
    assert shaping.commands("eth0", frozenset({EVERYTHING}), NOTHING) == [
        "filter del dev eth0 parent 4e53: protocol ip pref 16",
        "class del dev eth0 classid 4e53:10",
        "qdisc del dev eth0 root",
    ]


def test_what_stays_is_not_touched_and_a_figure_is_changed_in_place() -> None:
    """What is under way on a link is not lost because of another one."""
    one, other = Shaping(THERE, "delay", 0.1), Shaping(ASIDE, "rate", 1e5)
    assert not any("4e53:11" in line for line in shaping.commands("eth0", leaves(one), leaves(one, other)))
    assert shaping.commands("eth0", leaves(one), leaves(Shaping(THERE, "delay", 0.2))) == [
        "qdisc change dev eth0 parent 4e53:11 handle 1011: netem limit 100000 delay 200000us"
    ]


# --- what meets on a link ----------------------------------------------------------------------------------------------


def test_kinds_stand_beside_each_other_and_the_lowest_rate_counts() -> None:
    """In the order of tc, whatever came first."""
    (leaf,) = leaves(
        Shaping(THERE, "corrupt", 0.1), Shaping(THERE, "rate", 2e6), Shaping(THERE, "rate", 1e6), Shaping(THERE, "loss", 0.2, 0.3)
    )
    assert leaf.rate_bytes_per_s == 1e6
    assert leaf.shares == (("loss", 0.2, 0.3), ("corrupt", 0.1, 0.0))
    assert leaf.needs == {"netem", "tbf"}


@pytest.mark.parametrize(
    "rules",
    [
        (Shaping(THERE, "delay", 0.1), Shaping(THERE, "delay", 0.1)),
        (Shaping(THERE, "loss", 0.1), Shaping(THERE, "loss", 0.2)),
        (Shaping(THERE, "delay", 0.1), Shaping(THERE, "reorder", 0.1, delay_s=0.01)),
        (Shaping(THERE, "duplicate", 0.1), Shaping(ASIDE, "delay", 0.2)),
    ],
    ids=["delays", "losses", "a delay and one to overtake", "beside a duplicate"],
)
def test_what_one_queue_cannot_hold_is_refused(rules: tuple[Shaping, ...]) -> None:
    """And said so, instead of the later one winning or the kernel refusing it half way."""
    with pytest.raises(CapabilityMissing):
        leaves(*rules)


def test_duplicates_of_several_links_share_a_queue() -> None:
    """A kernel lets no second netem stand beside one that duplicates; on interfaces of other nodes it may."""
    (leaf,) = leaves(Shaping(THERE, "duplicate", 0.1), Shaping(ASIDE, "duplicate", 0.1))
    assert leaf.peers == ((0x11, "198.18.5.12"), (0x12, "198.18.5.13"))
    lines = shaping.commands("eth0", NOTHING, frozenset({leaf}))
    assert [line.rpartition(" ")[2] for line in lines if line.startswith("filter")] == ["4e53:11", "4e53:11"]
    assert sum("netem" in line for line in lines) == 1
    assert sorted(shaping.leaves([Shaping(THERE, "duplicate", 0.1), Shaping(Link("n2", "n1"), "delay", 1.0)], ADDRESSES)) == ["n1", "n2"]


def test_what_the_kernel_must_have() -> None:
    """Of each rule."""
    assert shaping.kernel_needs([]) == frozenset()
    assert shaping.kernel_needs([Shaping(THERE, "rate", 1e6)]) == {"tbf"}
    assert shaping.kernel_needs([Shaping(THERE, "rate", 1e6), Shaping(THERE, "reorder", 0.1)]) == {"tbf", "netem"}


# --- reading back ------------------------------------------------------------------------------------------------------


def test_read_back_as_a_kernel_says_it() -> None:
    """Every figure of every queue, and where the filters lead."""
    assert shaping.difference(frozenset({EVERYTHING}), SEEN) == ""
    assert shaping.difference(NOTHING, {"qdisc": [{"kind": "noqueue", "handle": "0:", "root": True}], "filter": []}) == ""


def altered(handle: str, **options: object) -> dict[str, Any]:
    queues = [
        {**each, "options": {**each["options"], **options}} if each["handle"] == handle else each for each in (ROOT, TBF, NETEM)
    ]  # fmt: skip
    return {"qdisc": queues, "filter": FILTERS}


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"qdisc": [], "filter": []}, "not there"),
        ({"qdisc": [ROOT, NETEM], "filter": FILTERS}, "no tbf"),
        ({"qdisc": [ROOT, TBF, NETEM], "filter": []}, "the filters lead"),
        ({"qdisc": [ROOT, TBF, NETEM, {**TBF, "handle": "2011:"}], "filter": FILTERS}, "4 queues"),
        (altered("2010:", rate=200000), "tbf has rate 200000"),
        (altered("1010:", delay={"delay": 0.2, "jitter": 0.01, "correlation": 0.25}), "netem has delay 0.2"),
        (altered("1010:", corrupt={"corrupt": 0.5, "correlation": 0}), "netem has corrupt 0.5"),
        (altered("1010:", corrupt={"corrupt": 0.03, "correlation": 0.1}), "corrupt.correlation that nobody ordered"),
    ],
)
def test_every_difference_is_seen(seen: dict[str, Any], said: str) -> None:
    """A queue less or more, another figure, another way."""
    assert said in shaping.difference(frozenset({EVERYTHING}), seen)


def test_what_should_be_gone_is_seen() -> None:
    """Our root by its handle; a stranger's is none of ours."""
    assert "still there" in shaping.difference(NOTHING, SEEN)
    assert shaping.difference(NOTHING, {"qdisc": [{**ROOT, "handle": "8001:"}], "filter": []}) == ""


def test_rounding_is_no_difference() -> None:
    """tc tells shares to some digits."""
    leaf = msgspec.structs.replace(EVERYTHING, shares=(("loss", 0.0100001, 0.05), *EVERYTHING.shares[1:]))
    assert shaping.difference(frozenset({leaf}), SEEN) == ""
