"""A chain before its long run: reliability over a window, point and interval availability, by uniformisation.

With a rate q above every exit rate, P = I + Q/q is a discrete chain that jumps at the events of a Poisson process of rate q, so
p(t) = sum over k of Pois(k; q t) p P^k: only non-negative terms, hence no cancellation (Jensen 1953; Grassmann 1977). Where q t is
large, one small step is squared up instead. Times in s.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.core.errors import BadInput
from chaos.predict.markov.chain import Solvable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_JUMPS: Final = 2_000.0
"""Expected jumps up to which terms are summed one by one; above, steps are squared up."""
STEP_JUMPS: Final = 0.5


def reliability(model: Solvable, until_s: float, start: int = 0) -> float:
    """P(no failure at all by ``until_s``): R(T) = p0 exp(Q_UU T) 1, the down states being made absorbing."""
    stays = model.rates.copy()
    stays[~model.up] = 0.0
    return float(_distribution(stays, start, _time(until_s))[model.up].sum())


def over(model: Solvable, until_s: float) -> tuple[Floats, Floats]:
    """From each state: the probability of each state at ``until_s``, and the mean time spent in each until then, as two matrices."""
    jumps, fastest = _uniformised(model.rates)
    size = len(model.rates)
    expected = fastest * _time(until_s)
    if expected <= 0:
        return np.eye(size), np.eye(size) * until_s
    doublings = max(0, math.ceil(math.log2(expected / STEP_JUMPS)))
    part = expected / 2**doublings
    step, time = _step(jumps, part), _step_time(jumps, part) / fastest
    for _ in range(doublings):
        time = time + step @ time
        step = step @ step
        step /= step.sum(axis=1, keepdims=True)
    return step, time


def step_matrix(rates: Floats, until_s: float) -> Floats:
    """The probability of each state at ``until_s`` from each state."""
    jumps, fastest = _uniformised(rates)
    expected = fastest * _time(until_s)
    if expected <= 0:
        return np.eye(len(rates))
    doublings = max(0, math.ceil(math.log2(expected / STEP_JUMPS)))
    step = _step(jumps, expected / 2**doublings)
    for _ in range(doublings):
        step = step @ step
    return step


def _uniformised(rates: Floats) -> tuple[Floats, float]:
    """(P, q)."""
    exits = rates.sum(axis=1)
    fastest = float(exits.max())
    if fastest <= 0:
        return np.eye(len(rates)), 0.0
    jumps = rates / fastest
    jumps[np.arange(len(rates)), np.arange(len(rates))] = 1.0 - exits / fastest
    return jumps, fastest


def _distribution(rates: Floats, start: int, at_s: float) -> Floats:
    jumps, fastest = _uniformised(rates)
    begin = np.zeros(len(rates))
    begin[start] = 1.0
    expected = fastest * at_s
    if expected > MOST_JUMPS:
        doublings = math.ceil(math.log2(expected / STEP_JUMPS))
        step = _step(jumps, expected / 2**doublings)
        for _ in range(doublings):
            step = step @ step
            step /= step.sum(axis=1, keepdims=True)
        return np.asarray(begin @ step, dtype=np.float64)
    found = np.zeros(len(rates))
    for weight in _poisson(expected):
        found += weight * begin
        begin = begin @ jumps
    return found


def _step(jumps: Floats, expected: float) -> Floats:
    """The matrix over a small time."""
    found, power = np.zeros_like(jumps), np.eye(len(jumps))
    for weight in _poisson(expected):
        found += weight * power
        power = power @ jumps
    return found


def _step_time(jumps: Floats, expected: float) -> Floats:
    """Mean times (in expected jumps) in each state over a small time."""
    found, power = np.zeros_like(jumps), np.eye(len(jumps))
    weights = list(_poisson(expected))
    for count in range(len(weights)):
        found += math.fsum(weights[count + 1 :]) * power
        power = power @ jumps
    return found


def _poisson(expected: float) -> Floats:
    """All Poisson probabilities that matter, from 0 on: what lies beyond ten deviations and thirty jumps is below 1e-20."""
    from scipy.special import gammaln

    if expected <= 0:
        return np.ones(1)
    counts = np.arange(math.ceil(expected + 10 * math.sqrt(expected)) + 30)
    return np.asarray(np.exp(counts * math.log(expected) - expected - gammaln(counts + 1)), dtype=np.float64)


def _time(value_s: float) -> float:
    if not (value_s >= 0 and math.isfinite(value_s)):
        raise BadInput(f"a time of {value_s} s", right="0 or more, and finite")
    return value_s
