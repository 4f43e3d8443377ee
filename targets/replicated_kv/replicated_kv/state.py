"""What a node of the consensus knows, and what its roles share: it talks, changes its term, and becomes a follower."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from .checkpoint import Snapshot
from .log import Log
from .messages import Entry, Message
from .replication import Progress
from .rules import FOLLOWER, LEADER, Rules, Timing
from .wrong import IGNORE_TERMS, STALE_LEASE


class Ballot(NamedTuple):
    """What must be on disk before a node says it: its term, and whom it voted for there."""

    term: int = 0
    voted_for: str | None = None


class Outgoing(NamedTuple):
    """A message to a node; ``request`` is the request that it answers, 0 if none; ``durable``: only after all saves so far."""

    to: str
    message: Message
    request: int
    durable: bool


class State:
    """The fields of one node. Its roles are classes of their own, each with the rules of that role."""

    def __init__(
        self, name: str, others: list[str], timing: Timing, random_source: random.Random, now_ns: int,
        take_snapshot: Callable[[], Snapshot], ballot: Ballot | None = None, log: Log | None = None, rules: Rules | None = None,
        doubtful: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.others = others
        self.quorum = (len(others) + 1) // 2 + 1
        self.timing = timing
        self.rules = rules or Rules()
        self.log = Log() if log is None else log
        self.term, self.voted_for = ballot or Ballot()
        self.state = FOLLOWER
        self.leader: str | None = None
        self.commit = self.log.base_index
        self.voting = False
        self.election_started_ns = 0
        self.leader_elected_ns = 0
        self.followers: dict[str, Progress] = {}
        self._random = random_source
        self._take_snapshot = take_snapshot
        self._saved = self.log.last_index
        # elections
        self._polling = False
        self._votes: set[str] = set()
        self._heard_ns = now_ns - timing.election_max
        self._silent_until_ns = now_ns + timing.lease if self.rules.lease_reads else now_ns
        # leading
        self._beat_due_ns = 0
        self._round = 0
        self._round_started_ns = 0
        self._round_wanted = False
        self._sent_ns: dict[int, int] = {}
        self._reads: list[tuple[int, int]] = []
        self.heir: str | None = None
        self._heir_until_ns = 0
        self.heir_told = False
        # following
        self._agreed = self.commit
        self._leader_commit = -1
        self._chunks: list[tuple[str, str, int]] = []
        self._chunks_index = -1
        self._rewinding = False
        self.doubtful = doubtful
        """Its disk has lost what it once acknowledged: no vote, no candidacy until a leader has given it back."""
        self._first_session: tuple[int, int] | None = None
        self._believed = False
        # what ``take`` hands out
        self._ballot_changed = False
        self._entries: list[Entry] = []
        self._installed: Snapshot | None = None
        self._messages: list[Outgoing] = []
        self._reads_done: list[tuple[int, int]] = []
        # Alone there is nobody to wait for.
        self._election_due_ns = now_ns + self._draw_ns() if others else now_ns

    def _draw_ns(self) -> int:
        drawn = self._random.randint(self.timing.election_min, self.timing.election_max)
        # No leader ever was, so there is none to wait for: a new cluster elects its first one four times as fast.
        return drawn // 4 if self.term == 0 else drawn

    def _send(self, to: str, message: Message, request: int = 0, durable: bool = False) -> None:
        self._messages.append(Outgoing(to, message, request, durable))

    def _ask_all(self, message: Message, durable: bool = False) -> None:
        for other in self.others:
            self._send(other, message, 0, durable)

    def _adopt(self, term: int) -> None:
        if term > self.term:
            self.term, self.voted_for = term, None
            self._ballot_changed = True

    def _follow(self, term: int, leader: str | None, now_ns: int) -> None:
        """Be a follower in ``term``. The time-out starts anew if there is a new leader to follow, or if this node led."""
        if self.state == LEADER or leader != self.leader:
            self._election_due_ns = now_ns + self._draw_ns()
            self._leader_commit = -1
            self.voting = False
        if term > self.term or leader != self.leader:
            self._agreed = self.commit
        self._adopt(term)
        self.state, self.leader, self._polling = FOLLOWER, leader, False
        self.followers, self.heir = {}, None
        self._reads_done += [(token, -1) for _, token in self._reads]
        self._reads, self._round_wanted = [], False

    def has_contact(self, now_ns: int) -> bool:
        """This leader may go on: a quorum, itself included, was heard within the shortest election time-out."""
        fresh = sum(now_ns - follower.heard_ns < self.timing.election_min for follower in self.followers.values())
        fenced = self.rules.check_quorum and self.rules.wrong not in {STALE_LEASE, IGNORE_TERMS}
        return self.state == LEADER and (fresh + 1 >= self.quorum or not fenced)
