"""The consensus rules of Raft (Ongaro and Ousterhout 2014) as a pure state machine.

Messages, ticks and proposals go in; messages, entries to save and finished reads come out of ``take``. Time is a parameter
(CLOCK_MONOTONIC nanoseconds), randomness is given, nothing is sent or written here: so it is tested step by step, by a seed.

    follower --time-out U(a, b) after the last beat--> candidate: polls, then asks for votes --quorum--> leader
        ^------------- a higher term, a leader of this term, or (leader) no quorum heard for a -------------'

Beside the paper: pre-vote (``Poll``); no vote while a leader is heard; a leader that hears no quorum for ``a`` steps down; reads by
read index or by lease; leadership transfer. The rules stand by role in election.py, leading.py and following.py, the fields in state.py.

Three choices keep the leaderless time predictable under any load: only the periodic beats reset a follower's time-out
(appends do not), and votes are seldom split: a node that refuses a poll because its own log is longer stands itself at once, and of two
that poll at the same time with the same log only one goes on.
"""

from __future__ import annotations

from typing import NamedTuple

from .checkpoint import Snapshot
from .election import Election
from .following import Following
from .messages import (
    Append,
    AppendReply,
    BeatReply,
    Chunk,
    ChunkReply,
    Entry,
    Message,
    Poll,
    PollReply,
    Takeover,
    TakeoverReply,
    Vote,
    VoteReply,
)
from .rules import ALL, LEADER, READ_ROUND_NS
from .state import Ballot, Outgoing
from .wrong import ACK_BEFORE_LOG, LOST_VOTE, STALE_LEASE


class Work(NamedTuple):
    """What the caller does now: save ``installed``, ``entries`` and ``ballot``; send; apply up to ``commit``; answer ``reads``."""

    ballot: Ballot | None
    entries: list[Entry]
    installed: Snapshot | None
    messages: list[Outgoing]
    reads: list[tuple[int, int]]
    """(token, index): answer when the state is at ``index``; -1: leadership was lost, ask again elsewhere."""
    commit: int


class Raft(Election, Following):
    """One node's part in the consensus: what its caller does with it."""

    @property
    def due_ns(self) -> int:
        """When ``tick`` has something to do next."""
        if self.state != LEADER:
            return self._election_due_ns
        if self._round_wanted:
            return min(self._beat_due_ns, self._round_started_ns + READ_ROUND_NS)
        return self._beat_due_ns

    def tick(self, now_ns: int) -> None:
        """Let time pass: a follower stands for election when its time-out is over, a leader sends its beats."""
        if self.state != LEADER:
            if now_ns >= self._election_due_ns:
                self._stand(now_ns)
            return
        if not self.has_contact(now_ns):
            self._follow(self.term, None, now_ns)
            return
        self._beat_if_due(now_ns)

    def handle(self, now_ns: int, sender: str, message: Message, request: int = 0) -> None:
        """Take in a message; ``request`` comes back with its answer."""
        if isinstance(message, Poll):
            self._on_poll(now_ns, sender, message, request)
        elif isinstance(message, Vote):
            self._on_vote(now_ns, sender, message, request)
        elif isinstance(message, PollReply | VoteReply):
            self._on_ballot(now_ns, sender, message)
        elif isinstance(message, AppendReply | BeatReply | ChunkReply):
            self._on_answer(now_ns, sender, message)
        elif isinstance(message, Takeover):
            self._on_takeover(now_ns, sender, message, request)
        elif not isinstance(message, TakeoverReply):
            self._on_leader(now_ns, sender, message, request)

    def lost(self, peer: str, message: Message) -> None:
        """A request of ours to ``peer`` got no answer."""
        if isinstance(message, Append | Chunk):
            self._on_lost(peer, message)

    def propose(self, key: str, value: str, op: str = "put") -> Entry:
        """Append a write to the log of this leader; it is done when ``commit`` reaches it in the same term."""
        if self.state != LEADER:
            raise RuntimeError(f"{self.name} is no leader")
        entry = Entry(self.log.last_index + 1, self.term, key, value, op)
        self.log.append(entry)
        self._entries.append(entry)
        if self.rules.wrong == ACK_BEFORE_LOG:
            self.saved(entry.at, entry.term)
        return entry

    def takes_writes(self, now_ns: int) -> bool:
        """It leads, hands nothing over, and with ``replication: all`` every node was heard lately."""
        if self.state != LEADER or self.heir is not None:
            return False
        if self.rules.replication != ALL:
            return True
        return all(now_ns - follower.heard_ns < self.timing.election_min for follower in self.followers.values())

    def read(self, token: int, now_ns: int) -> None:
        """Ask for the index at which a linearizable read may be answered; it comes out of ``take`` with the token."""
        if self.state == LEADER and (self.rules.wrong == STALE_LEASE or (self.rules.lease_reads and self.lease_holds(now_ns))):
            self._reads_done.append((token, self.commit))
            return
        self._reads.append((self._round + 1, token))
        self._round_wanted = True

    def saved(self, index: int, term: int) -> None:
        """The entries up to this one are on disk."""
        if self.log.term_at(index) == term:
            self._saved = max(self._saved, index)
            if self.state == LEADER:
                self._advance()

    def take(self, now_ns: int) -> Work:
        """Collect what is to be done since the last call."""
        if self.state == LEADER:
            self._replicate(now_ns)
        work = Work(
            Ballot(self.term, self.voted_for) if self._ballot_changed and self.rules.wrong != LOST_VOTE else None,
            self._entries, self._installed, self._messages, self._reads_done, self.commit,
        )  # fmt: skip
        self._ballot_changed, self._entries, self._installed, self._messages, self._reads_done = False, [], None, [], []
        return work
