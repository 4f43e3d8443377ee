"""What a solved chain says: unavailability, mean up and down time, cycle, time to first failure, sensitivities, the client's view.

All times in s. The long-run values come from ``gth.stationary`` and so have full relative accuracy; the three times between
failures are kept apart by name (mean up, mean down, cycle), since "MTBF" is used for two of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.core.errors import BadInput
from chaos.predict.markov import solve as gth
from chaos.predict.markov.chain import ClusterChain, Solvable, solvable

if TYPE_CHECKING:
    from numpy.typing import NDArray


TINY: Final = 1e-6
"""Rates so much lower show isolated faults alone."""


class LongRun(msgspec.Struct, frozen=True):
    """The long run of a chain: ``cycle_s`` is from failure to failure, ``outages_per_s`` its inverse."""

    unavailability: float
    outages_per_s: float
    mean_up_s: float
    mean_down_s: float
    cycle_s: float

    @property
    def availability(self) -> float:
        """1 - unavailability; the latter has the digits."""
        return 1.0 - self.unavailability


class ClientView(msgspec.Struct, frozen=True):
    """What is left of a chain's outages for clients that hide the first ``hidden_s`` of each by trying again."""

    hidden_s: float
    visible_share: float
    """P(X > W): the share of outages that clients notice."""
    mean_outage_s: float
    """E[X - W | X > W]."""
    cycle_s: float
    unavailability: float


def long_run(model: Solvable) -> LongRun:
    """U = sum over down of pi; f = flow from up to down; mean up (1 - U)/f, mean down U/f, cycle 1/f."""
    pi = gth.stationary(model.rates)
    down = ~model.up
    if not down.any():
        return LongRun(0.0, 0.0, float("inf"), 0.0, float("inf"))
    lost, kept = float(pi[down].sum()), float(pi[model.up].sum())
    flow = float((pi[model.up, None] * model.rates[np.ix_(model.up, down)]).sum())
    return LongRun(lost / (lost + kept), flow, kept / flow, lost / flow, (lost + kept) / flow)


def first_failure_s(model: Solvable, start: int = 0) -> float:
    """Mean time to the *first* failure from state ``start``: not the mean up time, which starts where repairs end.

    Found without a subtraction: all down states become one, which returns to ``start`` at rate 1/s. A cycle of that chain is
    the time to failure plus 1 s, so the time is the ratio of the two shares.
    """
    if not model.up[start]:
        return 0.0
    others = np.flatnonzero(model.up)
    order = np.concatenate(([start], others[others != start]))
    size = len(order) + 1
    rates = np.zeros((size, size))
    rates[:-1, :-1] = model.rates[np.ix_(order, order)]
    rates[:-1, -1] = model.rates[np.ix_(order, np.flatnonzero(~model.up))].sum(axis=1)
    rates[-1, 0] = 1.0
    reached = _reachable(rates)
    if not reached[-1]:
        return float("inf")
    pi = gth.stationary(rates[np.ix_(reached, reached)])
    return float(pi[:-1].sum() / pi[-1])


def _reachable(rates: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which states can be reached from state 0."""
    reached = np.zeros(len(rates), dtype=bool)
    reached[0] = True
    while True:
        further = reached | (rates[reached] > 0).any(axis=0)
        if (further == reached).all():
            return reached
        reached = further


def sensitivities(model: Solvable) -> dict[str, float]:
    """dU / d parameter, by differentiating pi Q = 0: s Q = -pi dQ/d parameter, with the elements of s summing to 0."""
    pi = gth.stationary(model.rates)
    generator = model.rates - np.diag(model.rates.sum(axis=1))
    # Each state's flows in units of its own exit rate: rates may be eight powers of ten apart, which elimination does not survive.
    exits = model.rates.sum(axis=1)
    system = generator / exits[:, np.newaxis]
    spare = int(np.argmax(pi))
    system[:, spare] = exits.min() / exits  # one balance equation is redundant: the sum takes its place
    rights = np.zeros((len(model.slopes), len(pi)))
    for row, slope in enumerate(model.slopes.values()):
        rights[row] = -(pi @ slope - pi * slope.sum(axis=1))
        rights[row, spare] = 0.0
    solved = np.linalg.solve(system.T, rights.T).T / exits
    return {name: float(solved[row][~model.up].sum()) for row, name in enumerate(model.slopes)}


def elasticities(chain: ClusterChain) -> dict[str, float]:
    """d ln U / d ln parameter: by how many per cent the unavailability changes if the parameter does by one."""
    model = solvable(chain)
    unavailability = long_run(model).unavailability
    values = {**chain.rates, "coverage": chain.coverage, "common_cause": chain.common_cause}
    return {name: slope * values[name] / unavailability for name, slope in sensitivities(model).items()}


def client_view(model: Solvable, hidden_s: float) -> ClientView:
    """Outages as clients see them that hide the first ``hidden_s`` of each (retries in time, a window W).

    Outages start in the down states with alpha = pi_U Q_UD / f, so P(X > W) = alpha exp(Q_DD W) 1 and
    E[(X - W)+] = alpha exp(Q_DD W) (-Q_DD)^-1 1.
    """
    from scipy.linalg import expm

    if not (hidden_s >= 0 and np.isfinite(hidden_s)):
        raise BadInput(f"clients cannot hide {hidden_s} s", right="a time >= 0")
    pi = gth.stationary(model.rates)
    down = ~model.up
    entry = pi[model.up] @ model.rates[np.ix_(model.up, down)]
    flow = float(entry.sum())
    inside = model.rates[np.ix_(down, down)] - np.diag(model.rates[down].sum(axis=1))
    begins = entry / flow
    still = begins @ expm(inside * hidden_s)
    share = float(still.sum())
    to_repair_s = gth.mean_times(model.rates[np.ix_(down, down)], model.rates[np.ix_(down, model.up)].sum(axis=1))
    left = float(still @ to_repair_s)
    return ClientView(
        hidden_s=hidden_s,
        visible_share=share,
        mean_outage_s=left / share if share > 0 else 0.0,
        cycle_s=1.0 / (flow * share) if share > 0 else float("inf"),
        unavailability=flow * left,
    )
