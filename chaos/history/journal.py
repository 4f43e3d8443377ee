"""``operations.jsonl``: every operation on checked keys, one JSON object a line, in the kernel's hands before the next thing happens.

    begun     what is checked: the workload, its keys and sessions
    call      before the first byte of a request can leave: who writes or reads what
    return    how that ended: ok, fail (surely not done) or unknown (done, not done, or done at any later time)
    node      what one node answered by itself when the run was over (``read_node`` of the target)
    ended     all of it was written; without this row the journal was cut off

A call stands in the file before its effect can be seen by anybody, so each beginning of the file is a history by itself: a crash at
any byte costs what came after it and no more. A call without a return is unknown. Times are CLOCK_MONOTONIC of the clients' machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from chaos.core import storage
from chaos.core.errors import EnvironmentUnusable, HistoryUnreadable
from chaos.core.system import PLAIN_BYTES

FILE: Final = "operations.jsonl"
SCHEMA: Final = 1
OK: Final = "ok"
FAIL: Final = "fail"
UNKNOWN: Final = "unknown"
KEPT_BYTES: Final = 256 * 1024
"""Space that the file has ahead: some thousand rows."""


class Begun(msgspec.Struct, frozen=True, tag_field="row", tag="begun"):
    """First row."""

    at_ns: int
    schema: int
    run: str
    workload: str
    """register, counter, set or list."""
    keys: int
    sessions: int


class Called(msgspec.Struct, frozen=True, tag_field="row", tag="call"):
    """A request is about to be sent."""

    n: int
    """The operation's number, from 1."""
    at_ns: int
    session: int
    """From 1; 0 reads every key once more when the run is over."""
    operation: str
    """Its name in the target or the experiment."""
    does: str
    """read, write, append, add or incr."""
    key: str
    value: str | None = None
    """What is written; None of a read."""


class Returned(msgspec.Struct, frozen=True, tag_field="row", tag="return"):
    """How that operation ended."""

    n: int
    at_ns: int
    outcome: str
    """ok, fail or unknown."""
    value: str | None = None
    """What a read found, as text; None: nothing under that key."""
    address: str = ""
    """Who was asked."""
    why: str = ""
    """What went wrong: timeout, refused, reset, error..."""
    status: int = 0
    """What it was answered with, where its protocol has such numbers."""


class NodeRead(msgspec.Struct, frozen=True, tag_field="row", tag="node"):
    """What a node itself has under a key; a later row for the same node and key replaces an earlier one."""

    at_ns: int
    node: str
    key: str
    outcome: str
    value: str | None = None
    why: str = ""


class Ended(msgspec.Struct, frozen=True, tag_field="row", tag="ended"):
    """Last row. ``settled``: all nodes and reads agreed at the end, so that what they said is not about to change."""

    at_ns: int
    operations: int
    settled: bool


JournalRow = Begun | Called | Returned | NodeRead | Ended
_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(JournalRow).decode


class Journal(msgspec.Struct, frozen=True):
    """What could be read of one, and what is wrong with the file."""

    rows: list[JournalRow]
    damaged: tuple[int, ...] = ()
    """The numbers of the lines within it that are no rows: what they said may be what others need to be understood."""
    is_torn: bool = False
    """Its last line was not written whole."""

    @property
    def damage(self) -> str:
        """What is missing or damaged, in words; empty: nothing."""
        if self.damaged:
            lines = ", ".join(map(str, self.damaged[:4]))
            return f"line{'s' * (len(self.damaged) > 1)} {lines} of {FILE} cannot be read"
        if not self.rows:
            return f"there is no {FILE}, or nothing in it"
        if isinstance(self.rows[-1], Ended):
            return ""
        torn = ", in the middle of a row" if self.is_torn else ""
        return f"{FILE} is cut off after {len(self.rows)} rows{torn}: the clients did not come to their end"


def read(path: Path) -> Journal:
    """Every whole row, in the order written; what a crash left of the last one is passed over, and told."""
    if not path.exists():
        return Journal([])
    if not path.is_file():
        raise HistoryUnreadable(f"{path} is no plain file")
    rows: list[JournalRow] = []
    damaged: list[int] = []
    is_torn = False
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                is_torn = True
                break
            try:
                rows.append(_DECODE(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                damaged.append(number)
    return Journal(rows, tuple(damaged), is_torn)


def encoded(row: JournalRow) -> bytes:
    """One line."""
    return _ENCODE(row) + b"\n"


class JournalWriter:
    """Appends rows; each is in the kernel's hands when ``append`` returns. ``EnvironmentUnusable`` for a disk that takes no more."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND | PLAIN_BYTES, 0o644)
        self._file = storage.Ahead(fd, path, KEPT_BYTES)

    def append(self, row: JournalRow) -> None:
        """Write one row."""
        if not self._file.append(encoded(row)):
            raise EnvironmentUnusable(self._file.trouble, how="free some space, or name a folder on another disk with --folder")

    def close(self) -> None:
        """Flush to the disk and close."""
        self._file.close()
