"""A checkpoint: the whole state at an index, as one file that is there whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple, cast

from .frames import Damaged, pack, scan, unpack

ITEMS_A_FRAME = 50
NEW = ".new"


class Snapshot(NamedTuple):
    """The state after the entry at that index: (key, value, index of the write) items, and the members at that point."""

    at: int
    term: int
    items: list[tuple[str, str, int]]
    members: str = ""


def write(path: Path, snapshot: Snapshot, fsync: bool = True, whole: bool = True, delay_s: float = 0.0) -> None:
    """Beside its place, on disk, then renamed into it: a crash at any byte leaves the old file or the new one (``whole``)."""
    new = path.with_name(path.name + NEW) if whole else path
    with new.open("wb") as file:
        file.write(pack([snapshot.at, snapshot.term, len(snapshot.items), snapshot.members]))
        for start in range(0, len(snapshot.items), ITEMS_A_FRAME):
            time.sleep(delay_s)
            file.write(pack(snapshot.items[start : start + ITEMS_A_FRAME]))
            if not whole:
                file.flush()
        file.flush()
        if fsync:
            os.fdatasync(file.fileno())
    new.replace(path)
    sync_folder(path.parent, fsync)


def read(path: Path, counted: bool = True) -> Snapshot:
    """``Damaged`` if a bit of it is not as it was written; not ``counted``: whatever is there will do."""
    values = unpack(path.read_bytes(), str(path)) if counted else scan(path.read_bytes()).values
    if not values:
        raise Damaged(f"{path}: empty")
    at, term, count, members = cast(tuple[int, int, int, str], values[0])
    items = [(key, value, written) for frame in values[1:] for key, value, written in cast(list[tuple[str, str, int]], frame)]
    if len(items) != count and counted:
        raise Damaged(f"{path}: {len(items)} items instead of {count}")
    return Snapshot(at, term, items, members)


def newest(folder: Path, pattern: str, counted: bool = True) -> tuple[Snapshot | None, list[str]]:
    """The newest whole one of the files in a folder, and what is wrong with those that are newer."""
    wrong: list[str] = []
    for path in sorted(folder.glob(pattern), reverse=True):
        if path.name.endswith(NEW):
            continue
        try:
            return read(path, counted), wrong
        except (Damaged, ValueError) as error:
            wrong.append(str(error))
            path.rename(path.with_name("damaged-" + path.name))
    return None, wrong


def sync_folder(folder: Path, fsync: bool = True) -> None:
    """Make renames in it last."""
    if not fsync:
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
