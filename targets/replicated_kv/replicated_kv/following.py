"""What a follower does: it hears beats, takes entries over, and becomes the state that a leader sends it."""

from __future__ import annotations

from .checkpoint import Snapshot
from .members import decode
from .messages import NEEDS_STATE, Append, AppendReply, Beat, BeatReply, Chunk, ChunkReply, Message
from .rules import ASYNC, FOLLOWER, LEADER
from .state import State
from .wrong import ACK_BEFORE_LOG, IGNORE_TERMS


class Following(State):
    """The rules of a follower towards its leader."""

    def learn_commit(self, term: int, index: int) -> None:
        """The leader of ``term`` says that ``index`` is committed: believed as far as our log agrees with its log."""
        if term == self.term and self.state == FOLLOWER:
            self.commit = max(self.commit, min(index, self._agreed))

    def _on_leader(self, now_ns: int, sender: str, message: Append | Beat | Chunk, request: int) -> None:
        refused = message.term < self.term if self.rules.wrong != IGNORE_TERMS else self.state == LEADER
        if refused:
            self._send(sender, self._refusal(message), request)
            return
        self._follow(message.term, sender, now_ns)
        if self.doubtful:
            first = self._first_session = self._first_session or (message.term, message.session)
            self._believed = self._believed or (message.term, message.session) > first
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
            return AppendReply(self.term, False, 0, message.session)
        return ChunkReply(self.term, message.at, 0, False, message.session)

    def _on_beat(self, now_ns: int, sender: str, message: Beat, request: int) -> None:
        known = message.commit <= self.commit or self.log.term_at(message.commit) == message.commit_term
        # Until its session has changed, what the leader believes about this node's log may be from before the damage.
        known = known and (not self.doubtful or self._believed)
        if known:
            self.commit = max(self.commit, message.commit)
            self._agreed = max(self._agreed, message.commit)
        if message.grid:
            self._heard_ns = now_ns
            self._election_due_ns = now_ns + self._draw_ns()
            # Caught up: at this beat it has what was committed by the last one, so it is less than a heartbeat behind.
            self._end_doubt(0 <= self._leader_commit <= self.commit)
            self.voting = 0 <= self._leader_commit <= self.commit and not self.doubtful
            self._leader_commit = message.leader_commit
        self._send(sender, BeatReply(self.term, message.round, known), request)

    def _end_doubt(self, caught_up: bool) -> None:
        """A node whose disk lost entries may miss some that its own acknowledgement helped to commit. It is whole again when it has all
        that a leader has committed, the last of which is of that leader's term: any leader has what was committed before its term."""
        if self.doubtful and self._believed and caught_up and self.log.term_at(self.commit) == self.term:
            self.doubtful = False

    def _on_append(self, sender: str, message: Append, request: int) -> None:
        known = self.log.term_at(message.prev_index)
        if self._rewinding or self._contradicts(message):
            self._rewinding = True
            self._send(sender, AppendReply(self.term, False, NEEDS_STATE, message.session), request)
            return
        if message.prev_index > self.log.base_index and known != message.prev_term:
            self._send(sender, AppendReply(self.term, False, self._hint(message.prev_index), message.session), request)
            return
        for entry in message.entries:
            if entry.at <= self.log.base_index or self.log.term_at(entry.at) == entry.term:
                continue
            if entry.at <= self.log.last_index:
                self.log.truncate(entry.at)
                if self.members.truncate(entry.at):
                    self._count_members()
                self._entries = [kept for kept in self._entries if kept.at < entry.at]
                self._saved = min(self._saved, entry.at - 1)
            self.log.append(entry)
            self._entries.append(entry)
            if self._note_members(entry):
                self._count_members()
        match = message.prev_index + len(message.entries)
        self._agreed = max(self._agreed, match)
        self.commit = max(self.commit, min(message.commit, self._agreed))
        self._send(sender, AppendReply(self.term, True, match, message.session), request, durable=self.rules.wrong != ACK_BEFORE_LOG)

    def _contradicts(self, message: Append) -> bool:
        """Something committed here is not in the leader's log, as after ``replication: async``: only its whole state helps then."""
        if self.rules.replication != ASYNC:
            return False
        base, prev = self.log.base_index, message.prev_index
        if prev < base or (prev <= self.commit and self.log.term_at(prev) != message.prev_term):
            return True
        return any(self.log.term_at(entry.at) not in {None, entry.term} for entry in message.entries[: max(0, self.commit - prev)])

    def _hint(self, prev_index: int) -> int:
        """The end of our log, or the place before the term that differs; never below what is committed."""
        if prev_index > self.log.last_index:
            return self.log.last_index
        term, index = self.log.term_at(prev_index), prev_index - 1
        while index > self.commit and self.log.term_at(index) == term:
            index -= 1
        return index

    def _on_chunk(self, sender: str, message: Chunk, request: int) -> None:
        if message.at <= self.commit and not self._rewinding:
            self._send(sender, ChunkReply(self.term, message.at, 0, True, message.session), request, durable=True)
            return
        if message.at != self._chunks_index:
            self._chunks, self._chunks_index = [], message.at
        if message.offset == len(self._chunks):
            self._chunks += message.items
            if message.last:
                self._install(Snapshot(message.at, message.at_term, self._chunks, message.members))
                self._send(sender, ChunkReply(self.term, message.at, 0, True, message.session), request, durable=True)
                return
        self._send(sender, ChunkReply(self.term, message.at, len(self._chunks), False, message.session), request)

    def _install(self, snapshot: Snapshot) -> None:
        self._installed = snapshot
        self.log.reset(snapshot.at, snapshot.term)
        self.members.truncate(self.log.last_index + 1)
        if snapshot.members:
            self.members.reset(snapshot.at, decode(snapshot.members))
        self._count_members()
        # What follows it in the log is saved again behind it, since on disk a snapshot starts the log anew.
        self._entries = self.log.between(snapshot.at + 1, self.log.last_index)
        self._saved = max(snapshot.at, min(self._saved, self.log.last_index))
        self.commit = self._agreed = snapshot.at
        self._chunks, self._chunks_index, self._rewinding = [], -1, False
