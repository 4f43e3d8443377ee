"""Any Markov chain from a rule: where can it go from here, and how fast? All states that are reached are found by asking.

For chains that have no table of their own: a system with a model of its own, a published benchmark, a variation of the cluster's.
Up to ``MOST_DENSE`` states the result is ``Solvable``: every measure of this package works on it, with full relative accuracy. Larger
chains (up to ``MOST_STATES``) come as a sparse matrix for ``sparse``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec
import numpy as np

from chaos.core.errors import BadInput
from chaos.predict.markov.chain import Solvable

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_DENSE: Final = 2_000
MOST_STATES: Final = 200_000

Place = TypeVar("Place", bound=Hashable)


class Explored(msgspec.Struct, Generic[Place], frozen=True):
    """All states that are reached, the start first; rates in 1/s: ``values[k]`` is that of ``sources[k]`` to ``targets[k]``."""

    states: tuple[Place, ...]
    sources: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    targets: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]

    def where(self, holds: Callable[[Place], bool]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Which states have a property."""
        return np.fromiter((bool(holds(state)) for state in self.states), dtype=np.bool_, count=len(self.states))

    def sparse(self) -> csr_matrix:
        """The rates as a sparse matrix, the diagonal empty."""
        from scipy import sparse

        size = len(self.states)
        return sparse.csr_matrix((self.values, (self.sources, self.targets)), shape=(size, size))

    def solvable(self, up: Callable[[Place], bool]) -> Solvable:
        """The same for the measures of small chains; ``BadInput`` above ``MOST_DENSE`` states."""
        size = len(self.states)
        if size > MOST_DENSE:
            raise BadInput(
                f"{size} states are too many for an exact solve", right=f"at most {MOST_DENSE}; use chaos.predict.markov.sparse above"
            )
        rates = np.zeros((size, size))
        np.add.at(rates, (self.sources, self.targets), self.values)
        return Solvable(tuple((index,) for index in range(size)), rates, self.where(up), {})


def explore(start: Place, moves: Callable[[Place], Iterable[tuple[Place, float]]], most: int = MOST_STATES) -> Explored[Place]:
    """All states from ``start`` on; ``moves`` gives (target, rate in 1/s) pairs, of which those with rate 0 or to itself are left out."""
    order: dict[Place, int] = {start: 0}
    waiting = [start]
    sources: list[int] = []
    targets: list[int] = []
    values: list[float] = []
    while waiting:
        here = waiting.pop()
        for target, rate in moves(here):
            if not (rate >= 0 and math.isfinite(rate)):
                raise BadInput(f"the rate from {here} to {target} is {rate}", right="rates are >= 0, finite and in 1/s")
            if rate == 0 or target == here:
                continue
            if target not in order:
                if len(order) >= most:
                    raise BadInput(f"the chain has more than {most} states", right="a coarser model, or zones of equal size")
                order[target] = len(order)
                waiting.append(target)
            sources.append(order[here])
            targets.append(order[target])
            values.append(rate)
    return Explored(tuple(order), np.array(sources, dtype=np.int64), np.array(targets, dtype=np.int64), np.array(values, dtype=np.float64))
