"""The keys and values: what the log amounts to up to some index."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from .centres import CENTRE, RECORD, Record
from .centres import decode as decode_centre
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
        self.record = Record()
        """Which data centre is primary, as far as this one knows."""
        self._values: dict[str, tuple[str, int]] = {}
        """In the order of the last writes, so that what is new is found without a search."""

    def apply(self, entry: Entry) -> None:
        """Take in the next committed entry."""
        if entry.at != self.applied + 1:
            raise ValueError(f"entry {entry.at} does not follow {self.applied}")
        self.applied, self.applied_term = entry.at, entry.term
        if entry.op == CENTRE and entry.value is not None:
            self._change_centre(entry.value, entry.at)
        elif entry.key is not None and entry.op in OPERATIONS:
            value = entry.value or ""
            old = self._values.pop(entry.key, ("", 0))[0]
            for _ in range(2 if entry.at <= self.twice_until else 1):
                old = OPERATIONS[entry.op](old, value)
            self._values[entry.key] = (old, entry.at)

    def _change_centre(self, value: str, at: int) -> None:
        """Another primary, or a piece of the primary's state."""
        self.record, anew, items = decode_centre(value)
        if anew:
            self._values.clear()
        for key, text in [*items, (RECORD, json.dumps(self.record))]:
            self._values.pop(key, None)
            self._values[key] = (text, at)

    def since(self, index: int) -> Iterator[tuple[str, str, int]]:
        """Keys of clients that were written after that entry, with value and index, the oldest write first."""
        new = []
        for key in reversed(self._values):
            if self._values[key][1] <= index:
                break
            new.append(key)
        for key in reversed(new):
            if key != RECORD:
                yield (key, *self._values[key])

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
        found = self._values.get(RECORD)
        self.record = Record(*json.loads(found[0])) if found is not None else Record()
