"""The keys and values: what the log amounts to up to some index."""

from __future__ import annotations

from collections.abc import Callable

from .checkpoint import Snapshot
from .messages import Entry
from .wrong import CHECKPOINT_DROPS_TAIL, TAIL


def _added(old: str, value: str) -> str:
    """The set of a comma-separated text with one member more."""
    members = old.split(",") if old else []
    return old if value in members else ",".join([*members, value])


def _number(text: str) -> int:
    try:
        return int(text or "0")
    except ValueError:
        return 0


OPERATIONS: dict[str, Callable[[str, str], str]] = {
    "put": lambda _, value: value,
    "append": lambda old, value: f"{old},{value}" if old else value,
    "add": _added,
    "incr": lambda old, value: str(_number(old) + _number(value)),
}
"""What a write does: the old value (empty if there was none) and what was sent make the new value."""


class Store:
    """The state after the entry at ``applied``."""

    def __init__(self) -> None:
        self.applied = 0
        self.applied_term = 0
        self.twice_until = 0
        """Entries up to this one are applied twice (``wrong: replay-twice``); 0: none."""
        self._values: dict[str, tuple[str, int]] = {}

    def apply(self, entry: Entry) -> None:
        """Take in the next committed entry."""
        if entry.at != self.applied + 1:
            raise ValueError(f"entry {entry.at} does not follow {self.applied}")
        self.applied, self.applied_term = entry.at, entry.term
        if entry.key is not None and entry.op in OPERATIONS:
            value = entry.value or ""
            if entry.op != "put":
                for _ in range(2 if entry.at <= self.twice_until else 1):
                    changed = OPERATIONS[entry.op](self._values.get(entry.key, ("", 0))[0], value)
                    self._values[entry.key] = (changed, entry.at)
                return
            self._values[entry.key] = (value, entry.at)

    def get(self, key: str) -> tuple[str, int] | None:
        """The value and the index of its write."""
        return self._values.get(key)

    def __len__(self) -> int:
        return len(self._values)

    def snapshot(self, wrong: str = "", members: str = "") -> Snapshot:
        """The state for a checkpoint."""
        items = self.items()
        if wrong == CHECKPOINT_DROPS_TAIL:
            items = [item for item in items if item[2] <= self.applied - TAIL]
        return Snapshot(self.applied, self.applied_term, items, members)

    def items(self) -> list[tuple[str, str, int]]:
        """A copy of the state, for a snapshot."""
        return [(key, value, index) for key, (value, index) in self._values.items()]

    def replace(self, index: int, term: int, items: list[tuple[str, str, int]]) -> None:
        """Become the state of a snapshot."""
        self.applied, self.applied_term = index, term
        self._values = {key: (value, written) for key, value, written in items}
