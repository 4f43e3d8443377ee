"""Single rules of Raft, message by message."""

from __future__ import annotations

import random

from replicated_kv.checkpoint import Snapshot
from replicated_kv.log import Log
from replicated_kv.messages import Append, AppendReply, Beat, BeatReply, Entry, Message, Poll, PollReply, Vote, VoteReply
from replicated_kv.raft import Raft, Work
from replicated_kv.rules import CANDIDATE, FOLLOWER, LEADER
from replicated_kv.state import Ballot

from tests.support.raft_world import MS, TIMING

NOW = 10_000 * MS


def node(entries: list[Entry] | None = None, ballot: Ballot | None = None, log: Log | None = None, others: int = 2) -> Raft:
    """Node n1 of three, at time ``NOW``."""
    names = [f"n{number}" for number in range(2, others + 2)]
    return Raft("n1", names, TIMING, random.Random(1), NOW, lambda: Snapshot(0, 0, []), ballot, Log(0, 0, entries) if log is None else log)


def entries(*terms: int) -> list[Entry]:
    """A log with entries of these terms."""
    return [Entry(at, term, "k", str(at)) for at, term in enumerate(terms, 1)]


def replies(work: Work, kind: type[Message]) -> list[Message]:
    """The messages of that kind."""
    return [outgoing.message for outgoing in work.messages if isinstance(outgoing.message, kind)]


def elect(raft: Raft) -> int:
    """Make it the leader by the votes of n2; returns the time."""
    now = raft.due_ns
    raft.tick(now)
    raft.handle(now, "n2", PollReply(raft.term + 1, True))
    raft.handle(now, "n2", VoteReply(raft.term, True))
    assert raft.state == LEADER
    return now


def test_time_outs_are_drawn_from_the_range() -> None:
    """A follower waits U(a, b) after a beat on the grid: over many beats both ends are come near, none is passed."""
    raft = node(ballot=Ballot(1, None))
    waits = []
    for number in range(2000):
        now = NOW + number
        raft.handle(now, "n2", Beat(1, 0, 0, 0, number, grid=True))
        waits.append(raft.due_ns - now)
    assert TIMING.election_min <= min(waits) < TIMING.election_min + 5 * MS
    assert TIMING.election_max - 5 * MS < max(waits) <= TIMING.election_max


def test_only_beats_on_the_grid_reset_the_time_out() -> None:
    """Appends and read confirmations leave it, so that the failover time does not depend on the load."""
    raft = node(ballot=Ballot(1, None))
    raft.handle(NOW, "n2", Beat(1, 0, 0, 0, 1, grid=True))
    due = raft.due_ns
    raft.handle(NOW + 50 * MS, "n2", Append(1, 0, 0, entries(1), 0))
    raft.handle(NOW + 60 * MS, "n2", Beat(1, 0, 0, 0, 2, grid=False))
    assert raft.due_ns == due


def test_no_vote_twice_in_a_term_even_after_a_restart() -> None:
    """A vote goes out only after it is on disk, and binds the next life."""
    raft = node(ballot=Ballot(1, None))
    raft.handle(NOW, "n2", Vote(2, 0, 0))
    work = raft.take(NOW)
    assert work.ballot == Ballot(2, "n2")
    assert [(outgoing.message, outgoing.durable) for outgoing in work.messages] == [(VoteReply(2, True), True)]
    again = node(ballot=work.ballot)
    again.handle(NOW, "n3", Vote(2, 0, 0))
    assert replies(again.take(NOW), VoteReply) == [VoteReply(2, False)]
    again.handle(NOW, "n2", Vote(2, 0, 0))
    assert replies(again.take(NOW), VoteReply) == [VoteReply(2, True)]


def test_no_vote_for_a_shorter_or_older_log() -> None:
    """The last term counts before the length."""
    for last_index, last_term, granted in ((2, 1, False), (1, 2, False), (2, 2, True), (1, 3, True)):
        raft = node(entries(1, 2), Ballot(3, None))
        raft.handle(NOW, "n2", Vote(4, last_index, last_term))
        assert replies(raft.take(NOW), VoteReply) == [VoteReply(4, granted)]


