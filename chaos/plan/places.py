"""Where the leader is before each fault of a sequence: its place is carried from fault to fault, since faults move it.

A leader that is ended is followed by one of the others, each as likely. So after a rolling restart in the order of names the last node
never leads: it was the last to be restarted. The next round begins with an early leader, whose place is taken by one whose turn is to
come: of three nodes two elections a round instead of the 19/12 of a leader anywhere. What is known of a fault (its victims, their role)
narrows the law down; what came of the fault is not looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import msgspec

from chaos.core.values import FOLLOWER, LEADER

ROLLING: Final = "rolling"
LEADER_LAST: Final = "leader-last"
TOGETHER: Final = "together"
MOST: Final = 500
"""Sets of victims that are looked at one by one."""

Law = tuple[float, ...]
"""Probability that each node leads; one entry a node, in the plan's order."""


class Strike(msgspec.Struct, frozen=True):
    """One fault, as far as it matters to who leads."""

    kind: str
    role: str
    """Of its victims, ``leader``, ``follower``, ``mixed``; empty where nobody knows yet."""
    victims: tuple[tuple[int, ...], ...]
    """Sets of nodes (by number, as they are taken in turn) that it may strike, each as likely; empty: it goes by the role alone."""
    order: str = TOGETHER
    deposes: bool = True


def evenly(nodes: int) -> Law:
    """Nobody knows who leads."""
    return (1.0 / max(1, nodes),) * nodes


def any_of(nodes: int, count: int) -> tuple[tuple[int, ...], ...]:
    """All sets of so many nodes; with very many, neighbours alone."""
    found = list(itertools.islice(itertools.combinations(range(nodes), count), MOST + 1))
    if len(found) > MOST:
        found = [tuple(sorted((first + step) % nodes for step in range(count))) for first in range(nodes)]
    return tuple(found)


def narrowed(law: Law, strike: Strike) -> Law:
    """The law, given the role that the victims had."""
    if not strike.victims or strike.role not in (LEADER, FOLLOWER, "mixed"):
        return law
    shares = [share * sum((node in victims) is (strike.role != FOLLOWER) for victims in strike.victims) for node, share in enumerate(law)]
    total = sum(shares)
    return tuple(share / total for share in shares) if total > 0 else law


def chance(law: Law, strike: Strike) -> float:
    """That the leader is among the victims."""
    if not strike.victims:
        return 1.0 if strike.role == LEADER else 0.0
    return sum(law[node] for victims in strike.victims for node in victims) / len(strike.victims)


def turns(law: Law, strike: Strike) -> tuple[float, ...]:
    """Of victims that are taken one after the other: the probability that the leader is the first, the second... of them."""
    if strike.order != ROLLING or not strike.victims:
        return ()
    count = len(strike.victims[0])
    return tuple(sum(law[victims[turn]] for victims in strike.victims) / len(strike.victims) for turn in range(count))


def leaders_lost(turns_: Sequence[float], nodes: int) -> float:
    """How many leaders one round ends, in the mean: whoever follows may be one whose turn is yet to come."""
    lost_from: list[float] = []
    for _ in turns_:
        lost_from.insert(0, 1.0 + sum(lost_from) / max(1, nodes - 1))
    return sum(share * lost for share, lost in zip(turns_, lost_from, strict=True))


def after(law: Law, strike: Strike) -> Law:
    """The law when the fault is over."""
    if not strike.deposes or (not strike.victims and strike.role != LEADER):
        return law
    if not strike.victims:  # whoever leads
        return _mixed([_one_by_one(_only(node, len(law)), (node,)) for node in range(len(law))], law)
    return _mixed([_struck(law, victims, strike.order) for victims in strike.victims], [1.0 / len(strike.victims)] * len(strike.victims))


def _struck(law: Law, victims: tuple[int, ...], order: str) -> Law:
    if order == ROLLING:
        return _one_by_one(law, victims)
    if order == LEADER_LAST:
        return _mixed([_one_by_one(_only(node, len(law)), (node,) if node in victims else ()) for node in range(len(law))], law)
    stay = [node for node in range(len(law)) if node not in victims] or list(range(len(law)))
    moved = sum(law[node] for node in victims)
    return tuple((0.0 if node in victims else law[node]) + (moved / len(stay) if node in stay else 0.0) for node in range(len(law)))


def _one_by_one(law: Law, victims: tuple[int, ...]) -> Law:
    for victim in victims:
        others = len(law) - 1
        if others:
            law = tuple(0.0 if node == victim else share + law[victim] / others for node, share in enumerate(law))
    return law


def _only(node: int, nodes: int) -> Law:
    return tuple(float(each == node) for each in range(nodes))


def _mixed(laws: Sequence[Law], weights: Sequence[float]) -> Law:
    return tuple(sum(weight * law[node] for weight, law in zip(weights, laws, strict=True)) for node in range(len(laws[0])))
