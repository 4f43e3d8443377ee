"""Whom requests went to, of nodes that came to other addresses, and of addresses that came to other nodes."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address

import numpy as np
from numpy.typing import NDArray

from chaos.history.events import NodeUp


def as_at_last(observations: NDArray[np.void], places: Sequence[NodeUp]) -> NDArray[np.void]:
    """With each address as the one at which that node lived at last that lived there when the request was sent, or was the first to.

    So one address stands for one node, and the other way round. ``places``: in the order of time.
    """
    lives = [(row.at_ns, row.node, number) for row in places if (number := _number(row.client_address or row.address)) is not None]
    last = {node: number for _, node, number in lives}
    owners: dict[int, list[tuple[int, int]]] = {}
    for at_ns, node, number in lives:
        owners.setdefault(number, []).append((at_ns, last[node]))
    moved = {number: found for number, found in owners.items() if any(at_last != number for _, at_last in found)}
    if not moved:
        return observations
    found = observations.copy()
    for number, since in moved.items():
        asked = np.flatnonzero(observations["address"] == number)
        who = np.searchsorted([at_ns for at_ns, _ in since], observations["sent"][asked], side="right") - 1
        found["address"][asked] = np.array([at_last for _, at_last in since], dtype=np.uint32)[np.maximum(who, 0)]
    return found


def _number(address: str) -> int | None:
    try:
        return int(IPv4Address(address))
    except AddressValueError:
        return None
