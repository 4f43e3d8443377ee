"""Is the history of one set or one append list linearizable, when every member is unique? In n log n, by the places of a chain.

What grows was never smaller later: all that reads found must form a chain, each found thing a part (of a list: a beginning) of the next
one. That gives every operation a place: a member comes after the reads that lack it and before those that have it. Members that come
between the same two reads may come in any order, as may reads that found the same; members that no read has come last. So the history is
linearizable if and only if

    what was read forms a chain, without what nobody had added, and
    no operation had returned before one was called whose place is earlier.

One of unknown outcome returns never; if no read has its member it may not have been done, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from chaos.data.check import Budget
from chaos.data.conflict import Conflict
from chaos.data.members import contents
from chaos.data.operations import NEVER, KeyHistory, Operation

Place = tuple[int, int]
"""How many members there were, and 0 for what adds the last of them, 1 for what reads them."""


def of_lists(history: KeyHistory, budget: Budget) -> Iterator[Conflict]:
    """All violations that are found one by one; none: the history is linearizable."""
    yield from _conflicts(history, budget, ordered=True)


def of_sets(history: KeyHistory, budget: Budget) -> Iterator[Conflict]:
    """The same for sets, whose members have no order."""
    yield from _conflicts(history, budget, ordered=False)


def _conflicts(history: KeyHistory, budget: Budget, *, ordered: bool) -> Iterator[Conflict]:
    writes = {write.value: write for write in history.writes}
    whole = True
    for read in budget.each(history.reads):
        found = _of_read(read, writes)
        if found is not None:
            whole = False
            yield found
    if not whole:
        return
    reads = sorted(history.reads, key=lambda read: (len(contents(read)), read.call_ns))
    broken = _unchained(reads, writes, budget, ordered=ordered)
    if broken:
        yield from broken
        return
    yield from _out_of_place(history, reads, writes, budget, ordered=ordered)


def _of_read(read: Operation, writes: dict[str | None, Operation]) -> Conflict | None:
    """What is wrong with one read by itself."""
    found = contents(read)
    if len(set(found)) != len(found):
        member = next(each for each in found if found.count(each) > 1)
        shown = [*([writes[member]] if member in writes else []), read]
        return Conflict(shown, frozenset({read.n}), f"a read found '{member}' twice, and it was written once")
    unwritten = next((member for member in found if member not in writes), None)
    if unwritten is not None:
        return Conflict([read], frozenset({read.n}), f"a read found '{unwritten}', which nobody had written")
    return None


def _unchained(reads: list[Operation], writes: dict[str | None, Operation], budget: Budget, *, ordered: bool) -> list[Conflict]:
    """Neighbours by size of which the smaller one is no part of the larger one."""
    found = []
    for one, other in budget.each(pairwise(reads)):
        less, more = contents(one), contents(other)
        if less == more or (more[: len(less)] == less if ordered else set(more).issuperset(less)):
            continue
        apart = next(a for a, b in zip(less, more, strict=False) if a != b) if ordered else next(a for a in less if a not in set(more))
        shown = sorted({each.n: each for each in (writes[apart], one, other)}.values(), key=lambda each: each.call_ns)
        said = f"two reads cannot both be true: one has '{apart}' where the other, which has {len(more)} members, does not"
        found.append(Conflict(shown, frozenset({one.n, other.n}), said))
    return found


def _out_of_place(
    history: KeyHistory, reads: list[Operation], writes: dict[str | None, Operation], budget: Budget, *, ordered: bool
) -> Iterator[Conflict]:
    first_with: dict[str, Operation] = {}
    """Member -> the smallest read that has it."""
    places: list[tuple[Place, Operation]] = []
    size = 0
    for read in budget.each(reads):
        found = contents(read)
        if len(found) > size:
            new = found[size:] if ordered else [member for member in found if member not in first_with]
            first_with |= dict.fromkeys(new, read)
            for count, member in enumerate(new, size + 1):
                places.append(((count if ordered else len(found), 0), writes[member]))
            size = len(found)
        places.append(((len(found), 1), read))
    last = (size + 1, 0)
    places += [(last, write) for write in history.writes if write.value not in first_with and write.return_ns != NEVER]
    places.sort(key=lambda each: each[0])
    latest: Operation | None = None
    """Of all with an earlier place, the one that was called last."""
    waiting: list[Operation] = []
    here: Place | None = None
    for place, each in budget.each(places):
        if place != here:
            for other in waiting:
                latest = other if latest is None or other.call_ns > latest.call_ns else latest
            waiting, here = [], place
        if latest is not None and each.return_ns < latest.call_ns:
            yield _between(latest, each, first_with)
        waiting.append(each)


def _between(earlier: Operation, later: Operation, first_with: dict[str, Operation]) -> Conflict:
    """``later`` had returned before ``earlier`` was called, and must come after it."""
    witnesses = [first_with[each.value] for each in (earlier, later) if each.value is not None and each.value in first_with]
    shown = sorted({each.n: each for each in (earlier, later, *witnesses)}.values(), key=lambda each: each.call_ns)
    if later.reads and not earlier.reads:
        said = f"a read found '{earlier.value}' before it was written"
    elif earlier.reads and not later.reads:
        said = f"'{later.value}' was acknowledged, and a later read does not have it"
    elif earlier.reads:
        said = f"a read found {len(contents(later))} members, and a later one {len(contents(earlier))}"
    else:
        said = f"'{later.value}' was acknowledged before '{earlier.value}' was written, and comes after it"
    return Conflict(shown, frozenset({earlier.n, later.n}), said)
