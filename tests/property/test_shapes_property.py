"""Shapes of partitions, for any number of nodes in any order."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chaos.core.values import Link, Victims
from chaos.faults.partition import Partition
from chaos.plan import shapes

orders = st.integers(2, 15).flatmap(lambda count: st.permutations([f"n{number}" for number in range(1, count + 1)]))
larger = orders.filter(lambda order: len(order) >= 3)


def hears(links: Sequence[Link], listener: str, order: Sequence[str]) -> frozenset[str]:
    """Whom a node still hears, itself among them."""
    return frozenset(other for other in order if Link(other, listener) not in links)


@given(orders)
def test_halves_are_all_nodes_as_even_as_can_be(order: list[str]) -> None:
    """Nobody is lost or doubled; of an odd number the first half is the majority."""
    first, second = shapes.halves(order)
    assert [*first, *second] == order
    assert 0 <= len(first) - len(second) <= 1


@given(larger, st.sampled_from(shapes.SIDED))
def test_a_side_is_a_majority_or_what_it_leaves(order: list[str], shape: str) -> None:
    """The two sizes add up, and only one of them is more than half."""
    count = shapes.side_size(shape, len(order))
    first, second = shapes.side(order, count)
    assert len(first) == count
    assert (2 * count > len(order)) is (shape == shapes.MAJORITY)
    assert sorted(first + second) == sorted(order)


@given(larger)
def test_over_a_bridge_one_node_sees_everybody(order: list[str]) -> None:
    """It alone does; the others see their own side and it; cuts are both ways; with an odd number all hear a majority."""
    links = shapes.bridge(order)
    full = [node for node in order if hears(links, node, order) == frozenset(order)]
    assert full == [order[len(order) // 2]]
    assert {Link(link.destination, link.source) for link in links} == set(links)
    if len(order) % 2:
        assert all(len(hears(links, node, order)) >= shapes.quorum(len(order)) for node in order)


@given(larger)
def test_in_a_ring_all_hear_a_majority_and_no_two_the_same_one(order: list[str]) -> None:
    """What makes it hard: nobody has reason to think that he is cut off."""
    links = shapes.ring(order)
    heard = [hears(links, node, order) for node in order]
    assert {len(each) for each in heard} == {shapes.quorum(len(order))}
    assert all(node in each for node, each in zip(order, heard, strict=True))
    assert len(set(heard)) == len(order)


@given(st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=4), max_size=4))
def test_between_sides_are_all_pairs_of_different_sides_and_no_other(sides: list[list[str]]) -> None:
    """As a double loop would have it."""
    distinct = [[f"{node}{number}" for node in dict.fromkeys(side)] for number, side in enumerate(sides)]
    expected = {Link(one, other) for here in distinct for there in distinct if here is not there for one in here for other in there}
    found = shapes.between(distinct)
    assert set(found) == expected
    assert list(found) == sorted(expected)


@given(orders, st.sampled_from(["other-1", "other-2"]))
def test_a_shape_leaves_other_parts_alone(order: list[str], other: str) -> None:
    """Halves of one part cut nothing of another, and never a node from its own side."""
    groups = shapes.halves(order)
    rules = Partition(shape="halves").rules(Victims(groups=groups, role="halves"), [*order, other])
    side = {node: number for number, group in enumerate(groups) for node in group}
    assert rules
    assert all(side[rule.link.source] != side[rule.link.destination] for rule in rules)
