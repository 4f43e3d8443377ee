"""The cluster as a Markov chain: how often, and for how long, a replicated service has no leader or no quorum.

State (u, d, s, p): u replicas current and voting, d down, s syncing, u + d + s = n; p = 1 while a leader is present, which needs
u >= quorum. Writes work iff p = 1; reads of any replica work iff u + s >= 1.

    (u,d,s,1) -> (u-1,d+1,s,0)                       crash            the leader crashes
    (u,d,s,1) -> (u-1,d+1,s, 1 if u-1>=k else 0)     (u-1) crash      a follower does
    (u,d,s,0) -> (u-1,d+1,s,0)                       u crash
    s>0       -> (u,d+1,s-1,p)                       s crash          while it syncs
    d>0       -> (u,d-1,s+1,p)                       min(d,crews) restart
    s>0       -> (u+1,d,s-1,p)                       s resync
    (u,d,s,0) -> (u,d,s,1)            if u>=k        failover = 1 / (detection + election)

With coverage c < 1 a leader's crash is handled as above with probability c only; else the whole cluster goes to RESET, from
which it returns all up at rate ``reset_per_s`` (imperfect coverage: Arnold 1973; Trivedi & Bobbio 2017). With ``common_cause`` b a share
b of crashes strikes all nodes at once (the beta model): (1 - b) crash for each node, and one shock at b crash. 13 states for n = 3,
442 for n = 25 (with RESET one more): small enough to be solved exactly, always. All rates are in 1/s.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import msgspec
import numpy as np

from chaos.core.errors import BadInput

State = tuple[int, ...]
"""(up, down, syncing, leader present)."""

RESET: Final[State] = (-1, -1, -1, -1)

RATES: Final = ("crash_per_s", "failover_per_s", "restart_per_s", "resync_per_s", "reset_per_s")
"""The parameters with a unit: their elasticities sum to 0, since the unavailability has none."""

_CRASH, _LEADER, _LOST, _FAILOVER, _RESTART, _RESYNC, _RESET, _SHOCK = range(8)
MOST_NODES: Final = 99


class ClusterChain(msgspec.Struct, frozen=True):
    """The chain of n replicas that need ``quorum`` of them; ``crews`` restarts go on at a time (None: all)."""

    nodes: int
    quorum: int
    crash_per_s: float
    restart_per_s: float
    resync_per_s: float
    failover_per_s: float
    crews: int | None = None
    coverage: float = 1.0
    reset_per_s: float | None = None
    common_cause: float = 0.0

    def checked(self) -> ClusterChain:
        """Itself; ``BadInput`` if a parameter is outside its domain."""
        if not 1 <= self.nodes <= MOST_NODES:
            raise BadInput(f"a cluster has 1 to {MOST_NODES} nodes, not {self.nodes}")
        if not 1 <= self.quorum <= self.nodes:
            raise BadInput(f"a quorum of {self.quorum} is not possible with {self.nodes} nodes", right=f"1 to {self.nodes}")
        if self.crews is not None and self.crews < 1:
            raise BadInput(f"{self.crews} repair crews never finish", right="crews >= 1")
        if not 0.0 <= self.coverage <= 1.0:
            raise BadInput(f"a coverage of {self.coverage} is not a probability", right="0 to 1")
        if not 0.0 <= self.common_cause < 1.0:
            raise BadInput(f"a common-cause share of {self.common_cause}", right="0 to below 1")
        if self.coverage < 1.0 and self.reset_per_s is None:
            raise BadInput("a coverage below 1 needs reset_per_s: how fast the cluster returns from an uncovered crash")
        for name in RATES:
            rate: float | None = getattr(self, name)
            if rate is not None and not (rate > 0 and math.isfinite(rate)):
                raise BadInput(f"{name} is {rate}", right="a rate is > 0, finite and in 1/s")
        return self

    @property
    def rates(self) -> dict[str, float]:
        """The parameters with a unit, as they are."""
        known = {name: getattr(self, name) for name in RATES}
        return {name: rate for name, rate in known.items() if rate is not None}


class Solvable(msgspec.Struct, frozen=True):
    """A chain as its states, its rates and which states are up: what ``measures`` works on."""

    states: tuple[State, ...]
    rates: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    """``rates[i, j]`` in 1/s, the diagonal 0."""
    up: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    slopes: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]
    """d rates / d parameter, exact: for sensitivities."""


class _Skeleton(msgspec.Struct, frozen=True):
    """What depends on n, quorum and crews only: ``terms[t, i, j]`` counts how often term t is in the rate i -> j."""

    states: tuple[State, ...]
    terms: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    writes: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    reads: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def majority(nodes: int) -> int:
    """The smallest number of nodes that is more than half."""
    return nodes // 2 + 1


def solvable(chain: ClusterChain, reads: bool = False) -> Solvable:
    """The chain's matrix; up is what writes need, or with ``reads`` what a read of any replica needs."""
    chain.checked()
    bones = _skeleton(chain.nodes, chain.quorum, chain.crews or chain.nodes, chain.coverage < 1.0)
    crash, covered, shared = (1 - chain.common_cause) * chain.crash_per_s, chain.coverage, chain.common_cause
    reset = chain.reset_per_s or 0.0
    weights = np.array(
        [crash, covered * crash, (1 - covered) * crash, chain.failover_per_s, chain.restart_per_s, chain.resync_per_s, reset,
         shared * chain.crash_per_s]
    )  # fmt: skip
    terms = bones.terms
    slopes = {
        "crash_per_s": (1 - shared) * (terms[_CRASH] + covered * terms[_LEADER] + (1 - covered) * terms[_LOST]) + shared * terms[_SHOCK],
        "failover_per_s": terms[_FAILOVER],
        "restart_per_s": terms[_RESTART],
        "resync_per_s": terms[_RESYNC],
    }
    if chain.coverage < 1.0:
        slopes["reset_per_s"] = terms[_RESET]
        slopes["coverage"] = crash * (terms[_LEADER] - terms[_LOST])
    if shared > 0.0:
        single = terms[_CRASH] + covered * terms[_LEADER] + (1 - covered) * terms[_LOST]
        slopes["common_cause"] = chain.crash_per_s * (terms[_SHOCK] - single)
    rates = np.tensordot(weights, terms, axes=1)
    return Solvable(bones.states, rates, bones.reads if reads else bones.writes, slopes)