def test_a_heard_leader_protects_against_polls_and_votes() -> None:
    """Whoever hears a leader refuses, and keeps its term."""
    raft = node(ballot=Ballot(1, None))
    raft.handle(NOW, "n2", Beat(1, 0, 0, 0, 1, grid=True))
    raft.handle(NOW + 100 * MS, "n3", Poll(2, 0, 0))
    raft.handle(NOW + 100 * MS, "n3", Vote(9, 0, 0))
    work = raft.take(NOW)
    assert replies(work, PollReply) == [PollReply(1, False)]
    assert replies(work, VoteReply) == [VoteReply(1, False)]
    assert raft.term == 1
    raft.handle(NOW + 600 * MS, "n3", Poll(2, 0, 0))
    assert replies(raft.take(NOW), PollReply) == [PollReply(2, True)]


def test_a_longer_log_stands_itself_at_once() -> None:
    """Who refuses a poll because its own log is longer does not wait for its own time-out."""
    raft = node(entries(1, 1), Ballot(1, None))
    raft.handle(NOW, "n2", Poll(2, 1, 1))
    assert raft.state == CANDIDATE
    assert raft.election_started_ns == NOW


def test_of_two_that_poll_at_once_one_goes_on() -> None:
    """With the same log the smaller name is preferred, so that the votes are not split."""
    for name, granted in (("n0", True), ("n2", False)):
        raft = node(entries(1), Ballot(1, None))
        raft.tick(raft.due_ns)
        raft.take(NOW)
        raft.handle(raft.due_ns, name, Poll(2, 1, 1))
        assert replies(raft.take(NOW), PollReply) == [PollReply(2 if granted else 1, granted)]
        assert raft.state == (FOLLOWER if granted else CANDIDATE)


def test_an_entry_is_acknowledged_after_it_is_on_disk() -> None:
    """The answer to an append waits for the save."""
    raft = node(ballot=Ballot(1, None))
    raft.handle(NOW, "n2", Append(1, 0, 0, entries(1), 0), request=7)
    work = raft.take(NOW)
    assert work.entries == entries(1)
    assert [(outgoing.message, outgoing.request, outgoing.durable) for outgoing in work.messages] == [(AppendReply(1, True, 1), 7, True)]


def test_a_leader_counts_its_own_entry_after_it_is_on_disk() -> None:
    """One follower and the leader make a quorum only with the leader's own save done."""
    raft = node(ballot=Ballot(1, None))
    now = elect(raft)
    work = raft.take(now)
    entry = work.entries[-1]
    raft.handle(now, "n2", AppendReply(raft.term, True, entry.at))
    assert raft.commit == 0
    raft.saved(entry.at, entry.term)
    assert raft.commit == entry.at


def test_entries_of_older_terms_are_committed_only_along_with_one_of_this_term() -> None:
    """Figure 8 of the paper: a majority that holds an old entry does not make it safe."""
    raft = node(entries(1, 2), Ballot(3, None))
    now = elect(raft)
    raft.take(now)
    raft.saved(3, raft.term)
    raft.handle(now, "n2", AppendReply(raft.term, True, 2))
    assert raft.commit == 0
    raft.handle(now, "n2", AppendReply(raft.term, True, 3))
    assert raft.commit == 3


def test_a_conflicting_tail_is_replaced() -> None:
    """What an earlier leader left behind gives way, and is replaced on disk as well."""
    raft = node(entries(1, 1, 1), Ballot(2, None))
    new = Entry(2, 2, "k", "new")
    raft.handle(NOW, "n2", Append(2, 1, 1, [new], 0))
    work = raft.take(NOW)
    assert raft.log.between(1, raft.log.last_index) == [*entries(1), new]
    assert work.entries == [new]


def test_a_gap_is_refused_with_a_hint() -> None:
    """An append that does not connect is refused, and says where the log ends or where the other term began."""
    raft = node(entries(1, 1, 2, 2), Ballot(3, None))
    raft.handle(NOW, "n2", Append(3, 9, 3, [], 0))
    raft.handle(NOW, "n2", Append(3, 4, 3, [], 0))
    assert replies(raft.take(NOW), AppendReply) == [AppendReply(3, False, 4), AppendReply(3, False, 2)]


