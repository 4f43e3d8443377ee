"""Who belongs to the cluster: an entry of the log like any other, in force from the moment it is in the log (chapter 4 of the Raft thesis).

Members are changed one at a time, and the next change waits until the last one is committed: so any majority of the old members and any
majority of the new ones have a node in common, and there is never a moment with two leaders.
"""

from __future__ import annotations

import json

MEMBERS = "members"
"""The operation of an entry whose value is the members from there on."""
Places = dict[str, str]
"""Name -> ``address:port`` for peers."""


def encode(places: Places) -> str:
    """The value of a members entry, and of a checkpoint."""
    return json.dumps(places, separators=(",", ":"))


def decode(text: str) -> Places:
    """The other way."""
    return dict(json.loads(text))


class Members:
    """The members as the log tells them: those of its start, and every change behind it."""

    def __init__(self, start: Places, at: int = 0) -> None:
        self._known: list[tuple[int, Places]] = [(at, start)]

    @property
    def now(self) -> Places:
        """Those in force."""
        return self._known[-1][1]

    @property
    def changed_at(self) -> int:
        """The entry that made them so."""
        return self._known[-1][0]

    def at(self, index: int) -> Places:
        """Those in force at that entry."""
        return next((places for at, places in reversed(self._known) if at <= index), self._known[0][1])

    def change(self, at: int, places: Places) -> None:
        """An entry with new members is in the log."""
        self._known.append((at, places))

    def truncate(self, first: int) -> bool:
        """The entries from ``first`` on are gone; True if that takes a change back."""
        kept = [each for each in self._known if each[0] < first] or self._known[:1]
        gone = len(kept) != len(self._known)
        self._known = kept
        return gone

    def reset(self, at: int, places: Places) -> None:
        """A whole state came, with the members at that entry."""
        self._known = [(at, places), *(each for each in self._known if each[0] > at)]
