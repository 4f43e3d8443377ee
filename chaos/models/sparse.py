"""Long-run probabilities of chains of many thousand states: one state is fixed, the rest is one sparse solve.

A row of ones for the normalisation would fill the factors; fixing the weight of one state keeps them sparse. LU subtracts, so small
probabilities have an absolute error of some 1e-16 of the largest: for full relative accuracy of small chains use ``gth``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chaos.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array, csr_matrix

    Sparse = csr_array | csr_matrix


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
