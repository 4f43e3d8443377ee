"""What a node of the consensus knows, and what its roles share: it talks, changes its term, and becomes a follower."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .checkpoint import Snapshot
from .log import Log
from .members import MEMBERS, Members, Places, decode
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
        doubtful: bool = False, members: Places | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.members = Members(dict.fromkeys((name, *others), "") if members is None else members, self.log_base(log))
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
        self._left = False
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
        for entry in self.log.between(self.log.base_index + 1, self.log.last_index):
            self._note_members(entry)
        self._count_members()
        # Alone there is nobody to wait for.
        alone = self.belongs and not self.others
        self._election_due_ns = now_ns if alone else now_ns + self._draw_ns()

    @staticmethod
    def log_base(log: Log | None) -> int:
        """Where a log begins; 0 for none."""
        return log.base_index if log is not None else 0

    def _note_members(self, entry: Entry) -> bool:
        """An entry is in the log: does it change the members?"""
        if entry.op == MEMBERS and entry.value is not None:
            self.members.change(entry.at, decode(entry.value))
            return True
        return False

    def _count_members(self) -> None:
        """The members have changed: who the others are, and how many make a majority. A leader forgets and meets followers."""
        places = self.members.now
        self.belongs = self.name in places
        self.others = [each for each in places if each != self.name]
        self.quorum = len(places) // 2 + 1
        if self.state == LEADER:
            # From the last entry on: an answer to that one tells where the logs agree.
            new = {each: Progress(self.log.last_index, self._beat_due_ns) for each in self.others}
            self.followers = {each: self.followers.get(each, progress) for each, progress in new.items()}
            if self.heir not in self.followers:
                self.heir = None

    def _ranked(self, own: int, theirs: Iterable[int]) -> int:
        """What a majority of the members has reached at least; ``own`` counts if this node is one of them."""
        ranked = sorted([own, *theirs] if self.belongs else theirs, reverse=True)
        return ranked[self.quorum - 1] if self.quorum <= len(ranked) else 0

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
        return self.state == LEADER and (fresh + self.belongs >= self.quorum or not fenced)
