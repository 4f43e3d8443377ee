"""How a leader is found: time-outs, polls (pre-vote), votes, and the candidacy that a leader asks for."""

from __future__ import annotations

from .leading import Leading
from .messages import Poll, PollReply, Takeover, TakeoverReply, Vote, VoteReply
from .rules import CANDIDATE, FOLLOWER, LEADER
from .wrong import IGNORE_TERMS


class Election(Leading):
    """The rules of followers and candidates towards each other."""

    def _stand(self, now_ns: int) -> None:
        """The time-out is over: find out whether a candidacy can succeed."""
        if self.doubtful or not self.belongs:
            self._election_due_ns = now_ns + self._draw_ns()
            return
        self.state, self.leader, self.voting = CANDIDATE, None, False
        self._polling, self._votes = True, {self.name}
        self.election_started_ns = now_ns
        self._election_due_ns = now_ns + self._draw_ns()
        if self.rules.pre_vote:
            self._ask_all(Poll(self.term + 1, self.log.last_index, self.log.last_term))
            self._count(now_ns)
        else:
            self._candidate(now_ns)

    def _count(self, now_ns: int) -> None:
        if len(self._votes & set(self.members.now)) < self.quorum:
            return
        if self._polling:
            self._candidate(now_ns)
        else:
            self._lead(now_ns)

    def _candidate(self, now_ns: int, handover: bool = False) -> None:
        self.state, self.leader, self.voting = CANDIDATE, None, False
        self._polling, self._votes = False, {self.name}
        self.term, self.voted_for = self.term + 1, self.name
        self._ballot_changed = True
        self._election_due_ns = now_ns + self._draw_ns()
        self._ask_all(Vote(self.term, self.log.last_index, self.log.last_term, handover), durable=True)
        self._count(now_ns)

    def _hears_leader(self, now_ns: int) -> bool:
        """A leader is there, or one may still trust in a promise that this node gave before it was started again."""
        if self.state == LEADER:
            return self.has_contact(now_ns)
        return now_ns < self._silent_until_ns or (self.leader is not None and now_ns - self._heard_ns < self.timing.lease)

    def _up_to_date(self, message: Poll | Vote) -> bool:
        return (message.last_term, message.last_index) >= (self.log.last_term, self.log.last_index)

    def _as_good(self, message: Poll) -> bool:
        return (message.last_term, message.last_index) == (self.log.last_term, self.log.last_index)

    def _on_poll(self, now_ns: int, sender: str, message: Poll, request: int) -> None:
        heard, up_to_date = self._hears_leader(now_ns), self._up_to_date(message)
        granted = message.term > self.term and up_to_date and not heard and not self.doubtful
        if self.rules.wrong == IGNORE_TERMS:
            granted = up_to_date
        elif granted and self._polling:
            # Two at once would split the votes: of two with the same log the one with the smaller name goes on.
            granted = not self._as_good(message) or sender < self.name
            if granted:
                self.state, self._polling = FOLLOWER, False
        self._send(sender, PollReply(message.term if granted else self.term, granted), request)
        if not up_to_date and not heard and self.state == FOLLOWER:
            self._stand(now_ns)

    def _on_vote(self, now_ns: int, sender: str, message: Vote, request: int) -> None:
        if self.rules.wrong == IGNORE_TERMS:
            self._send(sender, VoteReply(message.term, self._up_to_date(message)), request)
            return
        if message.term > self.term and (message.handover or not self._hears_leader(now_ns)):
            self._follow(message.term, None, now_ns)
        granted = message.term == self.term and self.voted_for in {None, sender} and self._up_to_date(message) and not self.doubtful
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

    def _on_takeover(self, now_ns: int, sender: str, message: Takeover, request: int) -> None:
        wanted = message.term == self.term and self.state == FOLLOWER and self.leader == sender and not self.doubtful and self.belongs
        self._send(sender, TakeoverReply(self.term, wanted), request)
        if wanted:
            self.election_started_ns = now_ns
            self._candidate(now_ns, handover=True)
