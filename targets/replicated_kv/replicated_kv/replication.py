"""What a leader knows of each follower, and what to send it next."""

from __future__ import annotations

from collections.abc import Callable

from .checkpoint import Snapshot
from .log import Log
from .messages import NEEDS_STATE, Append, Chunk

IN_FLIGHT = 16
CHUNK_ITEMS = 2000
CHUNK_CHARACTERS = 256 * 1024


class Progress:
    """One follower as its leader sees it.

    ``probing``: it is not known where the logs agree, so one message at a time; else messages are sent ahead of their answers.
    ``waiting``: the last message was lost, so only the beats on the grid knock until it answers again.
    """

    def __init__(self, next_index: int, now_ns: int) -> None:
        self.match = 0
        self.next = next_index
        self.probing = True
        self.waiting = False
        self.in_flight = 0
        self.heard_ns = now_ns
        self.lease_ns = 0
        self.round = 0
        self.needs_state = False
        self.session = 0
        self.snapshot: Snapshot | None = None
        self.offset = 0

    def heard(self, now_ns: int) -> None:
        """It answered."""
        self.heard_ns = now_ns
        self.waiting = False

    def lost(self) -> None:
        """A message or its answer got lost: go back to what is known for sure."""
        self.in_flight = max(0, self.in_flight - 1)
        self.probing = True
        self.waiting = True
        self.next = self.match + 1

    def answered(self) -> None:
        """An answer of an earlier session: one message less is on its way, and that is all it says."""
        self.in_flight = max(0, self.in_flight - 1)

    def accepted(self, match: int) -> None:
        """It has the entries up to ``match``."""
        self.in_flight = max(0, self.in_flight - 1)
        self.match = max(self.match, match)
        self.next = max(self.next, self.match + 1)
        self.probing = False

    def rejected(self, hint: int) -> None:
        """The logs differ before what was sent; they may agree at ``hint``, or nowhere (``NEEDS_STATE``)."""
        self.in_flight = max(0, self.in_flight - 1)
        if hint == NEEDS_STATE:
            self.needs_state, self.match, self.probing = True, 0, True
            return
        self.match = min(self.match, hint)
        self.next = max(1, min(self.next - 1, hint + 1))
        self.probing = True

    def forgot(self) -> None:
        """It has not what it once had (its disk was emptied): find out anew, a low bound is always safe."""
        self.match = 0
        self.session += 1
        self.next = max(1, self.next - 1)
        self.probing = True

    def received(self, index: int, count: int, done: bool) -> None:
        """It has ``count`` items of the state at ``index``, or all (``done``)."""
        self.in_flight = max(0, self.in_flight - 1)
        if self.snapshot is None or self.snapshot.at != index:
            return
        if done:
            self.snapshot, self.needs_state = None, False
            self.match = max(self.match, index)
            self.next = self.match + 1
        else:
            self.offset = count

    def messages(self, term: int, log: Log, commit: int, take_snapshot: Callable[[], Snapshot]) -> list[Append | Chunk]:
        """What to send now; accounts for it as sent."""
        found: list[Append | Chunk] = []
        while not self.waiting and self.in_flight < (1 if self.probing or self.snapshot else IN_FLIGHT):
            message = self._next(term, log, commit, take_snapshot)
            if message is None:
                break
            found.append(message)
            self.in_flight += 1
        return found

    def _next(self, term: int, log: Log, commit: int, take_snapshot: Callable[[], Snapshot]) -> Append | Chunk | None:
        if self.snapshot is None and (self.needs_state or self.next <= log.base_index):
            self.snapshot, self.offset = take_snapshot(), 0
        if self.snapshot is not None:
            return self._chunk(term, self.snapshot)
        if self.next > log.last_index:
            return None
        prev_term = log.term_at(self.next - 1)
        if prev_term is None:
            raise ValueError(f"entry {self.next - 1} is not in the log")
        entries = log.batch(self.next)
        message = Append(term, self.next - 1, prev_term, entries, commit, self.session)
        self.next += len(entries)
        return message

    def _chunk(self, term: int, snapshot: Snapshot) -> Chunk:
        items = snapshot.items[self.offset : self.offset + CHUNK_ITEMS]
        size = 0
        for count, (key, value, _) in enumerate(items):
            size += len(key) + len(value)
            if size > CHUNK_CHARACTERS and count:
                items = items[:count]
                break
        last = self.offset + len(items) >= len(snapshot.items)
        return Chunk(term, snapshot.at, snapshot.term, self.offset, items, last, snapshot.members if last else "", self.session)
