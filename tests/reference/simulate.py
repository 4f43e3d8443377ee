"""Any chain by drawing: many windows at once, one jump after the other. A cross-check of the exact answers, and the distribution of
downtime in a window where no closed form is at hand. Times in s."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.core.errors import BadInput
from chaos.predict.markov.chain import Solvable

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_JUMPS: Final = 50_000_000


class Windows(msgspec.Struct, frozen=True):
    """One entry a window: time spent down, failures (moves from up to down), and when the first one was (inf: none)."""

    down_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    failures: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    first_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def windows(model: Solvable, window_s: float, runs: int, seed: int, start: int = 0) -> Windows:
    """``runs`` windows of ``window_s`` from state ``start``, by Gillespie's direct method."""
    if not (window_s > 0 and math.isfinite(window_s)) or runs < 1:
        raise BadInput(f"{runs} windows of {window_s} s", right="at least one, above 0 and finite")
    exits = model.rates.sum(axis=1)
    if float(exits.max()) * window_s * runs > MOST_JUMPS * 20:
        raise BadInput("these are more jumps than can be drawn", right="a shorter window, fewer runs, or the exact measures")
    rng = np.random.default_rng(seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.cumsum(np.where(exits[:, None] > 0, model.rates / exits[:, None], 0.0), axis=1)
    state = np.full(runs, start)
    at_s, down_s, first_s = np.zeros(runs), np.zeros(runs), np.full(runs, np.inf)
    failures = np.zeros(runs, dtype=np.int64)
    going = np.arange(runs)
    while len(going):
        here = state[going]
        stay_s = _stays(rng, exits[here])
        until_s = np.minimum(at_s[going] + stay_s, window_s)
        down_s[going] += np.where(model.up[here], 0.0, until_s - at_s[going])
        at_s[going] = until_s
        jumps = until_s < window_s
        going, here = going[jumps], here[jumps]
        draws = rng.uniform(0.0, 1.0, len(going))
        there = np.minimum((shares[here] <= draws[:, None]).sum(axis=1), len(exits) - 1)
        failed = model.up[here] & ~model.up[there]
        failures[going[failed]] += 1
        first_s[going[failed]] = np.minimum(first_s[going[failed]], at_s[going[failed]])
        state[going] = there
    return Windows(down_s, failures, first_s)


def _stays(rng: np.random.Generator, exits: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.where(exits > 0, rng.exponential(1.0, len(exits)) / exits, np.inf)
