"""What nodes say to each other. On the wire a message is a JSON array: its kind, its sender, then its fields in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple


class Entry(NamedTuple):
    """One command of the log, at its index. ``key`` None is the empty entry with which a new leader opens its term."""

    at: int
    term: int
    key: str | None
    value: str | None
    op: str = "put"
    """What is done with the value (``store.OPERATIONS``)."""


class Poll(NamedTuple):
    """Would you vote for me in ``term``? Asked before a candidacy, so that a node that comes back deposes nobody (pre-vote)."""

    term: int
    last_index: int
    last_term: int


class PollReply(NamedTuple):
    term: int
    granted: bool


class Vote(NamedTuple):
    """Vote for me in ``term``. ``handover``: the leader asked for it, so that it counts although that leader is heard."""

    term: int
    last_index: int
    last_term: int
    handover: bool = False


class VoteReply(NamedTuple):
    term: int
    granted: bool


class Append(NamedTuple):
    """Entries that follow the one at ``prev_index``, and how far the leader has committed.

    ``session`` goes up when the leader learns that a follower has lost something; answers of an earlier one say nothing about its log.
    """

    term: int
    prev_index: int
    prev_term: int
    entries: list[Entry]
    commit: int
    session: int = 0


class AppendReply(NamedTuple):
    """``match``: how far the logs are known to agree; if not ``ok``, where to look for that, or ``NEEDS_STATE``."""

    term: int
    ok: bool
    match: int
    session: int = 0


class Takeover(NamedTuple):
    """You have all that I have: stand for election now, without a poll (leadership transfer, section 3.10 of the thesis)."""

    term: int


class TakeoverReply(NamedTuple):
    term: int
    granted: bool


class Beat(NamedTuple):
    """I lead ``term``; the entry ``commit`` of ``commit_term``, which you have, is committed; ``leader_commit`` is where I am.

    ``grid`` marks the periodic beats; the others only ask for a confirmation of leadership, which a read needs (``round``).
    """

    term: int
    commit: int
    commit_term: int
    leader_commit: int
    round: int
    grid: bool
    session: int = 0


class BeatReply(NamedTuple):
    """``known``: the entry that the beat named is there indeed."""

    term: int
    round: int
    known: bool


class Chunk(NamedTuple):
    """A piece of the state at that index, for a follower whose next entry is no longer in the log."""

    term: int
    at: int
    at_term: int
    offset: int
    items: list[tuple[str, str, int]]
    last: bool
    members: str = ""
    session: int = 0


class ChunkReply(NamedTuple):
    """``received``: how many items of the state at that index the follower has."""

    term: int
    at: int
    received: int
    done: bool
    session: int = 0


NEEDS_STATE = -1
"""In an ``AppendReply``: what was committed here is not what the leader has, so only its whole state helps (``replication: async``)."""

Message = Poll | PollReply | Vote | VoteReply | Append | AppendReply | Beat | BeatReply | Chunk | ChunkReply | Takeover | TakeoverReply

PATHS: dict[type, str] = {
    Poll: "/raft/vote", Vote: "/raft/vote", Append: "/raft/append", Beat: "/raft/append", Chunk: "/raft/snapshot", Takeover: "/raft/vote",
}  # fmt: skip
"""Where each request goes; replies travel back as the answers."""


class Malformed(ValueError):
    """The bytes are no message."""


def encode(sender: str, message: Message) -> bytes:
    """The bytes of a message."""
    return json.dumps([type(message).__name__, sender, *message], separators=(",", ":")).encode()


def decode(data: bytes) -> tuple[str, Message]:
    """Sender and message; ``Malformed`` if it is none."""
    try:
        kind, sender, *fields = json.loads(data)
        message = _DECODE[kind](*fields)
        if isinstance(message, Append):
            message = message._replace(entries=[Entry(*entry) for entry in message.entries])
        return sender, message
    except (ValueError, TypeError, KeyError) as error:
        raise Malformed(f"no message of this protocol: {data[:80]!r} ({error})") from error


# What is decoded comes from another node of this program: its shape is trusted once its kind and number of fields are right.
_DECODE: dict[str, Callable[..., Message]] = {
    "Poll": Poll, "PollReply": PollReply, "Vote": Vote, "VoteReply": VoteReply, "Append": Append, "AppendReply": AppendReply,
    "Beat": Beat, "BeatReply": BeatReply, "Chunk": Chunk, "ChunkReply": ChunkReply, "Takeover": Takeover, "TakeoverReply": TakeoverReply,
}  # fmt: skip
