"""Planned restarts: one node at a time, on the clock and not by chance, on top of crashes that come when they like.

Every ``every_s`` seconds one node of a whole cluster (all voting, a leader present) is taken down and started again; where the
cluster is not whole the turn is left out. It may be the leader: with a handover another node leads at once, without one the failover
runs its course. Between restarts the chain moves by itself, so just before each the state has a stationary law v = v J P(T), with J
what a restart does and P(T) the chain over one period: exact, without simulation (models of scheduled inspection: Trivedi & Bobbio
2017, chapter 14). Planned downtime is kept apart from that of crashes, since people plan the one and suffer the other.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from chaos.core.errors import BadInput
from chaos.predict.markov import solve as gth
from chaos.predict.markov import transient
from chaos.predict.markov.chain import ClusterChain, Solvable, solvable
from chaos.predict.markov.measures import long_run


class Maintained(msgspec.Struct, frozen=True):
    """Long-run shares of time that are down; and what one planned restart costs on average, risk of crashes in its course included."""

    unavailability: float
    without_restarts: float
    lost_s_per_restart: float
    left_out: float
    """The share of turns in which the cluster was not whole."""


def planned_restarts(chain: ClusterChain, every_s: float, handover: bool = True) -> Maintained:
    """The cluster with one planned restart in ``every_s``; nodes take turns, so one in n falls on the leader."""
    if not (every_s > 0 and math.isfinite(every_s)):
        raise BadInput(f"a planned restart every {every_s} s", right="above 0 and finite")
    model = solvable(chain)
    after, spent_s = transient.over(model, every_s)
    restart = _restart(model, chain, handover)
    before = gth.stationary(_off_diagonal(restart @ after))
    down_s = float((before @ restart @ spent_s)[~model.up].sum())
    alone = long_run(model).unavailability
    whole = float(before[model.states.index((chain.nodes, 0, 0, 1))])
    lost_s = max(0.0, down_s - alone * every_s)
    return Maintained(down_s / every_s, alone, lost_s / whole if whole > 0 else 0.0, 1.0 - whole)


def _restart(model: Solvable, chain: ClusterChain, handover: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """What one turn does, as probabilities from each state to each."""
    turn = np.eye(len(model.states))
    place = {state: index for index, state in enumerate(model.states)}
    whole = place[chain.nodes, 0, 0, 1]
    still = int(chain.nodes - 1 >= chain.quorum)
    led, leaderless = place[chain.nodes - 1, 1, 0, still], place[chain.nodes - 1, 1, 0, 0]
    turn[whole, whole] = 0.0
    turn[whole, led] += (chain.nodes - 1) / chain.nodes
    turn[whole, led if handover else leaderless] += 1 / chain.nodes
    return turn


def _off_diagonal(moves: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    rates = np.maximum(moves, 0.0)
    np.fill_diagonal(rates, 0.0)
    return rates
