"""How often a chain's outages last how long: their rate and their mean length in each octave of lengths. Times in s.

Outages start in the down states at the rates e = pi_U Q_UD, so those longer than x come at rate e exp(Q_DD x) 1, and what lies beyond x of
them sums to e exp(Q_DD x) (-Q_DD)^-1 1. Both are read at x = x0, 2 x0, 4 x0, ..., the matrix of one step being squared each time, so that
failovers of half a second and resets of an hour cost the same. Each octave stands for its outages by their mean: the sum is exact.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.predict.markov import solve as gth
from chaos.predict.markov import transient

if TYPE_CHECKING:
    from chaos.predict.markov.chain import Solvable

SHORTEST_S: Final = 1e-3
OCTAVES: Final = 40
"""From a millisecond to some thirty years."""


class OutageFlow(msgspec.Struct, frozen=True):
    """One entry an octave: outages per second, and the time they sum to per second."""

    per_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    lost: np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def of(model: Solvable) -> OutageFlow:
    """Of a chain in its long run."""
    pi, down = gth.stationary(model.rates), ~model.up
    entry = pi[model.up] @ model.rates[np.ix_(model.up, down)]
    among = model.rates[np.ix_(down, down)]
    back = model.rates[np.ix_(down, model.up)].sum(axis=1)
    left_s = gth.mean_times(among, back)
    # One more state takes all that has ended.
    size = int(down.sum())
    whole = np.zeros((size + 1, size + 1))
    whole[:size, :size] = among
    np.fill_diagonal(whole, 0.0)
    whole[:size, size] = back
    step = transient.step_matrix(whole, SHORTEST_S)[:size, :size]
    longer = [float(entry.sum())]
    beyond = [float(entry @ left_s)]
    for _ in range(OCTAVES):
        still = entry @ step
        longer.append(float(still.sum()))
        beyond.append(float(still @ left_s))
        step = step @ step
    longer.append(0.0)
    beyond.append(0.0)
    edges_s = np.array([0.0, *(SHORTEST_S * 2.0**octave for octave in range(OCTAVES)), math.inf])
    tail, rest = np.array(longer), np.array(beyond)
    above = np.where(np.isfinite(edges_s[1:]), edges_s[1:], 0.0) * tail[1:]
    return OutageFlow(tail[:-1] - tail[1:], edges_s[:-1] * tail[:-1] - above + rest[:-1] - rest[1:])


def more_than(whole: OutageFlow, alone: OutageFlow, scale: float, lost: float) -> tuple[tuple[float, float], ...]:
    """(rate in 1/s, mean length in s) of the outages that ``whole`` has beyond ``scale`` times those of ``alone``; they sum to ``lost``.

    Where a failover that is merely longer counts as one less of its own length, that one is left out, and the rest carries the sum.
    """
    edges_s = SHORTEST_S * 2.0 ** np.arange(-1, OCTAVES)
    rates, sums = whole.per_s - scale * alone.per_s, whole.lost - scale * alone.lost
    found = []
    for low_s, rate, total in zip(edges_s, rates, sums, strict=True):
        if rate > 1e-9 * float(whole.per_s.sum()) and total > 0:
            found.append((float(rate), float(min(max(total / rate, low_s), 2 * low_s))))
    carried = math.fsum(rate * mean_s for rate, mean_s in found)
    return tuple((rate * lost / carried, mean_s) for rate, mean_s in found) if carried > 0 and lost > 0 else ()
