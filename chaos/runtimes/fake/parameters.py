"""What the virtual cluster is made of, from the plan's parameters, and how long its elections take.

The same numbers that the prediction is given; drawn here event by event and knowing nothing of the models, so that a run of the
fake runtime is a simulation that they can be held against.
"""

from __future__ import annotations

import random

import msgspec

from chaos.plan.plan import Parameter, Plan

MOST_BALLOTS = 64
ROUND_TRIPS = 2
"""From standing to leading: the vote, and the first entry that makes the leader known."""


class Span(msgspec.Struct, frozen=True):
    """A time, or a uniform range of it, in s."""

    low_s: float
    high_s: float

    def draw_s(self, rng: random.Random) -> float:
        """One draw; takes one number from ``rng`` whether it is a range or not."""
        return self.low_s + (self.high_s - self.low_s) * rng.random()


class FakeParameters(msgspec.Struct, frozen=True):
    """Times in s; defaults where the target declares nothing."""

    quorum: int
    has_leader: bool
    heartbeat_s: float
    misses: int
    timeout_s: float
    election_timeout: Span | None
    round_trip_s: float
    restart: Span
    resync: Span
    refused: float
    close_detection: Span | None
    close_election: Span | None
    hangs_without_leader: bool
    local_reads: bool
    ready_by_quorum: bool
    """A node that no quorum stands behind does not call itself ready."""
    alone: bool
    """One node that votes for itself: it leads as soon as it is ready."""

    @classmethod
    def of(cls, plan: Plan) -> FakeParameters:
        """The plan's parameters by their names in the models."""
        given = {parameter.name: parameter for parameter in plan.parameters}

        def span(name: str, default_s: float) -> Span:
            found = given.get(name)
            return Span(default_s, default_s) if found is None else _span(found)

        election = given.get("election_timeout_s")
        return cls(
            quorum={"quorum": len(plan.nodes) // 2 + 1, "all": len(plan.nodes)}.get(plan.replication, 1),
            has_leader=plan.has_roles,
            heartbeat_s=span("heartbeat_s", 0.05).low_s,
            misses=max(1, round(span("misses", 1.0).low_s)),
            timeout_s=span("timeout_s", 0.0).low_s,
            election_timeout=None if election is None else _span(election),
            round_trip_s=span("round_trip_s", 0.001).low_s,
            restart=span("restart_s", 0.2),
            resync=span("resync_s", 0.0),
            refused=span("refused", 0.0).low_s,
            close_detection=_span(given["close_detection_s"]) if "close_detection_s" in given else None,
            close_election=_span(given["close_election_s"]) if "close_election_s" in given else None,
            hangs_without_leader=span("leaderless", 0.0).low_s > 0,
            local_reads=span("reads", 1.0).low_s > 0,
            ready_by_quorum="ready_needs" in given and given["ready_needs"].word == "quorum",
            alone=len(plan.nodes) == 1 and election is not None,
        )

    def patience_s(self, rng: random.Random) -> float:
        """How long a leader without a quorum goes on claiming to lead: the shortest election time-out, seen at its next beat."""
        least_s = self.misses * self.heartbeat_s + self.timeout_s if self.election_timeout is None else self.election_timeout.low_s
        return least_s + rng.random() * self.heartbeat_s

    def patience_left_s(self, rng: random.Random) -> float:
        """How long a follower that no longer hears its leader still believes in it."""
        whole_s = self.misses * self.heartbeat_s + self.timeout_s if self.election_timeout is None else self.election_timeout.draw_s(rng)
        return max(0.0, whole_s - self._elapsed_s(rng))

    def silence_to_leader_s(self, rng: random.Random, voters: int, *, heard_before: bool, loud: bool = False) -> tuple[float, float]:
        """(somebody stands, somebody leads), in s after the heartbeats ceased, for so many voters that can reach each other.

        With an election time-out as Raft has it: the least of the voters' draws less the time since the last heartbeat came; a voter
        that stands before the request of the first reaches it, half a round trip later, votes for itself, and without a quorum all draw
        again. Of the ballots that would be won the share ``refused`` is lost all the same. Else by missed heartbeats: (misses - 1) h +
        U(0, h) + timeout. ``heard_before`` false: there was no leader to lose, only voters to find. ``loud``: its connections were closed.
        A node that is alone waits for nobody.
        """
        if self.alone:
            return 0.0, 0.0
        led_s = ROUND_TRIPS * self.round_trip_s
        if loud and self.close_detection is not None:
            stands_s = self.close_detection.draw_s(rng) + self.round_trip_s / 2
            return stands_s, stands_s + led_s
        elapsed_s = self._elapsed_s(rng) if heard_before else 0.0
        timeout = self.election_timeout
        if loud and timeout is not None and self.close_election is not None:
            timeout, elapsed_s = self.close_election, -self.round_trip_s / 2
        if timeout is None:
            stands_s = self.misses * self.heartbeat_s - elapsed_s + self.timeout_s
            return stands_s, stands_s + led_s
        stands = [max(0.0, timeout.draw_s(rng) - elapsed_s) for _ in range(voters)]
        begun_s = min(stands)
        for _ in range(MOST_BALLOTS):
            first_s = min(stands)
            asked_s = first_s + self.round_trip_s / 2
            rivals = [at_s for at_s in stands if at_s <= asked_s]
            if voters - len(rivals) + 1 >= self.quorum and not (self.refused and rng.random() < self.refused):
                break
            # Each voter's patience begins anew when it voted, or when it stood itself.
            stands = [min(at_s, asked_s) + timeout.draw_s(rng) for at_s in stands]
        return begun_s, min(stands) + led_s

    def _elapsed_s(self, rng: random.Random) -> float:
        """Since the last beat came, half a round trip after it was sent."""
        return rng.random() * self.heartbeat_s - self.round_trip_s / 2


def _span(parameter: Parameter) -> Span:
    return Span(parameter.value, parameter.value if parameter.high is None else parameter.high)
