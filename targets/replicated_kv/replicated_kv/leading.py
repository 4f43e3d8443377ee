"""What a leader does: beats, entries for its followers, commits, reads, and handing its leadership over."""

from __future__ import annotations

from .members import MEMBERS, Places, encode
from .messages import Append, AppendReply, Beat, BeatReply, Chunk, ChunkReply, Entry, Takeover
from .replication import Progress
from .rules import LEADER, READ_ROUND_NS
from .state import State
from .wrong import IGNORE_TERMS

KEPT_ROUNDS = 64


class Leading(State):
    """The rules of the leader."""

    def transfer(self, now_ns: int, to: str | None = None) -> str | None:
        """Hand the leadership to that follower, or to the one that has most; who it is, or None if nobody can have it.

        From now on no write is taken (``heir`` is set) until the heir leads, or the shortest election time-out is over.
        """
        fresh = [name for name, follower in self.followers.items() if now_ns - follower.heard_ns < self.timing.election_min]
        if self.state != LEADER or (to is not None and to not in fresh) or not fresh:
            return None
        self.heir = to or max(fresh, key=lambda name: (self.followers[name].match, name))
        self._heir_until_ns = now_ns + self.timing.election_min
        return self.heir

    def lease_holds(self, now_ns: int) -> bool:
        """Nobody else can lead yet: a quorum promised with the last beats to vote for nobody until then (section 6.4.1 of the thesis).

        The lease counts from the sending of a beat, the promise from its arrival: so it ends first, as long as clocks run equally fast.
        """
        if self.heir_told or self.log.term_at(self.commit) != self.term:
            return False
        from_ns = self._ranked(now_ns, (follower.lease_ns for follower in self.followers.values()))
        return now_ns - from_ns < self.timing.lease

    def change_members(self, places: Places) -> int | None:
        """Append new members, one node more or less than now; the index of the entry, or None if that cannot be now.

        The last change must be committed, and so must an entry of this leader's term (Ongaro's correction of 2015).
        """
        one = len(places.keys() ^ self.members.now.keys()) == 1 and bool(places)
        if self.state != LEADER or self.heir is not None or not one or self.members.changed_at > self.commit:
            return None
        if self.log.term_at(self.commit) != self.term:
            return None
        entry = Entry(self.log.last_index + 1, self.term, None, encode(places), MEMBERS)
        self.log.append(entry)
        self._entries.append(entry)
        self._note_members(entry)
        self._count_members()
        return entry.at

    def _lead(self, now_ns: int) -> None:
        self.state, self.leader, self.voting = LEADER, self.name, True
        self.leader_elected_ns = now_ns
        self.followers = {other: Progress(self.log.last_index + 1, now_ns) for other in self.others}
        self._round_wanted, self.heir, self.heir_told = False, None, False
        self._sent_ns = {}
        entry = Entry(self.log.last_index + 1, self.term, None, None)
        self.log.append(entry)
        self._entries.append(entry)
        self._beat_due_ns = now_ns + self.timing.heartbeat
        self._beat(now_ns, grid=True)

    def _beat_if_due(self, now_ns: int) -> None:
        if self._left:
            # What made this node leave is committed: the others go on without it.
            self._left = False
            self._follow(self.term, None, now_ns)
            return
        if self.heir is not None and now_ns >= self._heir_until_ns:
            self.heir = None
        if now_ns >= self._beat_due_ns:
            missed = (now_ns - self._beat_due_ns) // self.timing.heartbeat
            self._beat_due_ns += (missed + 1) * self.timing.heartbeat
            self._beat(now_ns, grid=True)

    def _beat(self, now_ns: int, grid: bool) -> None:
        self._round += 1
        self._round_started_ns = now_ns
        self._round_wanted = False
        if grid and self.rules.lease_reads:
            self._sent_ns[self._round] = now_ns
            self._sent_ns.pop(next(iter(self._sent_ns)) if len(self._sent_ns) > KEPT_ROUNDS else -1, None)
        for name, follower in self.followers.items():
            shared = min(follower.match, self.commit)
            term = self.log.term_at(shared)
            self._send(
                name, Beat(self.term, shared if term is not None else 0, term or 0, self.commit, self._round, grid, follower.session)
            )
        self._confirm()

    def _replicate(self, now_ns: int) -> None:
        if self._round_wanted and (self._confirmed() >= self._round or now_ns - self._round_started_ns >= READ_ROUND_NS):
            self._beat(now_ns, grid=False)
        for name, follower in self.followers.items():
            for message in follower.messages(self.term, self.log, self.commit, self._take_snapshot):
                self._send(name, message)
        if self.heir is not None and not self.heir_told and self.followers[self.heir].match == self.log.last_index:
            self.heir_told = True
            self._send(self.heir, Takeover(self.term))

    def _on_answer(self, now_ns: int, sender: str, message: AppendReply | BeatReply | ChunkReply) -> None:
        if message.term > self.term and self.rules.wrong != IGNORE_TERMS:
            self._follow(message.term, None, now_ns)
            return
        follower = self.followers.get(sender)
        if follower is None or message.term < self.term:
            return
        follower.heard(now_ns)
        if isinstance(message, BeatReply):
            follower.round = max(follower.round, message.round)
            follower.lease_ns = max(follower.lease_ns, self._sent_ns.get(message.round, 0))
            if not message.known:
                follower.forgot()
            self._confirm()
        elif message.session != follower.session:
            follower.answered()
        elif isinstance(message, ChunkReply):
            follower.received(message.at, message.received, message.done)
        elif message.ok:
            follower.accepted(message.match)
        else:
            follower.rejected(message.match)
        self._advance()

    def _on_lost(self, peer: str, message: Append | Chunk) -> None:
        if self.state == LEADER and message.term == self.term and peer in self.followers:
            self.followers[peer].lost()

    def _advance(self) -> None:
        """Commit what enough voters have on disk, if it is of this term (section 5.4.2 of the paper)."""
        on_disk = sorted([follower.match for follower in self.followers.values()] + [self._saved] * self.belongs, reverse=True)
        needed = self.rules.copies(len(on_disk))
        # The leader alone counts only for itself: what it has not saved it must not answer for.
        index = self._saved if needed == 1 else on_disk[needed - 1]
        if index > self.commit and self.log.term_at(index) == self.term:
            self.commit = index
            self._confirm()
            if not self.belongs and self.members.changed_at <= index:
                self._left = True

    def _confirmed(self) -> int:
        return self._ranked(self._round, (follower.round for follower in self.followers.values()))

    def _confirm(self) -> None:
        """Finish the reads whose round a quorum has answered, once an entry of this term is committed (section 6.4 of the thesis)."""
        if not self._reads or self.log.term_at(self.commit) != self.term:
            return
        confirmed = self._confirmed()
        self._reads_done += [(token, self.commit) for needed, token in self._reads if needed <= confirmed]
        self._reads = [read for read in self._reads if read[0] > confirmed]
