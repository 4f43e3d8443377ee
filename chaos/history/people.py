"""What people say and order during a game day: one JSON object a line in ``people.jsonl`` of the run folder.

Every terminal appends to it, one whole line at a time, and the process of the run reads it; so neither needs the other to be there.
Both are on one machine: ``at_ns`` is the same CLOCK_MONOTONIC as in the history.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.files import write_atomically

GO, SKIP, ABORT = "go", "skip", "abort"
ORDERS: Final = (GO, SKIP, ABORT)
NOTICED, ACKNOWLEDGED, MITIGATED, FIXED = "noticed", "acknowledged", "mitigated", "fixed"
MARKS: Final = (NOTICED, ACKNOWLEDGED, MITIGATED, FIXED)
"""What is recorded of each step, in the order in which it happens."""
NOTE, ACTION = "note", "action"
FILE: Final = "people.jsonl"
STATE: Final = "gameday.json"


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """One order, mark or note."""

    at_ns: int
    who: str
    what: str
    """go, skip, abort; noticed, acknowledged, mitigated, fixed; note, action."""
    step: int = 0
    """The step that it speaks of, from 1; 0: none."""
    text: str = ""


class GameDay(msgspec.Struct, frozen=True):
    """How far the run is, as its own process says: ``gameday.json``, replaced as a whole."""

    pid: int
    pid_start: int
    boot: str
    steps: list[str]
    """What each step does, in words."""
    step: int = 0
    """The one that is held or in force, from 1; 0 before the first."""
    holds: bool = False
    """It waits for somebody to let it begin."""
    begun_ns: list[int] = []
    """When each step was let go, in order; 0 for one that was skipped."""
    over: str = ""
    """Why no further step comes; empty while one may."""


def say(folder: Path, said: Said) -> None:
    """Append one line, durable when it returns."""
    fd = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, msgspec.json.encode(said) + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def read(folder: Path) -> list[Said]:
    """All whole lines, in the order written; what is no line of ours is passed over."""
    path = folder / FILE
    if not path.is_file():
        return []
    found = []
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            try:
                found.append(msgspec.json.decode(line, type=Said))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
    return found


def write_state(folder: Path, state: GameDay) -> None:
    """Whole or not at all."""
    write_atomically(folder / STATE, msgspec.json.encode(state))


def read_state(folder: Path) -> GameDay | None:
    """None before the run began."""
    try:
        return msgspec.json.decode((folder / STATE).read_bytes(), type=GameDay)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
