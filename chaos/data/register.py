"""Is the history of one register linearizable, when every written value is unique? In n log n, by zones.

P. B. Gibbons and E. Korach, "Testing shared memories", SIAM Journal on Computing 26 (1997), theorem 4.5. A write and the reads of its
value are a cluster, which must take effect without another write in between. ``f`` is when its first operation had returned, ``s`` when
its last one was called. With f < s the value was certainly there from f to s (a forward zone), else it may have been there at any one
moment between s and f (a backward zone). A history is linearizable if and only if

    no read returned before the write of its value was called,
    no two forward zones overlap, and
    no backward zone lies within a forward zone.

Each pair of clusters i, j has an order unless f_i < s_j and f_j < s_i; the theorem says that pairs are enough. A write of unknown outcome
that nobody read may never have taken effect, and is left out; one that was read counts with a return at the end of time, so that its f is
the return of its first read.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import msgspec

from chaos.data.check import Budget
from chaos.data.conflict import Conflict
from chaos.data.operations import NEVER, KeyHistory, Operation

FROM_THE_BEGINNING = -1


class Cluster(msgspec.Struct):
    """One value: its write (None: what was there before all), and the operations that bound its zone."""

    value: str | None
    write: Operation | None
    f_ns: int
    s_ns: int
    first: Operation | None
    """Returned first."""
    last: Operation | None
    """Was called last."""

    def operations(self) -> list[Operation]:
        """Those that show where its zone lies; a read needs its write to be understood."""
        found = {each.n: each for each in (self.write, self.first, self.last) if each is not None}
        return sorted(found.values(), key=lambda each: each.call_ns)


def of_registers(history: KeyHistory, budget: Budget) -> Iterator[Conflict]:
    """All that are next to each other in time; none: the history is linearizable."""
    yield from _readings(history, budget)
    found = list(clusters(history, budget))
    forward = sorted((each for each in found if each.f_ns < each.s_ns), key=lambda each: each.f_ns)
    reaches: Cluster | None = None
    tops: list[Cluster] = []
    """For each forward zone, the one that reaches farthest of all up to it."""
    for each in budget.each(forward):
        if reaches is not None and each.f_ns < reaches.s_ns:
            yield _between(reaches, each)
        if reaches is None or each.s_ns > reaches.s_ns:
            reaches = each
        tops.append(reaches)
    starts = [each.f_ns for each in forward]
    for each in budget.each(found):
        if each.f_ns >= each.s_ns:
            place = bisect.bisect_left(starts, each.s_ns) - 1
            if place >= 0 and each.f_ns < tops[place].s_ns:
                yield _between(tops[place], each)


def clusters(history: KeyHistory, budget: Budget) -> Iterator[Cluster]:
    """One for each value that may have taken effect, and one for nothing."""
    found: dict[str | None, Cluster] = {None: Cluster(None, None, FROM_THE_BEGINNING, FROM_THE_BEGINNING, None, None)}
    for write in history.writes:
        found[write.value] = Cluster(write.value, write, write.return_ns, write.call_ns, write, write)
    for read in budget.each(history.reads):
        cluster = found.get(read.found if isinstance(read.found, str) else None)
        if cluster is None or (cluster.write is not None and read.return_ns < cluster.write.call_ns):
            continue  # told by ``_readings``
        if read.return_ns < cluster.f_ns:
            cluster.f_ns, cluster.first = read.return_ns, read
        if read.call_ns > cluster.s_ns:
            cluster.s_ns, cluster.last = read.call_ns, read
    yield from (each for each in found.values() if each.f_ns != NEVER)


def _readings(history: KeyHistory, budget: Budget) -> Iterator[Conflict]:
    """Reads of what was not written, or not yet."""
    writes = {write.value: write for write in history.writes}
    for read in budget.each(history.reads):
        if not isinstance(read.found, str):
            continue
        write = writes.get(read.found)
        if write is None:
            yield Conflict([read], frozenset({read.n}), f"a read found '{read.found}', which nobody had written")
        elif read.return_ns < write.call_ns:
            yield Conflict([read, write], frozenset({read.n, write.n}), f"a read found '{read.found}' before it was written")


def _between(one: Cluster, other: Cluster) -> Conflict:
    """Neither can come before the other. ``one`` is a forward zone."""
    operations = {each.n: each for each in (*one.operations(), *other.operations())}
    marked = {each.n for each in (one.first, one.last, other.first, other.last) if each is not None}
    ordered = sorted(operations.values(), key=lambda each: each.call_ns)
    return Conflict(ordered, frozenset(marked), f"no order of the writes explains that {_told(one)} and {_told(other)} were seen so")


def _told(cluster: Cluster) -> str:
    return "nothing" if cluster.value is None else f"'{cluster.value}'"