def states(nodes: int, quorum: int, with_reset: bool = False) -> tuple[State, ...]:
    """All states, the one with everything up first."""
    found: list[State] = []
    for up in range(nodes, -1, -1):
        for down in range(nodes - up + 1):
            syncing = nodes - up - down
            found += [(up, down, syncing, 1)] if up >= quorum else []
            found.append((up, down, syncing, 0))
    return (*found, RESET) if with_reset else tuple(found)


@functools.lru_cache(maxsize=64)
def _skeleton(nodes: int, quorum: int, crews: int, with_reset: bool) -> _Skeleton:
    listed = states(nodes, quorum, with_reset)
    place = {state: index for index, state in enumerate(listed)}
    terms = np.zeros((8, len(listed), len(listed)))
    if with_reset:
        terms[_RESET, place[RESET], 0] = 1
    for state in listed[: -1 if with_reset else None]:
        for term, target, count in _moves(state, quorum, crews, with_reset):
            terms[term, place[state], place[target]] += count
    writes = np.array([state[3] == 1 for state in listed])
    reads = np.array([state != RESET and state[0] + state[2] >= 1 for state in listed])
    return _Skeleton(listed, terms, writes, reads)


def _moves(state: State, quorum: int, crews: int, with_reset: bool) -> list[tuple[int, State, int]]:
    """Where the chain may go from here: (term, target, how often)."""
    up, down, syncing, leader = state
    moves: list[tuple[int, State, int]] = []
    if leader:
        moves.append((_LEADER, (up - 1, down + 1, syncing, 0), 1))
        moves += [(_LOST, RESET, 1)] if with_reset else []
        if up > 1:
            moves.append((_CRASH, (up - 1, down + 1, syncing, int(up - 1 >= quorum)), up - 1))
    elif up > 0:
        moves.append((_CRASH, (up - 1, down + 1, syncing, 0), up))
    if syncing > 0:
        moves.append((_CRASH, (up, down + 1, syncing - 1, leader), syncing))
        moves.append((_RESYNC, (up + 1, down, syncing - 1, leader), syncing))
    if down > 0:
        moves.append((_RESTART, (up, down - 1, syncing + 1, leader), min(down, crews)))
    if up + syncing > 0:
        moves.append((_SHOCK, (0, up + down + syncing, 0, 0), 1))
    if not leader and up >= quorum:
        moves.append((_FAILOVER, (up, down, syncing, 1), 1))
    return moves
