"""Followers hand their clients' requests to the leader, in batches, and never twice.

A batch whose answer is missing may have been done, so its writes are answered 504, and it is not sent again; a batch that surely was not
done (no connection, or the peer says that it leads no more) is answered 503. Both at once: whoever wants to try again is the client.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import cast

from .client import UNSENT, Channel

Written = Callable[[int, int], None]
"""How a write ended: status (200, 503: surely not done, 504: perhaps done) and the index of its entry."""
Allowed = Callable[[int, int, int], None]
"""How the question for a read index ended: status, the leader's term, the index."""


class Forwarder:
    """What waits to go to the leader, and what waits for its answer."""

    def __init__(self, channels: dict[str, Channel]) -> None:
        self._channels = channels
        self._leader: str | None = None
        self._writes: list[tuple[str, str, str, Written]] = []
        self._reads: list[Allowed] = []
        self._open: dict[int, Callable[[], None]] = {}
        self._count = 0

    def write(self, key: str, value: str, op: str, done: Written) -> None:
        """Put a write into the next batch."""
        self._writes.append((key, value, op, done))

    def read(self, done: Allowed) -> None:
        """Put a question for a read index into the next batch."""
        self._reads.append(done)

    def flush(self, leader: str | None) -> None:
        """Send the batch to this leader. What an earlier leader still owes is given up."""
        if leader != self._leader:
            self._leader = leader
            given_up, self._open = self._open, {}
            for give_up in given_up.values():
                give_up()
        if self._writes:
            writes, self._writes = self._writes, []
            self._send_writes(leader, writes)
        if self._reads:
            reads, self._reads = self._reads, []
            self._send_reads(leader, reads)

    def _send_writes(self, leader: str | None, writes: list[tuple[str, str, str, Written]]) -> None:
        def end(status: int, body: bytes) -> None:
            first = cast(int, json.loads(body)["first"]) if status == 200 else 0
            result = {200: 200, UNSENT: 503, 503: 503}.get(status, 504)
            for place, (_, _, _, done) in enumerate(writes):
                done(result, first + place if first else 0)

        self._send(leader, json.dumps({"writes": [write[:3] for write in writes]}, separators=(",", ":")).encode(), end)

    def _send_reads(self, leader: str | None, reads: list[Allowed]) -> None:
        def end(status: int, body: bytes) -> None:
            found = cast(dict[str, int], json.loads(body)) if status == 200 else {"term": 0, "index": 0}
            for done in reads:
                done(200 if status == 200 else 503, found["term"], found["index"])

        self._send(leader, b'{"read":true}', end)

    def _send(self, leader: str | None, body: bytes, end: Callable[[int, bytes], None]) -> None:
        if leader is None or leader not in self._channels:
            end(UNSENT, b"")
            return
        self._count += 1
        number = self._count

        def finish(status: int, answer: bytes) -> None:
            # Once given up, whatever still comes is too late.
            if self._open.pop(number, None) is not None:
                end(status, answer)

        self._open[number] = lambda: end(0, b"")
        self._channels[leader].post("/raft/forward", body, finish)
