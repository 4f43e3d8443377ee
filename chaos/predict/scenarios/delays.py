"""Delay blocks: the pieces that an outage is made of, each with its true shape. Times in s.

    effect --detection--> election starts --election--> leader --dns--> clients ask the right node --client--> good again

Each block can be drawn from (``sample``) and knows its exact mean and variance. An exponential in their place would have the
same mean and a far greater spread, and would need ten times the faults to decide anything.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from chaos.core.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_BALLOTS = 64
"""A split vote is repeated at most so often; the chance that even ten are needed is below 1e-9 in any sensible system."""


class Uniform(msgspec.Struct, frozen=True):
    """Somewhere between ``low_s`` and ``high_s``, evenly; one value if they are the same."""

    low_s: float
    high_s: float

    def checked(self, name: str) -> Uniform:
        """Itself; ``BadInput`` if it is no range of times."""
        if not (0 <= self.low_s <= self.high_s < float("inf")):
            raise BadInput(f"{name} from {self.low_s} s to {self.high_s} s is not a range of times", right="0 <= low <= high")
        return self

    @property
    def mean_s(self) -> float:
        return (self.low_s + self.high_s) / 2

    @property
    def variance_s2(self) -> float:
        return (self.high_s - self.low_s) ** 2 / 12

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        return rng.uniform(self.low_s, self.high_s, size) if self.high_s > self.low_s else np.full(size, self.low_s)


class HeartbeatDetection(msgspec.Struct, frozen=True):
    """A watcher that gives a node up after ``misses`` heartbeats have not come and ``timeout_s`` more has gone by.

    The fault falls at a random moment between two heartbeats: (misses - 1) h + U(0, h) + timeout.
    """

    heartbeat_s: float
    misses: int
    timeout_s: float

    @property
    def mean_s(self) -> float:
        return (self.misses - 0.5) * self.heartbeat_s + self.timeout_s

    @property
    def variance_s2(self) -> float:
        return self.heartbeat_s**2 / 12

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        return (self.misses - 1) * self.heartbeat_s + rng.uniform(0.0, 1.0, size) * self.heartbeat_s + self.timeout_s


class RandomisedElection(msgspec.Struct, frozen=True):
    """Raft's: each follower waits U(low, high) since the last heartbeat it received; the first to lose patience stands for election.

    The last heartbeat was sent U(0, h) before the fault and reached all followers half a round trip later, so that part is common.
    Detection is the least of the voters' timeouts, less the elapsed part. A candidate needs ``quorum`` votes, its own
    included; a voter that stands itself before the request reaches it, half a round trip later, votes for itself. Where the
    votes do not suffice, all draw again: the voters from the moment they voted, the candidates from the moment they stood
    (Ongaro & Ousterhout 2014, 5.2).
    """

    voters: int
    quorum: int
    timeout: Uniform
    heartbeat_s: float
    round_trip_s: float
    round_trips: int = 2
    """From standing to leading: the vote, and the first entry that makes the leader known."""
    refused: float = 0.0
    """Share of ballots lost although the votes would suffice: the others still believe in the dead leader (a lease), or know more."""

    def checked(self) -> RandomisedElection:
        """Itself; ``BadInput`` if no leader could ever be elected, or if healthy leaders would be deposed."""
        self.timeout.checked("election_timeout")
        if self.voters < self.quorum:
            raise BadInput(f"{self.voters} voters cannot give {self.quorum} votes")
        if self.timeout.low_s <= self.heartbeat_s and self.voters > 1:
            raise BadInput(
                f"an election timeout from {self.timeout.low_s} s is not above the heartbeat of {self.heartbeat_s} s: "
                "followers would depose a healthy leader",
                right="heartbeat well below the election timeout",
            )
        return self

    @property
    def one_way_s(self) -> float:
        """From one node to another."""
        return self.round_trip_s / 2

    @property
    def detection_mean_s(self) -> float:
        """low + (high - low) / (voters + 1) - h / 2 + round trip / 2."""
        span_s = self.timeout.high_s - self.timeout.low_s
        return self.timeout.low_s + span_s / (self.voters + 1) - self.heartbeat_s / 2 + self.one_way_s

    @property
    def mean_s(self) -> float:
        """From the fault to a leader, on average: a lost ballot (``split_share``, ``refused``) costs another least time-out."""
        lost = 1.0 - (1.0 - self.split_share()) * (1.0 - self.refused)
        again_s = self.timeout.low_s + (self.timeout.high_s - self.timeout.low_s) / (self.voters + 1)
        return self.detection_mean_s + self.round_trips * self.round_trip_s + (lost / (1.0 - lost) * again_s if lost < 1.0 else 0.0)

    def sample(self, rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
        """Draws of (the first stands, a leader is there), both in s after the fault."""
        elapsed_s = rng.uniform(0.0, 1.0, size) * self.heartbeat_s - self.one_way_s
        draws_s = self.timeout.sample(rng, size * self.voters).reshape(size, self.voters)
        return self.ballots(rng, draws_s - elapsed_s[:, None])

    def ballots(self, rng: np.random.Generator, stands_s: Floats) -> tuple[Floats, Floats]:
        """The same from given moments, one row a draw and one column a voter, at which each voter would stand."""
        first_s = _least(stands_s)
        won_s = np.full(len(stands_s), np.nan)
        open_rows = np.arange(len(stands_s))
        for _ in range(MOST_BALLOTS):
            start_s = _least(stands_s)
            rivals = stands_s <= start_s[:, None] + self.one_way_s
            votes = self.voters + 1 - np.asarray(functools.reduce(np.add, rivals.T, 0), dtype=np.int64)
            decided = votes >= self.quorum
            if self.refused:
                decided &= rng.random(len(decided)) >= self.refused
            won_s[open_rows[decided]] = start_s[decided] + self.round_trips * self.round_trip_s
            open_rows, stands_s = open_rows[~decided], stands_s[~decided]
            if not len(open_rows):
                break
            last_s = np.where(rivals[~decided], stands_s, start_s[~decided, None] + self.one_way_s)
            stands_s = last_s + self.timeout.sample(rng, stands_s.size).reshape(stands_s.shape)
        if len(open_rows):
            raise BadInput(
                f"votes would split for ever: a round trip of {self.round_trip_s} s is too long for election timeouts "
                f"of {self.timeout.low_s} s to {self.timeout.high_s} s",
                right="round trip far below the spread of the election timeouts",
            )
        return np.maximum(first_s, 0.0), np.maximum(won_s, 0.0)

    def split_share(self) -> float:
        """The chance that the first ballot is lost: that more than voters - quorum others stand within half a round trip of the first.

        With w = round trip / 2 / (high - low), the gaps of uniform draws give P(j-th gap sum <= w) = a Beta(j, voters - j + 1) law: the
        chance that at least j of as many independent draws as there are voters fall below w.
        """
        span_s = self.timeout.high_s - self.timeout.low_s
        rivals = self.voters - self.quorum + 1
        if rivals > self.voters - 1:
            return 0.0
        if span_s <= 0:
            return 1.0
        near = min(self.one_way_s / span_s, 1.0)
        return math.fsum(math.comb(self.voters, k) * near**k * (1.0 - near) ** (self.voters - k) for k in range(rivals, self.voters + 1))


def _least(stands_s: Floats) -> Floats:
    """The least of each row, which are short: ``min(axis=1)`` takes several times as long."""
    return functools.reduce(np.minimum, stands_s.T)


class DnsWithdrawal(msgspec.Struct, frozen=True):
    """A health check every ``every_s`` that drops a node after ``fall`` failures in a row.

    ``timeout_s`` is the check's time-out for a silent node, 0 for one that refuses.
    """

    every_s: float
    fall: int
    timeout_s: float

    @property
    def mean_s(self) -> float:
        return (self.fall - 0.5) * self.every_s + self.timeout_s

    @property
    def variance_s2(self) -> float:
        return self.every_s**2 / 12

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws: (fall - 1) every + U(0, every) + timeout."""
        return (self.fall - 1) * self.every_s + rng.uniform(0.0, 1.0, size) * self.every_s + self.timeout_s


