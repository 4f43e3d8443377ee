"""The replicated log as kept in memory: entries after a base that a snapshot covers."""

from __future__ import annotations

from .messages import Entry

BATCH_ENTRIES = 1000
BATCH_CHARACTERS = 512 * 1024


def _size(entry: Entry) -> int:
    return len(entry.key or "") + len(entry.value or "")


class Log:
    """Entries ``base_index + 1 .. last_index``. The base itself is known by index and term only."""

    def __init__(self, base_index: int = 0, base_term: int = 0, entries: list[Entry] | None = None) -> None:
        self.base_index = base_index
        self.base_term = base_term
        self._entries: list[Entry] = list(entries or [])
        self.size = sum(map(_size, self._entries))
        """Characters of all keys and values: what bounds the memory that the log takes."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last_index(self) -> int:
        return self.base_index + len(self._entries)

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else self.base_term

    def term_at(self, index: int) -> int | None:
        """The term of that entry; None where the log does not reach, at either end."""
        if index == self.base_index:
            return self.base_term
        if self.base_index < index <= self.last_index:
            return self._entries[index - self.base_index - 1].term
        return None

    def between(self, first: int, last: int) -> list[Entry]:
        """The entries ``first..last``, both included."""
        return self._entries[first - self.base_index - 1 : last - self.base_index]

    def batch(self, first: int) -> list[Entry]:
        """Entries from ``first`` on, as many as one message should hold; at least one if there is one."""
        start = first - self.base_index - 1
        entries = self._entries[start : start + BATCH_ENTRIES]
        size = 0
        for count, entry in enumerate(entries):
            size += len(entry.value or "")
            if size > BATCH_CHARACTERS and count:
                return entries[:count]
        return entries

    def append(self, entry: Entry) -> None:
        """Put one entry at the end."""
        if entry.at != self.last_index + 1:
            raise ValueError(f"entry {entry.at} does not follow {self.last_index}")
        self._entries.append(entry)
        self.size += _size(entry)

    def truncate(self, first: int) -> None:
        """Drop the entries from ``first`` on."""
        if first <= self.base_index:
            raise ValueError(f"entry {first} is in the snapshot at {self.base_index}")
        self._drop(first - self.base_index - 1, len(self._entries))

    def compact(self, index: int) -> None:
        """Drop the entries up to ``index``, which a snapshot covers."""
        term = self.term_at(index)
        if term is None or index <= self.base_index:
            return
        self._drop(0, index - self.base_index)
        self.base_index, self.base_term = index, term

    def kept(self, entries: int, size: int) -> int:
        """The index before the last so many entries, or before fewer if these are larger than ``size``."""
        index = self.last_index
        while index > max(self.base_index, self.last_index - entries) and size >= 0:
            size -= _size(self._entries[index - self.base_index - 1])
            index -= 1
        return index

    def _drop(self, first: int, last: int) -> None:
        self.size -= sum(map(_size, self._entries[first:last]))
        del self._entries[first:last]

    def reset(self, index: int, term: int) -> None:
        """Start over behind a snapshot; entries that follow it in the same history are kept."""
        if self.term_at(index) == term:
            self.compact(index)
            return
        self._drop(0, len(self._entries))
        self.base_index, self.base_term = index, term
