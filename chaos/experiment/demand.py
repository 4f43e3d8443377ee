"""``rate:`` of an operation that changes while the run goes on: steps and ramps.

::

    rate: {first: 50/s, then: [{at: 20s, to: 200/s}, {at: 60s, to: 400/s, over: 20s}]}

Times count from the end of the baseline, which has the first rate, as those of faults do. What is measured is measured evenly: requests
of the lowest rate are spread evenly over the whole run, and outages are seen by these. All beyond are requests of the same clients that
a second sender sends.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Final

import msgspec

from chaos.core.units import RATE, PerSecond, Seconds, written
from chaos.experiment.forms import listed, quantity
from chaos.experiment.tables import Strict, Written, table

MOST_PER_S: Final = 20_000.0
"""Of one operation: more than a prober on one core can send."""
EACH_S: Final = quantity(RATE, gt=0, le=MOST_PER_S)


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From ``begin_s`` to ``end_s`` the rate goes evenly from one value to the other. Times since the first request."""

    begin_s: float
    end_s: float
    from_per_s: float
    to_per_s: float

    @property
    def requests(self) -> float:
        """How many are due in it."""
        return (self.end_s - self.begin_s) * (self.from_per_s + self.to_per_s) / 2


@Written(inline=True)
class Change(Strict, frozen=True):
    """At ``at`` the rate goes to ``to``: at once, or evenly over a while."""

    at_s: Seconds
    to_per_s: Annotated[PerSecond, EACH_S]
    over_s: Seconds = 0.0
    """How long the way there takes; without it the rate is there at once"""


@Written(inline=True)
class Demand(Strict, frozen=True):
    """A rate that changes."""

    first_per_s: Annotated[PerSecond, EACH_S]
    """In the baseline, and until the first change"""
    then: Annotated[tuple[Change, ...], listed(table(Change), example="[{at: 20s, to: 200/s}]", least=1)]
    """Each change, in the order of time"""

    def __post_init__(self) -> None:
        """One change after the other, and more than one rate."""
        for before, after in itertools.pairwise(self.then):
            if after.at_s < before.at_s + before.over_s or after.at_s == before.at_s:
                raise ValueError(f"the change at {after.at_s:g}s begins before that at {before.at_s:g}s is over")
        if self.least_per_s == self.most_per_s:
            raise ValueError("the rate never changes: write it as one rate, such as 100/s")

    @property
    def least_per_s(self) -> float:
        """Of all rates the lowest: that of the requests by which outages are seen."""
        return min(self.first_per_s, *(change.to_per_s for change in self.then))

    @property
    def most_per_s(self) -> float:
        """The highest."""
        return max(self.first_per_s, *(change.to_per_s for change in self.then))

    def pieces(self, baseline_s: float, end_s: float) -> tuple[Piece, ...]:
        """The whole rate over a run that ends at ``end_s``; pieces without a length are left out."""
        found: list[Piece] = []
        begin_s, rate = 0.0, self.first_per_s
        for change in self.then:
            at_s = baseline_s + change.at_s
            found += [Piece(begin_s, at_s, rate, rate), Piece(at_s, at_s + change.over_s, rate, change.to_per_s)]
            begin_s, rate = at_s + change.over_s, change.to_per_s
        found.append(Piece(begin_s, max(begin_s, end_s), rate, rate))
        return tuple(cut for piece in found if (cut := _until(piece, end_s)) is not None)

    def beyond(self, baseline_s: float, end_s: float) -> tuple[Piece, ...]:
        """The same less the even requests of the lowest rate."""
        least = self.least_per_s
        return tuple(
            Piece(each.begin_s, each.end_s, each.from_per_s - least, each.to_per_s - least) for each in self.pieces(baseline_s, end_s)
        )

    @property
    def text(self) -> str:
        """``50/s, 200/s from 20 s, to 400/s from 60 s over 20 s``."""
        words = [_rate(self.first_per_s)]
        for change in self.then:
            over = f" over {change.over_s:g} s" if change.over_s else ""
            words.append(f"{'to ' if over else ''}{_rate(change.to_per_s)} from {change.at_s:g} s{over}")
        return ", ".join(words)


def _until(piece: Piece, end_s: float) -> Piece | None:
    if piece.begin_s >= min(piece.end_s, end_s):
        return None
    if piece.end_s <= end_s:
        return piece
    share = (end_s - piece.begin_s) / (piece.end_s - piece.begin_s)
    return Piece(piece.begin_s, end_s, piece.from_per_s, piece.from_per_s + share * (piece.to_per_s - piece.from_per_s))


def _rate(per_s: float) -> str:
    return str(written(per_s, RATE))
