"""Where each end of a link stands: its address on each network of a run.

    one network          everybody stands on it
    front, ..., back     clients and name server on the first, nodes on all of them; they talk to each other on the last

A packet belongs to the network of the addresses that it carries, so that rules about addresses are rules about networks.

An end may have more addresses than those that the plan knows: IPv6 ones, and those of networks that nobody named. Its agent tells
them (``learn``), and what is done to all packets of a link is done to those of every pair of addresses of its two ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chaos.core.values import Link

UNNAMED = ""
"""The network of a run that names none."""
LOCAL = "link-local"


class Addresses:
    """``networks``: name -> end -> address, in the order of the networks; every end stands on the first."""

    def __init__(self, networks: Mapping[str, Mapping[str, str]]) -> None:
        self._networks = {name: dict(ends) for name, ends in networks.items()}
        self._first = next(iter(self._networks.values()))
        self._further: dict[str, tuple[str, ...]] = {}
        self._moved: set[str] = set()
        """Whoever stands elsewhere than before, until somebody learns what it has there."""

    @property
    def networks(self) -> tuple[str, ...]:
        """Their names; empty where there is one without."""
        return tuple(filter(None, self._networks))

    def __contains__(self, end: str) -> bool:
        return end in self._first

    def first(self, end: str) -> str:
        """Where clients and the harness reach it."""
        return self._first[end]

    def others(self, end: str) -> list[str]:
        """Every address that is not its own."""
        return sorted({address for ends in self._networks.values() for other, address in ends.items() if other != end})

    def move(self, end: str, address: str) -> None:
        """It stands at another address from now on, where there is one network."""
        if self._first[end] != address:
            self._moved.add(end)
        self._first[end] = address
        self._further.pop(end, None)

    def learn(self, end: str, addresses: Iterable[str]) -> bool:
        """All that an end has turned out to have; whether that is news, as it is of one that has moved."""
        known = {ends[end] for ends in self._networks.values() if end in ends}
        found = tuple(sorted(set(addresses) - known))
        news = found != self._further.get(end, ()) or end in self._moved
        self._moved.discard(end)
        self._further[end] = found
        return news

    def of_ipv6(self, end: str) -> tuple[str, ...]:
        """Its IPv6 addresses, as far as they are known."""
        return tuple(each for each in self._further.get(end, ()) if ":" in each)

    def beyond(self, link: Link) -> tuple[str, ...]:
        """Addresses of the link's end, beyond those that the plan knows, that its start may reach."""
        kinds = {_kind(each) for each in self._all(link.source)}
        return tuple(each for each in self._further.get(link.destination, ()) if _kind(each) in kinds and _kind(each) != LOCAL)

    def used(self, link: Link) -> str:
        """Where the traffic of this link goes to: on the last network that both its ends stand on."""
        return self._named(link)[-1][1]

    def pairs(self, link: Link, network: str = "") -> list[tuple[str, str]]:
        """(address of its source, of its destination): of one network, or of all that its ends may reach each other by."""
        found = self._named(link, network)
        if network:
            return found
        further = [
            (here, there)
            for here in self._all(link.source)
            for there in self._all(link.destination)
            if _kind(here) == _kind(there)
            and (here in self._further.get(link.source, ()) or there in self._further.get(link.destination, ()))
        ]
        return [*found, *further]

    def _named(self, link: Link, network: str = "") -> list[tuple[str, str]]:
        chosen = [self._networks.get(network, {})] if network else self._networks.values()
        return [(ends[link.source], ends[link.destination]) for ends in chosen if link.source in ends and link.destination in ends]

    def _all(self, end: str) -> list[str]:
        return [*(ends[end] for ends in self._networks.values() if end in ends), *self._further.get(end, ())]

    def each(self) -> list[dict[str, str]]:
        """End -> address, network by network."""
        return list(self._networks.values())


def _kind(address: str) -> str:
    """Addresses of different kinds never speak to each other."""
    if ":" not in address:
        return "ipv4"
    return LOCAL if address.startswith("fe80:") else "ipv6"
