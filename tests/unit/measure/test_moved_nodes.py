"""Whom requests went to where nodes have moved: an address belongs to whoever lived there then."""

from __future__ import annotations

import numpy as np
import pytest

from chaos.history import observations
from chaos.history.events import NodeUp
from chaos.measure.addresses import as_at_last

A, B, C, D = (0x0A000000 + last for last in (1, 2, 3, 4))
"""10.0.0.1 to 10.0.0.4"""


def place(at_ns: int, node: str, address: int) -> NodeUp:
    return NodeUp(at_ns=at_ns, node=node, part="store", zone=None, address=f"10.0.0.{address - 0x0A000000}", ports={})


def asked(*sent: tuple[int, int]) -> np.ndarray:
    """(when it was sent, at which address) of each request."""
    found = np.zeros(len(sent), dtype=observations.dtype())
    found["sent"], found["address"] = zip(*sent, strict=True)
    return found


@pytest.mark.parametrize(
    ("places", "sent", "expected"),
    [
        # n1 goes from A to C: whatever was asked at A was asked of n1
        ([place(0, "n1", A), place(0, "n2", B), place(50, "n1", C)], [(10, A), (60, A), (70, C), (20, B)], [C, C, C, B]),
        # n1 and n2 change places
        ([place(0, "n1", A), place(0, "n2", B), place(50, "n1", B), place(60, "n2", A)],
         [(10, A), (10, B), (55, A), (55, B), (70, A), (70, B)], [B, A, B, B, A, B]),
        # n1 moves on, and n2 takes its first address
        ([place(0, "n1", A), place(0, "n2", B), place(50, "n1", C), place(80, "n2", A)],
         [(10, A), (60, A), (90, A), (20, B)], [C, C, A, A]),
        # before anybody is known to live there, it is the first who will
        ([place(50, "n1", A), place(60, "n1", C)], [(10, A), (10, D)], [C, D]),
    ],
)  # fmt: skip
def test_an_address_is_its_owner_s_of_then(places: list[NodeUp], sent: list[tuple[int, int]], expected: list[int]) -> None:
    assert as_at_last(asked(*sent), places)["address"].tolist() == expected


def test_where_nobody_moves_nothing_is_copied() -> None:
    """Also where a place is told twice, or is no address."""
    found = asked((10, A))
    named = NodeUp(at_ns=0, node="n9", part="store", zone=None, address="store-9.shop", ports={})
    assert as_at_last(found, [place(0, "n1", A), place(5, "n1", A), named]) is found
