"""``latency``: every round trip over the slow links is late; harm only where that outruns a time-out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from chaos.kinds import CLIENTS, FOLLOWER, LEADER
from chaos.models.cases import Case, leaderless, led, succession
from chaos.models.client import Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def latency(case: Case) -> Scenario:
    """Slow links of one node: those it opens (its appends, if it leads), those opened to it (forwarded requests), or the clients' to it."""
    system, until_s = case.system, case.for_s
    opens, opened, by_clients = _slow_ways(case)
    leads = case.facts.role == LEADER
    late = _lateness(case)
    once = 1 if by_clients else 0
    if not case.by_leader:
        slow = Spell(Fate.SLOW, until_s, _service(case, late, once))
        return Scenario(case.samples, (Group(case.victims, (slow,) if once else ()), Group(system.nodes - case.victims, ())))
    # A leader needs quorum - 1 others; slow ones do not matter while that many are fast.
    appends = (leads and opens) or (not leads and opened and system.nodes - case.victims < system.quorum)
    needed = system.quorum - 1
    peers = system.nodes - 1 if leads else case.victims
    victim_trips = once + (0 if leads else int(opens))
    other_trips = int(leads and opened)
    acks = (peers, max(1, needed if leads else needed - (system.nodes - case.victims - 1))) if appends and needed > 0 else (0, 0)
    victims = Group(case.victims, (Spell(Fate.SLOW, until_s, _service(case, late, victim_trips, acks)),))
    others = Group(system.nodes - case.victims, (Spell(Fate.SLOW, until_s, _service(case, late, other_trips, acks)),))
    unstable = _unsettled(case) if leads and opens else None
    if unstable is None:
        return Scenario(case.samples, tuple(group for group in (victims, others) if group.nodes > 0))
    detected_s, elected_s = unstable
    gone = leaderless(case, case.zeros(), elected_s)
    groups = (Group(case.victims, (*gone, *victims.spells)), Group(others.nodes, (*gone, *others.spells)))
    return Scenario(case.samples, groups, led(detected_s, elected_s))


def _slow_ways(case: Case) -> tuple[bool, bool, bool]:
    """(connections the victims open, connections opened to them by peers, those of clients)."""
    link = case.link
    if link is None:
        return True, True, False
    if CLIENTS in (link.source, link.destination):
        return False, False, True
    ends = {"leader": LEADER, "followers": FOLLOWER}
    from_victim = ends.get(link.source, link.source) == case.facts.role or link.destination == "any"
    return (from_victim or link.both), (not from_victim or link.both), False


def _lateness(case: Case) -> Callable[[np.random.Generator, int], Floats]:
    """What one round trip over one slow connection gains: per direction max(0, latency +- jitter)."""
    params = case.facts.params
    latency_s, jitter_s = float(params.get("latency_s") or 0.0), float(params.get("jitter_s") or 0.0)  # type: ignore[arg-type]
    share = float(params.get("toxicity", 1.0) or 0.0)  # type: ignore[arg-type]
    ways = 2 if case.text("stream", "downstream") == "both" else 1

    def draw(rng: np.random.Generator, size: int) -> Floats:
        late_s = np.zeros(size)
        for _ in range(ways):
            late_s += np.maximum(0.0, rng.uniform(latency_s - jitter_s, latency_s + jitter_s, size))
        return late_s * (rng.uniform(0.0, 1.0, size) < share) if share < 1 else late_s

    return draw


def _service(
    case: Case, late: Callable[[np.random.Generator, int], Floats], trips: int, acks: tuple[int, int] = (0, 0)
) -> Callable[[np.random.Generator, int], Floats]:
    """An attempt's answer time: so many slow round trips one after the other, then the ``acks[1]``-th of ``acks[0]`` slow answers."""
    round_trip_s = case.system.round_trip_s

    def draw(rng: np.random.Generator, size: int) -> Floats:
        total_s = np.full(size, 2 * round_trip_s)
        for _ in range(trips):
            total_s += late(rng, size)
        peers, wanted = acks
        if peers:
            total_s += np.sort(late(rng, size * peers).reshape(size, peers), axis=1)[:, wanted - 1]
        return total_s

    return draw


def _unsettled(case: Case) -> tuple[Floats, Floats] | None:
    """Heartbeats that come late for good may depose a healthy leader once: when the first late one outruns a follower's patience.

    Only what delays the way *to* the followers counts: ``upstream`` on connections that the leader opens. None: it never happens.
    """
    system = case.system
    stream = case.text("stream", "downstream")
    if stream == "downstream" or not system.randomised:
        return None
    late_s = float(case.facts.params.get("latency_s") or 0.0) + float(case.facts.params.get("jitter_s") or 0.0)  # type: ignore[arg-type]
    heartbeat_s = system.need("heartbeat_s", "latency").mean_s
    if heartbeat_s + late_s <= system.need("election_timeout_s", "latency").low_s:
        return None
    detected_s, elected_s = succession(case, max(system.quorum, system.nodes - 1))
    deposed = detected_s < late_s + heartbeat_s * case.rng.uniform(0.0, 1.0, case.samples)
    return np.where(deposed, detected_s, 0.0), np.where(deposed, elected_s, 0.0)
