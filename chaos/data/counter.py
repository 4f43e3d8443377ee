"""Is the history of one counter linearizable? By the general search; what no bounds allow is told without one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from chaos.data.check import Budget
from chaos.data.conflict import Conflict
from chaos.data.members import Counted, number
from chaos.data.operations import KeyHistory, Operation
from chaos.data.search import Step, explained

_INCREMENT = "incr"
_READ = "read"


def of_counters(history: KeyHistory, budget: Budget) -> Iterator[Conflict]:
    """Reads out of bounds; if there are none, the reads that no order explains, as few as can be found one by one."""
    out_of_bounds = list(_out_of_bounds(history, budget))
    yield from out_of_bounds
    if not out_of_bounds and not _has_order(history.operations, budget):
        yield _fewest(history, budget)


def _out_of_bounds(history: KeyHistory, budget: Budget) -> Iterator[Conflict]:
    counted = Counted(history)
    for read in budget.each(history.reads):
        shows = number(read)
        least, most = counted.least(read), counted.most(read)
        if shows < least:
            yield Conflict([read], frozenset({read.n}), f"the counter shows {shows}, and {least} had been acknowledged before")
        elif shows > most:
            yield Conflict([read], frozenset({read.n}), f"the counter shows {shows}, and no more than {most} had been asked for")


def _has_order(operations: list[Operation], budget: Budget) -> bool:
    return explained([_step(each) for each in operations if (each.ok if each.reads else each.outcome != "fail")], 0, _after, budget)


def _step(each: Operation) -> Step:
    what = (_READ, number(each)) if each.reads else (_INCREMENT, int(each.value or "1"))
    return Step(each.call_ns, each.return_ns, what)


def _after(count: int, what: Hashable) -> int | None:
    assert isinstance(what, tuple)
    does, amount = what
    if does == _INCREMENT:
        return count + int(amount)
    return count if count == amount else None


def _fewest(history: KeyHistory, budget: Budget) -> Conflict:
    """The earliest beginning of the history without an order, with every read left out that is not needed; increments all count."""
    reads = sorted(history.reads, key=lambda read: read.return_ns)
    low, high = 0, len(reads)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _has_order([*history.writes, *reads[:middle]], budget) else (low, middle)
    kept = reads[:high]
    for read in list(kept):
        rest = [other for other in kept if other is not read]
        if not _has_order([*history.writes, *rest], budget):
            kept = rest
    first_ns, last_ns = min(read.call_ns for read in kept), max(read.return_ns for read in kept)
    beside = [write for write in history.writes if write.return_ns >= first_ns and write.call_ns <= last_ns]
    shown = ", ".join(str(number(read)) for read in sorted(kept, key=lambda read: read.call_ns))
    said = f"no order of the increments explains that the counter showed {shown} to these reads"
    return Conflict(sorted([*beside, *kept], key=lambda each: each.call_ns), frozenset(read.n for read in kept), said)