def test_a_follower_believes_a_commit_only_as_far_as_the_logs_agree() -> None:
    """A leftover of an earlier term must not be taken for what the leader committed at its place."""
    raft = node(entries(1, 1), Ballot(2, None))
    raft.handle(NOW, "n2", Append(2, 1, 1, [], 2))
    assert raft.commit == 1
    raft.learn_commit(2, 2)
    assert raft.commit == 1


def test_a_follower_that_lost_its_log_is_found_out_by_a_beat() -> None:
    """It does not take what it has for committed, says so, and the leader starts over with it, also if nobody writes."""
    raft = node(entries(1), Ballot(2, None))
    raft.handle(NOW, "n2", Beat(2, 5, 2, 5, 1, grid=True))
    assert raft.commit == 0
    assert replies(raft.take(NOW), BeatReply) == [BeatReply(2, 1, False)]
    leader = node(entries(1, 1, 1), Ballot(1, None))
    now = elect(leader)
    leader.take(now)
    leader.handle(now, "n2", AppendReply(leader.term, True, 4))
    assert [outgoing for outgoing in leader.take(now).messages if outgoing.to == "n2"] == []
    leader.handle(now, "n2", BeatReply(leader.term, 1, False))
    leader.handle(now, "n2", AppendReply(leader.term, False, 0, 1))
    sent = [outgoing.message for outgoing in leader.take(now).messages if outgoing.to == "n2"]
    assert sent == [Append(leader.term, 0, 0, leader.log.between(1, 4), 0, 1)]


def test_a_read_needs_a_round_that_began_after_it() -> None:
    """An answer to an earlier beat does not confirm the leadership for a later read."""
    raft = node(ballot=Ballot(1, None))
    now = elect(raft)
    beats = replies(raft.take(now), Beat)
    raft.saved(1, raft.term)
    raft.handle(now, "n2", AppendReply(raft.term, True, 1))
    raft.read(5, NOW)
    first = beats[0]
    assert isinstance(first, Beat)
    raft.handle(now, "n2", BeatReply(raft.term, first.round, True))
    later = replies(raft.take(now), Beat)[0]
    assert isinstance(later, Beat)
    assert not later.grid
    assert raft.take(now).reads == []
    raft.handle(now, "n3", BeatReply(raft.term, later.round, True))
    assert raft.take(now).reads == [(5, 1)]


def test_a_read_waits_for_the_first_entry_of_the_term() -> None:
    """A new leader may not know yet what its predecessor committed."""
    raft = node(ballot=Ballot(1, None))
    now = elect(raft)
    raft.take(now)
    raft.read(5, NOW)
    raft.tick(now + 100 * MS)
    beat = replies(raft.take(now + 100 * MS), Beat)[0]
    assert isinstance(beat, Beat)
    raft.handle(now + 100 * MS, "n2", BeatReply(raft.term, beat.round, True))
    assert raft.take(now + 100 * MS).reads == []
    raft.saved(1, raft.term)
    raft.handle(now + 100 * MS, "n2", AppendReply(raft.term, True, 1))
    assert raft.take(now + 100 * MS).reads == [(5, 1)]


def test_a_paused_leader_steps_down_at_its_first_tick() -> None:
    """After a long sleep no quorum was heard lately: open reads fail, and nothing more is accepted."""
    raft = node(ballot=Ballot(1, None))
    now = elect(raft)
    raft.read(9, NOW)
    raft.tick(now + 5_000 * MS)
    assert raft.state == FOLLOWER
    assert raft.take(now + 5_000 * MS).reads == [(9, -1)]


def test_a_single_node_leads_itself() -> None:
    """A cluster of one elects itself and commits by its own disk."""
    raft = node(others=0)
    now = raft.due_ns
    raft.tick(now)
    assert raft.state == LEADER
    entry = raft.propose("k", "v")
    raft.saved(entry.at, entry.term)
    assert raft.commit == entry.at


def test_an_empty_log_behind_a_snapshot_keeps_its_place() -> None:
    """A restart right after a compaction starts at the snapshot, not at zero."""
    raft = node(log=Log(50, 3), ballot=Ballot(3, None))
    assert (raft.commit, raft.log.last_index, raft.log.last_term) == (50, 50, 3)
