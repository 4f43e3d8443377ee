"""What a client meets at a node, as it changes over time: pieces of constant behaviour, newest last."""

from __future__ import annotations

import bisect
import enum

import msgspec


class Meets(enum.Enum):
    """How a question to a node ends, or does not."""

    ANSWER = "answer"
    """Answered after the latency."""
    ERROR = "error"
    """Answered at once, with a no."""
    REFUSED = "refused"
    CLOSED = "closed"
    """Accepted by the proxy before it, then closed."""
    WAITS = "waits"
    """Held until the node can answer (frozen, or without a leader and patient): then it is answered."""
    HELD = "held"
    """Held by a node that handed it on to a frozen one: answered if that one goes on, else lost."""
    DROPPED = "dropped"
    """Nothing comes, and an error when the node gives up what it holds."""
    LOST = "lost"
    """Nothing comes, whatever happens later: the connection was cut silently, or the question passed on to a dead end."""


class Face(msgspec.Struct, frozen=True):
    """One piece."""

    meets: Meets
    latency_ns: int = 0


class Faces:
    """The pieces of one node for one kind of operation."""

    def __init__(self) -> None:
        self._starts_ns: list[int] = []
        self._faces: list[Face] = []

    def put(self, at_ns: int, face: Face) -> None:
        """From now on it is this one."""
        if self._faces and self._faces[-1] == face:
            return
        if self._starts_ns and self._starts_ns[-1] == at_ns:
            self._faces[-1] = face
            return
        self._starts_ns.append(at_ns)
        self._faces.append(face)

    def at(self, at_ns: int) -> tuple[Face, int | None]:
        """The piece that holds then, and when it ends; None: it is the newest one."""
        index = bisect.bisect_right(self._starts_ns, at_ns) - 1
        assert index >= 0, "asked for a time before the cluster began"
        following = index + 1
        return self._faces[index], self._starts_ns[following] if following < len(self._starts_ns) else None
