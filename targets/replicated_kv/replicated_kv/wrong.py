"""Wrong on purpose: one switch for each mistake that real systems made, so that whoever checks data can be checked.

All are off unless the setting ``wrong`` names one. Each is one condition at the place where the right thing is done otherwise.
"""

from __future__ import annotations

ACK_BEFORE_QUORUM = "ack-before-quorum"
"""The leader acknowledges and applies what it alone has."""
ACK_BEFORE_LOG = "ack-before-log"
"""Leader and followers count an entry as saved before it is on disk: a crash takes it back."""
IGNORE_TERMS = "ignore-terms"
"""Votes for everybody who asks, follows everybody who leads, steps down for nobody: two leaders at once."""
STALE_LEASE = "stale-lease"
"""A leader trusts in its lease for ever: cut off, it answers reads from the past."""
LOST_VOTE = "lost-vote"
"""Term and vote are never written: after a restart a node votes a second time in the same term."""
CHECKPOINT_DROPS_TAIL = "checkpoint-drops-tail"
"""A checkpoint lacks what the last entries before it wrote."""
REPLAY_TWICE = "replay-twice"
"""After a restart the entries of the log are applied twice: what adds or counts does so twice."""
CHECKPOINT_TORN = "checkpoint-torn"
"""A checkpoint is written in its place, after the log that it covers has been dropped, and read without counting."""

WRONG = (
    ACK_BEFORE_QUORUM, ACK_BEFORE_LOG, IGNORE_TERMS, STALE_LEASE, LOST_VOTE, CHECKPOINT_DROPS_TAIL, REPLAY_TWICE, CHECKPOINT_TORN,
)  # fmt: skip
TAIL = 8
"""Entries whose writes the checkpoint with ``CHECKPOINT_DROPS_TAIL`` lacks."""
