"""Where each end of a link stands: its address on each network of a run.

    one network          everybody stands on it
    front, ..., back     clients and name server on the first, nodes on all of them; they talk to each other on the last

A packet belongs to the network of the addresses that it carries, so that rules about addresses are rules about networks.
"""

from __future__ import annotations

from collections.abc import Mapping

from chaos.kinds import Link

UNNAMED = ""
"""The network of a run that names none."""


class Addresses:
    """``networks``: name -> end -> address, in the order of the networks; every end stands on the first."""

    def __init__(self, networks: Mapping[str, Mapping[str, str]]) -> None:
        self._networks = {name: dict(ends) for name, ends in networks.items()}
        self._first = next(iter(self._networks.values()))

    @classmethod
    def of_one(cls, addresses: Mapping[str, str]) -> Addresses:
        """All ends on one network."""
        return cls({UNNAMED: addresses})

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

    def used(self, link: Link) -> str:
        """Where the traffic of this link goes to: on the last network that both its ends stand on."""
        return self.pairs(link)[-1][1]

    def pairs(self, link: Link, network: str = "") -> list[tuple[str, str]]:
        """(address of its source, of its destination) on each network that both stand on, or on the one named."""
        chosen = [self._networks.get(network, {})] if network else self._networks.values()
        return [(ends[link.source], ends[link.destination]) for ends in chosen if link.source in ends and link.destination in ends]

    def each(self) -> list[dict[str, str]]:
        """End -> address, network by network."""
        return list(self._networks.values())
