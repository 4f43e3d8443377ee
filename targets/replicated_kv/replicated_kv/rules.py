"""What the consensus is told once: its times, and which of its rules are switched how."""

from __future__ import annotations

from typing import NamedTuple

from .wrong import ACK_BEFORE_QUORUM

FOLLOWER, CANDIDATE, LEADER = "follower", "candidate", "leader"
READ_ROUND_NS = 5_000_000

NONE, ASYNC, QUORUM, ALL = "none", "async", "quorum", "all"
"""Who has a write before it is acknowledged: nobody else is asked; the leader alone; more than half of the nodes; every one of them."""


class Timing(NamedTuple):
    """Nanoseconds: ``heartbeat`` h, election time-out U(``election_min``, ``election_max``) = U(a, b)."""

    heartbeat: int
    election_min: int
    election_max: int

    @property
    def lease(self) -> int:
        """After a beat nobody is voted for during this time: a little less than ``a``, since followers hear a beat at different times."""
        return max(self.election_min - 2 * self.heartbeat, self.election_min // 2)


class Rules(NamedTuple):
    """The switches of the consensus; the defaults are Raft as it should be."""

    replication: str = QUORUM
    pre_vote: bool = True
    """Ask whether a candidacy would succeed before standing; else a node that was cut off deposes the leader when it is back."""
    check_quorum: bool = True
    """A leader that hears no quorum for ``a`` fences itself: it steps down and refuses what it is asked."""
    lease_reads: bool = False
    """A leader answers reads alone while its lease lasts; a node that has just started then votes for nobody until no lease can be left."""

    wrong: str = ""
    """One of ``wrong.WRONG``; empty: nothing is done wrong on purpose."""

    def copies(self, voters: int) -> int:
        """How many of the voters must have an entry on disk before it is committed."""
        if self.wrong == ACK_BEFORE_QUORUM:
            return 1
        return {NONE: 1, ASYNC: 1, ALL: voters}.get(self.replication, voters // 2 + 1)
