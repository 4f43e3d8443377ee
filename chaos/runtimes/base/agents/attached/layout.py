"""Who lives where in a system that was there before us: addresses that somebody else gave, and a name of its own, if it has one."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chaos.core.values import CLIENTS, DNS, NodeInfo
from chaos.net.addresses import Addresses
from chaos.runtimes.base.layout import Layout


class AttachedEnds(Layout):
    """Over a runtime's own layout. ``addresses``: node -> its address, and that of ``clients`` once their place is made."""

    _addresses: dict[str, str]
    _name: str
    _ends: Addresses

    def _found(self, addresses: Mapping[str, str], name: str) -> None:
        """To be called first: the rest of a layout asks for addresses."""
        self._addresses = dict(addresses)
        self._name = name

    def addresses(self) -> Addresses:
        """Of all ends; the same object all the time, so that who moves is known to have moved."""
        return self._ends

    def moved_to(self, node: str, address: str) -> NodeInfo:
        """It lives at another address from now on."""
        self._addresses[node] = address
        self._ends.move(node, address)
        self.nodes[node] = msgspec.structs.replace(self.nodes[node], address=address)
        return self.nodes[node]

    @property
    def name(self) -> str:
        """What clients resolve."""
        return self._name

    @property
    def listed(self) -> tuple[str, ...]:
        """What clients know in place of a name."""
        return () if self._name else tuple(self._addresses[node] for node in self.members(self.dns_part))

    @property
    def dns_address(self) -> str:
        """No name server of ours: an address that nobody has."""
        return self.nowhere

    @property
    def clients_address(self) -> str:
        """Of the place where the traffic comes from."""
        return self._addresses.get(CLIENTS, self.nowhere)

    def real_address(self, node: str) -> str:
        """Of a node, or of ``clients`` or ``dns``."""
        if node == DNS:
            return self.dns_address
        return self.clients_address if node == CLIENTS else self._addresses[node]
