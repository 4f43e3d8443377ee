"""From raw records to slots to outages: the one place that states the edge rule. Vectorised; times in seconds since t = 0.

Slot i of an operation is due at its first due time + i / rate and is exactly one of

    good      answered well within the deadline, counted from its *due* time
    bad       failed, unknown, or over the deadline
    missing   never sent, sent more than half a slot and 2 ms late, or without a record: says nothing about the service

**Edge rule.** Missing slots are left out; of the slots that are left, an outage opens with ``open`` bad ones in a row and closes
with ``close`` good ones in a row, both dated back to the first of them. ``start_s`` is midway between the due times of the last
good slot before and the first bad one, ``end_s`` midway between the last bad slot and the first good one. The error of an edge
is therefore at most half a slot, and is uniform if the phase is random. Outages less than ``merge_s`` apart are joined. Since
missing slots are left out they never open or close an outage, and an edge that they touch lies midway in a wider gap, with the
gap as its bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import numpy as np

from chaos.core.clock import NS_PER_S
from chaos.history.observations import Outcome, Why, late_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)

GOOD: Final = 0
BAD: Final = 1
MISSING: Final = 2


class Slots(msgspec.Struct, frozen=True, eq=False):
    """Every due slot of one operation, in order of due time."""

    slot_s: float
    due_s: NDArray[np.float64]
    done_s: NDArray[np.float64]
    """When its answer came or it was given up; for slots without a record, the due time."""
    state: NDArray[np.int8]
    """``GOOD``, ``BAD`` or ``MISSING``."""
    kind: NDArray[np.int8]
    """What became of it, each slot in one: an index in ``KINDS``."""
    address: NDArray[np.uint32]
    attempts: NDArray[np.uint8]
    late_s: NDArray[np.float64]
    """How long after its due time it was sent; infinite for one that never was."""
    cause: NDArray[np.uint32]
    """How its last attempt ended: ``cause_of`` takes it apart."""
    recorded: NDArray[np.bool_]
    """Whether the prober wrote a record of it."""
    end_s: float
    """The end of the last slot."""
    strays: int = 0
    """Records that lie outside the grid or double a slot: none, if the prober does what it promises."""

    def since(self, begin_s: float) -> slice:
        """The slots due at ``begin_s`` or later."""
        return slice(int(np.searchsorted(self.due_s, begin_s - self.slot_s * 1e-6)), None)


KINDS: Final = ("ok", "fail", "unknown", "over_deadline", "unsent", "sent_late")
OK, FAIL, UNKNOWN, OVER_DEADLINE, UNSENT, SENT_LATE = range(6)


_KIND_OF: Final = np.array([OK, FAIL, UNKNOWN, UNSENT], dtype=np.int8)
"""By outcome."""


def cause_of(cause: int) -> tuple[int, int]:
    """(why, status) of a slot's cause."""
    return cause >> 16, cause & 0xFFFF


class Edges(msgspec.Struct, frozen=True, eq=False):
    """Outages as four due times each: not a number where the edge was not seen (censored)."""

    last_good_s: NDArray[np.float64]
    first_bad_s: NDArray[np.float64]
    last_bad_s: NDArray[np.float64]
    first_good_s: NDArray[np.float64]
    first_bad_done_s: NDArray[np.float64]
    """When the first bad slot ended: what caused the outage had begun by then."""

    @property
    def start_s(self) -> NDArray[np.float64]:
        """Midway between the last good and the first bad slot."""
        return (self.last_good_s + self.first_bad_s) / 2

    @property
    def end_s(self) -> NDArray[np.float64]:
        """Midway between the last bad and the first good slot."""
        return (self.last_bad_s + self.first_good_s) / 2

    def __len__(self) -> int:
        return len(self.first_bad_s)

    def only(self, chosen: NDArray[np.bool_]) -> Edges:
        """The chosen ones."""
        return Edges(
            self.last_good_s[chosen],
            self.first_bad_s[chosen],
            self.last_bad_s[chosen],
            self.first_good_s[chosen],
            self.first_bad_done_s[chosen],
        )


def lay_out(
    records: NDArray[np.void], *, operation: int, start_ns: int, rate_per_s: float, deadline_s: float, limit: int, promised: int | None
) -> Slots:
    """The grid of one operation. ``promised`` slots were due by the prober's own word; without it (a crash) the grid ends with the
    last record. ``limit`` bounds the grid, so that a corrupt due time cannot ask for an endless one."""
    slot_ns = NS_PER_S / rate_per_s
    mine = np.flatnonzero(records["operation"] == operation)
    due = records["due"][mine]
    base_ns, index, kept = _index(due, start_ns, slot_ns, limit if promised is None else promised)
    strays = len(mine) - len(kept)
    chosen = mine[kept]
    count = promised if promised is not None else (int(index[-1]) + 1 if len(index) else 0)
    # Column by column: the records are packed, and copying them whole costs more than everything else here.
    due, done = due[kept], records["done"][chosen]
    kind = _kinds(due, records["sent"][chosen], done, records["outcome"][chosen], records["why"][chosen], slot_ns, deadline_s)
    due_s = (due - start_ns) / NS_PER_S
    done_s = (np.maximum(done, due) - start_ns) / NS_PER_S
    address, attempts = records["address"][chosen], records["attempts"][chosen]
    cause = (records["why"][chosen].astype(np.uint32) << np.uint32(16)) | records["status"][chosen]
    sent = records["sent"][chosen]
    late_s = np.where(sent > 0, (sent - due) / NS_PER_S, np.inf)
    recorded = np.ones(len(index), dtype=np.bool_)
    if len(index) != count:
        grid_s = (base_ns - start_ns + np.arange(count) * slot_ns) / NS_PER_S
        due_s, done_s = _spread(grid_s, index, due_s), _spread(grid_s, index, done_s)
        kind = _spread(np.full(count, UNSENT, dtype=np.int8), index, kind)
        address = _spread(np.zeros(count, dtype=np.uint32), index, address)
        attempts = _spread(np.zeros(count, dtype=np.uint8), index, attempts)
        late_s = _spread(np.full(count, np.inf), index, late_s)
        cause = _spread(np.zeros(count, dtype=np.uint32), index, cause)
        recorded = _spread(np.zeros(count, dtype=np.bool_), index, recorded)
    state = np.array([GOOD, BAD, BAD, BAD, MISSING, MISSING], dtype=np.int8)[kind]
    end_s = (base_ns - start_ns + count * slot_ns) / NS_PER_S if count else 0.0
    return Slots(slot_ns / NS_PER_S, due_s, done_s, state, kind, address, attempts, late_s, cause, recorded, end_s, strays)


