"""``latency``: every round trip over the slow links is late; harm only where that outruns a time-out.

via the leader      client -> leader, then the (quorum - 1)-th answer of its followers
via a follower      the same, after the follower has handed the request on to the leader
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.plugin import Model
from chaos.predict.scenarios.case import Case, Ways, assembled, leaderless, led, succession, ways
from chaos.predict.scenarios.client import Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def latency(case: Case) -> Scenario:
    """Slow links of the victims; one that slows beats or their answers beyond a time-out also deposes the leader, once."""
    nodes, slow = case.system.nodes, ways(case)
    if not case.by_leader or not (slow.opens or slow.opened):
        once = 1 if slow.clients else 0
        victims = Group(case.victims, (_spell(case, _service(case, once)),) if once else ())
        return _seen(case, (victims, Group(nodes - case.victims, ())))
    if not slow.with_leader:
        return Scenario(case.samples, (Group(nodes, ()),))
    groups = _of_leader(case, slow) if case.leads else _of_followers(case, slow)
    return _seen(case, groups) if not (case.leads and slow.opens and slow.all_peers) else _unsettled(case, slow, groups)


def _seen(case: Case, groups: tuple[Group, ...]) -> Scenario:
    """All of them; behind a name that holds the leader alone only its own group is asked: the first if it is a victim, else the last."""
    found = tuple(group for group in groups if group.nodes > 0)
    if case.system.front.leader_only and case.by_leader:
        found = (found[0] if case.leads else found[-1],)
    return Scenario(case.samples, found)


def by_packets(case: Case) -> bool:
    """Every packet is late, handshakes and acknowledgements as well, which is more than the round trips that are modelled here."""
    params = case.facts.params
    drawn = params.get("distribution", "uniform") != "uniform" or bool(params.get("correlation", 0.0))
    return params.get("level") == "packets" or drawn


def _of_leader(case: Case, slow: Ways) -> tuple[Group, ...]:
    """The leader, the peers it is slow with, and the rest."""
    nodes = case.system.nodes
    far = nodes - 1 if slow.all_peers else 1
    acks = _acks(case, far) if slow.opens else (0, 0)
    trips = ((1, 0), (far, int(slow.opened)), (nodes - 1 - far, 0))
    return tuple(Group(count, (_spell(case, _service(case, hops, acks)),)) for count, hops in trips if count > 0)


def _of_followers(case: Case, slow: Ways) -> tuple[Group, ...]:
    """The slow followers, and the rest: they only wait for slow ones where there are not fast ones enough."""
    rest = case.system.nodes - case.victims
    acks = _acks(case, case.victims) if slow.opened else (0, 0)
    groups = ((case.victims, int(slow.opens)), (rest, 0))
    return tuple(Group(count, (_spell(case, _service(case, hops, acks)),)) for count, hops in groups if count > 0)


def _acks(case: Case, far: int) -> tuple[int, int]:
    """(slow followers, how many of them a leader must hear); (0, 0) if the fast ones suffice."""
    fast = case.system.nodes - 1 - far
    wanted = case.system.quorum - 1 - fast
    return (far, wanted) if wanted > 0 else (0, 0)


def _spell(case: Case, answer: Answer) -> Spell:
    return Spell(Fate.SLOW, case.for_s, answer, answer.most_s)


class Lateness(msgspec.Struct, frozen=True):
    """What one round trip over one slow connection gains: per direction of its stream max(0, latency +- jitter)."""

    latency_s: float
    jitter_s: float
    share: float
    """Of the connections that are slow."""
    directions: int

    @property
    def most_s(self) -> float:
        """No round trip gains more."""
        return self.directions * max(0.0, self.latency_s + self.jitter_s)

    def __call__(self, rng: np.random.Generator, size: int) -> Floats:
        """Draws in s."""
        late_s = np.zeros(size)
        for _ in range(self.directions):
            late_s += np.maximum(0.0, rng.uniform(self.latency_s - self.jitter_s, self.latency_s + self.jitter_s, size))
        return late_s * (rng.uniform(0.0, 1.0, size) < self.share) if self.share < 1 else late_s


class Answer(msgspec.Struct, frozen=True):
    """An attempt's answer time: so many slow round trips one after the other, then the ``acks[1]``-th of ``acks[0]`` slow answers."""

    usual_s: float
    late: Lateness
    trips: int
    acks: tuple[int, int]

    @property
    def most_s(self) -> float:
        """No answer takes longer."""
        return self.usual_s + (self.trips + bool(self.acks[0])) * self.late.most_s

    def __call__(self, rng: np.random.Generator, size: int) -> Floats:
        """Draws in s."""
        total_s = np.full(size, self.usual_s)
        for _ in range(self.trips):
            total_s += self.late(rng, size)
        far, wanted = self.acks
        if far:
            late_s = self.late(rng, size * far).reshape(size, far)
            # To sort each of many short rows costs more than all the rest; mostly it is the first or the last that counts.
            ends = {1: late_s.min, far: late_s.max}
            total_s += ends[wanted](axis=1) if wanted in ends else np.sort(late_s, axis=1)[:, wanted - 1]
        return total_s


def _service(case: Case, trips: int, acks: tuple[int, int] = (0, 0)) -> Answer:
    directions = 2 if case.text("stream", "downstream") == "both" else 1
    late = Lateness(case.number("latency_s"), case.number("jitter_s"), case.number("toxicity", 1.0), directions)
    return Answer(2 * case.system.round_trip_s, late, trips, acks)


def _unsettled(case: Case, slow: Ways, groups: tuple[Group, ...]) -> Scenario:
    """Late beats outrun the followers' patience once, when they begin to be late; late answers make the leader itself step down.

    Whoever leads then is slow with the old leader only, and has other followers.
    """
    system, nodes = case.system, case.system.nodes
    stream, late_s = case.text("stream", "downstream"), case.number("latency_s") + case.number("jitter_s")
    low_s = system.given["election_timeout_s"].low_s if system.randomised else system.watcher().mean_s
    late_s *= 2 if stream == "both" else 1
    heartbeat_s = system.need("heartbeat_s", "latency").mean_s
    if heartbeat_s + late_s <= low_s or nodes - 1 < system.quorum:
        return _seen(case, groups)
    detected_s, elected_s = succession(case, nodes - 1)
    if stream == "downstream":
        detected_s, elected_s = detected_s + low_s, elected_s + low_s
        deposed = np.ones(case.samples, dtype=bool)
    else:
        deposed = detected_s < late_s + case.moment(heartbeat_s)
    gone = leaderless(case, case.zeros(), np.where(deposed, elected_s, 0.0))
    before = tuple(
        Group(group.nodes, (*gone, *(Spell(each.fate, np.where(deposed, 0.0, each.until_s), each.service) for each in group.spells)))
        for group in groups
    )
    after = Spell(Fate.SLOW, np.where(deposed, case.for_s, 0.0), _service(case, int(slow.opens)))
    led_now = (Group(before[0].nodes, (*before[0].spells, after)), *before[1:])
    noticed_s, again_s = np.where(deposed, detected_s, 0.0), np.where(deposed, elected_s, 0.0)
    if len(led_now) == 2:
        return assembled(case, *led_now, led(noticed_s, again_s), again_s, noticed_s)
    return Scenario(case.samples, led_now, led(noticed_s, again_s))


LATENCY: Final = Model(latency, understands=lambda case: None if by_packets(case) else case)
