"""Closed forms of what clients lose: by caches that still answer with the old set, and by dead addresses. Times in s."""

from __future__ import annotations

import math

from chaos.core.errors import BadInput
from chaos.predict.scenarios.delays import RandomisedElection


def stale_seconds(ttl_s: float, queries_per_s: float = float("inf")) -> float:
    """For how many seconds' worth of requests caches answer with the old set after a change: rho ttl^2 / (2 (1 + rho ttl)).

    Half the TTL for a busy cache. Holds where the cache's phase is random against the change.
    """
    if ttl_s < 0 or queries_per_s <= 0:
        raise BadInput(f"a TTL of {ttl_s} s asked {queries_per_s} times a second", right="TTL >= 0 and rate > 0")
    if queries_per_s == float("inf"):
        return ttl_s / 2
    return queries_per_s * ttl_s**2 / (2 * (1 + queries_per_s * ttl_s))


def follower_loss_s(share: float, down_s: float, detected_s: float, ttl_s: float, pinned: float = 0.0) -> float:
    """Lost seconds of one crashed node that holds ``share`` of the picks, no retry, busy caches.

    share [min(S, t) + x - x^2 / (2 ttl)] with x = min(max(S - t, 0), ttl); ``pinned`` is the share of clients that never ask again.
    """
    seen_s = min(down_s, detected_s)
    stale_s = min(max(down_s - detected_s, 0.0), ttl_s)
    tail_s = stale_s - stale_s**2 / (2 * ttl_s) if ttl_s > 0 else 0.0
    return share * (seen_s + tail_s + pinned * (down_s - seen_s - tail_s))


def all_dead(nodes: int, dead: int, attempts: int, other_address: bool, independent: bool = False) -> float:
    """The chance that every attempt meets a dead address: C(dead, a) / C(nodes, a) over distinct addresses.

    Without ``other_address`` a retry goes where the first attempt went, dead / nodes; or, ``independent``, picks afresh.
    """
    if not 0 <= dead <= nodes or nodes < 1 or attempts < 1:
        raise BadInput(f"{dead} dead of {nodes} nodes, {attempts} attempts", right="0 <= dead <= nodes, attempts >= 1")
    if other_address:
        distinct = min(attempts, nodes)
        return math.comb(dead, distinct) / math.comb(nodes, distinct)
    return (dead / nodes) ** (attempts if independent else 1)


def dead_server_loss_s(down_s: float, ttl_s: float) -> float:
    """Seconds of requests lost while a name server fails at once for ``down_s``, busy caches of a random phase: what outlasts U(0, TTL)."""
    if ttl_s <= 0:
        return down_s
    return down_s - ttl_s / 2 if down_s >= ttl_s else down_s**2 / (2 * ttl_s)


def detection_variance_s2(election: RandomisedElection) -> float:
    """Of the least of so many uniform draws, and of the elapsed heartbeat."""
    span_s, voters = election.timeout.high_s - election.timeout.low_s, election.voters
    return span_s**2 * voters / ((voters + 1) ** 2 * (voters + 2)) + election.heartbeat_s**2 / 12
