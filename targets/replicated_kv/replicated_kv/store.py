"""The keys and values: what the log amounts to up to some index."""

from __future__ import annotations

from .messages import Entry


class Store:
    """The state after the entry at ``applied``."""

    def __init__(self) -> None:
        self.applied = 0
        self.applied_term = 0
        self._values: dict[str, tuple[str, int]] = {}

    def apply(self, entry: Entry) -> None:
        """Take in the next committed entry."""
        if entry.at != self.applied + 1:
            raise ValueError(f"entry {entry.at} does not follow {self.applied}")
        self.applied, self.applied_term = entry.at, entry.term
        if entry.key is not None:
            self._values[entry.key] = (entry.value or "", entry.at)

    def get(self, key: str) -> tuple[str, int] | None:
        """The value and the index of its write."""
        return self._values.get(key)

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> list[tuple[str, str, int]]:
        """A copy of the state, for a snapshot."""
        return [(key, value, index) for key, (value, index) in self._values.items()]

    def replace(self, index: int, term: int, items: list[tuple[str, str, int]]) -> None:
        """Become the state of a snapshot."""
        self.applied, self.applied_term = index, term
        self._values = {key: (value, written) for key, value, written in items}
