"""The consensus rules of Raft (Ongaro and Ousterhout 2014) as a pure state machine.

Messages, ticks and proposals go in; messages, entries to save and finished reads come out of ``take``. Time is a parameter
(CLOCK_MONOTONIC nanoseconds), randomness is given, nothing is sent or written here: so it is tested step by step, by a seed.

    follower --time-out U(a, b) after the last beat--> candidate: polls, then asks for votes --quorum--> leader
        ^------------- a higher term, a leader of this term, or (leader) no quorum heard for a -------------'

Beside the paper: pre-vote (``Poll``); no vote while a leader is heard; a leader that hears no quorum for ``a`` steps down; reads by
read index. Three choices keep the leaderless time predictable under any load: only the periodic beats reset a follower's time-out
(appends do not), and votes are seldom split: a node that refuses a poll because its own log is longer stands itself at once, and of two
that poll at the same time with the same log only one goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from .log import Log
from .messages import Append, AppendReply, Beat, BeatReply, Chunk, ChunkReply, Entry, Message, Poll, PollReply, Vote, VoteReply
from .replication import Progress, Snapshot

FOLLOWER, CANDIDATE, LEADER = "follower", "candidate", "leader"
READ_ROUND_NS = 5_000_000


class Timing(NamedTuple):
    """Nanoseconds: ``heartbeat`` h, election time-out U(``election_min``, ``election_max``) = U(a, b)."""

    heartbeat: int
    election_min: int
    election_max: int


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


class Work(NamedTuple):
    """What the caller does now: save ``installed``, ``entries`` and ``ballot``; send; apply up to ``commit``; answer ``reads``."""

    ballot: Ballot | None
    entries: list[Entry]
    installed: Snapshot | None
    messages: list[Outgoing]
    reads: list[tuple[int, int]]
    """(token, index): answer when the state is at ``index``; -1: leadership was lost, ask again elsewhere."""
    commit: int


class Raft:
    """One node's part in the consensus."""

    def __init__(
        self, name: str, others: list[str], timing: Timing, random_source: random.Random, now_ns: int,
        take_snapshot: Callable[[], Snapshot], ballot: Ballot | None = None, log: Log | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.others = others
        self.quorum = (len(others) + 1) // 2 + 1
        self.timing = timing
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
        self._polling = False
        self._votes: set[str] = set()
        self._heard_ns = now_ns - timing.election_max
        self._agreed = self.commit
        self._leader_commit = -1
        self._beat_due_ns = 0
        self._round = 0
        self._round_started_ns = 0
        self._round_wanted = False
        self._reads: list[tuple[int, int]] = []
        self._chunks: list[tuple[str, str, int]] = []
        self._chunks_index = -1
        self._ballot_changed = False
        self._entries: list[Entry] = []
        self._installed: Snapshot | None = None
        self._messages: list[Outgoing] = []
        self._reads_done: list[tuple[int, int]] = []
        self._election_due_ns = now_ns + self._draw_ns()

    # --- what the caller does ------------------------------------------------------------------------------------------

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
        if now_ns >= self._beat_due_ns:
            missed = (now_ns - self._beat_due_ns) // self.timing.heartbeat
            self._beat_due_ns += (missed + 1) * self.timing.heartbeat
            self._beat(now_ns, grid=True)

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
        else:
            self._on_leader(now_ns, sender, message, request)

    def lost(self, peer: str, message: Message) -> None:
        """A request of ours to ``peer`` got no answer."""
        if self.state == LEADER and message.term == self.term and isinstance(message, Append | Chunk):
            self.followers[peer].lost()

    def propose(self, key: str, value: str) -> Entry:
        """Append a write to the log of this leader; it is done when ``commit`` reaches it in the same term."""
        if self.state != LEADER:
            raise RuntimeError(f"{self.name} is no leader")
        entry = Entry(self.log.last_index + 1, self.term, key, value)
        self.log.append(entry)
        self._entries.append(entry)
        return entry

    def read(self, token: int) -> None:
        """Ask for the index at which a linearizable read may be answered; it comes out of ``take`` with the token."""
        self._reads.append((self._round + 1, token))
        self._round_wanted = True

    def learn_commit(self, term: int, index: int) -> None:
        """The leader of ``term`` says that ``index`` is committed: believed as far as our log agrees with its log."""
        if term == self.term and self.state == FOLLOWER:
            self.commit = max(self.commit, min(index, self._agreed))

    def saved(self, index: int, term: int) -> None:
        """The entries up to this one are on disk."""
        if self.log.term_at(index) == term:
            self._saved = max(self._saved, index)
            if self.state == LEADER:
                self._advance()

    def has_contact(self, now_ns: int) -> bool:
        """A quorum, this leader included, was heard within the shortest election time-out."""
        fresh = sum(now_ns - follower.heard_ns < self.timing.election_min for follower in self.followers.values())
        return self.state == LEADER and fresh + 1 >= self.quorum

    def take(self, now_ns: int) -> Work:
        """Collect what is to be done since the last call."""
        if self.state == LEADER:
            self._replicate(now_ns)
        work = Work(
            Ballot(self.term, self.voted_for) if self._ballot_changed else None,
            self._entries, self._installed, self._messages, self._reads_done, self.commit,
        )  # fmt: skip
        self._ballot_changed, self._entries, self._installed, self._messages, self._reads_done = False, [], None, [], []
        return work

    # --- elections -----------------------------------------------------------------------------------------------------

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
        self.followers = {}
        self._reads_done += [(token, -1) for _, token in self._reads]
        self._reads, self._round_wanted = [], False

    def _stand(self, now_ns: int) -> None:
        """The time-out is over: find out whether a candidacy can succeed."""
        self.state, self.leader, self.voting = CANDIDATE, None, False
        self._polling, self._votes = True, {self.name}
        self.election_started_ns = now_ns
        self._election_due_ns = now_ns + self._draw_ns()
        self._ask_all(Poll(self.term + 1, self.log.last_index, self.log.last_term))
        self._count(now_ns)

    def _count(self, now_ns: int) -> None:
        if len(self._votes) < self.quorum:
            return
        if not self._polling:
            self._lead(now_ns)
            return
        self._polling, self._votes = False, {self.name}
        self.term, self.voted_for = self.term + 1, self.name
        self._ballot_changed = True
        self._election_due_ns = now_ns + self._draw_ns()
        self._ask_all(Vote(self.term, self.log.last_index, self.log.last_term), durable=True)
        self._count(now_ns)

    def _hears_leader(self, now_ns: int) -> bool:
        if self.state == LEADER:
            return self.has_contact(now_ns)
        # A little less than the shortest time-out, since two followers hear the same last beat at slightly different times.
        lease = max(self.timing.election_min - 2 * self.timing.heartbeat, self.timing.election_min // 2)
        return self.leader is not None and now_ns - self._heard_ns < lease

    def _up_to_date(self, message: Poll | Vote) -> bool:
        return (message.last_term, message.last_index) >= (self.log.last_term, self.log.last_index)

    def _as_good(self, message: Poll) -> bool:
        return (message.last_term, message.last_index) == (self.log.last_term, self.log.last_index)

    def _on_poll(self, now_ns: int, sender: str, message: Poll, request: int) -> None:
        heard, up_to_date = self._hears_leader(now_ns), self._up_to_date(message)
        granted = message.term > self.term and up_to_date and not heard
        if granted and self._polling:
            # Two at once would split the votes: of two with the same log the one with the smaller name goes on.
            granted = not self._as_good(message) or sender < self.name
            if granted:
                self.state, self._polling = FOLLOWER, False
        self._send(sender, PollReply(message.term if granted else self.term, granted), request)
        if not up_to_date and not heard and self.state == FOLLOWER:
            self._stand(now_ns)

    def _on_vote(self, now_ns: int, sender: str, message: Vote, request: int) -> None:
        if message.term > self.term and not self._hears_leader(now_ns):
            self._follow(message.term, None, now_ns)
        granted = message.term == self.term and self.voted_for in {None, sender} and self._up_to_date(message)
        if granted:
            self._ballot_changed |= self.voted_for is None
            self.voted_for = sender
            self.state, self._polling = FOLLOWER, False
            self._election_due_ns = now_ns + self._draw_ns()
        self._send(sender, VoteReply(self.term, granted), request, durable=granted)

    def _on_ballot(self, now_ns: int, sender: str, message: PollReply | VoteReply) -> None:
        polled = isinstance(message, PollReply)
        if not message.granted:
            if message.term > self.term:
                self._follow(message.term, None, now_ns)
            return
        if self.state == CANDIDATE and polled == self._polling and message.term == self.term + polled:
            self._votes.add(sender)
            self._count(now_ns)

    def _lead(self, now_ns: int) -> None:
        self.state, self.leader, self.voting = LEADER, self.name, True
        self.leader_elected_ns = now_ns
        self.followers = {other: Progress(self.log.last_index + 1, now_ns) for other in self.others}
        self._round_wanted = False
        entry = Entry(self.log.last_index + 1, self.term, None, None)
        self.log.append(entry)
        self._entries.append(entry)
        self._beat_due_ns = now_ns + self.timing.heartbeat
        self._beat(now_ns, grid=True)

    # --- leading -------------------------------------------------------------------------------------------------------

    def _beat(self, now_ns: int, grid: bool) -> None:
        self._round += 1
        self._round_started_ns = now_ns
        self._round_wanted = False
        for name, follower in self.followers.items():
            shared = min(follower.match, self.commit)
            term = self.log.term_at(shared)
            self._send(name, Beat(self.term, shared if term is not None else 0, term or 0, self.commit, self._round, grid))
        self._confirm()

    def _replicate(self, now_ns: int) -> None:
        if self._round_wanted and (self._confirmed() >= self._round or now_ns - self._round_started_ns >= READ_ROUND_NS):
            self._beat(now_ns, grid=False)
        for name, follower in self.followers.items():
            for message in follower.messages(self.term, self.log, self.commit, self._take_snapshot):
                self._send(name, message)

    def _on_answer(self, now_ns: int, sender: str, message: AppendReply | BeatReply | ChunkReply) -> None:
        if message.term > self.term:
            self._follow(message.term, None, now_ns)
            return
        follower = self.followers.get(sender)
        if follower is None or message.term < self.term:
            return
        follower.heard(now_ns)
        if isinstance(message, BeatReply):
            follower.round = max(follower.round, message.round)
            if not message.known:
                follower.forgot()
            self._confirm()
        elif isinstance(message, ChunkReply):
            follower.received(message.at, message.received, message.done)
        elif message.ok:
            follower.accepted(message.match)
        else:
            follower.rejected(message.match)
        self._advance()

    def _advance(self) -> None:
        """Commit what a quorum has on disk, if it is of this term (section 5.4.2 of the paper)."""
        on_disk = sorted([self._saved, *(follower.match for follower in self.followers.values())], reverse=True)
        index = on_disk[self.quorum - 1]
        if index > self.commit and self.log.term_at(index) == self.term:
            self.commit = index
            self._confirm()

    def _confirmed(self) -> int:
        rounds = sorted([self._round, *(follower.round for follower in self.followers.values())], reverse=True)
        return rounds[self.quorum - 1]

    def _confirm(self) -> None:
        """Finish the reads whose round a quorum has answered, once an entry of this term is committed (section 6.4 of the thesis)."""
        if not self._reads or self.log.term_at(self.commit) != self.term:
            return
        confirmed = self._confirmed()
        self._reads_done += [(token, self.commit) for needed, token in self._reads if needed <= confirmed]
        self._reads = [read for read in self._reads if read[0] > confirmed]

    # --- following -----------------------------------------------------------------------------------------------------

    def _on_leader(self, now_ns: int, sender: str, message: Append | Beat | Chunk, request: int) -> None:
        if message.term < self.term:
            self._send(sender, self._refusal(message), request)
            return
        self._follow(message.term, sender, now_ns)
        if isinstance(message, Beat):
            self._on_beat(now_ns, sender, message, request)
        elif isinstance(message, Append):
            self._on_append(sender, message, request)
        else:
            self._on_chunk(sender, message, request)

    def _refusal(self, message: Append | Beat | Chunk) -> Message:
        if isinstance(message, Beat):
            return BeatReply(self.term, 0, False)
        if isinstance(message, Append):
            return AppendReply(self.term, False, 0)
        return ChunkReply(self.term, message.at, 0, False)

    def _on_beat(self, now_ns: int, sender: str, message: Beat, request: int) -> None:
        known = message.commit <= self.commit or self.log.term_at(message.commit) == message.commit_term
        if known:
            self.commit = max(self.commit, message.commit)
            self._agreed = max(self._agreed, message.commit)
        if message.grid:
            self._heard_ns = now_ns
            self._election_due_ns = now_ns + self._draw_ns()
            # Caught up: at this beat it has what was committed by the last one, so it is less than a heartbeat behind.
            self.voting = 0 <= self._leader_commit <= self.commit
            self._leader_commit = message.leader_commit
        self._send(sender, BeatReply(self.term, message.round, known), request)

    def _on_append(self, sender: str, message: Append, request: int) -> None:
        known = self.log.term_at(message.prev_index)
        if message.prev_index > self.log.base_index and known != message.prev_term:
            self._send(sender, AppendReply(self.term, False, self._hint(message.prev_index)), request)
            return
        for entry in message.entries:
            if entry.at <= self.log.base_index or self.log.term_at(entry.at) == entry.term:
                continue
            if entry.at <= self.log.last_index:
                self.log.truncate(entry.at)
                self._entries = [kept for kept in self._entries if kept.at < entry.at]
                self._saved = min(self._saved, entry.at - 1)
            self.log.append(entry)
            self._entries.append(entry)
        match = message.prev_index + len(message.entries)
        self._agreed = max(self._agreed, match)
        self.commit = max(self.commit, min(message.commit, self._agreed))
        self._send(sender, AppendReply(self.term, True, match), request, durable=True)

    def _hint(self, prev_index: int) -> int:
        """The end of our log, or the place before the term that differs; never below what is committed."""
        if prev_index > self.log.last_index:
            return self.log.last_index
        term, index = self.log.term_at(prev_index), prev_index - 1
        while index > self.commit and self.log.term_at(index) == term:
            index -= 1
        return index

    def _on_chunk(self, sender: str, message: Chunk, request: int) -> None:
        if message.at <= self.commit:
            self._send(sender, ChunkReply(self.term, message.at, 0, True), request, durable=True)
            return
        if message.at != self._chunks_index:
            self._chunks, self._chunks_index = [], message.at
        if message.offset == len(self._chunks):
            self._chunks += message.items
            if message.last:
                self._install(Snapshot(message.at, message.at_term, self._chunks))
                self._send(sender, ChunkReply(self.term, message.at, 0, True), request, durable=True)
                return
        self._send(sender, ChunkReply(self.term, message.at, len(self._chunks), False), request)

    def _install(self, snapshot: Snapshot) -> None:
        self._installed = snapshot
        self.log.reset(snapshot.at, snapshot.term)
        # What follows it in the log is saved again behind it, since on disk a snapshot starts the log anew.
        self._entries = self.log.between(snapshot.at + 1, self.log.last_index)
        self._saved = max(snapshot.at, min(self._saved, self.log.last_index))
        self.commit = self._agreed = snapshot.at
        self._chunks, self._chunks_index = [], -1