def count_addresses(addresses: NDArray[np.uint32]) -> dict[int, int]:
    """Address -> how often, without 0 (none). The addresses of one run lie close together, so counting beats sorting."""
    some = addresses[addresses != 0]
    if not len(some):
        return {}
    least = int(some.min())
    if int(some.max()) - least > 1 << 20:
        numbers, counts = np.unique(some, return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    table = np.bincount((some - least).astype(np.int64))
    return {least + int(place): int(table[place]) for place in np.flatnonzero(table)}


def _index(due: NDArray[np.int64], start_ns: int, slot_ns: float, limit: int) -> tuple[float, NDArray[np.int64], NDArray[np.int64]]:
    """Where the grid begins (ns), the slot number of each record that has one, in order, and which records those are."""
    nothing = np.zeros(0, dtype=np.int64)
    sane = np.flatnonzero((due >= start_ns - slot_ns / 2) & (due <= start_ns + (limit + 1) * slot_ns))
    if not len(sane):
        return float(start_ns), nothing, nothing
    first = int(due[sane].min())
    # An operation may have a phase of its own: the part of its first due time that is no whole number of slots. The tolerance
    # keeps a due time that was rounded down to whole nanoseconds from looking like a phase of almost a slot.
    phase = (first - start_ns + 2) % slot_ns - 2
    base_ns = start_ns + phase
    index = np.rint((due[sane] - base_ns) / slot_ns).astype(np.int64)
    if len(index) > 1 and np.any(np.diff(index) <= 0):
        index, which = np.unique(index, return_index=True)
        sane = sane[which]
    inside = (index >= 0) & (index < limit)
    return base_ns, index[inside], sane[inside]


def _spread(onto: NDArray[Number], index: NDArray[np.int64], values: NDArray[Number]) -> NDArray[Number]:
    out = onto.copy()
    out[index] = values
    return out


def _kinds(
    due: NDArray[np.int64],
    sent: NDArray[np.int64],
    done: NDArray[np.int64],
    outcome: NDArray[np.uint8],
    why: NDArray[np.uint8],
    slot_ns: float,
    deadline_s: float,
) -> NDArray[np.int8]:
    kind = _KIND_OF[np.minimum(outcome, Outcome.UNSENT)]
    kind[(done - due > round(deadline_s * NS_PER_S)) & (kind == OK)] = OVER_DEADLINE
    kind[(why == Why.DEADLINE) & ((kind == FAIL) | (kind == UNKNOWN))] = OVER_DEADLINE
    kind[(sent - due > late_ns(slot_ns)) & (kind != UNSENT)] = SENT_LATE
    kind[sent == 0] = UNSENT
    return kind


def find_outages(slots: Slots, opens: int, closes: int, merge_s: float) -> Edges:
    """The edge rule, over the whole grid. A service counts as up until the rule says otherwise."""
    known = np.flatnonzero(slots.state != MISSING)
    due_s = slots.due_s[known]
    bad = slots.state[known] == BAD
    turns = np.flatnonzero(np.diff(bad.view(np.int8))) + 1
    firsts = np.concatenate(([0], turns)) if len(bad) else turns
    lengths = np.diff(np.concatenate((firsts, [len(bad)])))
    is_bad = bad[firsts]
    counts = lengths >= np.where(is_bad, opens, closes)
    firsts, is_bad = firsts[counts], is_bad[counts]
    change = np.diff(np.concatenate(([False], is_bad)).view(np.int8)) != 0
    firsts, is_bad = firsts[change], is_bad[change]
    begins, ends = firsts[is_bad], firsts[~is_bad]
    unseen = np.nan
    padded = np.concatenate((due_s, [unseen]))
    last_good = padded[np.where(begins > 0, begins - 1, -1)]
    last_bad = np.full(len(begins), unseen)
    first_good = np.full(len(begins), unseen)
    last_bad[: len(ends)] = due_s[ends - 1]
    first_good[: len(ends)] = due_s[ends]
    done = slots.done_s[known[begins]] if len(begins) else np.zeros(0)
    return _merged(Edges(last_good, due_s[begins], last_bad, first_good, done), merge_s)


def _merged(edges: Edges, merge_s: float) -> Edges:
    if merge_s <= 0 or len(edges) < 2:
        return edges
    apart = edges.start_s[1:] - edges.end_s[:-1] >= merge_s
    first = np.concatenate(([True], apart))
    last = np.concatenate((apart, [True]))
    return Edges(
        edges.last_good_s[first], edges.first_bad_s[first], edges.last_bad_s[last], edges.first_good_s[last], edges.first_bad_done_s[first]
    )