class Noticed(msgspec.Struct, frozen=True):
    """A death that the runtime sees by itself, and that takes the node out at once."""

    seen: Uniform
    lag_s: float = 0.0

    @property
    def mean_s(self) -> float:
        return self.seen.mean_s + self.lag_s

    @property
    def variance_s2(self) -> float:
        return self.seen.variance_s2

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        return self.seen.sample(rng, size) + self.lag_s


class SilentMachine(msgspec.Struct, frozen=True):
    """A machine that gave its last word U(0, word) before its end: that word is seen at a look, and ``grace_s`` after that look it counts
    as lost: grace - U(0, word) + U(0, look).

    (Kubernetes v1.34: ``monitorNodeHealth`` of node_lifecycle_controller.go compares with the time of the look at which it saw the last
    lease, not with the lease's own; leases are renewed every 10 s, looks are 5 s apart, the grace is 50 s.)
    """

    grace_s: float
    word_s: float
    look_s: float
    lag_s: float = 0.0

    @property
    def mean_s(self) -> float:
        return self.grace_s - self.word_s / 2 + self.look_s / 2 + self.lag_s

    @property
    def variance_s2(self) -> float:
        return (self.word_s**2 + self.look_s**2) / 12

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        last_s, seen_s = rng.uniform(0.0, 1.0, size) * self.word_s, rng.uniform(0.0, 1.0, size) * self.look_s
        return self.grace_s - last_s + seen_s + self.lag_s
