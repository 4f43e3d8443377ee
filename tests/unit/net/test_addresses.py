"""Addresses that only an agent can tell: each is a way of its own, and of a kind."""

from __future__ import annotations

from chaos.core.values import Link
from chaos.net.addresses import UNNAMED, Addresses

LINK = Link("n1", "n2")


def learned() -> Addresses:
    """Two nodes on one network, with IPv6 on it, and another network that nobody named."""
    addresses = Addresses({UNNAMED: {"n1": "198.18.5.11", "n2": "198.18.5.12"}})
    assert addresses.learn("n1", ["198.18.5.11", "fd00:5::11", "fe80::11"])
    assert addresses.learn("n2", ["198.18.5.12", "fd00:5::12", "fe80::12", "198.18.6.12"])
    return addresses


def test_every_pair_of_one_kind() -> None:
    """IPv4 speaks to IPv4, IPv6 to IPv6, and link-local addresses to each other."""
    assert set(learned().pairs(LINK)) == {
        ("198.18.5.11", "198.18.5.12"),
        ("198.18.5.11", "198.18.6.12"),
        ("fd00:5::11", "fd00:5::12"),
        ("fe80::11", "fe80::12"),
    }


def test_traffic_goes_where_the_plan_says() -> None:
    """Whatever else was found; and a network that is named has its own pairs only."""
    two = Addresses({"front": {"n1": "198.18.5.11", "n2": "198.18.5.12"}, "back": {"n1": "198.18.6.11", "n2": "198.18.6.12"}})
    two.learn("n2", ["198.18.5.12", "198.18.6.12", "fd00:5::12"])
    assert learned().used(LINK) == "198.18.5.12"
    assert two.used(LINK) == "198.18.6.12"
    assert two.pairs(LINK, "front") == [("198.18.5.11", "198.18.5.12")]
    assert two.beyond(LINK) == ()  # its start has no IPv6


def test_what_can_be_measured_beyond_the_plan() -> None:
    """Not link-local ones, which need an interface to be named."""
    assert learned().beyond(LINK) == ("198.18.6.12", "fd00:5::12")
    assert learned().of_ipv6("n1") == ("fd00:5::11", "fe80::11")


def test_the_same_again_is_no_news() -> None:
    """A container that comes back as it was; one that has moved."""
    addresses = learned()
    assert not addresses.learn("n1", ["fe80::11", "fd00:5::11", "198.18.5.11"])
    assert addresses.learn("n1", ["198.18.5.11", "fd00:5::77"])
    assert ("fd00:5::77", "fd00:5::12") in addresses.pairs(LINK)


def test_who_has_moved_is_news_once() -> None:
    """Others have rules about its old address, also where it has no further ones."""
    addresses = Addresses({UNNAMED: {"n1": "198.18.5.11", "n2": "198.18.5.12"}})
    assert not addresses.learn("n2", ["198.18.5.12"])
    addresses.move("n2", "198.18.5.77")
    assert addresses.pairs(LINK) == [("198.18.5.11", "198.18.5.77")]
    assert not addresses.learn("n1", ["198.18.5.11"])
    assert addresses.learn("n2", ["198.18.5.77"])
    assert not addresses.learn("n2", ["198.18.5.77"])
    addresses.move("n2", "198.18.5.77")
    assert not addresses.learn("n2", ["198.18.5.77"])
