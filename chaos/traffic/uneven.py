"""When the requests of a rate that changes are due: request i at the moment at which i and a half of them have been due.

A piece of ``experiment.demand`` goes evenly from one rate to another, so that after t seconds of it r t + (q - r) t^2 / (2 d) requests
are due (rates r and q at its ends, d its length). The due time is that equation solved for t, in the form without cancellation.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence

from chaos.experiment.demand import Piece


class Uneven:
    """Due times in s since the first piece begins; requests are numbered from 0."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = [each for each in pieces if each.requests > 0]
        self._before = [0.0, *itertools.accumulate(each.requests for each in self._pieces)]

    @property
    def count(self) -> int:
        """How many there are in all pieces."""
        return math.floor(self._before[-1] + 0.5)

    def due_s(self, index: int) -> float:
        """When request ``index`` is due; beyond the last piece at its end."""
        if not self._pieces:
            return 0.0
        wanted = index + 0.5
        place = min(bisect.bisect_right(self._before, wanted) - 1, len(self._pieces) - 1)
        piece, left = self._pieces[place], wanted - self._before[place]
        if left >= piece.requests:
            return piece.end_s
        slope = (piece.to_per_s - piece.from_per_s) / (piece.end_s - piece.begin_s)
        return piece.begin_s + 2 * left / (piece.from_per_s + math.sqrt(max(piece.from_per_s**2 + 2 * slope * left, 0.0)))
