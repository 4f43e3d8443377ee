"""The long-run probabilities of a continuous-time Markov chain, with full *relative* accuracy.

Grassmann, Taksar and Heyman's elimination (Operations Research 33, 1985) never subtracts: a state's exit rate is the sum of the
rates that leave it, not one minus something. So even a probability of 1e-40 has all its digits, where LU, SVD and eigenvectors
lose them (O'Cinneide, Numerische Mathematik 65, 1993). Availability is judged on the *un*availability, hence this and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chaos.core.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray


def stationary(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The vector pi with pi Q = 0 and sum 1, of one chain or of a stack of them.

    ``rates[..., i, j]`` is the rate from state i to state j in 1/s (or any one unit); the diagonal is not read. State 0 must be
    one that the chain always returns to. ``BadInput`` if a rate is negative or not a number, or if a state cannot get back to
    state 0 (an absorbing chain: there is no long run to speak of).
    """
    work = np.array(rates, dtype=np.float64)
    if work.ndim < 2 or work.shape[-1] != work.shape[-2] or work.shape[-1] == 0:
        raise BadInput(f"a chain needs a square matrix of rates, not shape {work.shape}")
    size = work.shape[-1]
    diagonal = np.arange(size)
    work[..., diagonal, diagonal] = 0.0
    if not np.all(np.isfinite(work)) or np.any(work < 0):
        raise BadInput("a rate of the chain is negative or not a number", right="rates are >= 0 and finite")
    if work.ndim == 2:
        return _one(work)
    for state in range(size - 1, 0, -1):
        leaves = work[..., state, :state].sum(axis=-1)
        if np.any(leaves <= 0):
            raise _absorbing()
        work[..., :state, state] /= leaves[..., None]
        work[..., :state, :state] += work[..., :state, state, None] * work[..., None, state, :state]
    weights = np.zeros(work.shape[:-1])
    weights[..., 0] = 1.0
    for state in range(1, size):
        weights[..., state] = np.einsum("...i,...i->...", weights[..., :state], work[..., :state, state])
    total = weights.sum(axis=-1, keepdims=True)
    return np.asarray(weights / total, dtype=np.float64)


def _one(work: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same elimination for a single chain, without the price of stacking."""
    size = len(work)
    for state in range(size - 1, 0, -1):
        row, column = work[state, :state], work[:state, state]
        leaves = float(row.sum())
        if leaves <= 0:
            raise _absorbing()
        column /= leaves
        work[:state, :state] += np.multiply.outer(column, row)
    weights = np.zeros(size)
    weights[0] = 1.0
    for state in range(1, size):
        weights[state] = weights[:state] @ work[:state, state]
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def mean_times(rates: NDArray[np.float64], exits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean time until a chain leaves these states, from each of them: (-Q)^-1 1, again without a subtraction.

    ``rates[i, j]`` among the states (the diagonal is not read), ``exits[i]`` the rate out of all of them from state i. An ordinary
    solve loses every digit, or finds the matrix singular, where one rate is far slower than the rest.
    """
    work = np.array(rates, dtype=np.float64)
    np.fill_diagonal(work, 0.0)
    out = np.array(exits, dtype=np.float64)
    spent = np.ones(len(out))
    leaves = np.zeros(len(out))
    for state in range(len(out) - 1, -1, -1):
        leaves[state] = out[state] + work[state, :state].sum()
        if leaves[state] <= 0:
            raise _absorbing()
        through = work[:state, state] / leaves[state]
        work[:state, :state] += np.multiply.outer(through, work[state, :state])
        out[:state] += through * out[state]
        spent[:state] += through * spent[state]
        # A way from a state through this one back to itself only lengthens its stay, which the diagonal, never read, would hold.
        np.fill_diagonal(work[:state, :state], 0.0)
    times = np.zeros(len(out))
    for state in range(len(out)):
        times[state] = (spent[state] + work[state, :state] @ times[:state]) / leaves[state]
    return times


def _absorbing() -> BadInput:
    return BadInput("the chain is absorbing: from some state it never returns", right="every repair rate must be > 0")
