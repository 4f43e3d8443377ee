"""Reliability block diagrams: the parts *around* the cluster (name, proxy, network) in series, in parallel, k of n, or bridged.

A block is up with a probability, independently of the others. Everything is worked out on the *un*availability, so that nine nines
in series keep their digits. A block that stands in several places of a diagram is the same block: the value is exact by factoring
on such blocks (Trivedi & Bobbio 2017, chapter 4).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from chaos.core.errors import BadInput


class Unit(msgspec.Struct, frozen=True, tag="unit"):
    """One block by its name."""

    name: str


class Series(msgspec.Struct, frozen=True, tag="series"):
    """Up if all parts are."""

    parts: tuple[Diagram, ...]


class Parallel(msgspec.Struct, frozen=True, tag="parallel"):
    """Up if one part is."""

    parts: tuple[Diagram, ...]


class Vote(msgspec.Struct, frozen=True, tag="vote"):
    """Up if at least ``needed`` parts are."""

    needed: int
    parts: tuple[Diagram, ...]


class Bridge(msgspec.Struct, frozen=True, tag="bridge"):
    """Two paths a-b and c-d with a tie between their middles: up by a-b, c-d, a-tie-d or c-tie-b."""

    a: Diagram
    b: Diagram
    c: Diagram
    d: Diagram
    tie: Diagram


Diagram = Unit | Series | Parallel | Vote | Bridge


class Importance(msgspec.Struct, frozen=True):
    """What a block matters: ``birnbaum`` = A(block up) - A(block down); ``reduction`` = what the unavailability loses if it never fails."""

    birnbaum: float
    reduction: float


def unavailability(diagram: Diagram, down: Mapping[str, float]) -> float:
    """The probability that the diagram is down, given that of each block. ``BadInput`` for a block without one, or outside [0, 1]."""
    counts: dict[str, int] = {}
    _count(diagram, counts)
    for name in counts:
        share = down.get(name)
        if share is None:
            raise BadInput(f"the unavailability of '{name}' is not given")
        if not 0.0 <= share <= 1.0:
            raise BadInput(f"the unavailability of '{name}' is {share}", right="0 to 1")
    return _factored(diagram, dict(down), sorted(name for name, count in counts.items() if count > 1))


def importance(diagram: Diagram, down: Mapping[str, float]) -> dict[str, Importance]:
    """Birnbaum's importance and the risk reduction of every block of the diagram."""
    counts: dict[str, int] = {}
    _count(diagram, counts)
    whole = unavailability(diagram, down)
    found = {}
    for name in sorted(counts):
        never, always = (unavailability(diagram, {**down, name: share}) for share in (0.0, 1.0))
        found[name] = Importance(birnbaum=always - never, reduction=whole - never)
    return found


def _count(diagram: Diagram, counts: dict[str, int]) -> None:
    if isinstance(diagram, Unit):
        counts[diagram.name] = counts.get(diagram.name, 0) + 1
        return
    for part in _parts(diagram):
        _count(part, counts)


def _parts(diagram: Series | Parallel | Vote | Bridge) -> tuple[Diagram, ...]:
    if isinstance(diagram, Bridge):
        return (diagram.a, diagram.b, diagram.c, diagram.d, diagram.tie)
    if not diagram.parts:
        raise BadInput("a diagram without parts", right="at least one part")
    return diagram.parts


def _factored(diagram: Diagram, down: dict[str, float], repeated: list[str]) -> float:
    """Condition on each block that stands in several places: what is left is independent."""
    if not repeated:
        return _independent(diagram, down)
    name, rest = repeated[0], repeated[1:]
    share = down[name]
    if share in (0.0, 1.0):
        return _factored(diagram, down, rest)
    with_it, without = (_factored(diagram, {**down, name: fixed}, rest) for fixed in (0.0, 1.0))
    return (1.0 - share) * with_it + share * without


def _independent(diagram: Diagram, down: Mapping[str, float]) -> float:
    match diagram:
        case Unit():
            return down[diagram.name]
        case Parallel():
            return math.prod(_independent(part, down) for part in _parts(diagram))
        case Series():
            return _either(_independent(part, down) for part in _parts(diagram))
        case Vote():
            return _vote(diagram, [_independent(part, down) for part in _parts(diagram)])
        case Bridge():
            return _bridge(*(_independent(part, down) for part in _parts(diagram)))


def _either(shares: Iterable[float]) -> float:
    """The probability that at least one of independent parts is down, without losing small ones: 1 - prod (1 - q)."""
    listed = list(shares)
    return 1.0 if any(share >= 1.0 for share in listed) else -math.expm1(math.fsum(math.log1p(-share) for share in listed))


def _vote(diagram: Vote, shares: list[float]) -> float:
    """The probability that fewer than ``needed`` parts are up: the distribution of the number that is down, part by part."""
    if not 1 <= diagram.needed <= len(shares):
        raise BadInput(f"{diagram.needed} of {len(shares)} parts cannot be needed", right=f"1 to {len(shares)}")
    ways = [1.0]
    for share in shares:
        alive, dead = [way * (1.0 - share) for way in ways], [way * share for way in ways]
        ways = [one + other for one, other in zip([*alive, 0.0], [0.0, *dead], strict=True)]
    return math.fsum(ways[len(shares) - diagram.needed + 1 :])


def _bridge(a: float, b: float, c: float, d: float, tie: float) -> float:
    """Factored on the tie: with it (a or c) then (b or d); without it a-b beside c-d."""
    with_tie = _either((a * c, b * d))
    without = _either((a, b)) * _either((c, d))
    return (1.0 - tie) * with_tie + tie * without
