"""Shapes of partitions as data: from nodes in some order to the groups that are kept apart, or to the links that are cut.

    halves      n1 n2 n3 | n4 n5                the first one more of an odd number
    side        n1 n2 | n3 n4 n5                so many together, the rest together
    bridge      n1 n2 - n3 - n4 n5              one node sees both sides, which do not see each other
    ring        each node hears a majority, itself among it, and no two nodes the same one

Pure functions of the order; whoever wants a random split shuffles first. The shapes are those that Jepsen made known, where the
last is called "majorities ring": with it every node can believe that it belongs to the majority.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from chaos.core.values import Link

HALVES = "halves"
BRIDGE = "bridge"
RING = "ring"
MAJORITY = "majority"
MINORITY = "minority"
WHOLE = (HALVES, BRIDGE, RING)
"""Shapes of a whole part: nobody is picked as a victim."""
SIDED = (MAJORITY, MINORITY)
"""Shapes that put a victim on one side."""

Groups = tuple[tuple[str, ...], ...]


def quorum(nodes: int) -> int:
    """The smallest majority."""
    return nodes // 2 + 1


def side_size(shape: str, nodes: int) -> int:
    """How many nodes stand on that side: the smallest majority, or what it leaves."""
    return quorum(nodes) if shape == MAJORITY else nodes - quorum(nodes)


def side(order: Sequence[str], count: int) -> Groups:
    """The first ``count`` together, the others together; one group is missing if nobody would be in it."""
    return tuple(group for group in (tuple(order[:count]), tuple(order[count:])) if group)


def halves(order: Sequence[str]) -> Groups:
    """As even as can be; of an odd number the first half is the majority."""
    return side(order, (len(order) + 1) // 2)


def bridge(order: Sequence[str]) -> tuple[Link, ...]:
    """The links between two sides that only the node in the middle sees; of an even number the first side is the larger one."""
    middle = len(order) // 2
    return between((order[:middle], order[middle + 1 :]))


def ring(order: Sequence[str]) -> tuple[Link, ...]:
    """Around the circle each node hears itself and its nearest neighbours, as many as make a majority; links from all others are cut.

    Where a majority is an even number one more neighbour is heard before than behind, so that some links are cut one way only.
    """
    count, needed = len(order), quorum(len(order))
    cut = []
    for place, listener in enumerate(order):
        first = place - needed // 2
        heard = {order[(first + step) % count] for step in range(needed)}
        cut += [Link(speaker, listener) for speaker in order if speaker not in heard]
    return tuple(sorted(cut))


def between(sides: Sequence[Sequence[str]]) -> tuple[Link, ...]:
    """Every link that leads from one side to another, both ways."""
    return tuple(
        sorted(Link(one, other) for number, here in enumerate(sides) for there in (*sides[:number], *sides[number + 1 :])
               for one in here for other in there)
    )  # fmt: skip


def apart(groups: Sequence[Sequence[str]], names: Sequence[str]) -> frozenset[str]:
    """Those whom such groups leave outside the largest side; who is in no group makes one more."""
    sides = [set(names) & set(group) for group in groups]
    sides.append(set(names).difference(*sides))
    return frozenset(names) - max(sides, key=len)


def opposites(order: Sequence[str]) -> list[list[str]]:
    """Orders that bring every two nodes to opposite places of a circle, either of them first: turning it would change nothing."""
    found = []
    for one, other in itertools.permutations(order, 2):
        between = [name for name in order if name not in {one, other}]
        half = len(order) // 2 - 1
        found.append([one, *between[:half], other, *between[half:]])
    return found or [list(order)]
