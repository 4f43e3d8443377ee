"""How many values tell that a mean has grown, or that it has not: runs of the comparison are drawn, and put through the very test.

Up to ``TESTED`` values on a side the permutation test itself is made of each draw. Beyond, means are as good as normal, and the error of
the delta method decides. The numbers are for a power of 80 %; they aim a little higher, since a law that is drawn from is itself a sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from chaos.evidence.ratio_test import LEVEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

POWER: Final = 0.8
AIM: Final = 0.85
TRIED: Final = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 40, 48, 64)
TESTED: Final = TRIED[-1]
DRAWS: Final = 200
WAYS: Final = 399
MOST: Final = 10_000
OF_OLD: Final = 400
"""So many old values are as good as all."""
_SEED: Final = 11


class Design(NamedTuple):
    """What a comparison has to go by."""

    law: Floats
    """Values as they come, to draw from; not all 0."""
    old: int | None
    """How many there are of the old version; None: as many as of the new one."""
    level: float = LEVEL
    """The error allowed to the call that it is worse."""


def finds(design: Design, count: int, factor: float) -> float:
    """The chance that so many new values, really ``factor`` times as long, are called worse."""
    return _chance(design, count, design.level, factor, 1.0, worse=True)


def shows(design: Design, count: int, margin: float, true: float = 1.0) -> float:
    """The chance that so many new values, really ``true`` times as long, are shown to be no worse than ``margin`` times."""
    return _chance(design, count, LEVEL, true, margin, worse=False)


def to_find(design: Design, factor: float) -> int | None:
    """The least number of new values that is called worse in four comparisons of five; None: none is."""
    return _least(lambda count: finds(design, count, factor))


def to_show(design: Design, margin: float, true: float = 1.0) -> int | None:
    """The least number of new values that shows it in four comparisons of five; None: none does."""
    return None if true >= margin else _least(lambda count: shows(design, count, margin, true))


def _least(chance: Callable[[int], float]) -> int | None:
    small = next((count for count in TRIED if chance(count) >= AIM), None)
    if small is not None:
        return small
    low, high = TESTED, MOST
    if chance(high) < AIM:
        return None
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= AIM else (middle, high)
    return high


def _chance(design: Design, count: int, level: float, true: float, held: float, *, worse: bool) -> float:
    """Of a p-value at most ``level``, where values are ``true`` times as long and the test divides them by ``held``."""
    olds = count if design.old is None else min(design.old, OF_OLD)
    if count > TESTED:
        return _by_error(design.law, count, count if design.old is None else design.old, level, abs(math.log(true / held)))
    rng = np.random.default_rng(_SEED)
    old, new = rng.choice(design.law, (DRAWS, olds)), rng.choice(design.law, (DRAWS, count)) * (true / held)
    every = np.concatenate([old, new], axis=1)
    picks = rng.random((WAYS, olds + count)).argpartition(count - 1, axis=1)[:, :count]
    chosen = np.zeros((DRAWS, WAYS))
    for column in picks.T:
        chosen += every[:, column]
    mine = new.sum(axis=1)[:, None]
    slack = 1e-9 * every.sum(axis=1)[:, None]
    extreme = (chosen >= mine - slack) if worse else (chosen <= mine + slack)
    return float(np.mean((1 + extreme.sum(axis=1)) / (1 + WAYS) <= level))


def _by_error(law: Floats, count: int, olds: int, level: float, distance: float) -> float:
    """Normal means: the distance on the logarithmic scale, in standard errors of a ratio."""
    error = float(law.std() / law.mean()) * math.sqrt(1 / count + 1 / olds)
    return NormalDist().cdf(distance / error - NormalDist().inv_cdf(1 - level)) if error > 0 else 1.0
