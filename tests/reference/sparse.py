"""Long-run probabilities of chains of many thousand states: one state is fixed, the rest is one sparse solve.

A row of ones for the normalisation would fill the factors; fixing the weight of one state keeps them sparse. LU subtracts, so small
probabilities have an absolute error of some 1e-16 of the largest: for full relative accuracy of small chains use ``gth``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chaos.core.errors import BadInput
from chaos.predict.markov.measures import LongRun

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array, csr_matrix

    Sparse = csr_array | csr_matrix
    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


def stationary(rates: Sparse) -> NDArray[np.float64]:
    """The vector pi with pi Q = 0 and sum 1; ``rates[i, j]`` from i to j, the diagonal is not read. State 0 must be recurrent."""
    from scipy import sparse
    from scipy.sparse.linalg import splu

    matrix = sparse.csr_matrix(rates, dtype=np.float64)
    if matrix.shape[0] != matrix.shape[1]:
        raise BadInput(f"a chain needs a square matrix of rates, not shape {matrix.shape}")
    matrix.setdiag(0.0)
    if not np.all(np.isfinite(matrix.data)) or np.any(matrix.data < 0):
        raise BadInput("a rate of the chain is negative or not a number", right="rates are >= 0 and finite")
    reached, _ = sparse.csgraph.connected_components(matrix, directed=True, connection="strong")
    if reached > 1:
        raise BadInput("the chain is absorbing: from some state it never returns", right="every repair rate must be > 0")
    exits = np.asarray(matrix.sum(axis=1)).ravel()
    balance = (matrix - sparse.diags(exits)).T.tocsc()
    weights = np.concatenate(([1.0], splu(balance[1:, 1:]).solve(-balance[1:, [0]].toarray().ravel())))
    weights = np.maximum(weights, 0.0)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def long_run(rates: Sparse, up: Flags) -> LongRun:
    """Unavailability, mean up and down time and cycle, as for a small chain."""
    pi = stationary(rates)
    lost, kept = float(pi[~up].sum()), float(pi[up].sum())
    if lost == 0.0:
        return LongRun(0.0, 0.0, float("inf"), 0.0, float("inf"))
    flow = float((_plain(rates)[up][:, ~up].T @ pi[up]).sum())
    return LongRun(lost / (lost + kept), flow, kept / flow, lost / flow, (lost + kept) / flow)


def first_failure_s(rates: Sparse, up: Flags, start: int = 0) -> float:
    """Mean time to the first failure from state ``start``."""
    return float(before_failure_s(rates, up, start).sum())


def before_failure_s(rates: Sparse, up: Flags, start: int = 0) -> Floats:
    """The mean time spent in each state before the first failure: x (-Q_UU) = the start's indicator. 0 for down states."""
    from scipy.sparse.linalg import splu

    spent = np.zeros(len(up))
    if not up[start]:
        return spent
    matrix = _plain(rates)
    reached = _reachable(matrix, up, start)
    if not matrix[reached][:, ~up].nnz:
        raise BadInput("from here the chain never fails", right="a way from up to down")
    inside = matrix[reached][:, reached]
    exits = np.asarray(matrix[reached].sum(axis=1)).ravel()
    from scipy import sparse

    begin = (np.flatnonzero(reached) == start).astype(np.float64)
    spent[reached] = splu((sparse.diags(exits) - inside).T.tocsc()).solve(begin)
    return spent


def first_failure_shares(rates: Sparse, up: Flags, start: int = 0) -> Floats:
    """The probability that each down state is the first one entered."""
    matrix = _plain(rates)
    entered = np.asarray(matrix.T @ before_failure_s(rates, up, start)).ravel()
    return np.asarray(np.where(up, 0.0, entered), dtype=np.float64)


def _plain(rates: Sparse) -> csr_matrix:
    from scipy import sparse

    matrix = sparse.csr_matrix(rates, dtype=np.float64)
    matrix.setdiag(0.0)
    matrix.eliminate_zeros()
    return matrix


def _reachable(matrix: csr_matrix, up: Flags, start: int) -> Flags:
    """Which up states can be reached without failing."""
    from scipy.sparse import csgraph, diags

    within = diags(up.astype(np.float64)) @ matrix @ diags(up.astype(np.float64))
    found = csgraph.breadth_first_order(within, start, directed=True, return_predecessors=False)
    reached = np.zeros(len(up), dtype=np.bool_)
    reached[found] = True
    return reached
